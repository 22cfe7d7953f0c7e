package rules

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/tsdbcache"
)

// What is written of models a minute has a limit, and the limit is kept.
func TestSavingKeepsItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 20_000
		w := newWatched(t, func(o *Options) { o.StateInterval, o.SaveBytesPerMinute = time.Second, limit })
		w.begin(strings.Replace(one, "zscore(window=30m)", "auto", 1))
		var pods []string
		for i := range 50 {
			pods = append(pods, fmt.Sprintf(`hum{pod="%d"}`, i))
		}
		w.live(10*time.Minute, hum, pods...)
		before, most := w.metric("chiron_rules_state_saved_bytes_total"), 0.0
		for range 15 {
			w.live(time.Minute, hum, pods...)
			now := w.metric("chiron_rules_state_saved_bytes_total")
			most = max(most, now-before)
			before = now
		}
		record := w.metric("chiron_rules_state_snapshot_bytes") / 50
		if most > limit+2*record || most < limit/2 {
			t.Errorf("%v bytes in one minute, the limit is %v, a record has about %v", most, limit, record)
		}
		if round := w.metric("chiron_rules_state_round_seconds"); round < 60*50*record/limit-10 {
			t.Errorf("a round of %v bytes in %v seconds", 50*record, round)
		}
		if w.metric("chiron_rules_state_over_save_limit") != 0 {
			t.Error("over the limit, though the ring has given nothing back")
		}
	})
}

// A round takes a quarter of the ring's reach at most, whatever the limit: the
// ring must fill what a kill would lose.
func TestARoundIsShorterThanTheRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, func(o *Options) { o.StateInterval, o.SaveBytesPerMinute = time.Second, 600 })
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		if w.db, err = tsdbcache.Open(tsdbcache.Options{Memory: 512 << 10}); err != nil {
			t.Fatal(err)
		}
		w.begin(strings.Replace(one, "zscore(window=30m)", "zscore(window=30m)\n        limit: 60", 1))
		var pods []string
		for i := range 50 {
			pods = append(pods, fmt.Sprintf(`hum{pod="%d"}`, i))
		}
		noise := func(at time.Time) float64 {
			return hum(at) + math.Sqrt(float64(at.UnixNano()%1e9)) + math.Sin(float64(at.Unix()))
		}
		rounds := 0.0
		for w.db.Evicted() == 0 {
			w.live(10*time.Minute, noise, pods...)
		}
		for range 12 {
			w.live(10*time.Minute, noise, pods...)
			oldest, err := w.db.StartTime()
			if err != nil {
				t.Fatal(err)
			}
			reach := time.Since(time.UnixMilli(oldest))
			if round := w.metric("chiron_rules_state_round_seconds"); round > reach.Seconds()/4+20 {
				t.Errorf("a round took %v s, the ring reaches back %v", round, reach)
			}
			if w.metric("chiron_rules_state_over_save_limit") != 1 {
				t.Error("no word of the limit that is not kept")
			}
			rounds = w.metric("chiron_rules_state_snapshots_total", "written")
		}
		if rounds < 3 {
			t.Errorf("%v rounds: nothing was tested", rounds)
		}
	})
}

// tapped tells of everything that is stored.
type tapped struct {
	storage.AppendableV2
	committed chan struct{}
}

func (a tapped) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return tappedAppender{a.AppendableV2.AppenderV2(ctx), a.committed}
}

type tappedAppender struct {
	storage.AppenderV2
	committed chan struct{}
}

func (a tappedAppender) Commit() error {
	defer func() { a.committed <- struct{}{} }()
	return a.AppenderV2.Commit()
}

// Evaluation goes on while the store is busy and no batch is written. This is
// not in virtual time, which waits for a store that does not answer.
func TestEvaluationDoesNotWaitForSaving(t *testing.T) {
	committed := make(chan struct{})
	w := newWatched(t, func(o *Options) {
		o.Appendable, o.StateInterval = tapped{o.Appendable, committed}, time.Millisecond
	})
	file := strings.Replace(one, "- name: g", "- name: g\n    interval: 100ms", 1)
	w.add("hum", 1)
	w.begin(file)
	// Somebody reads the only record and does not come to an end.
	written := func() float64 { return w.metric("chiron_rules_state_snapshots_total", "written") }
	for written() == 0 {
		<-committed
	}
	reads, release, done := make(chan struct{}, 1), make(chan struct{}), make(chan error, 1)
	go func() {
		_, _, err := w.m.store.Read(w.m.snapshotGroups()[0].anomalies[0].id.Load(), func([]byte) {
			reads <- struct{}{}
			<-release
		})
		done <- err
	}()
	<-reads
	before := written()
	for range 60 { // six seconds, in which several batches are due
		<-committed
	}
	if after := written(); after > before+1 {
		t.Errorf("%v rounds were written before somebody read, %v since: it does not hold them up, and nothing was tested", before, after-before)
	}
	close(release)
	for written() < before+2 {
		<-committed
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	go func() {
		for range committed {
		}
	}()
	w.halt()
	close(committed)
}

// stuck blocks queries of a metric.
type stuck struct {
	storage.Queryable
	metric  string
	release chan struct{}
}

func (s stuck) Querier(from, to int64) (storage.Querier, error) {
	q, err := s.Queryable.Querier(from, to)
	return stuckQuerier{q, s}, err
}

type stuckQuerier struct {
	storage.Querier
	stuck
}

func (q stuckQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	for _, m := range matchers {
		if m.Value == q.metric {
			<-q.release
		}
	}
	return q.Querier.Select(ctx, sorted, hints, matchers...)
}

// While a rule is in the middle of its evaluation, whoever scrapes, asks for the
// state of rules, or saves those of other groups does not wait for it.
func TestNobodyWaitsForAnEvaluation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWatched(t, func(o *Options) {
			o.Queryable = stuck{o.Queryable, "slow", release}
			o.StateInterval = 10 * time.Second
		})
		slow := strings.NewReplacer("name: g", "name: slow", "Hum", "Slow", "expr: hum", "expr: sort(slow)", "hum:", "slow:").Replace(one)
		w.begin(one, slow)
		w.live(50*time.Second, hum, `hum`, `slow`)
		before, scored := w.metric("chiron_rules_state_saved_bytes_total"), len(w.query(`anomaly_score{anomaly_name="Hum"}`))
		w.live(50*time.Second, hum, `hum`, `slow`)
		if got := len(w.m.Groups()); got != 2 {
			t.Errorf("%d groups", got)
		}
		if after := w.metric("chiron_rules_state_saved_bytes_total"); after <= before || scored != 1 {
			t.Errorf("%v bytes were saved before, %v since; %d scores", before, after-before, scored)
		}
		if got := w.query(`anomaly_score{anomaly_name="Slow"}`); len(got) != 0 {
			t.Errorf("the slow rule is not stuck: %v", got)
		}
		close(release)
		w.live(3*time.Minute, hum, `hum`, `slow`)
		if got := w.query(`anomaly_score{anomaly_name="Slow"}`); len(got) != 1 {
			t.Errorf("the slow rule does not go on: %v", got)
		}
		w.halt()
		w.compare()
	})
}
