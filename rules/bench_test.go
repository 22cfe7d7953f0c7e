package rules_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"golang.org/x/sys/unix"

	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/rules"
	"github.com/chironhq/chiron/rules/lang"
	"github.com/chironhq/chiron/tsdbcache"
)

// These benchmarks run a whole manager over a real ring in virtual time, so
// that minutes of evaluations and of saving take as long as their work does.
// What is told is CPU of the whole process, the collector included; storing the
// samples that the rules read is not counted.

// benchInterval is how often rules are evaluated.
const benchInterval = 30 * time.Second

// site is a manager with rules that each read series of a metric of their own.
type site struct {
	t      *testing.T
	db     *tsdbcache.DB
	engine *promql.Engine
	dir    string
	series int // of a rule
	all    []labels.Labels
	refs   []storage.SeriesRef
	ticks  int // samples that every series has
	used   usage
}

// usage is what evaluating and saving took.
type usage struct {
	cpu   time.Duration
	wrote int64 // bytes to files
}

func used() (u usage, err error) {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return u, err
	}
	u.cpu = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return u, err
	}
	for line := range bytes.Lines(b) {
		if n, ok := bytes.CutPrefix(line, []byte("wchar: ")); ok {
			u.wrote, err = strconv.ParseInt(string(bytes.TrimSpace(n)), 10, 64)
		}
	}
	return u, err
}

// inVirtualTime calls f once for each operation of the benchmark, under
// virtual time, which only a test can have.
func inVirtualTime(b *testing.B, f func(t *testing.T)) {
	b.Helper()
	for range b.N {
		var once sync.Once // -count and -cpu are the benchmark's
		run := testing.InternalTest{Name: b.Name(), F: func(t *testing.T) { once.Do(func() { synctest.Test(t, f) }) }}
		if !testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{run}) {
			b.FailNow()
		}
	}
	b.ReportMetric(0, "ns/op") // of the machine's clock, setting up included: says nothing
}

// newSite stores the past that the rules will find.
func newSite(t *testing.T, rules, series, ticks int) *site {
	t.Helper()
	db, err := tsdbcache.Open(tsdbcache.Options{Memory: int64(rules+1) << 27, OutOfOrderWindow: -1, MaxFuture: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := upstream.NewEngine(upstream.EngineOptions{Parser: lang.PromQL(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = engine.Close()
		_ = db.Close()
	})
	s := &site{t: t, db: db, engine: engine, dir: t.TempDir(), series: series}
	for r := range rules {
		for i := range series {
			s.all = append(s.all, labels.FromStrings("__name__", fmt.Sprint("metric_", r), "instance", fmt.Sprint("10.0.0.", i), "job", "api"))
		}
	}
	s.refs = make([]storage.SeriesRef, len(s.all))
	for range ticks {
		s.store()
		time.Sleep(benchInterval)
	}
	return s
}

// store appends a sample to every series now: a wave of an hour with noise.
func (s *site) store() {
	s.t.Helper()
	app := s.db.AppenderV2(context.Background())
	now := time.Now()
	wave := 100 + 10*math.Sin(2*math.Pi*float64(now.Unix()%3600)/3600)
	for i, ls := range s.all {
		noise := (uint64(i)*2654435761 + uint64(s.ticks)) * 6364136223846793005 >> 40
		ref, err := app.Append(s.refs[i], ls, 0, now.UnixMilli(), wave+float64(noise)/(1<<22), nil, nil, storage.AppendV2Options{})
		if err != nil {
			s.t.Fatal(err)
		}
		s.refs[i] = ref
	}
	if err := app.Commit(); err != nil {
		s.t.Fatal(err)
	}
	s.ticks++
}

// begin runs a manager with a rule a metric. Without saving it keeps nothing.
func (s *site) begin(model string, count int, saving bool) {
	s.t.Helper()
	var text strings.Builder
	text.WriteString("groups:\n  - name: g\n    rules:\n")
	for r := range count {
		fmt.Fprintf(&text, "      - { anomaly: A%d, expr: metric_%d, model: %s, direction: both, limit: %d }\n", r, r, model, s.series)
	}
	file := filepath.Join(s.dir, "rules.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	o := rules.Options{Engine: s.engine, Queryable: s.db, Appendable: s.db, DB: s.db, Logger: slog.New(slog.DiscardHandler)}
	if saving {
		o.StateDir = filepath.Join(s.dir, "state")
	}
	m, err := rules.NewManager(o)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := m.Update([]string{file}, rules.Settings{Interval: benchInterval}); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

// tick stores a sample a series and waits until rules were evaluated, saved,
// and whatever else they do in the time of an interval.
func (s *site) tick() {
	s.t.Helper()
	s.store()
	before, err := used()
	if err != nil {
		s.t.Fatal(err)
	}
	time.Sleep(benchInterval)
	synctest.Wait()
	after, err := used()
	if err != nil {
		s.t.Fatal(err)
	}
	s.used.cpu += after.cpu - before.cpu
	s.used.wrote += after.wrote - before.wrote
}

// ready waits until every series has a score.
func (s *site) ready() {
	s.t.Helper()
	for range 2000 {
		s.tick()
		q, err := s.engine.NewInstantQuery(context.Background(), s.db, nil, "count(anomaly_score >= 0)", time.Now())
		if err != nil {
			s.t.Fatal(err)
		}
		v, err := q.Exec(context.Background()).Vector()
		if err != nil {
			s.t.Fatal(err)
		}
		n := 0
		if len(v) > 0 {
			n = int(v[0].F)
		}
		q.Close()
		if n == len(s.all) {
			return
		}
	}
	s.t.Fatal("not every series has a score after 2000 evaluations")
}

// BenchmarkEvaluation is one evaluation of a rule over 10,000 series of a
// plain selector, outputs in the ring included.
func BenchmarkEvaluation(b *testing.B) {
	for _, model := range []string{"zscore", "auto"} {
		b.Run(model, func(b *testing.B) {
			const series, ticks = 10_000, 40
			var cpu time.Duration
			inVirtualTime(b, func(t *testing.T) {
				s := newSite(t, 1, series, 240)
				s.begin(model, 1, false)
				s.ready()
				s.used = usage{}
				for range ticks {
					s.tick()
				}
				cpu += s.used.cpu
			})
			each := cpu / time.Duration(b.N*ticks)
			b.ReportMetric(float64(each.Microseconds())/1000, "cpu-ms/evaluation")
			b.ReportMetric(float64(each.Nanoseconds())/series, "cpu-ns/series")
		})
	}
}

// BenchmarkCatchUp is a new rule that learns from the ring what it holds, four
// hours of 2,000 series, until all have a score.
func BenchmarkCatchUp(b *testing.B) {
	for _, model := range []string{"zscore", "auto"} {
		b.Run(model, func(b *testing.B) {
			const series, ticks = 2000, 480
			var cpu time.Duration
			samples := 0
			inVirtualTime(b, func(t *testing.T) {
				s := newSite(t, 1, series, ticks)
				s.begin(model, 1, false)
				s.ready()
				cpu += s.used.cpu
				samples += series * s.ticks
			})
			b.ReportMetric(float64(samples)/cpu.Seconds(), "samples/cpu-s")
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(samples), "cpu-ns/sample")
		})
	}
}

// BenchmarkMinute is a minute of CHIRON_BENCH_RULES rules (default 2) over
// 10,000 series of auto each, evaluated every 30 s, with and without saving
// what they learned.
func BenchmarkMinute(b *testing.B) {
	count := 2
	if text := os.Getenv("CHIRON_BENCH_RULES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			b.Fatalf("CHIRON_BENCH_RULES is %q, not a number of rules", text)
		}
		count = n
	}
	for _, saving := range []bool{false, true} {
		b.Run(fmt.Sprintf("rules=%d/saving=%t", count, saving), func(b *testing.B) {
			const minutes = 6
			var sum usage
			inVirtualTime(b, func(t *testing.T) {
				s := newSite(t, count, 10_000, 120)
				s.begin("auto", count, saving)
				s.ready()
				s.used = usage{}
				for range minutes * time.Minute / benchInterval {
					s.tick()
				}
				sum.cpu += s.used.cpu
				sum.wrote += s.used.wrote
			})
			n := float64(b.N * minutes)
			b.ReportMetric(sum.cpu.Seconds()/n, "cpu-s/min")
			b.ReportMetric(float64(sum.wrote)/(1<<20)/n, "written-MiB/min")
		})
	}
}
