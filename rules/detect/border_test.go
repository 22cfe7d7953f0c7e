package detect

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chironhq/chiron/rules/lang"
)

// borders makes, for each argument that the table calls the border, the model
// under a value of it, one of two.
var borders = map[string]func(other bool) saved{
	"zscore.threshold": func(o bool) saved {
		return must(NewZScore(ZScoreConfig{Window: time.Hour, Threshold: either(o, 3.0, 1.5)}))
	},
	"mad.threshold": func(o bool) saved { return must(NewMAD(MADConfig{Window: time.Hour, Threshold: either(o, 3.0, 1.5)})) },
	"seasonal.threshold": func(o bool) saved {
		return must(NewSeasonal(SeasonalConfig{Periods: []time.Duration{time.Hour}, Threshold: either(o, 3.0, 1.5)}))
	},
	"holtwinters.threshold": func(o bool) saved {
		return must(NewHoltWinters(HoltWintersConfig{Season: time.Hour, Threshold: either(o, 3.0, 1.5)}))
	},
	"trend.threshold": func(o bool) saved {
		return must(NewTrend(TrendConfig{Window: time.Hour, Threshold: either(o, 3.0, 9)}))
	},
	"prophet.threshold": func(o bool) saved {
		return must(NewProphet(ProphetConfig{Seasons: []time.Duration{time.Hour}, Threshold: either(o, 3.0, 9)}))
	},
	"quantile.lower": func(o bool) saved {
		return must(NewQuantile(QuantileConfig{Lower: either(o, 0.02, 0.2), Upper: 0.9, Season: time.Hour}))
	},
	"quantile.upper": func(o bool) saved {
		return must(NewQuantile(QuantileConfig{Lower: 0.02, Upper: either(o, 0.99, 0.7), Season: time.Hour}))
	},
	"quantile.margin": func(o bool) saved { return must(NewQuantile(QuantileConfig{Margin: either(o, 0.6, 2)})) },
	"count.rarity":    func(o bool) saved { return must(NewCount(CountConfig{Rarity: either(o, 1e-3, 0.1)})) },
	"ratio.min_total": func(o bool) saved { return must(NewRatio(RatioConfig{MinTotal: either(o, 20, 110.0)})) },
	"ratio.tail":      func(o bool) saved { return must(NewRatio(RatioConfig{Tail: either(o, 1e-4, 0.1)})) },
	"peers.method": func(o bool) saved {
		return must2(NewPeers(PeersConfig{Method: either(o, PeersMAD, PeersZScore), Tolerance: 3, MinMembers: 4}))
	},
	"peers.tolerance":   func(o bool) saved { return must2(NewPeers(PeersConfig{Tolerance: either(o, 3.0, 1), MinMembers: 4})) },
	"peers.min_members": func(o bool) saved { return must2(NewPeers(PeersConfig{Tolerance: 3, MinMembers: either(o, 5, 4)})) },
	"presence.learn": func(o bool) saved {
		return must2(NewPresence(PresenceConfig{Learn: either(o, time.Hour, 2*time.Minute), Forget: 12 * time.Hour}))
	},
	"novelty.hold": func(o bool) saved {
		return must2(NewNovelty(NoveltyConfig{Learn: time.Hour, Hold: either(o, time.Hour, time.Minute), Capacity: 300}))
	},
}

func either[T any](other bool, a, b T) T {
	if other {
		return b
	}
	return a
}

// TestBordersAreThoseOfTheTable keeps the two lists the same.
func TestBordersAreThoseOfTheTable(t *testing.T) {
	n := 0
	for _, m := range lang.Models {
		for _, p := range m.Params {
			if name := m.Name + "." + p.Name; p.Border {
				if n++; borders[name] == nil && budgets[name] == nil {
					t.Errorf("%s is in no test of borders", name)
				}
			}
		}
	}
	if all := len(borders) + len(budgets); n != all {
		t.Errorf("%d arguments are tested, the table has %d", all, n)
	}
}

// answer asks and teaches a model, with full weight whatever it thinks.
func answer(x saved, m moment) (out []float64) {
	switch x := x.(type) {
	case Model:
		p, total := Point{m.t, m.v[0]}, m.v[2]
		if _, ok := x.(*Ratio); ok {
			p.V = math.Round(m.v[1]/10) / total
		}
		out = numbers(scoreOf(x, p, total))
		learnOfAt(x, p, total, weights{level: 1, shape: 1}, 1)
		if f, ok := x.(Forecaster); ok {
			mid, lower, upper := f.Forecast(m.t+3_600_000, 0.9)
			out = append(out, mid, lower, upper)
		}
	case GroupModel:
		if m.newer {
			for _, v := range x.Step(m.t, m.members, nil) {
				out = append(append(out, numbers(v.Verdict)...), v.V)
			}
		}
	}
	return out
}

// TestAStateGoesOnUnderAnotherBorder loads what a model learned under one
// border into a model of another one: it answers like one that has been of the
// other border all the time.
func TestAStateGoesOnUnderAnotherBorder(t *testing.T) {
	for name, model := range borders {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(6) {
				one, other := model(seed%2 == 1), model(seed%2 == 0)
				past, differ := roughly(rand.New(rand.NewPCG(seed, 2)), 990), false
				for _, m := range past[:590] { // new members came at 400: their hold is over
					differ = !sameBits(answer(one, m), answer(other, m)) || differ
				}
				if !differ {
					t.Errorf("seed %d: the border moves nothing", seed)
				}
				state := must2(one.AppendBinary(nil))
				loaded := model(seed%2 == 0)
				if err := loaded.UnmarshalBinary(state); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(state, must2(other.AppendBinary(nil))) || !bytes.Equal(state, must2(loaded.AppendBinary(nil))) {
					t.Errorf("seed %d: the state depends on the border", seed)
				}
				for i, m := range past[590:] {
					if a, b := answer(other, m), answer(loaded, m); !sameBits(a, b) {
						t.Fatalf("seed %d, moment %d: %v, and %v with what was learned under another border", seed, i, a, b)
					}
				}
			}
		})
	}
}

// TestFieldsOfTheRuleAreNoPartOfAState loads a state under other fields.
func TestFieldsOfTheRuleAreNoPartOfAState(t *testing.T) {
	s := NewScorer(kinds["auto"](), someTimes)
	for _, m := range roughly(rand.New(rand.NewPCG(1, 3)), 500) {
		s.Step(Point{m.t, m.v[0]})
	}
	state := must2(s.AppendBinary(nil))
	for _, c := range []ScorerConfig{
		{},
		{Direction: Above, MinDev: [2]float64{1, 2}, MinRelDev: [2]float64{3, 4}, Width: [2]float64{5, 6}},
		{Range: [2]float64{0, 1}, HasRange: true, Warmup: 900 * time.Hour},
	} {
		s := NewScorer(kinds["auto"](), c)
		if err := s.UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(state, must2(s.AppendBinary(nil))) {
			t.Errorf("%+v is in the state", c)
		}
	}
}

// TestALookAheadComesAndGoes changes whether a rule forecasts: what the model
// has learned goes on, and what looks ahead begins, or is gone.
func TestALookAheadComesAndGoes(t *testing.T) {
	scorer := func(ahead bool) *Scorer {
		s := NewScorer(kinds["auto"](), ScorerConfig{})
		if ahead {
			s.LookAhead(must(NewTrend(TrendConfig{Window: time.Hour})))
		}
		return s
	}
	rnd := rand.New(rand.NewPCG(5, 5))
	point := func(i int) Point { return Point{int64(i) * 60_000, 2*float64(i) + rnd.NormFloat64()} }
	with, without := scorer(true), scorer(false)
	for i := range 300 {
		p := point(i)
		with.Step(p)
		without.Step(p)
	}
	began, gone := scorer(true), scorer(false)
	if err := began.UnmarshalBinary(must2(without.AppendBinary(nil))); err != nil {
		t.Fatal(err)
	}
	if err := gone.UnmarshalBinary(must2(with.AppendBinary(nil))); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(must2(gone.AppendBinary(nil)), must2(without.AppendBinary(nil))) {
		t.Error("without a look ahead something of it is left")
	}
	forecast := func(s *Scorer) float64 { mid, _, _ := s.Forecast(400*60_000, 0.9); return mid }
	if x := forecast(with); !(math.Abs(x-800) < 10) {
		t.Fatalf("the trend leads to %v", x)
	}
	if x, y := forecast(began), forecast(gone); !math.IsNaN(x) || !math.IsNaN(y) {
		t.Errorf("%v and %v are forecast by what has learned nothing", x, y)
	}
	for i := 300; i < 400; i++ {
		p := point(i)
		want := numbers(with.Step(p))
		for _, s := range []*Scorer{began, gone} {
			if got := numbers(s.Step(p)); !sameBits(want, got) {
				t.Fatalf("point %d: %v, want %v", i, got, want)
			}
		}
	}
	if x := forecast(began); !(math.Abs(x-800) < 10) {
		t.Errorf("after a hundred points the trend leads to %v", x)
	}
}
