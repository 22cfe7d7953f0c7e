package rules

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/rules/lang"
	"github.com/chironhq/chiron/tsdbcache"
)

// durableEnv has the process of the test be the one that is killed: the step
// to begin with, the one behind the last, or 0 for none, which rules, and the
// folder.
const durableEnv = "CHIRON_KILLED_MODELS"

const (
	durableStep     = 15 * time.Second // between samples
	durableInterval = 30 * time.Second // between evaluations
	durablePods     = 14
	durablePast     = 70 // steps that a process stores when it begins
	durableRename   = 3  // names that the second file has in turn
)

// durableHash is chance that is the same for every process.
func durableHash(of ...int) int {
	h := fnv.New64a()
	for _, n := range of {
		_ = binary.Write(h, binary.LittleEndian, int64(n))
	}
	return int(h.Sum64() >> 1)
}

// durableAlive says whether a pod has samples at a step. Some are always there,
// some come and go, one is away for longer than models are kept.
func durableAlive(pod, step int) bool {
	switch {
	case pod < 3:
		return true
	case pod == 3:
		return step%700 < 60
	}
	return durableHash(pod, step/(20+9*pod))%3 != 0
}

func durableValue(pod, step int) float64 {
	v := 10 + float64(pod) + math.Sin(float64(step)/7) + float64(durableHash(pod, step, 1)%1000)/3000
	if durableHash(pod, step, 2)%70 == 0 {
		v *= 3
	}
	return v
}

// durableFeed stores the samples of a step, as often as it is called.
func durableFeed(db *tsdbcache.DB, start time.Time, step int) error {
	app := db.AppenderV2(context.Background())
	t := start.Add(time.Duration(step) * durableStep).UnixMilli()
	for pod := range durablePods {
		alive, before := durableAlive(pod, step), step > -durablePast && durableAlive(pod, step-1)
		if !alive && !before {
			continue
		}
		v := durableValue(pod, step)
		for name, v := range map[string]float64{"hum": v, "load": v * v, "requests_total": float64(step*100 + durableHash(pod, step)%50), "errors_total": float64(step * (3 + pod))} {
			if !alive {
				v = math.Float64frombits(value.StaleNaN)
			}
			ls := labels.FromStrings("__name__", name, "job", fmt.Sprint("job", pod%3), "pod", fmt.Sprint("p", pod))
			if _, err := app.Append(0, ls, 0, t, v, nil, nil, storage.AppendV2Options{}); err != nil && !errors.Is(err, storage.ErrDuplicateSampleForTimestamp) {
				return fmt.Errorf("%s: %w", ls, err)
			}
		}
	}
	return app.Commit()
}

// durableFiles writes the rules as they are at a step: what does not change
// what is learned changes now and then, and the name of the second file does.
// which of them is 0 for all, or chooses one a file.
func durableFiles(dir string, which, step int) ([]string, error) {
	n := durableHash(step/25, 3)
	extra := fmt.Sprintf("labels: {n: '%d'}, output: [%s]", n%5, []string{"score", "all"}[n%2])
	if n%4 == 0 {
		extra += ", alert: {for: 1m, labels: {severity: page}}"
	}
	rule := func(name, fields string) string {
		return fmt.Sprintf("      - { anomaly: %s, %s, %s }\n", name, fields, extra)
	}
	group := func(name string, rules ...string) string {
		return fmt.Sprintf("groups:\n  - name: %s\n    interval: %s\n    query_offset: 1s\n    rules:\n%s", name, durableInterval, strings.Join(rules, ""))
	}
	texts := map[string]string{}
	for name, rules := range map[string][]string{
		"a.yaml": {
			rule("Limited", "expr: load, model: mad(window=20m), direction: above, limit: 6"),
			rule("Auto", "expr: hum, model: auto, direction: both"),
			rule("ZScore", "expr: hum, model: zscore(window=30m), direction: both"),
			rule("Peers", "expr: hum, model: peers(min_members=3), direction: both"),
			rule("Ahead", "expr: 'sum by (job) (load)', model: auto, direction: both, forecast: {horizons: [10m], limit: 900}"),
		},
		durableNames(dir)[n%durableRename]: {
			rule("Cohort", "expr: 'rate(requests_total[1m])', model: zscore(window=30m), direction: both, cohort: [job]"),
			rule("Kin", "expr: hum, model: auto, direction: both, cohort: [job], limit: 9"),
			rule("Inputs", "inputs: {a: hum, b: load}, join: [pod]"),
			rule("Ratio", "ratio: {errors: 'rate(errors_total[1m])', total: 'rate(requests_total[1m])'}, model: ratio, direction: both"),
			rule("Presence", "expr: hum, model: presence(learn=5m)"),
			rule("Novelty", "expr: hum, model: novelty(learn=5m)"),
		},
	} {
		if which > 0 { // the first two most often: they depend on one another's series most
			k := durableHash(which, len(rules)) % 4
			if k > 1 {
				k = durableHash(which, len(rules), 1) % len(rules)
			}
			rules = rules[k : k+1]
		}
		texts[name] = group(name[:1], rules...)
	}
	old, _ := filepath.Glob(filepath.Join(dir, "*.yaml"))
	for _, f := range old {
		if texts[filepath.Base(f)] == "" {
			if err := os.Remove(f); err != nil {
				return nil, err
			}
		}
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return []string{filepath.Join(dir, "*.yaml")}, nil
}

// durableNames are names for the second file with which its group has the same
// slots: a group that is moved has others, and what is evaluated at others
// learns other values.
func durableNames(dir string) (out []string) {
	slot := uint64(0)
	for i := 0; len(out) < durableRename; i++ {
		name := fmt.Sprintf("b%d.yaml", i)
		s := labels.FromStrings("name", "b", "file", filepath.Join(dir, name)).Hash() % uint64(durableInterval) / uint64(time.Millisecond)
		if i == 0 {
			slot = s
		}
		if s == slot {
			out = append(out, name)
		}
	}
	return out
}

func durableRing(dir string) (*tsdbcache.DB, error) {
	return tsdbcache.Open(tsdbcache.Options{Dir: filepath.Join(dir, "ring"), Memory: 64 << 20, OutOfOrderWindow: -1, MaxFuture: -1, Logger: slog.New(slog.DiscardHandler)})
}

// TestModelsOutliveKills kills a process that evaluates rules of all kinds and
// saves what they learn, again and again and at any moment: while it evaluates,
// saves, reloads, starts and learns what was missed. After a last orderly end
// what it has saved equals, byte for byte, what rules know that have learned
// every slot from the ring.
func TestModelsOutliveKills(t *testing.T) {
	if arg := os.Getenv(durableEnv); arg != "" {
		if err := durableChild(t, arg); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		return
	}
	kills := 12
	if s := os.Getenv("CHIRON_KILLS"); s != "" {
		kills, _ = strconv.Atoi(s)
	}
	seed := rand.Uint64()
	if s := os.Getenv("CHIRON_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for left := kills; left > 0; left -= durableLives {
		durableLife(t, r, min(left, durableLives))
	}
}

// durableLives is how often a ring and what was learned of it outlive a kill
// before others take their place: what is young breaks most easily.
const durableLives = 6

func durableLife(t *testing.T, r *rand.Rand, kills int) {
	t.Helper()
	dir := t.TempDir()
	if _, err := os.Stat("/dev/shm"); err == nil { // a killed process needs no sync, and there it takes no time
		if dir, err = os.MkdirTemp("/dev/shm", "chiron"); err != nil { //nolint:usetesting // not there
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
	}
	next, which := 0, r.IntN(5)*r.IntN(1_000_000)
	for range kills {
		last, killed := durableRun(t, r, dir, which, next, 0)
		if !killed {
			t.Fatal("the child ended by itself")
		}
		next = last + 2
		if r.IntN(3) == 0 {
			next += r.IntN(60)
		}
		durableCompare(t, dir, false)
	}
	if _, killed := durableRun(t, r, dir, which, next, next+60); killed {
		t.Fatal("the child did not end in good order")
	}
	durableCompare(t, dir, true)
}

// durableRun runs a child and kills it at a random moment, unless it is told
// where to end. It returns the last step that it has done.
func durableRun(t *testing.T, r *rand.Rand, dir string, which, from, to int) (last int, killed bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestModelsOutliveKills$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d:%d:%d:%s", durableEnv, from, to, which, dir))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last = from
	stop := from + r.IntN([]int{4, 80}[r.IntN(2)])
	what := []string{"did", "did", "reloads"}[r.IntN(3)]
	after := time.Duration(r.IntN(20_000)) * time.Microsecond
	armed := false
	var said []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var verb string
		var step int
		if _, err := fmt.Sscanf(lines.Text(), "%s %d", &verb, &step); err != nil {
			said = append(said, lines.Text())
			continue
		}
		last = max(last, step)
		if to == 0 && !armed && step >= stop && (verb == what || step >= stop+60) {
			armed = true
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	err = cmd.Wait()
	if err != nil && !strings.Contains(err.Error(), "killed") {
		t.Fatalf("child from %d to %d: %v\n%s", from, to, err, strings.Join(said, "\n"))
	}
	return last, err != nil
}

// durableChild feeds a ring, evaluates and reloads until it is killed.
func durableChild(t *testing.T, arg string) (failed error) {
	part := strings.SplitN(arg, ":", 4)
	from, _ := strconv.Atoi(part[0])
	to, _ := strconv.Atoi(part[1])
	which, _ := strconv.Atoi(part[2])
	dir := part[3]
	engine, err := upstream.NewEngine(upstream.EngineOptions{Parser: lang.PromQL()})
	if err != nil {
		return err
	}
	synctest.Test(t, func(*testing.T) {
		failed = func() error {
			start := time.Now()
			time.Sleep(time.Duration(from) * durableStep)
			db, err := durableRing(dir)
			if err != nil {
				return err
			}
			// What the process before did not come to, or while there was none, and
			// a past that the first one finds.
			for step := from - durablePast; step <= from; step++ {
				if err := durableFeed(db, start, step); err != nil {
					return err
				}
			}
			m, err := NewManager(Options{
				Engine: engine, Queryable: db, Appendable: db, DB: db, StateDir: filepath.Join(dir, "state"),
				StateInterval: []time.Duration{5 * time.Second, 40 * time.Second, 3 * time.Minute}[durableHash(from)%3],
				Logger:        slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelWarn})),
			})
			if err != nil {
				return err
			}
			reload := func(step int) error {
				files, err := durableFiles(dir, which, step)
				if err != nil {
					return err
				}
				if problems, err := m.Update(files, Settings{}); err != nil {
					return fmt.Errorf("%w\n%s", err, problems)
				}
				for _, c := range m.Changes() {
					if len(c.Anew) > 0 {
						return fmt.Errorf("learned anew: %v", c.Anew)
					}
				}
				return nil
			}
			if err := reload(from); err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- m.Run(ctx) }()
			for step := from + 1; step != to; step++ {
				time.Sleep(time.Until(start.Add(time.Duration(step) * durableStep)))
				if err := durableFeed(db, start, step); err != nil {
					return err
				}
				if step/25 != (step-1)/25 {
					fmt.Println("reloads", step)
					if err := reload(step); err != nil {
						return err
					}
				}
				fmt.Println("did", step)
			}
			cancel()
			return errors.Join(<-done, m.Close(), db.Close())
		}()
	})
	return failed
}

// durableCompare opens what a child has left behind and compares it.
func durableCompare(t *testing.T, dir string, orderly bool) {
	t.Helper()
	db, err := durableRing(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	engine, err := upstream.NewEngine(upstream.EngineOptions{Parser: lang.PromQL()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = engine.Close() }()
	files, problems, err := LoadFiles([]string{filepath.Join(dir, "*.yaml")}, lang.Options{})
	if err != nil && !orderly {
		return // killed while it wrote them
	}
	if err != nil {
		t.Fatal(err, problems)
	}
	compareModels(t, db, engine, filepath.Join(dir, "state", "models.db"), files, durableInterval, orderly)
}
