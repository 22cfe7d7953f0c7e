package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// defaults are the models as the table makes them when nothing is given.
var defaults = map[string]func() Model{
	"zscore":      func() Model { return must(NewZScore(ZScoreConfig{})) },
	"mad":         func() Model { return must(NewMAD(MADConfig{})) },
	"seasonal":    func() Model { return must(NewSeasonal(SeasonalConfig{})) },
	"holtwinters": func() Model { return must(NewHoltWinters(HoltWintersConfig{})) },
	"trend":       func() Model { return must(NewTrend(TrendConfig{})) },
	"quantile":    func() Model { return must(NewQuantile(QuantileConfig{})) },
	"quantile by season": func() Model {
		return must(NewQuantile(QuantileConfig{Season: 24 * time.Hour}))
	},
	"changepoint": func() Model { return must(NewChangepoint(ChangepointConfig{})) },
	"prophet":     func() Model { return must(NewProphet(ProphetConfig{Holidays: []string{"12-25", "01-01"}})) },
	"count":       func() Model { return must(NewCount(CountConfig{})) },
	"ratio":       newRatio,
	"spectral":    func() Model { return must(NewSpectral(SpectralConfig{})) },
	"discord":     func() Model { return must(NewDiscord(DiscordConfig{Length: 50, History: 1024})) },
	"lstm":        func() Model { return must(NewLSTMAlone(LSTMConfig{Lookback: 64, Hidden: 16})) },
	"iforest": func() Model {
		return NewAlone(must2(NewIForest(IForestConfig{Trees: 100, Window: 24 * time.Hour, Inputs: 2})))
	},
	"auto": func() Model { return must(NewAuto(AutoConfig{})) },
	"auto + quantile & discord": func() Model {
		return must(NewAny(must(NewAuto(AutoConfig{})), must(NewAll(must(NewQuantile(QuantileConfig{})), kinds["discord"]()))))
	},
}

// sized are scorers of all kinds; those that are slow are fewer.
func sized() (out []subject) {
	for name, fresh := range defaults {
		s := seriesSubject(name, fresh, strings.HasPrefix(name, "auto"))
		s.step = func(x saved, m moment) []float64 { // without forecasts, which take long
			return numbers(x.(*Scorer).Step(Point{m.t, m.v[0]}))
		}
		out = append(out, s)
	}
	for _, m := range vectorModels {
		out = append(out, vectorSubject(m.name+" of inputs", func() VectorModel { return must2(m.make(3)) }))
	}
	for _, m := range groupModels {
		out = append(out, groupSubject(m.name, m.make))
	}
	slices.SortFunc(out, func(a, b subject) int { return strings.Compare(a.name, b.name) })
	return out
}

func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one found unused is swept
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// TestSizeIsWhatTheHeapSays holds the sizes of many instances against what the
// runtime has allocated for them: some have learned thousands of points, most
// are young.
func TestSizeIsWhatTheHeapSays(t *testing.T) {
	arithmetic(t)
	instances, points := 500, 3000
	if testing.Short() {
		instances, points = 100, 700
	}
	for _, s := range sized() {
		t.Run(s.name, func(t *testing.T) {
			n := instances
			for _, slow := range []string{"iforest", "lstm", "discord", "any"} {
				if strings.Contains(s.name, slow) {
					n = 20
				}
			}
			held := make([]saved, n)
			given := make([][]moment, 10)
			for i := range given {
				given[i] = roughly(rand.New(rand.NewPCG(uint64(i), 5)), points/(1+i))
			}
			s.step(s.fresh(), given[0][0]) // what is made once is made
			before := heap()
			for i := range held {
				held[i] = s.fresh()
				learns := given[i%len(given)]
				if i >= len(given) { // most are young
					learns = learns[:min(150, len(learns))]
				}
				for _, m := range learns {
					s.step(held[i], m)
				}
			}
			took, says := heap()-before, 0.0
			for _, x := range held {
				says += float64(Size(x))
			}
			t.Logf("%d: %.0f bytes each, Size says %.0f", n, took/float64(n), says/float64(n))
			tolerance := 0.02
			if _, ok := held[0].(*GroupScorer); ok { // small maps that have been larger
				tolerance = 0.6
			}
			if math.Abs(says-took) > tolerance*took+1000 {
				t.Errorf("%d hold %.0f bytes, Size says %.0f", n, took, says)
			}
			runtime.KeepAlive(held)
			runtime.KeepAlive(given)
		})
	}
}

// TestNothingGrowsBeyondGrown feeds long streams of all kinds, saved and loaded
// on the way: the size never exceeds the bound that was known at the start,
// which is not far above.
func TestNothingGrowsBeyondGrown(t *testing.T) {
	arithmetic(t)
	points := 6000
	if testing.Short() {
		points = 2500
	}
	for _, s := range sized() {
		if strings.HasPrefix(s.name, "peers") || strings.HasPrefix(s.name, "presence") || strings.HasPrefix(s.name, "novelty") {
			continue // they hold what there is of members
		}
		t.Run(s.name, func(t *testing.T) {
			bound, most := Grown(s.fresh()), 0
			n := points
			if strings.HasPrefix(s.name, "lstm") { // slow
				n /= 10
			}
			for seed := range uint64(3) {
				x := s.fresh()
				for i, m := range roughly(rand.New(rand.NewPCG(seed, 6)), n) {
					switch seed { // a day and a week go by, or a counter rises
					case 1:
						m.t = int64(i) * 600_000
						day := 2 * math.Pi * float64(m.t) / 86_400_000
						m.v[0] = math.Sin(day) + 2*math.Sin(day/7)
					case 2:
						m.v[0] = float64(i) * 100
					}
					s.step(x, m)
					if i%500 == 499 {
						x = reloaded(t, s, x)
					}
					if i%50 == 0 {
						most = max(most, Size(x))
					}
				}
			}
			t.Logf("at most %d, bound %d", most, bound)
			if most > bound {
				t.Errorf("%d bytes, the bound is %d", most, bound)
			}
			if float64(most) < 0.8*float64(bound)-600 {
				t.Errorf("never more than %d bytes, and a bound of %d", most, bound)
			}
		})
	}
}

// TestSizeFollowsWhatThereIs holds the walk against sums by hand.
func TestSizeFollowsWhatThereIs(t *testing.T) {
	f := func(v any, want int) {
		t.Helper()
		if got := Size(v); got != want {
			t.Errorf("%T: %d, want %d", v, got, want)
		}
	}
	type pair struct{ a, b *[4]int64 }
	shared := &[4]int64{}
	f(nil, 0)
	f((*Scorer)(nil), 0)
	f(shared, 32)
	f(&pair{shared, shared}, 16+32)
	f(&pair{shared, &[4]int64{}}, 16+64)
	f(make([]int64, 0, 6), 48)
	f(&struct{ s []float32 }{make([]float32, 3, 8)}, 24+32)
	f(&struct{ s [][]byte }{[][]byte{make([]byte, 16), make([]byte, 32)}}, 24+48+48)
	f(&struct{ s string }{strings.Repeat("a", 30)}, 16+32)
	f(&struct{ v any }{&[2]int64{}}, 16+16)
	f(&struct{ v any }{[2]int64{}}, 16+16)
	f(&struct{ z *time.Location }{time.UTC}, 8)
	f(&struct{ f func() }{func() { fmt.Print(shared) }}, 8)
	f(&[1000]byte{}, 1024)
	f(&[40_000]byte{}, 40_960)
}

// TestSizeOfMaps holds the estimate against the heap, away from the numbers at
// which maps grow.
func TestSizeOfMaps(t *testing.T) {
	for _, n := range []int{6, 12, 24, 100, 700, 5000, 50_000, 100_000} {
		m := max(1, 20_000/n)
		held := make([]map[uint64]struct{}, m)
		before := heap()
		for i := range held {
			held[i] = map[uint64]struct{}{}
			for k := range n {
				held[i][hashKey(fmt.Sprint(k))] = struct{}{}
			}
		}
		took, says := heap()-before, 0.0
		for _, x := range held {
			says += float64(Size(x))
		}
		t.Logf("%d keys take %.0f bytes, Size says %.0f", n, took/float64(m), says/float64(m))
		if math.Abs(says-took) > 0.15*took {
			t.Errorf("%d keys take %.0f bytes, Size says %.0f", n, took/float64(m), says/float64(m))
		}
		runtime.KeepAlive(held)
	}
}

func BenchmarkSize(b *testing.B) {
	for _, s := range sized() {
		b.Run(s.name, func(b *testing.B) {
			x := s.fresh()
			for _, m := range roughly(rand.New(rand.NewPCG(1, 6)), 2000) {
				s.step(x, m)
			}
			b.ReportAllocs()
			for b.Loop() {
				Size(x)
			}
		})
	}
}
