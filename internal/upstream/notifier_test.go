package upstream

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
	"go.uber.org/goleak"
)

func nilLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

// receiver takes the place of an Alertmanager for the shape of messages; the
// end-to-end test uses a real one.
type receiver struct {
	*httptest.Server
	posts chan post
	mu    sync.Mutex
	code  int
}

type post struct {
	path   string
	header http.Header
	alerts []wireAlert
}

type wireAlert struct {
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
	GeneratorURL        string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{posts: make(chan post, 100), code: http.StatusOK}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		p := post{path: req.URL.Path, header: req.Header}
		if err := json.Unmarshal(body, &p.alerts); err != nil {
			t.Errorf("%v in %s", err, body)
		}
		r.mu.Lock()
		w.WriteHeader(r.code)
		r.mu.Unlock()
		r.posts <- p
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) host() string { return strings.TrimPrefix(r.URL, "http://") }

// start runs a notifier and returns when it knows its Alertmanagers, with the
// function that ends it.
func start(t *testing.T, n *Notifier) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	<-n.Started()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestNotify(t *testing.T) {
	am := newReceiver(t)
	before := goleak.IgnoreCurrent()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := NewNotifier(NotifierOptions{
		UserAgent: "Chiron/1", Logger: nilLogger(), Registerer: prometheus.NewRegistry(),
		Alerting: Alerting{
			Dir:            dir,
			ExternalURL:    "http://chiron:9095",
			ExternalLabels: labels.FromStrings("cluster", "here", "severity", "none"),
			YAML: []byte(`
alert_relabel_configs:
- { action: labeldrop, regex: replica }
alertmanagers:
- static_configs: [ { targets: [ "` + am.host() + `", "dropped:1" ] } ]
  relabel_configs: [ { source_labels: [__address__], regex: "dropped.*", action: drop } ]
  path_prefix: /am
  timeout: 5s
  api_version: v2
  basic_auth: { username: chiron, password_file: password }
`),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, n)
	if got := n.Alertmanagers(); len(got) != 1 || got[0].String() != am.URL+"/am/api/v2/alerts" {
		t.Errorf("Alertmanagers: %v", got)
	}
	if got := n.DroppedAlertmanagers(); len(got) != 1 || got[0].Host != "dropped:1" {
		t.Errorf("dropped: %v", got)
	}

	at := time.Unix(1767225600, 0).UTC()
	n.Notify(t.Context(), `up == 0`,
		&rules.Alert{Labels: labels.FromStrings("alertname", "Down", "severity", "page", "replica", "a"), Annotations: labels.FromStrings("summary", "it is"), FiredAt: at, ValidUntil: at.Add(time.Minute)},
		&rules.Alert{Labels: labels.FromStrings("alertname", "Up"), FiredAt: at, ResolvedAt: at.Add(time.Second), ValidUntil: at.Add(time.Minute)},
	)
	got := <-am.posts
	link := "http://chiron:9095/graph?g0.expr=up+%3D%3D+0&g0.tab=1"
	if diff := cmp.Diff([]wireAlert{
		{
			Labels:      map[string]string{"alertname": "Down", "severity": "page", "cluster": "here"},
			Annotations: map[string]string{"summary": "it is"},
			StartsAt:    at, EndsAt: at.Add(time.Minute), GeneratorURL: link,
		},
		{
			Labels:   map[string]string{"alertname": "Up", "severity": "none", "cluster": "here"},
			StartsAt: at, EndsAt: at.Add(time.Second), GeneratorURL: link,
		},
	}, got.alerts); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	user, password, _ := (&http.Request{Header: got.header}).BasicAuth()
	if got.path != "/am/api/v2/alerts" || user != "chiron" || password != "secret" || got.header.Get("User-Agent") != "Chiron/1" {
		t.Errorf("posted to %s with %v", got.path, got.header)
	}
	stop()
	am.CloseClientConnections()
	am.Close()
	goleak.VerifyNone(t, before)
}

// TestNotifierDrains: what is queued when the notifier is told to end is sent
// before Run returns.
func TestNotifierDrains(t *testing.T) {
	am := newReceiver(t)
	n, err := NewNotifier(NotifierOptions{Logger: nilLogger(), Alerting: alertingTo(am, "")})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, n)
	const count = 1000 // four batches
	for i := range count {
		n.Send(&Alert{Labels: labels.FromStrings("alertname", "A", "i", time.Duration(i).String())})
	}
	stop()
	close(am.posts)
	seen := map[string]bool{}
	for p := range am.posts {
		for _, a := range p.alerts {
			seen[a.Labels["i"]] = true
		}
	}
	if len(seen) != count {
		t.Errorf("%d of %d alerts arrived", len(seen), count)
	}
	n.Send(&Alert{Labels: labels.FromStrings("alertname", "late")}) // harmless
}

// TestNotifierDrainsWhatItIsEncoding: the end comes while a batch has left the
// queue and is not yet a request.
func TestNotifierDrainsWhatItIsEncoding(t *testing.T) {
	am := newReceiver(t)
	n, err := NewNotifier(NotifierOptions{Logger: nilLogger(), Alerting: alertingTo(am, "")})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, n)
	const count = 200 // one batch, which takes some milliseconds to encode
	long := labels.FromStrings("description", strings.Repeat("<", 1000))
	alerts := make([]*Alert, count)
	for i := range alerts {
		alerts[i] = &Alert{Labels: labels.FromStrings("i", time.Duration(i).String()), Annotations: long}
	}
	n.Send(alerts...)
	time.Sleep(2 * time.Millisecond)
	stop()
	select {
	case p := <-am.posts:
		if len(p.alerts) != count {
			t.Errorf("%d of %d alerts arrived", len(p.alerts), count)
		}
	default:
		t.Error("no alert had arrived when Run returned")
	}
}

// TestNotifierDrainEnds: an Alertmanager that does not answer holds up the end
// no longer than the drain timeout allows, however much is queued, and no
// request outlives Run.
func TestNotifierDrainEnds(t *testing.T) {
	hang := make(chan struct{})
	began := make(chan struct{}, 100)
	am := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		began <- struct{}{}
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer am.Close()
	defer close(hang)
	for _, queued := range []int{0, 1000} {
		n, err := NewNotifier(NotifierOptions{Logger: nilLogger(), DrainTimeout: 10 * time.Millisecond, Alerting: Alerting{
			YAML: []byte("alertmanagers: [ { timeout: 1h, static_configs: [ { targets: [ \"" + strings.TrimPrefix(am.URL, "http://") + "\" ] } ] } ]"),
		}})
		if err != nil {
			t.Fatal(err)
		}
		stop := start(t, n)
		n.Send(&Alert{Labels: labels.FromStrings("alertname", "A")})
		<-began
		for range queued {
			n.Send(&Alert{Labels: labels.FromStrings("alertname", "B")})
		}
		stop() // hangs for an hour otherwise
		if len(n.flight.running) > 0 {
			t.Errorf("%d queued: a request is still under way", queued)
		}
	}
}

func alertingTo(am *receiver, extra string) Alerting {
	return Alerting{YAML: []byte("alertmanagers:\n- static_configs: [ { targets: [ \"" + am.host() + "\" ] } ]\n" + extra)}
}

// TestNotifierReload: the next alert goes where the last accepted
// configuration says, with the credentials it says, and a bad one changes
// nothing.
func TestNotifierReload(t *testing.T) {
	first, second := newReceiver(t), newReceiver(t)
	n, err := NewNotifier(NotifierOptions{Logger: nilLogger(), Alerting: alertingTo(first, "")})
	if err != nil {
		t.Fatal(err)
	}
	defer start(t, n)()
	send := func(name string, to *receiver, password string) {
		t.Helper()
		n.Send(&Alert{Labels: labels.FromStrings("alertname", name)})
		p := <-to.posts
		_, got, _ := (&http.Request{Header: p.header}).BasicAuth()
		if p.alerts[0].Labels["alertname"] != name || got != password {
			t.Errorf("%s: got %v with password %q, want %q", name, p.alerts, got, password)
		}
	}
	apply := func(a Alerting) {
		t.Helper()
		if err := n.Apply(a); err != nil {
			t.Fatal(err)
		}
	}
	send("a", first, "")
	apply(alertingTo(first, "  basic_auth: { username: u, password: one }\n"))
	send("b", first, "one")
	apply(alertingTo(first, "  basic_auth: { username: u, password: two }\n")) // only a secret differs
	send("c", first, "two")
	apply(alertingTo(first, "  basic_auth: { username: u, password: two }\n")) // nothing differs
	send("d", first, "two")
	if err := n.Apply(Alerting{YAML: []byte("alertmanagers: [ { schem: https } ]")}); err == nil {
		t.Error("a bad configuration is accepted")
	}
	if err := n.Apply(alertingTo(second, "  tls_config: { ca_file: missing }\n")); err == nil {
		t.Error("a missing certificate is accepted")
	}
	send("e", first, "two")
	apply(alertingTo(second, ""))
	send("f", second, "")
	apply(Alerting{})
	n.Send(&Alert{Labels: labels.FromStrings("alertname", "nobody")})
	apply(alertingTo(first, ""))
	send("g", first, "")
	if len(second.posts) != 0 {
		t.Errorf("%d alerts more to an Alertmanager that was taken away", len(second.posts))
	}
}

func TestAlertingRefused(t *testing.T) {
	f := func(yaml, want string) {
		t.Helper()
		err := ParseAlerting(Alerting{YAML: []byte(yaml)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", yaml, err, want)
		}
	}
	f("alertmanager: []", "alertmanager not found")
	f("alertmanagers: 3", "cannot unmarshal")
	f("alertmanagers: [ null ]", "empty entry")
	f("alertmanagers: [ { api_version: v1 } ]", "v1")
	f("alertmanagers: [ { kubernetes_sd_configs: [ { role: pod } ] } ]", "kubernetes_sd_configs")
	f(`alertmanagers: [ { static_configs: [ { targets: [ "http://am:9093" ] } ] } ]`, "not a valid hostname")
	f("alertmanagers: [ { basic_auth: { username: a, password: b }, authorization: { credentials: c } } ]", "at most one")
	f("alert_relabel_configs: [ { action: nothing } ]", "nothing")
	f("alert_relabel_configs: [ null ]", "empty or null")

	for _, good := range []string{"", "alertmanagers: []", "alertmanagers: [ { scheme: https, tls_config: { insecure_skip_verify: true } } ]"} {
		if err := ParseAlerting(Alerting{YAML: []byte(good)}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	if _, err := NewNotifier(NotifierOptions{Alerting: Alerting{YAML: []byte("x: 1")}}); err == nil {
		t.Error("NewNotifier accepts a bad configuration")
	}
}
