package e2e

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
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
	value, err := l.value(expr, at)
	if err != nil {
		return nil, err
	}
	v, ok := value.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("a %s, not a vector", value.Type())
	}
	return v, nil
}

func (l *loop) value(expr string, at time.Time) (model.Value, error) {
	client, err := api.NewClient(api.Config{Address: l.url})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), 30*time.Second)
	defer cancel()
	value, _, _, err := v1.NewAPI(client).Query(ctx, expr, at)
	return value, err
}

// storage is how many samples each received series had at a time.
type storage struct {
	at      time.Time
	samples map[string]int
}

// stored counts what has been received up to a moment ago. Prometheus was told
// that all of it is stored, or the ring would not return it.
func (l *loop) stored() storage {
	l.t.Helper()
	at := time.Now()
	s := storage{at: at, samples: l.storedAt(at)}
	if len(s.samples) < 10 {
		l.t.Fatalf("only %d series are stored", len(s.samples))
	}
	return s
}

func (l *loop) storedAt(at time.Time) map[string]int {
	l.t.Helper()
	out := map[string]int{}
	for _, job := range []string{"kubelet", "shop"} {
		v, err := l.value(fmt.Sprintf(`{job=%q}[10m]`, job), at)
		if err != nil {
			l.t.Fatal(err)
		}
		matrix, ok := v.(model.Matrix)
		if !ok {
			l.t.Fatalf("a %s, not a matrix", v.Type())
		}
		for _, s := range matrix {
			out[s.Metric.String()] = len(s.Values)
		}
	}
	return out
}
