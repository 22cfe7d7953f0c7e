package receiver

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/receiver/ha"
	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

// haEnv is an env whose handler deduplicates; its clock is now.
func haEnv(t *testing.T, now *time.Time, o HAOptions) *env {
	t.Helper()
	e := newEnv(t, tsdbcache.Options{}, Limits{Labels: 4, RetryAfter: 3 * time.Second})
	e.reg = prometheus.NewRegistry()
	var err error
	if e.h, err = New(Options{DB: e.db, HA: &o, Limits: e.h.limits, Logger: quiet, Registerer: e.reg, Now: func() time.Time { return *now }}); err != nil {
		t.Fatal(err)
	}
	return e
}

func from(replica string, s remotewrite.BatchSeries) remotewrite.BatchSeries {
	b := labels.NewBuilder(s.Labels)
	b.Set("cluster", "prod")
	b.Set("__replica__", replica)
	s.Labels = b.Labels()
	return s
}

// TestHAPairOverHTTP: two replicas send the same series. The elected one is
// stored, without the replica label; the other is answered 202 with counts as
// if it were, and takes over after the failover timeout; its samples go on in
// the same series.
func TestHAPairOverHTTP(t *testing.T) {
	for _, p := range protocols12 {
		now := time.UnixMilli(base)
		e := haEnv(t, &now, HAOptions{})
		send := func(replica string, value float64, code int) {
			t.Helper()
			at := now.UnixMilli()
			h := remotewrite.BatchSeries{Labels: labels.FromStrings("__name__", "h"), Histograms: []remotewrite.Histogram{{T: at, Int: &histogram.Histogram{Count: 1, ZeroCount: 1}}}}
			x := from(replica, float(at, value, "__name__", "up", "job", "a"))
			a := e.post(p, x, from(replica, h), from(replica, exemplarsOnly("up", traceOf(at-base, replica))))
			e.want(a, p, code, 1, 1, 1)
			if a.text != "" {
				t.Errorf("body %q", a.text)
			}
		}
		send("a", 1, 204)
		send("b", 2, 202) // another value for the same time: it would be a duplicate
		now = now.Add(15 * time.Second)
		send("b", 3, 202)
		send("a", 4, 204)
		now = now.Add(30 * time.Second)
		send("b", 5, 204) // a is silent
		send("a", 6, 202)
		var got []string
		for _, line := range e.dump() {
			if strings.Contains(line, `"up"`) {
				got = append(got, line)
			}
		}
		want := []string{
			`{__name__="up", cluster="prod", job="a"} 0 1`,
			`{__name__="up", cluster="prod", job="a"} 15000 4`,
			`{__name__="up", cluster="prod", job="a"} 45000 5`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", p, diff)
		}
		if got, want := e.exemplars(), "up a@0, up a@15000, up b@45000"; got != want {
			t.Errorf("%s: exemplars %q, want %q", p, got, want)
		}
		if elected, at, _ := e.h.ha.tracker.Elected("prod"); elected != "b" || !at.Equal(now) {
			t.Errorf("elected %s at %v", elected, at)
		}
		if n, err := testutil.GatherAndCount(e.reg, "chiron_receiver_ha_elected_replica_info"); n != 1 || err != nil {
			t.Errorf("%d elected replicas: %v", n, err)
		}
		if n := testutil.ToFloat64(e.h.metrics.requests[p][codeIndex(202)]); n != 3 {
			t.Errorf("%v requests answered 202", n)
		}
	}
}

// TestHAPassesWhatHasNoLabels: without both labels nothing is elected and no
// label removed; the limit of labels holds with the replica label.
func TestHAPassesWhatHasNoLabels(t *testing.T) {
	for _, p := range protocols12 {
		now := time.UnixMilli(base)
		e := haEnv(t, &now, HAOptions{})
		e.want(e.post(p, from("a", float(base, 1, "__name__", "up"))), p, 204, 1, 0, 0)
		for i, ls := range [][]string{
			{"__name__", "plain"},
			{"__name__", "plain", "cluster", "prod"},
			{"__name__", "plain", "__replica__", "b"},
			{"__name__", "plain", "cluster", "", "__replica__", "b"},
		} {
			e.want(e.post(p, float(base+int64(i), 1, ls...)), p, 204, 1, 0, 0)
		}
		// The first series decides for all of a request: the rest of this one is of another replica, and stored.
		e.want(e.post(p, float(base, 1, "__name__", "proxy"), from("b", float(base+1, 1, "__name__", "up"))), p, 204, 2, 0, 0)
		e.want(e.post(p, from("b", float(base, 1, "__name__", "up")), float(base, 1, "__name__", "lost")), p, 202, 2, 0, 0)
		want := []string{
			`{__name__="plain"} 0 1`,
			`{__name__="plain", __replica__="b"} 2 1`,
			`{__name__="plain", __replica__="b"} 3 1`,
			`{__name__="plain", cluster="prod"} 1 1`,
			`{__name__="proxy"} 0 1`,
			`{__name__="up", cluster="prod"} 0 1`,
			`{__name__="up", cluster="prod"} 1 1`,
		}
		got := e.dump()
		for i := range want {
			if !strings.Contains(fmt.Sprint(got), want[i]) {
				t.Errorf("%s: %s is missing in %q", p, want[i], got)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: stored %q", p, got)
		}
		if n := testutil.ToFloat64(e.h.ha.unlabelled); n != 5 {
			t.Errorf("%v requests without labels", n)
		}
		// A malformed request of the other replica is malformed.
		body := remotewrite.Compress(nil, append(new(remotewrite.Encoder).Encode(nil, p, &remotewrite.Batch{Series: []remotewrite.BatchSeries{from("b", float(base, 1, "__name__", "up"))}}), 0x0a, 0x05))
		e.want(e.do(post(t, p, body)), p, 400, 0, 0, 0)
	}
}

// TestHABadLabelsElectNobody: a first series that is refused anyway makes no
// cluster; two replica labels are a duplicate label, not one removed.
func TestHABadLabelsElectNobody(t *testing.T) {
	for _, p := range protocols12 {
		now := time.UnixMilli(base)
		e := haEnv(t, &now, HAOptions{})
		e.want(e.post(p, float(base, 1, "__name__", "up", "cluster", "\xff", "__replica__", "a")), p, 400, 0, 0, 0)
		e.want(e.post(p, float(base, 1, "__name__", "up", "cluster", strings.Repeat("x", 20<<10), "__replica__", "a")), p, 400, 0, 0, 0)
		twice := remotewrite.BatchSeries{Labels: labels.New(labels.Label{Name: "__name__", Value: "up"}, labels.Label{Name: "__replica__", Value: "a"},
			labels.Label{Name: "__replica__", Value: "b"}, labels.Label{Name: "cluster", Value: "c"}), Samples: []remotewrite.Sample{{T: base}}}
		a := e.post(p, twice)
		e.want(a, p, 400, 0, 0, 0)
		if !strings.Contains(a.text, "duplicate_label 1") {
			t.Errorf("%q", a.text)
		}
		if n, err := testutil.GatherAndCount(e.reg, "chiron_receiver_ha_elected_replica_info"); n != 1 || err != nil {
			t.Errorf("%d clusters, want only that of the duplicate: %v", n, err)
		}
	}
}

// TestHAClustersAreBounded: more clusters than the limit: 429 with
// Retry-After, the tracked ones are served.
func TestHAClustersAreBounded(t *testing.T) {
	for _, p := range protocols12 {
		now := time.UnixMilli(base)
		e := haEnv(t, &now, HAOptions{ClusterLabel: "pair", ReplicaLabel: "n", Options: ha.Options{MaxClusters: 1}})
		one := float(base, 1, "__name__", "up", "n", "a", "pair", "one")
		e.want(e.post(p, one), p, 204, 1, 0, 0)
		a := e.post(p, float(base, 1, "__name__", "up", "n", "a", "pair", "two"))
		e.want(a, p, http.StatusTooManyRequests, 0, 0, 0)
		if a.header.Get("Retry-After") != "3" {
			t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
		}
		e.want(e.post(p, one), p, 204, 1, 0, 0)
		if got := fmt.Sprint(e.dump()); got != `[{__name__="up", pair="one"} 0 1]` {
			t.Errorf("stored %s", got)
		}
	}
}

// TestHASteadyRequestAllocations: the election costs a steady request no
// allocation, whether it is stored or dropped.
func TestHASteadyRequestAllocations(t *testing.T) {
	for _, p := range protocols12 {
		now := time.UnixMilli(base)
		plain, pair := newEnv(t, tsdbcache.Options{}, Limits{}), haEnv(t, &now, HAOptions{})
		pair.h.limits.Labels = 128
		measure := func(e *env, replica string) float64 {
			var bodies [][]byte
			for round := range int64(250) {
				var b remotewrite.Batch
				for n := range 20 {
					b.Series = append(b.Series, from(replica, float(base-300_000+round*1000, float64(n), "__name__", "steady", "n", fmt.Sprint(n))))
				}
				bodies = append(bodies, encode(p, &b))
			}
			s := &steady{req: post(t, p, nil), bodies: bodies}
			s.req.Body, s.w.h = &s.body, http.Header{}
			run := func() {
				s.body.b, s.req.ContentLength = s.bodies[s.next], int64(len(s.bodies[s.next]))
				s.next++
				e.h.ServeHTTP(&s.w, s.req)
			}
			for range 30 {
				run()
			}
			return testing.AllocsPerRun(100, run)
		}
		without, stored, dropped := measure(plain, "a"), measure(pair, "a"), measure(pair, "b")
		t.Logf("%s: %v allocations without pairs, %v elected, %v dropped", p, without, stored, dropped)
		if !raceDetector && (stored > without || dropped > without) {
			t.Errorf("%s: %v allocations without pairs, %v elected, %v dropped", p, without, stored, dropped)
		}
	}
}

func TestHAOptionsThatCannotBe(t *testing.T) {
	e := newEnv(t, tsdbcache.Options{}, Limits{})
	for _, o := range []HAOptions{{ClusterLabel: "a", ReplicaLabel: "a"}, {Options: ha.Options{MaxClusters: -1}}} {
		if _, err := New(Options{DB: e.db, HA: &o}); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
	w := httptest.NewRecorder()
	e.h.ServeHTTP(w, post(t, remotewrite.V2, encode(remotewrite.V2, oneSample(remotewrite.V2))))
	if w.Code != 204 {
		t.Error(w.Code)
	}
}
