package detect

import (
	"math/rand"
	"runtime"
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

// BenchmarkHeap measures the memory of a series whose model has seen 2,000 points.
func BenchmarkHeap(b *testing.B) {
	for name, fresh := range kinds {
		b.Run(name, func(b *testing.B) {
			const series = 32
			held := make([]*Scorer, series)
			var before, after runtime.MemStats
			for b.Loop() {
				clear(held)
				runtime.GC()
				runtime.ReadMemStats(&before)
				for i := range held {
					held[i] = NewScorer(fresh(), ScorerConfig{})
					rnd := rand.New(rand.NewSource(int64(i)))
					for k := range 2000 {
						held[i].Step(wave(rnd, k))
					}
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
			}
			b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/series, "heap-B/series")
			runtime.KeepAlive(held)
		})
	}
}
