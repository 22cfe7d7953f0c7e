package eval

import (
	"fmt"
	"testing"
	"time"
)

func nanotime() int64 { return time.Now().UnixNano() }

// benchSeries is how many series the benchmarks have.
const benchSeries = 10_000

// BenchmarkStep is one evaluation of many series that know their ways.
func BenchmarkStep(b *testing.B) {
	f := func(name string, fields []string, step func(r *Rule, t int64, f Frame) error) {
		b.Run(name, func(b *testing.B) {
			r := newRule(b, ruleOf(b, fields...))
			v := numbered(0, benchSeries)
			n := 0
			run := func(step func(r *Rule, t int64, f Frame) error) {
				n++
				for i := range v {
					v[i].V = 50 + float64((i*7+n*13)%23) + float64(n%60)
				}
				if err := step(r, at(n).t, Frame{Vectors: [][]Sample{v}}); err != nil {
					b.Fatal(err)
				}
			}
			for range 100 {
				run(learn)
			}
			run(step) // makes the labels of what is written
			b.ReportAllocs()
			for b.Loop() {
				run(step)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchSeries), "ns/series")
		})
	}
	for _, model := range []string{"zscore", "auto"} {
		fields := []string{"expr: m", "model: " + model}
		f(model, fields, func(r *Rule, t int64, f Frame) error { _, err := r.Step(t, f); return err })
		f(model+"/learn", fields, learn)
	}
}

func learn(r *Rule, t int64, f Frame) error { _, err := r.Learn(t, f); return err }

// BenchmarkCopyAs is a copy for a reload or to catch up.
func BenchmarkCopyAs(b *testing.B) {
	for _, model := range []string{"zscore", "auto"} {
		b.Run(model, func(b *testing.B) {
			r := newRule(b, ruleOf(b, "expr: m", "model: "+model))
			v := numbered(0, benchSeries)
			for n := range 60 {
				if err := learn(r, at(n).t, Frame{Vectors: [][]Sample{v}}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				copied, refused, reason, err := r.CopyAs(r.Spec())
				if err != nil || refused > 0 || copied.Len() != benchSeries {
					b.Fatal(fmt.Errorf("%d refused: %w, %w", refused, reason, err))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchSeries), "ns/series")
		})
	}
}
