package tsdbcache

import (
	"context"
	"math"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"pgregory.net/rapid"
)

// TestFloats: all samples at once are those that come one by one, or none when
// there are histograms.
func TestFloats(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		db, err := Open(Options{Memory: 1 << 20, OutOfOrderWindow: -1, MaxFuture: -1})
		if err != nil {
			rt.Fatal(err)
		}
		defer db.Close()
		app := db.AppenderV2(context.Background())
		ls := labels.FromStrings("__name__", "x")
		histograms := false
		for i := range rapid.IntRange(0, 90).Draw(rt, "samples") {
			at := int64(i)*15_000 + rapid.Int64Range(0, 9000).Draw(rt, "jitter")
			switch rapid.IntRange(0, 60).Draw(rt, "kind") {
			case 0: // late
				_, err = app.Append(0, ls, 0, at-40_001, 7, nil, nil, storage.AppendV2Options{})
			case 1:
				histograms = true
				_, err = app.Append(0, ls, 0, at, 0, tsdbutil.GenerateTestHistogram(1), nil, storage.AppendV2Options{})
			default:
				_, err = app.Append(0, ls, 0, at, rapid.Float64().Draw(rt, "value"), nil, nil, storage.AppendV2Options{})
			}
			if err != nil {
				rt.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			rt.Fatal(err)
		}
		mint := rapid.Int64Range(-100, 1_500_000).Draw(rt, "mint")
		maxt := mint + rapid.Int64Range(0, 1_500_000).Draw(rt, "span")
		q, err := db.Querier(mint, maxt)
		if err != nil {
			rt.Fatal(err)
		}
		defer q.Close()
		set := q.Select(context.Background(), false, nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", "x"))
		for set.Next() {
			var wantT, gotT []int64
			var wantV, gotV []uint64
			one := set.At().Iterator(nil)
			for k := one.Next(); k != chunkenc.ValNone; k = one.Next() {
				if k != chunkenc.ValFloat {
					continue
				}
				at, v := one.At()
				wantT, wantV = append(wantT, at), append(wantV, math.Float64bits(v))
			}
			ts, vs, ok := set.At().Iterator(nil).(*iterator).Floats()
			if !ok {
				if !histograms {
					rt.Fatal("floats refused")
				}
				continue
			}
			for i, v := range vs {
				gotT, gotV = append(gotT, ts[i]), append(gotV, math.Float64bits(v))
			}
			if diff := gocmp.Diff(wantT, gotT) + gocmp.Diff(wantV, gotV); diff != "" {
				rt.Fatal(diff)
			}
		}
	})
}
