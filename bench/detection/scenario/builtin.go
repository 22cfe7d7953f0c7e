package scenario

import _ "embed"

//go:embed scenarios.json
var builtin []byte

// Builtin is the spec that detectors are developed with.
func Builtin() (Spec, error) { return Parse(builtin) }

// Truth says what is expected of sample i, Must, May or Quiet, and because of
// which incident.
func (in *Instance) Truth(i int) (kind, of string) {
	kind = Quiet
	t := in.Times[i]
	for _, w := range in.Windows {
		if t < w.From || t > w.To {
			continue
		}
		switch {
		case w.Kind == Must:
			return Must, w.Of
		case w.Kind == Quiet:
			kind, of = Quiet, w.Of
		case kind == Quiet && of == "":
			kind, of = May, w.Of
		}
	}
	return kind, of
}
