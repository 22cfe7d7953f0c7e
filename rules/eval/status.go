package eval

import (
	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/rules/detect"
)

// Stages counts the series by how far their models are.
func (r *Rule) Stages() (out [detect.Frozen + 1]int) {
	for _, s := range r.series {
		out[s.stage()]++
	}
	return out
}

// Oldest is when the series that the rule has followed for longest began, in
// milliseconds; the time of the newest step without any.
func (r *Rule) Oldest() int64 {
	oldest := r.now
	for _, s := range r.series {
		oldest = min(oldest, s.born)
	}
	return oldest
}

// Choice is what a model that chooses has chosen for one series, and why.
type Choice struct {
	Labels labels.Labels
	Text   string
}

// Choices are those of the series of the newest step in their order, at most
// most of them. nil: the rule's model does not choose.
func (r *Rule) Choices(most int) []Choice {
	if !hasAuto(r.spec.Model) {
		return nil
	}
	var out []Choice
	for _, s := range r.scratch.present {
		if s.scorer == nil || len(out) == most {
			break
		}
		if c, ok := s.scorer.Model().(interface{ Choice() string }); ok && c.Choice() != "" {
			out = append(out, Choice{s.labels, c.Choice()})
		}
	}
	return out
}
