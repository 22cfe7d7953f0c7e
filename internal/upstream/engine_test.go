package upstream

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// TestQueue: one turn, taken; the next waits within its time and is told in the
// engine's words why it did not get it, whichever keeps the list.
func TestQueue(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		tracker, err := newQueryTracker(dir, 1, time.Hour, nilLogger())
		if err != nil {
			t.Fatal(err)
		}
		if got := tracker.GetMaxConcurrent(); got != 1 {
			t.Errorf("%q: room for %d", dir, got)
		}
		turn, err := tracker.Insert(t.Context(), "up")
		if err != nil {
			t.Fatal(err)
		}
		late, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var timeout promql.ErrQueryTimeout
		if _, err := tracker.Insert(late, "up"); !errors.As(err, &timeout) {
			t.Errorf("%q: out of time: %v", dir, err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		var canceled promql.ErrQueryCanceled
		if _, err := tracker.Insert(gone, "up"); !errors.As(err, &canceled) {
			t.Errorf("%q: client gone: %v", dir, err)
		}
		tracker.Delete(turn)
		if _, err := tracker.Insert(t.Context(), "up"); err != nil {
			t.Errorf("%q: turn given back: %v", dir, err)
		}
		if err := tracker.Close(); err != nil {
			t.Error(err)
		}
	}
	short, err := newQueryTracker("", 1, time.Millisecond, nilLogger())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := short.Insert(t.Context(), "up"); err != nil {
		t.Fatal(err)
	}
	var timeout promql.ErrQueryTimeout
	if _, err := short.Insert(t.Context(), "up"); !errors.As(err, &timeout) {
		t.Errorf("the tracker's own time is over: %v", err)
	}
}

func TestNewEngine(t *testing.T) {
	dir := t.TempDir()
	e, err := NewEngine(EngineOptions{ActiveQueryDir: dir, Logger: nilLogger()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "queries.active")); err != nil {
		t.Error(err)
	}
	// What Prometheus has switched on must be on here.
	for _, query := range []string{"1 @ 5", "up @ end()", "up offset -5m", "rate(up[5m:])"} {
		q, err := e.NewInstantQuery(t.Context(), nil, nil, query, time.Unix(0, 0))
		if query == "1 @ 5" {
			if err == nil {
				t.Errorf("%s: accepted", query)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		q.Close()
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}

	for _, o := range []EngineOptions{{MaxSamples: -1}, {Timeout: -1}, {Lookback: -1}, {ActiveQueryDir: filepath.Join(dir, "queries.active", "x")}} {
		o.Logger = nilLogger()
		if _, err := NewEngine(o); err == nil {
			t.Errorf("%+v: accepted", o)
		}
	}
	e, err = NewEngine(EngineOptions{Concurrency: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
