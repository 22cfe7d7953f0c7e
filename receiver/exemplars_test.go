package receiver

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

func traceOf(at int64, id string) exemplar.Exemplar {
	return exemplar.Exemplar{Labels: labels.FromStrings("trace_id", id), Value: float64(at), Ts: base + at, HasTs: true}
}

// exemplarsOnly is a series as a Prometheus with send_exemplars sends it: the
// samples of the series are in another TimeSeries, or another request.
func exemplarsOnly(name string, es ...exemplar.Exemplar) remotewrite.BatchSeries {
	return remotewrite.BatchSeries{Labels: labels.FromStrings("__name__", name, "job", "a"), Exemplars: es}
}

// exemplars reads back what is kept, as "series id@time".
func (e *env) exemplars() string {
	e.t.Helper()
	q, err := e.db.ExemplarQuerier(context.Background())
	if err != nil {
		e.t.Fatal(err)
	}
	got, err := q.Select(0, math.MaxInt64, []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")})
	if err != nil {
		e.t.Fatal(err)
	}
	var out []string
	for _, r := range got {
		for _, x := range r.Exemplars {
			out = append(out, fmt.Sprintf("%s %s@%d", r.SeriesLabels.Get("__name__"), x.Labels.Get("trace_id"), x.Ts-base))
		}
	}
	return strings.Join(out, ", ")
}

// TestExemplarsAlone: clause 4.2, a series with exemplars and nothing else.
// Stored when the series is there, or gets its first sample from the same
// request, before or after; refused by itself otherwise.
func TestExemplarsAlone(t *testing.T) {
	for _, p := range protocols12 {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		// In one request, the exemplar first.
		e.want(e.post(p, exemplarsOnly("a", traceOf(1, "first")), float(base, 1, "__name__", "a", "job", "a")), p, 204, 1, 0, 1)
		// Of a series that is there, which this request names by another order of labels.
		shuffled := remotewrite.BatchSeries{
			Labels:    labels.New(labels.Label{Name: "job", Value: "a"}, labels.Label{Name: "__name__", Value: "a"}),
			Exemplars: []exemplar.Exemplar{traceOf(2, "shuffled")},
		}
		e.want(e.post(p, shuffled), p, 204, 0, 0, 1)
		// One that is not there fails neither the samples nor the other exemplars.
		a := e.post(p, float(base, 1, "__name__", "b", "job", "a"), exemplarsOnly("nobody", traceOf(3, "x"), traceOf(4, "y")), exemplarsOnly("a", traceOf(5, "last")))
		e.want(a, p, 400, 1, 0, 1)
		for _, part := range []string{"refused 2 of 4 samples: unknown_series 2", `{__name__="nobody", job="a"} at 1800000000003: unknown_series`} {
			if !strings.Contains(a.text, part) {
				t.Errorf("%s: the text does not say %q: %s", p, part, a.text)
			}
		}
		if got, want := e.exemplars(), "a first@1, a shuffled@2, a last@5"; got != want {
			t.Errorf("%s: exemplars %q, want %q", p, got, want)
		}
		if got := fmt.Sprint(e.dump()); got != `[{__name__="a", job="a"} 0 1 {__name__="b", job="a"} 0 1]` {
			t.Errorf("%s: a series without samples has been made: %s", p, got)
		}
		// Policy: what is switched off is dropped, and counted as written.
		off := newEnv(t, tsdbcache.Options{MaxExemplars: -1}, Limits{})
		off.want(off.post(p, float(base, 1, "__name__", "a", "job", "a"), exemplarsOnly("a", traceOf(1, "a"))), p, 204, 1, 0, 1)
	}
}
