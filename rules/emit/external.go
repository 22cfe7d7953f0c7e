package emit

import "github.com/prometheus/prometheus/model/labels"

// external are labels that series get on their way out where they have none of
// the name, in the order of names and without empty values.
type external []labels.Label

func newExternal(ls labels.Labels) external {
	var e external
	ls.WithoutEmpty().Range(func(l labels.Label) { e = append(e, l) })
	return e
}

// SetExternalLabels has every series that is queued from now on leave with
// these labels where it has none of the name; a label with an empty value is
// none. What was queued before keeps what it got then, over a restart too, as
// with Prometheus. It may be called at any time.
func (f *Forwarder) SetExternalLabels(ls labels.Labels) {
	e := newExternal(ls)
	f.external.Store(&e)
}

// joiner puts external labels on series. It belongs to one goroutine.
type joiner struct{ b labels.ScratchBuilder }

// join returns the labels of a series with the external ones. Both are sorted,
// so one pass over both does it.
func (j *joiner) join(own labels.Labels, e external) labels.Labels {
	if len(e) == 0 {
		return own
	}
	j.b.Reset()
	own.Range(func(l labels.Label) {
		if l.Value == "" {
			return
		}
		for len(e) > 0 && e[0].Name <= l.Name {
			if e[0].Name < l.Name {
				j.b.Add(e[0].Name, e[0].Value)
			}
			e = e[1:]
		}
		j.b.Add(l.Name, l.Value)
	})
	for _, l := range e {
		j.b.Add(l.Name, l.Value)
	}
	return j.b.Labels()
}
