package remediation

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/chironhq/chiron/remediation/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const leak = `{"version":"4","groupKey":"g","truncatedAlerts":0,"status":"firing","receiver":"chiron","unknown":{"x":[1]},
"alerts":[{"status":"firing","labels":{"alertname":"Leak","pod":"a-0"},"annotations":{},"startsAt":"STARTS","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"0011223344556677"}]}`

func post(h http.Handler, body, token string) int {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// serve runs a Remediator over dir until stop is called.
func serve(t *testing.T, dir string, c *sim.Cluster, reg prometheus.Registerer) (*Remediator, func()) {
	t.Helper()
	r, err := Open(Options{Dir: dir, Policies: propertySet(t), Cluster: c, Tokens: []string{"old-token", "new-token"}, Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	return r, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func get(t *testing.T, r *Remediator, path string, into any) int {
	t.Helper()
	mux := chi.NewRouter()
	r.Routes(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if into != nil {
		if err := json.NewDecoder(w.Body).Decode(&Response{Data: into}); err != nil {
			t.Fatal(err)
		}
	}
	return w.Code
}

func TestFromWebhookToVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, c, reg := t.TempDir(), sim.New(), prometheus.NewRegistry()
		c.AddWorkload("Deployment", "shop", "a", 4)
		r, stop := serve(t, dir, c, reg)
		body := strings.Replace(leak, "STARTS", time.Now().Format(time.RFC3339Nano), 1)
		if code := post(r.Webhook(), body, ""); code != http.StatusUnauthorized {
			t.Fatalf("without a token: %d", code)
		}
		for _, token := range []string{"old-token", "new-token"} {
			if code := post(r.Webhook(), body, token); code != http.StatusOK {
				t.Fatalf("with %s: %d", token, code)
			}
		}
		time.Sleep(5 * time.Second) // virtual
		synctest.Wait()
		c.Settle()
		time.Sleep(time.Minute)
		synctest.Wait()
		var runs []*Run
		if get(t, r, "/runs?policy=evict", &runs); len(runs) != 1 || runs[0].Phase != Succeeded {
			t.Fatalf("runs: %+v", runs)
		}
		if n := len(c.Writes()); n != 1 {
			t.Errorf("%d writes", n)
		}
		var one Run
		if code := get(t, r, "/runs/1", &one); code != http.StatusOK || one.Change == nil || one.Target.Object.UID == "" {
			t.Errorf("run 1: %d %+v", code, one)
		}
		if code := get(t, r, "/runs/7", nil); code != http.StatusNotFound {
			t.Errorf("run 7: %d", code)
		}
		if code := get(t, r, "/runs?phase=nonsense", nil); code != http.StatusBadRequest {
			t.Errorf("phase nonsense: %d", code)
		}
		stop()
		err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP chiron_remediation_actions_total Writes to the cluster, by action and result.
# TYPE chiron_remediation_actions_total counter
chiron_remediation_actions_total{action="evictPod",result="done"} 1
# HELP chiron_remediation_deliveries_received_total Messages of Alertmanager that are on record.
# TYPE chiron_remediation_deliveries_received_total counter
chiron_remediation_deliveries_received_total 2
`), "chiron_remediation_actions_total", "chiron_remediation_deliveries_received_total")
		if err != nil {
			t.Error(err)
		}
	})
}

// TestAnsweredDeliveriesSurvive: what was answered with 200 and not decided is
// decided by the next process, once.
func TestAnsweredDeliveriesSurvive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, c := t.TempDir(), sim.New()
		c.AddWorkload("Deployment", "shop", "a", 4)
		first, err := Open(Options{Dir: dir, Policies: propertySet(t), Cluster: c, AllowUnauthenticated: true})
		if err != nil {
			t.Fatal(err)
		}
		body := strings.Replace(leak, "STARTS", time.Now().Format(time.RFC3339Nano), 1)
		for range 2 { // Run has not begun: the process dies before anything is decided
			if code := post(first.Webhook(), body, ""); code != http.StatusOK {
				t.Fatal(code)
			}
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			r, stop := serve(t, dir, c, nil)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			c.Settle()
			var runs []*Run
			if get(t, r, "/runs", &runs); len(runs) != 1 || len(c.Writes()) != 1 {
				t.Fatalf("%d runs, %d writes", len(runs), len(c.Writes()))
			}
			stop()
		}
	})
}

func TestWebhookAnswers503WhenNothingCanBeRecorded(t *testing.T) {
	r, err := Open(Options{Dir: t.TempDir(), Policies: propertySet(t), AllowUnauthenticated: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	body := strings.Replace(leak, "STARTS", time.Now().Format(time.RFC3339Nano), 1)
	if code := post(r.Webhook(), body, ""); code != http.StatusServiceUnavailable {
		t.Errorf("answered %d", code)
	}
}

func TestOpenRefusesAWebhookWithoutAuthentication(t *testing.T) {
	_, err := Open(Options{Dir: t.TempDir(), Policies: propertySet(t)})
	if err == nil || !strings.Contains(err.Error(), "bearer token") {
		t.Errorf("err = %v", err)
	}
}
