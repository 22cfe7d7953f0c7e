package auto

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// remembered is the past without bounds: all buckets, as they are.
type remembered map[int64]float64

// smooth is that of past.
func (r remembered) smooth(p *past, b int64) (float64, bool) {
	sum, n := 0.0, 0.0
	for k, weight := range map[int64]float64{-1: 1, 0: 2, 1: 1} {
		if v, ok := r[b+k]; ok && (k == 0 || p.bucket <= fine) {
			sum += weight * v
			n += weight
		}
	}
	return sum / n, n > 0
}

// piece is the mean of a piece.
func (r remembered) piece(p *past, i int64) (float64, bool) {
	sum, n := 0.0, 0.0
	for b := i * p.perPiece; b < (i+1)*p.perPiece; b++ {
		if v, ok := r[b]; ok {
			sum += v
			n++
		}
	}
	return sum / n, n > 0
}

// steps are seconds between points, with odd ones.
var steps = []float64{1, 15, 60, 200, 300, 420, 601, 900, 3600, 3601, 5000, 4 * 3600, 20000, day, 2 * day}

// fill goes on by a number of buckets with gaps among them, and writes the same
// into both.
func fill(t *rapid.T, p *past, r remembered, b int64) int64 {
	for range rapid.IntRange(1, 6).Draw(t, "runs") {
		gap := rapid.OneOf(rapid.Int64Range(1, 3), rapid.Int64Range(1, 3*ringBuckets), rapid.Int64Range(1, 20*ringBuckets)).Draw(t, "gap")
		b += gap
		level := rapid.Float64Range(-100, 100).Draw(t, "level")
		for range rapid.Int64Range(1, ringBuckets).Draw(t, "buckets") {
			p.advance(b, math.NaN())
			v := level + float64(b%7)
			p.sum, p.n = 2*v, 2
			r[b] = v
			b++
		}
		b--
	}
	return b
}

func freshPast(step float64) *past {
	p := new(past)
	p.start(step)
	p.base, p.unit = 0, 0.01
	return p
}

// The past says what really was, or nothing; and it knows what lies in the ring.
func TestThePastSaysWhatWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, r := freshPast(rapid.SampledFrom(steps).Draw(t, "step")), remembered{}
		now := fill(t, p, r, rapid.Int64Range(-5000, 1e7).Draw(t, "first"))
		of := now + rapid.Int64Range(-12, 1).Draw(t, "under way") // clocks set back among them
		for b := now - 3*ringBuckets; b <= now+3; b++ {
			got, ok := p.at(b, of)
			want, known := r[b]
			if ok != (known && now-b <= ringBuckets && of-b <= ringBuckets) || ok && math.Abs(got-want) > 0.1 {
				t.Fatalf("bucket %d of %d: %v, %v; it was %v, %v", b, now, got, ok, want, known)
			}
			got, ok = p.smooth(b, of)
			if want, known := r.smooth(p, b); ok && p.inRing(b-1, of) && (!known || math.Abs(got-want) > 0.1) {
				t.Fatalf("around bucket %d of %d: %v; it was %v", b, now, got, want)
			}
		}
		for i := p.pieceOf(now) - 2*oldPieces; i <= p.pieceOf(now)+1; i++ {
			got, ok := p.pieceAt(i, of)
			want, known := r.piece(p, i)
			if ok && (!known || math.Abs(got-want) > 0.1) {
				t.Fatalf("piece %d of %d: %v; it was %v, %v", i, p.pieceOf(now), got, want, known)
			}
			left := (i+1)*p.perPiece <= min(of-1, now)-1-ringBuckets
			if recent := i > p.pieceOf(now-ringBuckets)-oldPieces+2; !ok && known && left && recent {
				t.Fatalf("piece %d of %d, %v, is forgotten", i, p.pieceOf(now), want)
			}
		}
	})
}

// What is asked of a bucket before the one before it is closed is what is asked
// after: a model that is saved and loaded between asks again.
func TestClosingABucketChangesNoAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, r := freshPast(rapid.SampledFrom(steps).Draw(t, "step")), remembered{}
		now := fill(t, p, r, rapid.Int64Range(0, 1e7).Draw(t, "first"))
		ask := func() (out []float64) {
			of := p.under(now + 1)
			for b := now; b <= now+2; b++ {
				a := p.analog(b, of)
				out = append(out, a.v[:]...)
			}
			for _, x := range []float64{-50, 0, 50} {
				for _, timed := range []bool{false, true} {
					daily, weeks := p.habit(now+1, sought{x, 0, 20, 2}, timed, false)
					if daily {
						weeks += 100
					}
					out = append(out, float64(weeks))
				}
			}
			return out
		}
		before := ask()
		p.advance(now+1, math.NaN())
		if after := ask(); !slices.Equal(before, after) {
			t.Errorf("%v, and %v when the bucket before was closed", before, after)
		}
	})
}

// The analogs of a civil time lie at that time, whatever the step is.
func TestAnalogsLieAtTheSameTime(t *testing.T) {
	for _, step := range steps {
		p := freshPast(step)
		if p.bucket > day {
			continue
		}
		for days := int64(1); days <= 7*ringWeeks; days++ {
			if off := math.Abs(float64(p.back(days)*p.bucket - days*day)); off > float64(p.bucket)/2 {
				t.Errorf("step %v: %d days back is off by %v seconds, in buckets of %d", step, days, off, p.bucket)
			}
		}
	}
}

// The median moves by nothing that happened once.
func TestOneIncidentMovesNoAnalog(t *testing.T) {
	p := freshPast(300)
	var now int64
	for now = 0; now < 20*288; now++ {
		p.advance(now, math.NaN())
		v := 100 + 20*math.Sin(2*math.Pi*float64(now)/288)
		if d := now / 288; d == 15 {
			v = 1e6
		}
		p.sum, p.n = v, 1
	}
	for b := now; b < now+288; b++ {
		p.advance(b, math.NaN())
		want := 100 + 20*math.Sin(2*math.Pi*float64(b)/288)
		p.sum, p.n = want, 1
		if a := p.analog(b, b); !a.ok[byDay] || math.Abs(a.v[byDay]-want) > 1 {
			t.Fatalf("bucket %d: %v, want %v", b, a.v[byDay], want)
		}
	}
}

func TestWeekdays(t *testing.T) {
	f := func(days int64, want int) {
		t.Helper()
		if got := weekday(days*day + 5); got != want {
			t.Errorf("day %d is weekday %d, want %d", days, got, want)
		}
	}
	f(0, 3) // 1 January 1970 was a Thursday
	f(4, 0)
	f(-1, 2)
	f(-3, 0)
	f(20602, 4) // 29 May 2026, a Friday
}

// A change maps what was before it, keeps what was since, and an other unit
// changes no value by more than that unit's precision.
func TestAChangeMapsWhatWasBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, r := freshPast(300), remembered{}
		now := fill(t, p, r, 1e6)
		since := now - rapid.Int64Range(0, ringBuckets).Draw(t, "since")
		by := rapid.Float64Range(-1000, 1000).Draw(t, "by")
		p.change(func(x float64) float64 { return x + by }, since, by, 0.02)
		for b := now - ringBuckets; b < now; b++ {
			got, ok := p.at(b, now)
			want, known := r[b]
			if b < since {
				want += by
			}
			if ok != known || ok && math.Abs(got-want) > 2 {
				t.Fatalf("bucket %d of %d, changed since %d: %v, want %v", b, now, since, got, want)
			}
		}
		for i := p.pieceOf(now) - oldPieces; i < p.pieceOf(now); i++ {
			if got, ok := p.pieceAt(i, now); ok {
				if want, known := r.piece(p, i); !known || math.Abs(got-want-by) > 2 {
					t.Fatalf("piece %d: %v, want %v", i, got, want+by)
				}
			}
		}
	})
}

func TestMedian(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(rapid.Float64Range(-10, 10), 1, 9).Draw(t, "a")
		m, below, above := median(slices.Clone(a)), 0, 0
		for _, x := range a {
			if x < m {
				below++
			}
			if x > m {
				above++
			}
		}
		if max(below, above) > len(a)/2 || m < slices.Min(a) || m > slices.Max(a) {
			t.Errorf("the median of %v is %v", a, m)
		}
	})
}
