package eval

import (
	"math/rand"
	"runtime/metrics"
	"slices"
	"testing"

	"github.com/chironhq/chiron/rules/lang"
)

// fuzzed are rules that records are loaded into, one of every kind of record.
func fuzzed(t testing.TB) []*lang.Anomaly {
	return []*lang.Anomaly{
		ruleOf(t, "expr: m", "model: zscore"),
		ruleOf(t, "expr: m", "model: auto", "forecast: {horizons: [1h]}"),
		ruleOf(t, "inputs: {a: m, b: m}", "join: [ns, pod]", "model: zscore"),
		ruleOf(t, "expr: m", "model: 'peers(by=[ns], min_members=3)'"),
		ruleOf(t, "expr: m", "model: presence"),
		ruleOf(t, "expr: m", "model: novelty"),
	}
}

// allocated is how many bytes the process has allocated so far.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// FuzzLoad loads bytes as a record, with the checksum that they would have. No
// record may bring a rule to panic or take memory that has nothing to do with
// its size, and one that is refused changes nothing.
func FuzzLoad(f *testing.F) {
	for _, spec := range fuzzed(f) {
		r := newRule(f, spec)
		for _, fr := range streamOf(rand.New(rand.NewSource(1)), spec, 40) {
			_, _ = r.Step(fr.t, fr.Frame) // of equal series, some fail
		}
		records, err := recordsOf(r)
		if err != nil {
			f.Fatal(err)
		}
		for _, record := range records {
			f.Add(record)
		}
		for _, s := range r.Series(nil) {
			f.Add(r.AppendEnded(nil, s))
		}
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, record []byte) {
		if len(record) >= 4 {
			record = slices.Clone(record)
			reseal(record)
		}
		for _, spec := range fuzzed(t) {
			r := newRule(t, spec)
			before := allocated()
			err := r.Load(record)
			// A model of its own, and of each member of a group what a few bytes name.
			if took, most := allocated()-before, uint64(1<<20+1024*len(record)); took > most {
				t.Errorf("%s: a record of %d bytes took %d, want at most %d", spec.Model, len(record), took, most)
			}
			if err != nil {
				if r.Len() > 0 || r.Now() != 0 || len(r.gone) > 0 {
					t.Errorf("%s: %v, and the rule has changed", spec.Model, err)
				}
				continue
			}
			saved, err := recordsOf(r)
			if err != nil {
				t.Fatalf("%s: what was loaded cannot be saved: %v", spec.Model, err)
			}
			again := newRule(t, spec)
			for _, record := range saved {
				if err := again.Load(record); err != nil {
					t.Fatalf("%s: what was loaded and saved cannot be loaded: %v", spec.Model, err)
				}
			}
			if err := sameRecords(again, r); err != nil {
				t.Errorf("%s: %v", spec.Model, err)
			}
			for _, fr := range streamOf(rand.New(rand.NewSource(1)), spec, 3) {
				_, _ = r.Step(fr.t, fr.Frame)
			}
		}
	})
}
