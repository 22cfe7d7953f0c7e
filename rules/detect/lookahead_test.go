package detect

import (
	"math"
	"math/rand"
	"testing"
)

// TestTimeToIsWhereTheForecastCrosses holds the search against the forecast
// itself, millisecond by millisecond around the answer.
func TestTimeToIsWhereTheForecastCrosses(t *testing.T) {
	s := NewScorer(kinds["trend"](), ScorerConfig{})
	for i := range 200 {
		s.Step(Point{T: int64(i) * 60_000, V: float64(i) + math.Sin(float64(i))})
	}
	now := int64(199 * 60_000)
	for _, limit := range []float64{210, 300, 600, 900} {
		ms := s.TimeTo(limit, 199, false, now, 24*3600_000)
		mid, _, _ := s.Forecast(now+int64(ms), 0.5)
		step := 24 * 3600_000.0 / crossingSteps / (1 << crossingHalvings)
		before, _, _ := s.Forecast(now+int64(ms-2*step), 0.5)
		if !(mid >= limit && before < limit) {
			t.Errorf("limit %v after %v: the forecast is %v there and %v shortly before", limit, ms, mid, before)
		}
	}
	if ms := s.TimeTo(2000, 199, false, now, 24*3600_000); !math.IsInf(ms, 1) {
		t.Errorf("a limit beyond reach is crossed after %v", ms)
	}
	if ms := s.TimeTo(100, 199, true, now, 24*3600_000); !math.IsInf(ms, 1) {
		t.Errorf("a rising line falls to 100 after %v", ms)
	}
	if ms := NewScorer(kinds["trend"](), ScorerConfig{}).TimeTo(1, 0, false, 0, 1000); !math.IsNaN(ms) {
		t.Errorf("without a forecast: %v", ms)
	}
}

// TestAutoForecastsSeasonsAndTrends: what has a season is forecast by it, what
// grows by a line.
func TestAutoForecastsSeasonsAndTrends(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	s := NewScorer(kinds["auto"](), ScorerConfig{Range: [2]float64{0, 5000}, HasRange: true})
	s.LookAhead(must(NewTrend(TrendConfig{})))
	for i := range 1000 {
		s.Step(Point{T: int64(i) * 60_000, V: 3*float64(i) + 5*rnd.NormFloat64()})
	}
	mid, lower, upper := s.Forecast(1100*60_000, 0.9)
	if math.Abs(mid-3300) > 60 || !(lower < mid && mid < upper) {
		t.Errorf("100 points ahead of a line: %v (%v to %v), want about 3300", mid, lower, upper)
	}
	if mid, lower, upper = s.Forecast(4000*60_000, 0.9); mid != 5000 || upper != 5000 || lower > 5000 {
		t.Errorf("the range is not the end of it: %v (%v to %v)", mid, lower, upper)
	}
	daily := func(i int) float64 { return 100 + 30*math.Sin(2*math.Pi*float64(i)/288) }
	s = NewScorer(kinds["auto"](), ScorerConfig{})
	s.LookAhead(must(NewTrend(TrendConfig{})))
	for i := range 10 * 288 {
		s.Step(Point{T: int64(i) * 300_000, V: daily(i) + rnd.NormFloat64()})
	}
	for ahead := 12; ahead <= 288; ahead += 12 {
		i := 10*288 + ahead
		if mid, _, _ := s.Forecast(int64(i)*300_000, 0.9); math.Abs(mid-daily(i)) > 8 {
			t.Errorf("%d points ahead of a daily season: %v, want about %v", ahead, mid, daily(i))
		}
	}
}

func BenchmarkTimeTo(b *testing.B) {
	for _, kind := range []string{"trend", "seasonal", "holtwinters", "lstm"} {
		b.Run(kind, func(b *testing.B) {
			s := NewScorer(kinds[kind](), ScorerConfig{})
			rnd := rand.New(rand.NewSource(1))
			for i := range 1000 {
				s.Step(wave(rnd, i))
			}
			for b.Loop() {
				s.TimeTo(1e9, 0, false, 999*60_000, 8*3600_000)
			}
		})
	}
}
