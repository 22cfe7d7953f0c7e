package auto

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// load is three inputs of one service: requests wobble, CPU follows them, and
// errors are rare and small.
func load(r *rand.Rand, i int) []float64 {
	requests := 100 + 20*math.Sin(float64(i)/90) + 5*r.NormFloat64()
	return []float64{requests, requests/2 + r.NormFloat64(), math.Abs(r.NormFloat64()) / 10}
}

func loaded(points int) (*Several, *rand.Rand) {
	m, r := NewSeveral(Config{}, 3), rand.New(rand.NewPCG(1, 2))
	for i := range points {
		m.Learn(int64(i)*60_000, load(r, i), false)
	}
	return m, r
}

// The distance is that of the textbook, by another route.
func TestDistance(t *testing.T) {
	m, r := loaded(3000)
	d := &m.far
	d.factor()
	corr := mat.NewSymDense(3, nil)
	for i := range 3 {
		for k := range i + 1 {
			v := d.corr[at(i, k)]
			if i == k {
				v += ridge
			}
			corr.SetSym(i, k, v)
		}
	}
	var inverse mat.Dense
	if err := inverse.Inverse(corr); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		v := load(r, 3000+i)
		v[i%3] *= 1 + float64(i%7)
		m.look(int64(3000+i)*60_000, v)
		z := mat.NewVecDense(3, append([]float64(nil), d.z...))
		var y mat.VecDense
		y.MulVec(&inverse, z)
		if want := mat.Dot(z, &y) / 3; math.Abs(d.now-want) > 1e-9*want {
			t.Fatalf("distance %v, want %v", d.now, want)
		}
	}
	// The correlations are those that the points were made with: requests and
	// CPU move together, errors alone. So these are about two inputs.
	if a, b := d.corr[at(1, 0)], d.corr[at(2, 0)]; a < 0.85 || math.Abs(b) > 0.2 || d.independent < 1.5 || d.independent > 2.5 {
		t.Errorf("correlations %v and %v, as many as %v independent inputs", a, b, d.independent)
	}
}

// Where a power of a statistic is normally distributed its threshold is where the
// normal distribution says.
func TestDistanceThreshold(t *testing.T) {
	for k := range distanceStats {
		d := newDistance(2)
		r := rand.New(rand.NewPCG(3, 3))
		for range 30_000 {
			d.stat[k] = float32(1.2 * math.Pow(1+0.1*straight[k]*r.NormFloat64(), 1/straight[k]))
			d.teach(k, 1e-5, false)
		}
		want := 1.2 * math.Pow(1+0.1*straight[k]*4.265, 1/straight[k])
		if got := float64(d.threshold(k)); math.Abs(got/want-1) > 0.1 {
			t.Errorf("statistic %d: threshold %v, want %v", k, got, want)
		}
	}
}

// An input that is busy every day at the same hour is expected to be.
func TestDaily(t *testing.T) {
	m, r := NewSeveral(Config{}, 2), rand.New(rand.NewPCG(1, 2))
	busy := func(i int) float64 {
		if i/60%24 == 3 {
			return 50
		}
		return 0
	}
	for i := range 10 * 1440 {
		m.Learn(int64(i)*60_000, []float64{busy(i) + r.NormFloat64(), r.NormFloat64()}, false)
	}
	if !m.inputs[0].daily.used || m.inputs[1].daily.used {
		t.Errorf("what is used: %v and %v", m.inputs[0].daily.used, m.inputs[1].daily.used)
	}
	at := func(hour int) (busyNow, calm float64) {
		when := int64(10*1440+hour*60+30) * 60_000
		m.look(when, []float64{50, 0})
		busyNow = m.far.timely[0]
		m.look(when, []float64{0, 0})
		return busyNow, m.far.timely[0]
	}
	if busyNow, calm := at(3); math.Abs(busyNow) > 1 || calm > -4 {
		t.Errorf("at the hour that is busy: %v when it is, %v when it is calm", busyNow, calm)
	}
	if busyNow, calm := at(12); busyNow < 4 || math.Abs(calm) > 1 {
		t.Errorf("at another hour: %v when it is busy, %v when it is calm", busyNow, calm)
	}
}

// An alert over five minutes that comes again within the time of one alert of the
// budget raises the threshold; the first one, far above it, does not.
func TestWhatComesAgainIsNoNews(t *testing.T) {
	m, _ := loaded(3000)
	tail := &m.far.tail[ofShort]
	for i, want := range []float32{0, 1} {
		tail.caution = 0
		m.ep = severalEpisode{on: true, how: ofShort, peak: 4 * tail.at}
		m.mindCaution()
		if tail.caution != want {
			t.Errorf("alert %d: the threshold is raised by %v, want %v", i, tail.caution, want)
		}
	}
}

// A state of any bytes is refused, or that of a model that goes on.
func FuzzUnmarshalSeveral(f *testing.F) {
	for _, n := range []int{0, 1, 40, 900, 2000} {
		m, r := loaded(n)
		for i := range min(n, 20) {
			v := load(r, n+i)
			v[1] += 40
			m.Learn(int64(n+i)*60_000, v, i > 2)
		}
		b, err := m.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := NewSeveral(Config{}, 3)
		if m.UnmarshalBinary(b) != nil {
			return
		}
		again, err := m.AppendBinary(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatal("what was read is not what is written", err)
		}
		r, at := rand.New(rand.NewPCG(1, 2)), m.last
		if at > math.MaxInt64/4 || at < math.MinInt64/4 {
			at = 0
		}
		for i := range 1000 {
			at += 60_000
			v := load(r, i)
			out, ok := m.Judge(at, v, make([]float64, 3))
			if !ok {
				t.Fatal("values are there, and no verdict is")
			}
			m.Learn(at, v, out.Evidence > 1)
		}
	})
}

// However large a value is, it widens what is usual by a bounded part, early on too.
func TestOneValueWidensLittle(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, points := range []float64{40, 300, 5000} {
		for _, size := range []float64{10, 100, 1e9, 1e90} {
			var in input
			for n := range int(points) {
				in.learn(r.NormFloat64(), 1/float64(n+1), float64(n+1))
			}
			before := in.spread
			in.learn(size, 1/points, points)
			if most := 1 + 1.1*max(mostWidened, fairDeviation*fairDeviation/points); in.spread > most*before {
				t.Errorf("%g after %g points: a variance of %.2f, %.2f before", size, points, in.spread, before)
			}
		}
	}
}
