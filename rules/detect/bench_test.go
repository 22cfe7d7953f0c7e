package detect

import (
	"math/rand"
	"testing"
)

// BenchmarkStep measures scoring and learning one point, and the bytes of a
// series' saved state.
func BenchmarkStep(b *testing.B) {
	for name, fresh := range kinds {
		b.Run(name, func(b *testing.B) {
			rnd := rand.New(rand.NewSource(8))
			s := NewScorer(fresh(), ScorerConfig{})
			points := make([]Point, 4096)
			for i := range points {
				points[i] = wave(rnd, i)
			}
			for _, p := range points {
				s.Step(p)
			}
			span := points[len(points)-1].T + 60_000
			b.ReportAllocs()
			i, round := 0, int64(1)
			for b.Loop() {
				if i == len(points) {
					i, round = 0, round+1
				}
				s.Step(Point{points[i].T + round*span, points[i].V})
				i++
			}
			state, err := s.AppendBinary(nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(len(state)), "B/series")
		})
	}
}
