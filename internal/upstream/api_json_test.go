package upstream

import (
	"math"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	apiv1 "github.com/prometheus/prometheus/web/api/v1"
	"pgregory.net/rapid"
)

// drawFloat draws any bits, and often what servers measure: whole numbers,
// milliseconds, shares, powers.
func drawFloat(t *rapid.T) float64 {
	switch rapid.IntRange(0, 6).Draw(t, "kind") {
	case 0:
		return math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
	case 1:
		return float64(rapid.Int64().Draw(t, "whole"))
	case 2:
		return float64(rapid.Int32().Draw(t, "n")) / math.Pow10(rapid.IntRange(0, 9).Draw(t, "digits"))
	case 3:
		return rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), 1e21, 1e-6, 9.99e-7, 1 << 53, -1e15, 1e15, 0.5e-6, 999999999.999999}).Draw(t, "special")
	case 4:
		return math.Ldexp(1, rapid.IntRange(-1074, 1023).Draw(t, "power"))
	}
	return rapid.Float64Range(-2, 2).Draw(t, "share")
}

func drawLabels(t *rapid.T) labels.Labels {
	b := labels.NewScratchBuilder(3)
	for i := range rapid.IntRange(0, 3).Draw(t, "labels") {
		b.Add("l"+strconv.Itoa(i), rapid.SampledFrom([]string{"", "plain", "ü", "\"\\\n\r\t\x01\x7f<&>", "\xff\xfe", "\"result\":[]", "\u2028"}).Draw(t, "value"))
	}
	return b.Labels()
}

// TestJSON: every answer is written as the stock codec writes it.
func TestJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := &apiv1.QueryData{}
		start, step := rapid.Int64Range(-1e6, 2e12).Draw(t, "start"), rapid.Int64Range(1, 1e6).Draw(t, "step")
		switch rapid.IntRange(0, 3).Draw(t, "type") {
		case 0:
			data.ResultType = parser.ValueTypeScalar
			data.Result = promql.Scalar{T: start, V: drawFloat(t)}
		case 1:
			data.ResultType = parser.ValueTypeVector
			v := make(promql.Vector, rapid.IntRange(0, 5).Draw(t, "samples"))
			for i := range v {
				v[i] = promql.Sample{Metric: drawLabels(t), T: start, F: drawFloat(t)}
				if rapid.IntRange(0, 20).Draw(t, "histogram") == 0 {
					v[i].H = tsdbutil.GenerateTestFloatHistogram(3)
				}
			}
			data.Result = v
		default:
			data.ResultType = parser.ValueTypeMatrix
			m := make(promql.Matrix, rapid.IntRange(0, 5).Draw(t, "series"))
			for i := range m {
				m[i].Metric = drawLabels(t)
				at := start
				for range rapid.IntRange(0, 30).Draw(t, "points") {
					at += step * rapid.SampledFrom([]int64{1, 1, 1, 2, 7}).Draw(t, "gap")
					m[i].Floats = append(m[i].Floats, promql.FPoint{T: at, F: drawFloat(t)})
				}
				if rapid.IntRange(0, 20).Draw(t, "histogram") == 0 {
					m[i].Histograms = []promql.HPoint{{T: at, H: tsdbutil.GenerateTestFloatHistogram(3)}}
				}
			}
			data.Result = m
		}
		resp := &apiv1.Response{Status: "success", Data: data, Warnings: rapid.SliceOfN(rapid.Just(`"result":[]`), 0, 1).Draw(t, "warnings")}
		want, err := apiv1.JSONCodec{}.Encode(resp)
		if err != nil {
			t.Fatal(err)
		}
		got, err := jsonCodec{}.Encode(resp)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}

func FuzzFloat(f *testing.F) {
	for _, v := range []float64{0, 1, -1, 0.1, 1e-6, 1e21, 123456.789, 5e-324, math.Pi, 1e15, 4503599627370497.5, 0.000001, 9007199254740993} {
		f.Add(math.Float64bits(v))
	}
	f.Fuzz(func(t *testing.T, bits uint64) {
		v := math.Float64frombits(bits)
		format := byte('f')
		if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
			format = 'e'
		}
		if got, want := string(appendFloat(nil, v)), strconv.FormatFloat(v, format, -1, 64); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
