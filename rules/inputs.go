package rules

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/chironhq/chiron/rules/detect"
)

// stepInputs gives every distinct value of the join labels one model of all
// inputs. An input that has no such series is missing.
func (r *anomalyRule) stepInputs(st *stepping, f frame) error {
	var order []*tracked
	refused := map[string]bool{} // beyond the limit
	for i, v := range f.vectors {
		for _, s := range v {
			st.b.Reset(s.Labels)
			ls := st.b.Keep(r.spec.Join...).Labels()
			key := string(ls.Bytes(nil))
			if refused[key] {
				continue
			}
			tr := r.series[key]
			if tr == nil || tr.seen != st.t {
				var err error
				if tr, err = r.find(st, ls); err != nil {
					return err
				}
				if tr == nil {
					refused[key] = true
					continue
				}
				for k := range tr.values {
					tr.values[k], tr.from[k] = math.NaN(), labels.EmptyLabels()
				}
				clear(tr.taken())
				order = append(order, tr)
			}
			if tr.has[i] {
				return fmt.Errorf("input %s: %s and %s have the same join labels %s; aggregate them or join by more labels",
					r.spec.Inputs[i].Name, tr.from[i], s.Labels, ls)
			}
			tr.has[i], tr.values[i], tr.from[i] = true, s.V, s.Labels
		}
	}
	share := make([]float64, len(r.spec.Inputs))
	for _, tr := range order {
		v := tr.vector.Step(detect.Vector{T: st.t, V: tr.values}, share)
		if st.emit {
			r.outputs(st, tr, tr.vector.Name(), math.NaN(), v)
			r.contributions(st, tr, share)
		}
	}
	return nil
}

// taken tells by input whether it has been found; the slice is made once.
func (tr *tracked) taken() []bool {
	if tr.has == nil {
		tr.has = make([]bool, len(tr.values))
	}
	return tr.has
}

// contributions appends the largest shares of a score. There are none while
// there is no score.
func (r *anomalyRule) contributions(st *stepping, tr *tracked, share []float64) {
	if r.spec.Explain == 0 {
		return
	}
	order := make([]int, 0, len(share))
	for i, s := range share {
		if !math.IsNaN(s) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(share[b], share[a]) })
	for _, i := range order[:min(len(order), r.spec.Explain)] {
		st.out = append(st.out, promql.Sample{T: st.t, F: share[i], Metric: tr.shares[i]})
	}
}
