package tsdbcache

import (
	"fmt"
	"testing"
)

// BenchmarkReplay sends samples again that are stored already, as a Prometheus
// does after a restart: each is a round of one sample of every series, from
// some way back in the past.
func BenchmarkReplay(b *testing.B) {
	const series, rounds = 10_000, 240
	for _, back := range []int64{1, 20, 200} {
		b.Run(fmt.Sprintf("back=%d", back), func(b *testing.B) {
			s := newSteady(b, series, Options{Memory: 64 << 20})
			past := make([][]float64, 0, rounds)
			first := s.t
			for range rounds {
				s.round(b)
				past = append(past, append([]float64(nil), s.vals...))
			}
			b.ReportAllocs()
			i := int64(0)
			for b.Loop() {
				at := rounds - 1 - back + i%min(back, 20)
				i++
				tx := s.db.Begin()
				for k, key := range s.keys {
					ref, ok := tx.Lookup(KeyV1, key)
					if !ok {
						b.Fatal("series not found")
					}
					tx.Float(ref, 0, first+(at+1)*15000, past[at][k])
				}
				res, err := tx.Commit()
				if err != nil || res.RefusedTotal() > 0 {
					b.Fatal(res, err)
				}
			}
			if got := s.db.n.late; got != 0 {
				b.Fatalf("%d samples were stored again", got)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/series, "ns/sample")
		})
	}
}
