package tsdbcache

import (
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
)

func openTest(t testing.TB, o Options) *DB {
	t.Helper()
	if o.Memory == 0 {
		o.Memory = 1 << 20
	}
	if o.OutOfOrderWindow == 0 {
		o.OutOfOrderWindow = -1
	}
	if o.MaxFuture == 0 {
		o.MaxFuture = -1
	}
	db, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

const childEnv = "CHIRON_TSDBCACHE_CHILD"

// promqlEvals is the number of eval lines in the scripts of the pinned
// Prometheus; each is a subtest.
const promqlEvals = 2434

// TestPromQL runs Prometheus's own scripts over the ring. It runs itself as a
// child process to count the subtests that passed, so that scripts which are
// silently not run are noticed.
func TestPromQL(t *testing.T) {
	if os.Getenv(childEnv) == "promql" {
		e := promqltest.NewTestEngine(t, false, 5*time.Minute, promqltest.DefaultMaxSamplesPerQuery)
		promqltest.RunBuiltinTestsWithStorage(t, e, func(t testing.TB) storage.Storage {
			return openTest(t, Options{Memory: 4 << 20})
		})
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPromQL$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"=promql")
	out, err := cmd.CombinedOutput()
	if err != nil {
		bad := regexp.MustCompile(`(?s)--- FAIL: .*`).Find(out)
		t.Fatalf("%v\n%.20000s", err, bad)
	}
	if n := len(regexp.MustCompile(`--- PASS: TestPromQL/testdata/[^/]+/line_`).FindAll(out, -1)); n != promqlEvals {
		t.Errorf("%d evals passed, want %d", n, promqlEvals)
	}
}
