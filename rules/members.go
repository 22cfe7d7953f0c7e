package rules

import (
	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// groupOf makes the scorer of a rule whose model judges all series together
// and names the labels that divide them; nil for other models.
func groupOf(spec *lang.Anomaly) (g *detect.GroupScorer, by []string, err error) {
	call, ok := spec.Model.(lang.Call)
	if !ok || !lang.TraitsOf(call.Name).Group {
		return nil, nil, nil
	}
	m, err := BuildGroupModel(spec.Model)
	if err != nil {
		return nil, nil, err
	}
	return detect.NewGroupScorer(m, scorerConfig(spec)), call.Args.Strings("by"), nil
}

// stepGroup has the group's model judge all series together. What it reports
// of members that are absent is written with the labels that they had.
func (r *anomalyRule) stepGroup(st *stepping, f frame) error {
	members := make([]detect.Member, 0, len(f.vectors[0]))
	for _, s := range f.vectors[0] {
		ls := withoutName(st.b, s)
		tr, err := r.find(st, ls)
		if err != nil {
			return err
		}
		if tr == nil {
			continue
		}
		m := detect.Member{Key: string(ls.Bytes(nil)), V: s.V}
		if len(r.by) > 0 {
			m.Group = string(st.b.Keep(r.by...).Labels().Bytes(nil))
		}
		members = append(members, m)
	}
	for _, v := range r.group.Step(st.t, members, nil) {
		tr := r.series[v.Key]
		if tr == nil {
			continue // absent, and its labels went over the limit
		}
		tr.seen, tr.state = st.t, v.State
		if st.emit {
			r.outputs(st, tr, r.group.Name(), v.V, v.Verdict)
		}
	}
	return nil
}
