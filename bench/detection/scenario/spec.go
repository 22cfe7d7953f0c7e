// Package scenario makes series of known shape with known incidents and judges
// what a detector says about them by what somebody on call needs: each incident
// told, in time, again when it happens again, for as long as it lasts, and
// nothing else. It knows no model.
//
// A spec describes kinds of series by ranges; a seed draws one instance of each.
// The same spec and seed give the same series everywhere.
package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Spec is a list of kinds.
type Spec struct {
	Note  string
	Kinds []Kind
}

// Kind describes series of one kind.
type Kind struct {
	Name string
	Note string
	Step int64  // seconds
	Days Range  // length
	Zone string // civil time of daily shapes, UTC unless given
	// DST is the time from the start to the next change of the zone's offset;
	// without it the start is a Monday at random.
	DST       *Range
	Learn     Range // nothing is judged before
	Base      Node
	Incidents []Incident

	// What happens to the finished values and times, in this order.
	Counter *Range // the values are rates per second, shown as a counter that is reset so often
	Clip    *Range // lowest value
	Round   *Range // decimals
	Gaps    *Range // share of samples missing at random
	Jitter  *Range // shift of each time, as a share of the step
}

// Node is a part of the base shape: an operation with parameters.
type Node struct {
	Op, ID string
	Of     []Node
	Params map[string]Range
	op     *op
}

// Incident is something that happens to the series, and what is to be said
// about it. Without at and after it is put at random into the judged time.
type Incident struct {
	Kind   string
	Note   string
	Target string // ID of the node that it happens to; the whole series if empty

	At, After *Range // from the start of the series, or from the end of the incident before
	Hour      *Range // local hour of the start
	Days      string // weekday, weekend
	For       *Range

	Sigma, Factor, Add, To *Range // size
	Sign                   string // of sigma: up (default), down, both
	Ramp                   *Range // until the full size is reached
	By                     *Range // of phase
	Every                  *Range // of recur
	Report                 *Range // of leak: the share of its growth at which it must be told

	Repeat *Range // how many, all of the same size
	Gap    *Range // between these

	Truth   string  // must (default), may, quiet
	Visible float64 // at least so many sigma; else another place is tried
	Within  *Range
	Recover *Range // after the end nothing is judged for so long
	Accept  *Range // of level, dst: from then on it is normal
	Learn   int    // of recur: normal after so many (default 3)
}

// Range is a number to be drawn. In JSON: 5, "90s", [lo, hi], {"log": [lo, hi]},
// {"int": [lo, hi]}, {"choice": [...]}; numbers may be durations, which are seconds.
type Range struct {
	how string // "", log, int, choice
	v   []float64
}

// Fixed is the range of one number.
func Fixed(v float64) Range { return Range{how: "choice", v: []float64{v}} }

func (r Range) draw(g *rand.Rand) float64 {
	switch u := g.Float64(); r.how {
	case "choice":
		return r.v[min(int(u*float64(len(r.v))), len(r.v)-1)]
	case "log":
		return r.v[0] * math.Pow(r.v[1]/r.v[0], u)
	case "int":
		return r.v[0] + math.Floor(u*(r.v[1]-r.v[0]+1))
	default:
		return r.v[0] + u*(r.v[1]-r.v[0])
	}
}

func drawOr(r *Range, g *rand.Rand, otherwise float64) float64 {
	if r == nil {
		g.Float64() // the draws that follow stay the same
		return otherwise
	}
	return r.draw(g)
}

func (r Range) max() float64 { return slices.Max(r.v) }

func (r Range) min() float64 { return slices.Min(r.v) }

// UnmarshalJSON reads the forms above.
func (r *Range) UnmarshalJSON(b []byte) error {
	var raw any
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	numbers := func(list any) ([]float64, error) {
		l, ok := list.([]any)
		if !ok || len(l) == 0 {
			return nil, fmt.Errorf("not a list: %s", b)
		}
		out := make([]float64, len(l))
		for i, x := range l {
			var err error
			if out[i], err = number(x); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	var err error
	switch x := raw.(type) {
	case []any:
		r.v, err = numbers(x)
	case map[string]any:
		if len(x) != 1 {
			return fmt.Errorf("one of log, int, choice expected: %s", b)
		}
		for how, list := range x {
			if how != "log" && how != "int" && how != "choice" {
				return fmt.Errorf("unknown range %q", how)
			}
			r.how = how
			r.v, err = numbers(list)
		}
	default:
		var v float64
		v, err = number(raw)
		*r = Fixed(v)
	}
	if err != nil {
		return err
	}
	if r.how != "choice" && (len(r.v) != 2 || r.v[0] > r.v[1]) {
		return fmt.Errorf("two ascending numbers expected: %s", b)
	}
	if r.how == "log" && r.v[0] <= 0 {
		return fmt.Errorf("positive numbers expected: %s", b)
	}
	return nil
}

var units = map[byte]float64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}

// number reads a number or a duration such as "1d12h".
func number(x any) (float64, error) {
	switch x := x.(type) {
	case float64:
		return x, nil
	case string:
		sum, rest := 0.0, x
		for rest != "" {
			end := strings.IndexFunc(rest, func(c rune) bool { return c != '.' && (c < '0' || c > '9') })
			if end <= 0 || units[rest[end]] == 0 {
				return 0, fmt.Errorf("not a duration: %q", x)
			}
			v, err := strconv.ParseFloat(rest[:end], 64)
			if err != nil {
				return 0, err
			}
			sum += v * units[rest[end]]
			rest = rest[end+1:]
		}
		return sum, nil
	}
	return 0, fmt.Errorf("neither number nor duration: %v", x)
}

// UnmarshalJSON reads {"op": "gauss", "sigma": [1, 2]}; a bare number or range
// is a constant.
func (n *Node) UnmarshalJSON(b []byte) error {
	var raw map[string]json.RawMessage
	if json.Unmarshal(b, &raw) != nil || raw["op"] == nil {
		var r Range
		if err := r.UnmarshalJSON(b); err != nil {
			return err
		}
		*n = Node{Op: "const", Params: map[string]Range{"value": r}, op: ops["const"]}
		return nil
	}
	n.Params = map[string]Range{}
	for k, v := range raw {
		var err error
		switch k {
		case "op":
			err = json.Unmarshal(v, &n.Op)
		case "id":
			err = json.Unmarshal(v, &n.ID)
		case "of":
			err = json.Unmarshal(v, &n.Of)
		default:
			var r Range
			err = json.Unmarshal(v, &r)
			n.Params[k] = r
		}
		if err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
	}
	op, ok := ops[n.Op]
	if !ok {
		return fmt.Errorf("unknown op %q", n.Op)
	}
	n.op = op
	if op.children >= 0 && len(n.Of) != op.children {
		return fmt.Errorf("%s takes %d in of", n.Op, op.children)
	}
	for k := range n.Params {
		if !slices.Contains(strings.Fields(op.required+" "+op.optional), k) {
			return fmt.Errorf("%s has no parameter %q", n.Op, k)
		}
	}
	for k := range strings.FieldsSeq(op.required) {
		if _, ok := n.Params[k]; !ok {
			return fmt.Errorf("%s needs %q", n.Op, k)
		}
	}
	return nil
}

// Parse reads a spec.
func Parse(b []byte) (Spec, error) {
	var s Spec
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, err
	}
	seen := map[string]bool{}
	for _, k := range s.Kinds {
		if err := k.check(); err != nil {
			return s, fmt.Errorf("%s: %w", k.Name, err)
		}
		if seen[k.Name] {
			return s, fmt.Errorf("two kinds %q", k.Name)
		}
		seen[k.Name] = true
	}
	return s, nil
}

// Read reads a spec file.
func Read(path string) (Spec, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Spec{}, err
	}
	s, err := Parse(b)
	if err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// Bounds of a series, so that a slip of the hand does not take all memory.
const (
	minSamples = 10
	maxSamples = 20_000_000
	maxRepeat  = 1000
)

func (k *Kind) check() error {
	if k.Name == "" || k.Step <= 0 || k.Days.v == nil || k.Learn.v == nil || k.Base.Op == "" {
		return fmt.Errorf("name, step, days, learn and base are needed")
	}
	if fewest, most := k.Days.min()*86400/float64(k.Step), k.Days.max()*86400/float64(k.Step); fewest < minSamples || most > maxSamples {
		return fmt.Errorf("%.0f to %.0f samples; want %d to %d", fewest, most, minSamples, maxSamples)
	}
	ids := map[string]string{} // operation of each node that has one
	var walk func(*Node) error
	walk = func(n *Node) error {
		if n.ID != "" {
			if ids[n.ID] != "" {
				return fmt.Errorf("two nodes %q", n.ID)
			}
			ids[n.ID] = n.Op
		}
		if every, ok := n.Params["every"]; ok && every.min() < float64(k.Step) {
			return fmt.Errorf("%s: every is shorter than the step", n.Op)
		}
		for i := range n.Of {
			if err := walk(&n.Of[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(&k.Base); err != nil {
		return err
	}
	for i, in := range k.Incidents {
		fail := func(format string, a ...any) error {
			return fmt.Errorf("incident %d (%s): %s", i, in.Kind, fmt.Sprintf(format, a...))
		}
		if !slices.Contains(incidentKinds, in.Kind) {
			return fail("unknown kind")
		}
		if in.Target != "" && ids[in.Target] == "" {
			return fail("no node %q", in.Target)
		}
		if in.Kind == "nojob" && ids[in.Target] != "job" {
			return fail("the target is no job")
		}
		if in.Kind == "weekend" && ids[in.Target] != "week" {
			return fail("the target is no week")
		}
		sizes := 0
		for _, r := range []*Range{in.Sigma, in.Factor, in.Add, in.To} {
			if r != nil {
				sizes++
			}
		}
		switch in.Kind {
		case "shift", "level", "leak", "recur", "glitch":
			if sizes != 1 {
				return fail("one of sigma, factor, add, to is needed")
			}
		case "variance", "frequency":
			if in.Factor == nil || sizes != 1 {
				return fail("factor is needed")
			}
		default:
			if sizes != 0 {
				return fail("takes no size")
			}
		}
		switch in.Kind {
		case "shift", "leak", "stuck", "variance", "phase", "frequency", "hole", "recur":
			if in.For == nil {
				return fail("for is needed")
			}
		}
		if in.Repeat != nil && in.Repeat.max() > maxRepeat {
			return fail("repeat is more than %d", maxRepeat)
		}
		if in.Every != nil && in.Every.min() < float64(k.Step) {
			return fail("every is shorter than the step")
		}
		if in.Kind == "recur" && in.Every == nil || in.Kind == "phase" && in.By == nil || in.Kind == "level" && in.Accept == nil {
			return fail("every, by, accept: one is missing")
		}
		if !slices.Contains([]string{"", "must", "may", "quiet"}, in.Truth) || !slices.Contains([]string{"", "up", "down", "both"}, in.Sign) || !slices.Contains([]string{"", "weekday", "weekend"}, in.Days) {
			return fail("truth, sign or days")
		}
	}
	return nil
}
