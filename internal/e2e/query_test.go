package e2e

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/chironhq/chiron/internal/testenv"
)

// query answers an instant query, "" of nothing while Chiron is not there.
func (l *loop) query(expr string) model.Vector {
	l.t.Helper()
	v, err := l.queryAt(expr, time.Now())
	if err != nil {
		l.t.Logf("query %s: %v", expr, err)
	}
	return v
}

func (l *loop) queryAt(expr string, at time.Time) (model.Vector, error) {
	value, err := l.value(l.url, expr, at)
	if err != nil {
		return nil, err
	}
	v, ok := value.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("a %s, not a vector", value.Type())
	}
	return v, nil
}

func (l *loop) value(address, expr string, at time.Time) (model.Value, error) {
	client, err := api.NewClient(api.Config{Address: address})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), 30*time.Second)
	defer cancel()
	value, _, _, err := v1.NewAPI(client).Query(ctx, expr, at)
	return value, err
}

// awaitAllStored compares what Prometheus scraped, up to now, with what Chiron
// has. Prometheus sends nothing again that was answered 2xx: a sample that was
// answered and lost stays missing.
func (l *loop) awaitAllStored() {
	l.t.Helper()
	at := time.Now()
	sent, err := l.samples(l.prometheus, at)
	if err != nil {
		l.t.Fatal(err)
	}
	if len(sent) < 10 {
		l.t.Fatalf("only %d series were scraped", len(sent))
	}
	testenv.Eventually(l.t, patience, func() error {
		stored, err := l.samples(l.url, at)
		if err != nil {
			return err
		}
		var missing []string
		for series, samples := range sent {
			for _, s := range samples {
				if !slices.ContainsFunc(stored[series], func(have model.SamplePair) bool { return have.Equal(&s) }) {
					missing = append(missing, fmt.Sprintf("%s %v", series, s))
				}
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("%d samples are not stored, such as %v", len(missing), missing[:min(5, len(missing))])
		}
		return nil
	})
}

// samples returns the scraped series at an address, from the time at which
// the loop was ready to another.
func (l *loop) samples(address string, to time.Time) (map[string][]model.SamplePair, error) {
	v, err := l.value(address, fmt.Sprintf(`{job=~"kubelet|shop"}[%dms]`, to.Sub(l.since).Milliseconds()), to)
	if err != nil {
		return nil, err
	}
	matrix, ok := v.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("a %s, not a matrix", v.Type())
	}
	out := map[string][]model.SamplePair{}
	for _, s := range matrix {
		out[s.Metric.String()] = s.Values
	}
	return out, nil
}
