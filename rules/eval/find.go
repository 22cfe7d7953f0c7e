package eval

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/labels"
)

// find puts the values of a frame into the series that they are of, new ones
// where there is room. It leaves the models alone.
func (r *Rule) find(st *stepping, f Frame) error {
	if n := len(r.spec.Sources()); len(f.Vectors) != n {
		return fmt.Errorf("a frame of %d vectors for a rule of %d expressions", len(f.Vectors), n)
	}
	switch {
	case r.spec.Ratio != nil:
		return r.findRatios(st, f)
	case r.spec.Inputs != nil:
		return r.findInputs(st, f)
	}
	return r.findSeries(st, f.Vectors[0])
}

func (r *Rule) findSeries(st *stepping, v []Sample) error {
	fresh := r.scratch.fresh[:0]
	for i := range v {
		if st.skip(&v[i]) {
			continue
		}
		r.buf = v[i].Labels.BytesWithoutLabels(r.buf, labels.MetricName)
		s := r.known(st)
		if s == nil {
			fresh = append(fresh, i)
			continue
		}
		if err := r.take(s, v[i].V); err != nil {
			return err
		}
	}
	r.scratch.fresh = fresh
	// New series come last, so that one that was there before is not dropped to
	// make room for them.
	for _, i := range fresh {
		r.buf = v[i].Labels.BytesWithoutLabels(r.buf, labels.MetricName)
		s := r.known(st)
		var err error
		if s == nil {
			s, err = r.begin(st, v[i].Labels)
		}
		if err == nil && s != nil {
			err = r.take(s, v[i].V)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take notes the one value that a series has at this step.
func (r *Rule) take(s *Series, v float64) error {
	if s.mark == r.mark {
		return fmt.Errorf("two series differ only in their metric name: %s; aggregate or rename them", s.labels)
	}
	s.mark, s.value = r.mark, v
	r.scratch.present = append(r.scratch.present, s)
	return nil
}

// findRatios gives every series of the total its part. A part that is not
// there is 0: counters of errors often begin with the first one. One that is a
// native histogram is no number.
func (r *Rule) findRatios(st *stepping, f Frame) error {
	if r.scratch.errors == nil {
		r.scratch.errors = map[string]float64{}
	}
	parts := r.scratch.errors
	clear(parts)
	var histograms []string
	for i := range f.Vectors[0] {
		v := &f.Vectors[0][i]
		if st.skip(v) {
			histograms = append(histograms, string(v.Labels.BytesWithoutLabels(nil, labels.MetricName)))
			continue
		}
		r.buf = v.Labels.BytesWithoutLabels(r.buf, labels.MetricName)
		if _, twice := parts[string(r.buf)]; twice {
			return r.inSource(0, fmt.Errorf("two series differ only in their metric name: %s; aggregate or rename them", v.Labels.DropReserved(isName)))
		}
		parts[string(r.buf)] = v.V
	}
	for _, key := range histograms {
		if _, number := parts[key]; !number {
			parts[key] = math.NaN()
		}
	}
	if err := r.findSeries(st, f.Vectors[1]); err != nil {
		return r.inSource(1, err)
	}
	for _, s := range r.scratch.present {
		s.value, s.of = parts[s.key], s.value
	}
	return nil
}

func isName(name string) bool { return name == labels.MetricName }

// findInputs gives every distinct value of the join labels its inputs. An
// input that has no such series is missing.
func (r *Rule) findInputs(st *stepping, f Frame) error {
	var fresh []inputAt
	for i, v := range f.Vectors {
		for k := range v {
			if st.skip(&v[k]) {
				continue
			}
			r.buf = v[k].Labels.BytesWithLabels(r.buf, r.join...)
			s := r.known(st)
			if s == nil {
				fresh = append(fresh, inputAt{i, k})
				continue
			}
			if err := r.takeInput(s, i, v[k]); err != nil {
				return err
			}
		}
	}
	refused := map[string]bool{} // of several inputs one entity counts once
	for _, at := range fresh {   // last, as in findSeries
		v := f.Vectors[at.input][at.sample]
		r.buf = v.Labels.BytesWithLabels(r.buf, r.join...)
		if refused[string(r.buf)] {
			continue
		}
		s := r.known(st)
		if s == nil {
			var err error
			if s, err = r.begin(st, v.Labels); err != nil {
				return err
			}
			if s == nil {
				refused[string(r.buf)] = true
				continue
			}
		}
		if err := r.takeInput(s, at.input, v); err != nil {
			return err
		}
	}
	return nil
}

// inputAt is the place of a sample in a frame.
type inputAt struct{ input, sample int }

func (r *Rule) takeInput(s *Series, i int, v Sample) error {
	if s.mark != r.mark {
		s.mark = r.mark
		for k := range s.values {
			s.values[k], s.from[k], s.has[k] = math.NaN(), labels.EmptyLabels(), false
		}
		r.scratch.present = append(r.scratch.present, s)
	}
	if s.has[i] {
		return fmt.Errorf("input %s: %s and %s have the same join labels %s; aggregate them or join by more labels",
			r.spec.Inputs[i].Name, s.from[i], v.Labels, s.labels)
	}
	s.has[i], s.values[i], s.from[i] = true, v.V, v.Labels
	return nil
}

// skip notes and passes over a native histogram, where models need a number.
func (st *stepping) skip(v *Sample) bool {
	if !v.Histogram {
		return false
	}
	if st.out.Changes.Histograms == 0 {
		st.out.Changes.Histogram = v.Labels
	}
	st.out.Changes.Histograms++
	return true
}
