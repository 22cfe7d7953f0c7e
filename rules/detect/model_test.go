package detect

import (
	"fmt"
	"math"
	"math/rand"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func must[M Model](m M, err error) M {
	if err != nil {
		panic(err)
	}
	return m
}

// kinds makes a fresh model of every kind, quick ones so that short tests see
// them ready.
var kinds = map[string]func() Model{
	"zscore":   func() Model { return must(NewZScore(ZScoreConfig{Window: time.Hour})) },
	"mad":      func() Model { return must(NewMAD(MADConfig{Window: time.Hour})) },
	"seasonal": func() Model { return must(NewSeasonal(SeasonalConfig{Periods: []time.Duration{time.Hour}})) },
	"holtwinters": func() Model {
		return must(NewHoltWinters(HoltWintersConfig{Season: time.Hour}))
	},
	"multiplicative": func() Model {
		return must(NewHoltWinters(HoltWintersConfig{Season: time.Hour, Multiplicative: true}))
	},
	"trend": func() Model { return must(NewTrend(TrendConfig{Window: time.Hour})) },
	"quantile": func() Model {
		return must(NewQuantile(QuantileConfig{Margin: DefaultMargin, Window: time.Hour}))
	},
	"quantile by season": func() Model {
		return must(NewQuantile(QuantileConfig{Margin: DefaultMargin, Season: time.Hour}))
	},
	"auto":    func() Model { return must(NewAuto(AutoConfig{})) },
	"lstm":    func() Model { return must(NewLSTMAlone(LSTMConfig{Lookback: 16, Hidden: 4})) },
	"discord": func() Model { return must(NewDiscord(DiscordConfig{Length: 20, History: 120})) },
	"iforest": func() Model {
		f, err := NewIForest(IForestConfig{Trees: 20, Window: time.Hour, Inputs: 2})
		if err != nil {
			panic(err)
		}
		return NewAlone(f)
	},
	"changepoint": func() Model { return must(NewChangepoint(ChangepointConfig{})) },
	"prophet": func() Model {
		return must(NewProphet(ProphetConfig{Seasons: []time.Duration{time.Hour}}))
	},
	"count":    func() Model { return must(NewCount(CountConfig{Window: time.Hour})) },
	"spectral": func() Model { return must(NewSpectral(SpectralConfig{})) },
	"any": func() Model {
		return must(NewAny(must(NewZScore(ZScoreConfig{Window: time.Hour})), must(NewMAD(MADConfig{Window: time.Hour}))))
	},
	"all": func() Model {
		return must(NewAll(must(NewZScore(ZScoreConfig{Window: time.Hour})), must(NewMAD(MADConfig{Window: time.Hour}))))
	},
}

func eachKind(t *testing.T, f func(t *testing.T, fresh func() Model)) {
	t.Helper()
	for name, fresh := range kinds {
		t.Run(name, func(t *testing.T) { f(t, fresh) })
	}
}

// wave is a noisy hourly season, one point a minute.
func wave(rnd *rand.Rand, i int) Point {
	return Point{T: int64(i) * 60_000, V: 100 + 20*math.Sin(2*math.Pi*float64(i)/60) + rnd.NormFloat64()}
}

func same(a, b Verdict) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

func TestNothingStrangeComesOut(t *testing.T) {
	values := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 0, math.SmallestNonzeroFloat64, 1, -1}
	eachKind(t, func(t *testing.T, fresh func() Model) {
		rapid.Check(t, func(t *rapid.T) {
			s, at := NewScorer(fresh(), ScorerConfig{}), int64(0)
			for range rapid.IntRange(1, 300).Draw(t, "points") {
				at += rapid.Int64Range(-60_000, 3_600_000).Draw(t, "step")
				v := rapid.SampledFrom(values).Draw(t, "value")
				got := s.Step(Point{at, v})
				if got.Score < 0 || got.Score > maxScore {
					t.Fatalf("score %v for %v", got.Score, v)
				}
				if math.IsNaN(v) && !math.IsNaN(got.Score) {
					t.Fatalf("NaN scored %v", got.Score)
				}
			}
			// It must come back: plain points after the strange ones are scored.
			for i := range 3000 {
				at += 60_000
				s.Step(Point{at, float64(i % 7)})
			}
			if got := s.Step(Point{at + 60_000, 3}); s.State() == Ready && math.IsNaN(got.Score) {
				t.Fatalf("no score after strange points: %+v", got)
			}
		})
	})
}

// ragged are models whose score near the expectation is no function of the
// distance from it; far away it must be anomalous all the same.
var ragged = []string{"changepoint", "spectral"}

func TestScoreGrowsWithTheDeviation(t *testing.T) {
	eachKind(t, func(t *testing.T, fresh func() Model) {
		ragged := slices.Contains(ragged, fresh().Name())
		m, rnd := fresh(), rand.New(rand.NewSource(4))
		for i := range 1000 {
			m.Learn(wave(rnd, i), 1)
		}
		at := int64(1000) * 60_000
		expected := m.Score(Point{at, 100}).Expected
		before := -1.0
		for d := 0.0; d < 200; d += 5 {
			got := m.Score(Point{at, expected + d})
			if !(got.Score >= before) && !ragged {
				t.Fatalf("deviation %v scores %v, a smaller one %v", d, got.Score, before)
			}
			before = got.Score
		}
		if before <= 1 {
			t.Errorf("a deviation of 200 from a wave of 20 scores %v", before)
		}
	})
}

func TestScaledSeriesHaveTheSameScores(t *testing.T) {
	for _, name := range []string{"zscore", "mad", "seasonal", "holtwinters", "any", "all", "trend", "quantile", "quantile by season", "changepoint", "prophet", "spectral", "discord"} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				a := rapid.Float64Range(0.01, 100).Draw(t, "a")
				b := rapid.Float64Range(-1000, 1000).Draw(t, "b")
				rnd := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
				plain, scaled := kinds[name](), kinds[name]()
				for i := range 300 {
					p := wave(rnd, i)
					q := Point{p.T, a*p.V + b}
					x, y := plain.Score(p).Score, scaled.Score(q).Score
					// What is next to nothing is nothing beside a large b.
					if math.Abs(x-y) > 1e-6*(1+math.Abs(x)) && max(x, y) > 1e-4 {
						t.Fatalf("point %d: %v, scaled %v", i, x, y)
					}
					plain.Learn(p, 1)
					scaled.Learn(q, 1)
				}
			})
		})
	}
}

func TestALevelShiftIsCaughtAndTheTimeBeforeIsQuiet(t *testing.T) {
	eachKind(t, func(t *testing.T, fresh func() Model) {
		s, rnd := NewScorer(fresh(), ScorerConfig{}), rand.New(rand.NewSource(5))
		loud := 0
		for i := range 1440 {
			if s.Step(wave(rnd, i)).Score > 1 {
				loud++
			}
		}
		if loud > 30 { // a normal point in fifty
			t.Errorf("%d of 1440 quiet points score above 1", loud)
		}
		for i := range 5 {
			p := wave(rnd, 1440+i)
			p.V += 150
			if s.Step(p).Score > 1 {
				return
			}
		}
		t.Error("a shift by 150 is not seen within 5 points")
	})
}

func TestANewLevelBecomesNormal(t *testing.T) {
	s, rnd := NewScorer(kinds["zscore"](), ScorerConfig{Accept: 4 * time.Hour}), rand.New(rand.NewSource(6))
	for i := range 600 {
		s.Step(Point{int64(i) * 60_000, 10 + rnd.NormFloat64()})
	}
	var last Verdict
	for i := range 300 {
		last = s.Step(Point{int64(600+i) * 60_000, 100 + rnd.NormFloat64()})
		if i == 0 && last.Score <= 1 {
			t.Fatal("the shift is not seen")
		}
	}
	if last.Score > 1 {
		t.Errorf("five hours later the new level scores %v", last.Score)
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, fresh := range kinds {
		s := NewScorer(fresh(), ScorerConfig{})
		rnd := rand.New(rand.NewSource(7))
		for i := range 200 {
			s.Step(wave(rnd, i))
		}
		b, err := s.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, fresh := range kinds {
			s := NewScorer(fresh(), ScorerConfig{})
			if s.UnmarshalBinary(b) != nil {
				continue
			}
			s.Step(Point{1 << 50, 1})
			if _, err := s.AppendBinary(nil); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestStateStaysSmall runs each model for long: what it holds is bounded by
// what its documentation says, whatever the length of the series.
func TestStateStaysSmall(t *testing.T) {
	arithmetic(t)
	eachKind(t, func(t *testing.T, fresh func() Model) {
		n := 100_000
		if testing.Short() {
			n = 10_000
		}
		s, rnd, most := NewScorer(fresh(), ScorerConfig{}), rand.New(rand.NewSource(9)), 0
		for i := range n {
			p := wave(rnd, i)
			if s.Step(p); i%977 != 0 && i != n-1 {
				continue
			}
			b, err := s.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, own := s.Model().(*Auto); own { // it remembers more for three weeks
				if len(b) > 8<<10 {
					t.Fatalf("%d bytes after %d points", len(b), i)
				}
				continue
			}
			if i <= n/2 {
				most = max(most, len(b))
			} else if len(b) > most+most/10+32 { // numbers of more digits
				t.Fatalf("%d bytes after %d points, at most %d before", len(b), i, most)
			}
		}
	})
}

// TestStationaryNoiseIsQuiet holds the default border of the models that have
// one of their own to two points in a thousand of plain noise.
func TestStationaryNoiseIsQuiet(t *testing.T) {
	arithmetic(t)
	for _, name := range []string{"trend", "quantile", "changepoint", "prophet", "spectral", "count", "discord", "lstm", "mad", "seasonal"} {
		t.Run(name, func(t *testing.T) {
			began, loud, scored := beginnings{}, 0, 0
			for seed := range int64(4) {
				s, rnd := NewScorer(kinds[name](), ScorerConfig{}), rand.New(rand.NewSource(seed))
				for i := range 6000 {
					v := s.Step(Point{int64(i) * 15_000, 50 + rnd.NormFloat64()})
					if i < 1000 || math.IsNaN(v.Score) {
						continue
					}
					scored++
					if v.Score > 1 {
						loud++
					}
					began.note(v)
				}
			}
			t.Logf("%d times in %d, %d points", began.n, scored, loud)
			if scored < 18_000 || began.n*500 > scored || loud > 40*began.n {
				t.Errorf("the score passes 1 %d times in %d points, and stays there for %d", began.n, scored, loud)
			}
		})
	}
}

// TestIrregularStepsAreQuiet drops a fifth of the points, moves the others by up
// to half a step, and leaves an hour out now and then: the models tell time by
// the clock, so the wave is the one they know.
func TestIrregularStepsAreQuiet(t *testing.T) {
	eachKind(t, func(t *testing.T, fresh func() Model) {
		s, rnd := NewScorer(fresh(), ScorerConfig{}), rand.New(rand.NewSource(10))
		loud, scored := 0, 0
		for i := 0; i < 6000; i++ {
			if i%1000 == 999 {
				i += 60
			}
			if rnd.Intn(5) == 0 {
				continue
			}
			x := float64(i) + rnd.Float64() - 0.5
			v := s.Step(Point{int64(x * 60_000), 100 + 20*math.Sin(2*math.Pi*x/60) + rnd.NormFloat64()})
			if i < 1000 || math.IsNaN(v.Score) {
				continue
			}
			scored++
			if v.Score > 1 {
				loud++
			}
		}
		t.Logf("%d of %d", loud, scored)
		if scored < 3500 || loud*25 > scored { // the plain bands are three deviations wide
			t.Errorf("%d of %d points score above 1", loud, scored)
		}
	})
}
