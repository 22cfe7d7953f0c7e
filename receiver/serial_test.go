package receiver

import (
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

// point is one sample's place: series and time.
type point struct {
	series int
	at     int64 // milliseconds after base
}

// fight is one request of a fight over points: every request has a value of
// its own and puts it to all of its points.
type fight struct {
	points []point
	answer answer
	won    int // points that hold its value at the end
}

// TestConcurrentWritesEqualASerialOrder: clause 7.8. Senders of both versions
// write other values to the same points at once. The value that a point holds
// at the end was accepted first, and the others were refused; so a request
// comes before all that lost a point to it. That this order has no circle, and
// that each answer counts exactly what is stored, means that the requests took
// effect whole, one after the other, and that nothing acknowledged was lost.
func TestConcurrentWritesEqualASerialOrder(t *testing.T) {
	const senders, rounds, series, times = 6, 40, 5, 60
	for seed := range uint64(3) {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		rnd := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a seed that can be repeated
		fights := make([]fight, senders*rounds)
		bodies := make([][]byte, len(fights))
		for i := range fights {
			var batch remotewrite.Batch
			for _, n := range rnd.Perm(series * times)[:1+rnd.IntN(12)] {
				p := point{n % series, int64(n / series * 1000)}
				fights[i].points = append(fights[i].points, p)
				batch.Series = append(batch.Series, float(base+p.at, float64(i), "__name__", "fight", "series", strconv.Itoa(p.series)))
			}
			bodies[i] = encode(protocols12[i%2], &batch)
		}
		var wg sync.WaitGroup
		for s := range senders {
			wg.Go(func() {
				for r := range rounds {
					i := s*rounds + r
					w := httptest.NewRecorder()
					e.h.ServeHTTP(w, post(t, protocols12[i%2], bodies[i]))
					fights[i].answer = read(t, w.Result())
				}
			})
		}
		wg.Wait()
		checkSerial(t, e, fights)
	}
}

func checkSerial(t *testing.T, e *env, fights []fight) {
	t.Helper()
	holds := map[point]int{} // the request whose value is there
	for _, line := range e.dump() {
		var p point
		var value int
		if _, err := fmt.Sscanf(line, `{__name__="fight", series="%d"} %d %d`, &p.series, &p.at, &value); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if _, twice := holds[p]; twice {
			t.Fatalf("%v is there twice", p)
		}
		holds[p] = value
	}
	after := make([]map[int]bool, len(fights)) // requests that lost a point to this one
	for i := range fights {
		f := &fights[i]
		for _, p := range f.points {
			winner, ok := holds[p]
			switch {
			case !ok:
				t.Fatalf("request %d wrote %v and nothing is there", i, p)
			case winner == i:
				f.won++
			default:
				if after[winner] == nil {
					after[winner] = map[int]bool{}
				}
				after[winner][i] = true
			}
		}
		lost := len(f.points) - f.won
		code := 204
		if lost > 0 {
			code = 400
			if part := fmt.Sprintf("refused %d of %d samples: duplicate %d", lost, len(f.points), lost); !strings.Contains(f.answer.text, part) {
				t.Errorf("request %d: the text does not say %q: %s", i, part, f.answer.text)
			}
		}
		if f.answer.code != code {
			t.Errorf("request %d: %d, want %d: won %d of %d", i, f.answer.code, code, f.won, len(f.points))
		}
		if i%2 == 1 && fmt.Sprint(f.answer.written) != fmt.Sprint([]int{f.won, 0, 0}) {
			t.Errorf("request %d: written %v, won %d", i, f.answer.written, f.won)
		}
	}
	const visiting, done = 1, 2
	state := make([]int, len(fights))
	var visit func(i int)
	visit = func(i int) {
		state[i] = visiting
		for next := range after[i] {
			switch state[next] {
			case visiting:
				t.Fatalf("requests %d and %d each came before the other", i, next)
			case 0:
				visit(next)
			}
		}
		state[i] = done
	}
	for i := range fights {
		if state[i] == 0 {
			visit(i)
		}
	}
}

// TestInterleavedAndReplayedSenders: clauses 4.3, 7.4 and 7.8. Three senders, each with
// series of its own and all with the same shared one. What they send is cut in
// requests, shuffled within the window of late samples, each request sent once
// to three times by either version, concurrently: what is stored is what was
// sent, each sample once, and every answer is 204 with full counts.
func TestInterleavedAndReplayedSenders(t *testing.T) {
	for seed := range uint64(4) {
		e := newEnv(t, tsdbcache.Options{}, Limits{})
		rnd := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // a seed that can be repeated
		var requests [][]remotewrite.BatchSeries
		stored := map[string]bool{}
		for sender := range 3 {
			for round := range int64(40) {
				at := round * 14_000
				batch := []remotewrite.BatchSeries{float(base+at-560_000, float64(at), "__name__", "shared")}
				stored[fmt.Sprintf(`{__name__="shared"} %d %d`, at-560_000, at)] = true
				for n := range 3 {
					batch = append(batch, float(base+at-560_000, float64(n), "__name__", "own", "n", strconv.Itoa(n), "sender", strconv.Itoa(sender)))
					stored[fmt.Sprintf(`{__name__="own", n="%d", sender="%d"} %d %d`, n, sender, at-560_000, n)] = true
				}
				for range 1 + rnd.IntN(3) {
					requests = append(requests, batch)
				}
			}
		}
		rnd.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
		var wg sync.WaitGroup
		for lane := range 4 {
			wg.Go(func() {
				for i := lane; i < len(requests); i += 4 {
					p := protocols12[i/4%2]
					w := httptest.NewRecorder()
					e.h.ServeHTTP(w, post(t, p, encode(p, &remotewrite.Batch{Series: requests[i]})))
					e.want(read(t, w.Result()), p, 204, len(requests[i]), 0, 0)
				}
			})
		}
		wg.Wait()
		var want []string
		for line := range stored {
			want = append(want, line)
		}
		got := e.dump()
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("seed %d (-sent +stored):\n%s", seed, diff)
		}
	}
}
