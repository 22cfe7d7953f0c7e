package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/internal/testenv"
	"github.com/chironhq/chiron/internal/upstream"
)

// notified is what Alertmanager tells of one alert.
type notified struct {
	Status           string
	StartsAt, EndsAt time.Time
}

// receiver takes Alertmanager's notifications.
type receiver struct {
	mu  sync.Mutex
	got []notified
}

func (r *receiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	var delivery struct{ Alerts []notified }
	if err := json.NewDecoder(req.Body).Decode(&delivery); err != nil {
		panic(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, delivery.Alerts...)
}

func (r *receiver) all() []notified {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got
}

// An alert that is kept firing stays with Alertmanager over a restart, for
// longer than Alertmanager believes what the process before has sent, and is
// resolved there at its original time.
func TestAlertmanagerSeesNoRestartOfAKeptAlert(t *testing.T) {
	t.Parallel()
	const keep = 16 * time.Second
	r := &receiver{}
	hook := httptest.NewServer(r)
	t.Cleanup(hook.Close)
	am := testenv.Alertmanager(t, testenv.AlertmanagerOptions{Config: fmt.Sprintf(`
route: { receiver: hook, group_wait: 0s, group_interval: 1s, repeat_interval: 1h }
receivers: [{ name: hook, webhook_configs: [{ url: '%s', send_resolved: true }] }]
`, hook.URL)})
	n, err := upstream.NewNotifier(upstream.NotifierOptions{Alerting: upstream.Alerting{
		YAML: fmt.Appendf(nil, "alertmanagers: [{ static_configs: [{ targets: ['%s'] }] }]", am.URL[len("http://"):]),
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-n.Started()

	w := newKeptWorld(t, `groups: [{ name: g, interval: 1s, rules: [{ alert: Loud, expr: load > 100, keep_firing_for: 16s }] }]`, func(o *Options) {
		// Alertmanager is told to believe four times as long.
		o.Notify, o.ResendDelay = n.Notify, 3*time.Second
	})
	w.add(`load{pod="a"}`, 200)
	testenv.Eventually(t, time.Minute, func() error {
		if len(r.all()) == 0 {
			return errors.New("Alertmanager has told of nothing")
		}
		return nil
	})
	w.add(`load{pod="a"}`, 10)
	var before *upstream.RuleAlert
	testenv.Eventually(t, time.Minute, func() error {
		if before = w.firing()["a"]; before == nil || before.KeepFiringSince.IsZero() {
			return fmt.Errorf("not kept: %+v", before)
		}
		return nil
	})
	w.away(w.end, 0)
	testenv.Eventually(t, time.Minute, func() error {
		if last := r.all()[len(r.all())-1]; last.Status != "resolved" {
			return errors.New("not resolved")
		}
		return nil
	})
	got := r.all()
	if len(got) != 2 || got[0].Status != "firing" {
		t.Fatalf("told %+v, want it to fire and to be resolved", got)
	}
	if !got[1].StartsAt.Equal(got[0].StartsAt) {
		t.Errorf("fires since %v, then since %v", got[0].StartsAt, got[1].StartsAt)
	}
	end := before.KeepFiringSince.Add(keep).UnixMilli()
	if got[1].EndsAt.UnixMilli() < end {
		t.Errorf("ended at %v, kept since %v", got[1].EndsAt, before.KeepFiringSince)
	}
	// It ended at the first evaluation that could end it.
	times, _ := w.history(labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, metricKeepState))
	for _, at := range times {
		if at >= end && at < got[1].EndsAt.UnixMilli() {
			t.Errorf("it still fired at %v", time.UnixMilli(at))
		}
	}
}
