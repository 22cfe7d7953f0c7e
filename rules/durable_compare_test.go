package rules

import (
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/rules/lang"
	"github.com/chironhq/chiron/rules/modelstore"
	"github.com/chironhq/chiron/tsdbcache"
)

// compareModels holds what is saved against rules that learn every slot from
// the ring. When the end was orderly that is all; else it is what a new process
// would come to.
func compareModels(t *testing.T, db *tsdbcache.DB, engine promql.QueryEngine, saved string, files []*lang.File, every time.Duration, orderly bool) {
	t.Helper()
	store, aside, err := modelstore.Open(saved)
	if err != nil || aside != nil {
		t.Fatal(err, aside)
	}
	defer func() { _ = store.Close() }()
	owners, err := store.Owners()
	if err != nil {
		t.Fatal(err)
	}
	byRule := map[string]modelstore.Owner{}
	for _, o := range owners {
		if _, twice := byRule[o.Rule]; twice {
			t.Errorf("two owners of rule %s", o.Rule)
		}
		byRule[o.Rule] = o
	}
	for _, f := range files {
		for _, g := range f.Groups {
			for _, rule := range g.Expand() {
				if rule.Anomaly == nil {
					continue
				}
				loaded, learned := durableRule(t, rule.Anomaly), durableRule(t, rule.Anomaly)
				records := 0
				o, lost, err := store.Read(byRule[rule.Anomaly.Name].ID, func(record []byte) {
					records++
					if err := loaded.Load(record); err != nil {
						t.Fatalf("%s: %v", rule.Anomaly.Name, err)
					}
				})
				if err != nil || lost != 0 {
					t.Fatalf("%s: %d lost, %v", rule.Anomaly.Name, lost, err)
				}
				switch {
				case orderly && (o.Mark == 0 || o.Mark != loaded.Now()):
					t.Fatalf("%s: the mark is %d and models have learned up to %d, but the end was orderly", rule.Anomaly.Name, o.Mark, loaded.Now())
				case loaded.Now() == 0:
					continue // nothing is saved yet
				case orderly && !loaded.Shared() && records != loaded.Len():
					t.Errorf("%s: %d records of %d series", rule.Anomaly.Name, records, loaded.Len())
				}
				learnAll(t, db, engine, rule.Anomaly, loaded, learned, every, o.Mark)
				durableEqual(t, rule.Anomaly.Name, loaded, learned)
			}
		}
	}
}

// learnAll has one rule learn every slot that the ring reaches, up to where the
// other one is, which learns those behind the mark.
func learnAll(t *testing.T, db *tsdbcache.DB, engine promql.QueryEngine, spec *lang.Anomaly, loaded, learned *eval.Rule, every time.Duration, mark int64) {
	t.Helper()
	oldest, err := db.StartTime()
	if err != nil {
		t.Fatal(err)
	}
	interval, to := every.Milliseconds(), loaded.Now()
	source := newSource(spec, Options{Engine: engine, Queryable: db, DB: db}, newMetrics(nil, nil))
	err = source.span(t.Context(), oldest+mod(to-oldest, interval), to, interval, func(at int64, frame eval.Frame) error {
		if at > mark {
			if _, err := loaded.Learn(at, frame); err != nil {
				return err
			}
		}
		_, err := learned.Learn(at, frame)
		return err
	}, func(at int64, err error) { t.Errorf("%s at %d: %v", spec.Name, at, err) })
	if err != nil {
		t.Fatalf("%s: %v", spec.Name, err)
	}
}

func durableRule(t *testing.T, spec *lang.Anomaly) *eval.Rule {
	t.Helper()
	r, err := eval.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// durableEqual compares all that two rules would save.
func durableEqual(t *testing.T, name string, got, want *eval.Rule) {
	t.Helper()
	of := func(r *eval.Rule) map[string]string {
		out := map[string]string{}
		if r.Shared() {
			b, err := r.AppendAll(nil)
			if err != nil {
				t.Fatal(err)
			}
			out["all"] = string(b)
			return out
		}
		for _, s := range r.Series(nil) {
			b, _, err := r.AppendRecord(nil, s)
			if err != nil {
				t.Fatal(err)
			}
			out[s.Labels().String()] = string(b)
		}
		return out
	}
	gotAll, wantAll := of(got), of(want)
	if len(gotAll) == 0 {
		t.Errorf("%s has no models", name)
	}
	for _, k := range slices.Sorted(mapKeys(gotAll, wantAll)) {
		g, gotIt := gotAll[k]
		w, wantIt := wantAll[k]
		switch {
		case !gotIt:
			t.Errorf("%s: no model of %s", name, k)
		case !wantIt:
			t.Errorf("%s: a model of %s, which is not there", name, k)
		case g != w:
			t.Errorf("%s: the model of %s differs:\n%s\n%s", name, k, hex.EncodeToString([]byte(g[:min(len(g), 100)])), hex.EncodeToString([]byte(w[:min(len(w), 100)])))
		}
	}
}

func mapKeys(ms ...map[string]string) func(yield func(string) bool) {
	all := map[string]bool{}
	for _, m := range ms {
		for k := range m {
			all[k] = true
		}
	}
	return func(yield func(string) bool) {
		for k := range all {
			if !yield(k) {
				return
			}
		}
	}
}
