package auto

import (
	"bytes"
	"fmt"
	"math"
	"math/rand"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// life is a series with all that happens to one: days, noise, incidents, gaps,
// restarts and absurd values. It is the same for the same seed.
type life struct {
	r     *rand.Rand
	step  float64
	kind  int
	at    int64
	total float64
	shift float64
	until int64
}

func newLife(seed int64, step float64, kind int) *life {
	return &life{r: rand.New(rand.NewSource(seed)), step: step, kind: kind, at: 1_700_000_000_000 + seed*12345}
}

func (l *life) next() (int64, float64) {
	l.at += int64(1000 * l.step)
	if l.r.Intn(3000) == 0 {
		l.at += int64(1000 * l.step * float64(l.r.Intn(5000)))
	}
	if l.r.Intn(700) == 0 {
		l.shift, l.until = 40*l.r.NormFloat64(), l.at+int64(1000*l.step*float64(l.r.Intn(300)))
	}
	if l.at > l.until {
		l.shift = 0
	}
	v := 100 + 20*math.Sin(2*math.Pi*float64(l.at)/86_400_000) + l.r.NormFloat64() + l.shift
	switch l.kind {
	case 1: // a counter
		if l.total += max(v, 0); l.r.Intn(2000) == 0 {
			l.total = 0
		}
		return l.at, l.total
	case 2: // a setting
		return l.at, 10 * math.Round(v/50)
	}
	if l.r.Intn(2000) == 0 {
		v = []float64{0, 1e9, -1e300, 1 << 32, 1e-300, math.MaxFloat64, math.NaN(), math.Inf(1)}[l.r.Intn(8)]
	}
	return l.at, v
}

// judged judges a point and learns it as a scorer with one threshold would.
type judged struct {
	m    *Model
	on   bool
	calm int
}

func (j *judged) step(t int64, v float64) Verdict {
	out := j.m.Judge(t, v)
	switch {
	case !j.on && out.Evidence > 1:
		j.on, j.calm = true, 0
	case j.on && out.Hold >= over:
		j.calm = 0
	case j.on:
		if j.calm++; j.calm > 3 {
			j.on = false
		}
	}
	j.m.Learn(t, v, j.on)
	return out
}

// sameVerdict tells whether two are equal to the bit.
func sameVerdict(a, b Verdict) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

func saved(t interface{ Fatal(...any) }, m *Model) []byte {
	b, err := m.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is saved and loaded at any point goes on as what was never stopped: in
// the middle of buckets, of episodes, and before anything is known.
func TestWhatIsLoadedGoesOnToTheBit(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	during := 0
	rapid.Check(t, func(t *rapid.T) {
		c := Config{Alerts: rapid.SampledFrom([]float64{0, 1, 1. / 7}).Draw(t, "alerts"), Accept: time.Duration(rapid.SampledFrom([]int{0, 2, 24}).Draw(t, "accept")) * time.Hour}
		if rapid.Bool().Draw(t, "berlin") {
			c.Location = berlin
		}
		l := newLife(rapid.Int64Range(0, 1e6).Draw(t, "seed"), rapid.SampledFrom(steps).Draw(t, "step"), rapid.IntRange(0, 2).Draw(t, "kind"))
		through, stopped := &judged{m: New(c)}, &judged{m: New(c)}
		n, every := rapid.IntRange(1, 4000).Draw(t, "points"), rapid.IntRange(1, 400).Draw(t, "every")
		for i := range n {
			if i%every == every/2 {
				m := New(c)
				if err := m.UnmarshalBinary(saved(t, stopped.m)); err != nil {
					t.Fatalf("point %d: %v", i, err)
				}
				if stopped.m = m; m.ep.on {
					during++
				}
			}
			at, v := l.next()
			if a, b := through.step(at, v), stopped.step(at, v); !sameVerdict(a, b) {
				t.Fatalf("point %d: %+v, and %+v when saved every %d", i, a, b, every)
			}
		}
		if !bytes.Equal(saved(t, through.m), saved(t, stopped.m)) {
			t.Fatal("the states differ")
		}
	})
	if during == 0 {
		t.Error("nothing was saved during an episode")
	}
}

// Judging changes nothing: neither twice the same, nor other values and times
// between two points.
func TestJudgingChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLife(rapid.Int64Range(0, 1e6).Draw(t, "seed"), rapid.SampledFrom(steps).Draw(t, "step"), rapid.IntRange(0, 2).Draw(t, "kind"))
		calm, asked := &judged{m: New(Config{})}, &judged{m: New(Config{})}
		r := rand.New(rand.NewSource(5))
		for i := range rapid.IntRange(1, 3000).Draw(t, "points") {
			at, v := l.next()
			for range r.Intn(3) {
				asked.m.Judge(at+int64(r.NormFloat64()*1e8), v*r.NormFloat64())
				asked.m.Judge(at, v)
				asked.m.Forecast(at + r.Int63n(1e9))
				if r.Intn(2) == 0 {
					asked.m.Release()
				}
			}
			if a, b := calm.step(at, v), asked.step(at, v); !sameVerdict(a, b) {
				t.Fatalf("point %d: %+v, and %+v when asked before", i, a, b)
			}
		}
		if !bytes.Equal(saved(t, calm.m), saved(t, asked.m)) {
			t.Fatal("the states differ")
		}
	})
}

// A state of any bytes is refused, or that of a model that goes on.
func FuzzUnmarshal(f *testing.F) {
	for kind := range 3 {
		for _, n := range []int{0, 1, 8, 15, 300, 3000} {
			l, j := newLife(int64(n), 300, kind), &judged{m: New(Config{})}
			for range n {
				j.step(l.next())
			}
			for range 400 { // until there is an episode
				if j.m.ep.on || n == 0 {
					break
				}
				at, v := l.next()
				j.step(at, v+500)
			}
			f.Add(saved(f, j.m))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := New(Config{})
		if m.UnmarshalBinary(b) != nil {
			return
		}
		again := New(Config{}) // of another budget than b may be
		if err := again.UnmarshalBinary(saved(t, m)); err != nil || !bytes.Equal(saved(t, m), saved(t, again)) {
			t.Fatalf("what was read and written is not what is read: %v", err)
		}
		j, l := &judged{m: m, on: m.ep.on}, newLife(1, 60, 0)
		l.at = m.last
		if m.last > math.MaxInt64/4 || m.last < math.MinInt64/4 {
			l.at = 0
		}
		for range 1000 {
			at, v := l.next()
			j.step(at, v)
			m.Forecast(at + 86_400_000)
		}
	})
}
