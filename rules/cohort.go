package rules

import (
	"github.com/prometheus/prometheus/model/labels"
)

// begin tracks a new series, with the learned state of its cohort when it has
// one.
func (r *anomalyRule) begin(st *stepping, ls labels.Labels) (*tracked, error) {
	tr, err := r.track(ls)
	if err != nil || len(r.spec.Cohort) == 0 {
		return tr, err
	}
	if st.cohorts == nil {
		st.cohorts = r.cohorts(st.b)
	}
	from := st.cohorts[r.cohortOf(st.b, ls)]
	if from == nil {
		return tr, nil
	}
	if tr.vector != nil {
		err = tr.vector.StartFrom(from.vector)
	} else {
		err = tr.scorer.StartFrom(from.scorer)
	}
	if err != nil {
		return r.track(ls) // it learns by itself
	}
	return tr, nil
}

// cohorts finds in each cohort the series that has learned for longest; of
// several ones the first by labels.
func (r *anomalyRule) cohorts(b *labels.Builder) map[string]*tracked {
	out := map[string]*tracked{}
	for _, tr := range r.series {
		cohort := r.cohortOf(b, tr.labels)
		best, n := out[cohort], tr.learned()
		if n == 0 {
			continue
		}
		if best == nil || n > best.learned() || n == best.learned() && labels.Compare(tr.labels, best.labels) < 0 {
			out[cohort] = tr
		}
	}
	return out
}

func (r *anomalyRule) cohortOf(b *labels.Builder, ls labels.Labels) string {
	b.Reset(ls)
	return string(b.Keep(r.spec.Cohort...).Labels().Bytes(nil))
}

// learned is for how many milliseconds the series' model has learned.
func (tr *tracked) learned() int64 {
	if tr.vector != nil {
		return tr.vector.Learned()
	}
	return tr.scorer.Learned()
}
