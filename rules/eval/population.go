package eval

import (
	"cmp"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// begin follows a new series; nil when the rule has as many as it may. ls are
// those of a sample, and r.buf is the series' key.
func (r *Rule) begin(st *stepping, ls labels.Labels) (*Series, error) {
	later := r.series[string(r.buf)]
	switch {
	case r.population(st) >= r.spec.Limit && !r.makeRoom(st):
		st.out.Changes.OverLimit++
		return nil, nil
	case later != nil:
		// In the past there is a step that began it and came to nothing: there
		// was an error, which will show again.
		s := r.bury(later.key, later.labels, st.t, st.t)
		st.population++
		return s, nil
	case !r.fits(st):
		st.out.Changes.OverMemory++
		return nil, nil
	}
	key := string(r.buf)
	r.b.Reset(ls)
	if r.spec.Inputs != nil {
		r.b.Keep(r.join...)
	} else {
		r.b.Del(labels.MetricName)
	}
	s, adopted, err := r.start(st, key, r.b.Labels())
	if err != nil {
		return nil, err
	}
	st.out.Changes.Adopted = st.out.Changes.Adopted || adopted
	s.born, s.seen = st.t, st.t
	r.keep(s)
	st.population++
	r.scratch.began = append(r.scratch.began, s)
	return s, nil
}

func (r *Rule) keep(s *Series) {
	r.series[s.key] = s
	s.held = 0
	r.measure(s)
}

func (r *Rule) drop(s *Series) {
	delete(r.series, s.key)
	r.held -= s.held
	r.charged -= max(s.held, r.grown)
}

// takeBack undoes drop.
func (r *Rule) takeBack(s *Series) {
	r.series[s.key] = s
	r.held += s.held
	r.charged += max(s.held, r.grown)
}

// known returns the series with the key in r.buf at the time of the step; nil
// when there was none. While what was lost is learned again, one that is known
// may have begun later, and one that was there may have ended since.
func (r *Rule) known(st *stepping) *Series {
	s := r.series[string(r.buf)]
	if !st.past || s != nil && s.born <= st.t {
		return s
	}
	for _, s := range r.gone[string(r.buf)] {
		if s.born <= st.t && st.t <= s.until {
			return s
		}
	}
	return nil
}

// bury notes a life of a series that has ended. It is passed over like one that
// has learned all there is.
func (r *Rule) bury(key string, ls labels.Labels, born, until int64) *Series {
	s := r.bare(key, ls)
	s.born, s.until, s.loaded = born, until, until
	if r.gone == nil {
		r.gone = map[string][]*Series{}
	}
	r.gone[key] = append(r.gone[key], s)
	return s
}

// population is how many series the rule had at the time of the step, which is
// counted once a step.
func (r *Rule) population(st *stepping) int {
	if st.counted {
		return st.population
	}
	st.counted, st.population = true, len(r.series)
	if !st.past {
		return st.population
	}
	st.population = 0
	for _, s := range r.series {
		if s.born <= st.t {
			st.population++
		}
	}
	for _, lives := range r.gone {
		for _, s := range lives {
			if s.born <= st.t && st.t <= s.until {
				st.population++
			}
		}
	}
	return st.population
}

// findSpare finds once a step which series have gone and may make room.
func (r *Rule) findSpare(st *stepping) {
	if st.looked {
		return
	}
	st.looked = true
	for _, s := range r.series {
		if s.mark != r.mark && s.seen < r.before && !st.past {
			st.spare = append(st.spare, s)
			st.spareBytes += max(s.held, r.grown)
		}
	}
	slices.SortFunc(st.spare, func(a, b *Series) int {
		return cmp.Or(cmp.Compare(b.seen, a.seen), cmp.Compare(b.key, a.key))
	})
}

// makeRoom drops the series that has gone longest, if any has gone.
func (r *Rule) makeRoom(st *stepping) bool {
	r.findSpare(st)
	if len(st.spare) == 0 {
		return false
	}
	s := st.spare[len(st.spare)-1]
	st.spare = st.spare[:len(st.spare)-1]
	st.spareBytes -= max(s.held, r.grown)
	r.drop(s)
	s.until = st.t - 1 // others begin in its place
	st.population--
	r.scratch.ended = append(r.scratch.ended, s)
	st.out.Changes.MadeRoom = true
	return true
}

// forget drops series that have gone for long.
func (r *Rule) forget(st *stepping) {
	for _, s := range r.scratch.present {
		s.seen = max(s.seen, st.t)
	}
	for _, s := range r.series {
		if st.t-s.seen > forgetAfter {
			r.drop(s)
			s.until = st.t
			r.scratch.ended = append(r.scratch.ended, s)
		}
	}
	if st.t > r.loaded {
		r.gone = nil
	}
}

// start makes a series, with the learned state of its cohort when it has one.
func (r *Rule) start(st *stepping, key string, ls labels.Labels) (s *Series, adopted bool, err error) {
	s, err = r.make(key, ls)
	if err != nil || len(r.spec.Cohort) == 0 || r.group != nil || st.past {
		// In the past one that had adopted would have been loaded, and others
		// know by now what they did not know then.
		return s, false, err
	}
	if st.cohorts == nil {
		st.cohorts = r.cohorts()
	}
	from := st.cohorts[r.cohortOf(ls)]
	if from == nil {
		return s, false, nil
	}
	if s.vector != nil {
		err = s.vector.StartFrom(from.vector)
	} else {
		err = s.scorer.StartFrom(from.scorer)
	}
	if err != nil { // it learns by itself
		s, err = r.make(key, ls)
		return s, false, err
	}
	return s, true, nil
}

// cohorts finds in each cohort the series that has learned for longest; of
// several ones the first by labels.
func (r *Rule) cohorts() map[string]*Series {
	out := map[string]*Series{}
	for _, s := range r.series {
		cohort := r.cohortOf(s.labels)
		best, n := out[cohort], s.learned()
		if n == 0 {
			continue
		}
		if best == nil || n > best.learned() || n == best.learned() && labels.Compare(s.labels, best.labels) < 0 {
			out[cohort] = s
		}
	}
	return out
}

func (r *Rule) cohortOf(ls labels.Labels) string {
	r.b.Reset(ls)
	return string(r.b.Keep(r.spec.Cohort...).Labels().Bytes(nil))
}

// learned is for how many milliseconds the series' model has learned.
func (s *Series) learned() int64 {
	if s.vector != nil {
		return s.vector.Learned()
	}
	return s.scorer.Learned()
}
