package eval

import (
	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// Admit sets how many bytes the models of the rule may be charged for; a
// negative number is no limit. Over it the rule takes no new series and keeps
// those that it has.
func (r *Rule) Admit(bytes int64) { r.room = bytes }

// Held is how many bytes the models hold, and Charged how many they are
// expected to hold once all of them have learned: what a new series costs.
func (r *Rule) Held() int64 { return r.held }

// Charged is at least Held.
func (r *Rule) Charged() int64 { return r.charged }

// fits reports whether one more model may be made, for which series that have
// gone make room.
func (r *Rule) fits(st *stepping) bool {
	if st.past { // what is charged now was not charged then
		return r.room < 0 || int64(r.population(st)+1)*r.grown <= r.room
	}
	if r.room < 0 {
		return true
	}
	r.findSpare(st)
	if r.charged-st.spareBytes+r.grown > r.room {
		return false // what has gone would be lost for nothing
	}
	for r.charged+r.grown > r.room {
		if !r.makeRoom(st) {
			return false
		}
	}
	return true
}

// overhead is what the rule itself holds of a series, besides its model and
// the text of its labels: the struct, the places in maps, the labels of outputs.
const overhead = 1024

// measure takes the size of a series anew.
func (r *Rule) measure(s *Series) {
	if s.held > 0 {
		r.held -= s.held
		r.charged -= max(s.held, r.grown)
	}
	s.held = overhead
	if l := s.learner(); l != nil {
		s.held += int64(detect.Size(l))
	}
	r.held += s.held
	r.charged += max(s.held, r.grown)
}

// measureShared takes the size of the model of all series anew.
func (r *Rule) measureShared() {
	now := int64(detect.Size(r.group))
	r.held += now - r.sharedHeld
	r.charged += now - r.sharedHeld
	r.sharedHeld = now
}

// Small tells of the groups of a rule over peers that are too small to be
// judged, as of the newest step.
func (r *Rule) Small() detect.Small {
	if r.group == nil {
		return detect.Small{}
	}
	return r.group.Small()
}

// grownSize is what one series' model holds once it has learned.
func grownSize(spec *lang.Anomaly) (int64, error) {
	s := &Series{}
	if err := (&Rule{spec: spec, config: scorerConfig(spec)}).equip(s); err != nil {
		return 0, err
	}
	if l := s.learner(); l != nil {
		return overhead + int64(detect.Grown(l)), nil
	}
	return overhead, nil
}
