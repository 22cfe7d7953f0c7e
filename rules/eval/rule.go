package eval

import (
	"encoding"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// Rule is one anomaly rule and everything its models have learned. It belongs
// to one goroutine at a time.
type Rule struct {
	spec   *lang.Anomaly
	config detect.ScorerConfig
	join   []string // sorted labels that join inputs
	by     []string // sorted labels that divide the members of a group

	metrics   []string // names of what is written for every point; empty: nothing is
	written   []string // sorted labels that the rule writes over those of its series
	replacing bool     // some series has had one of them

	series map[string]*Series
	group  *detect.GroupScorer  // judges all series together; nil: each has a model
	gone   map[string][]*Series // earlier lives of series, while what was lost is learned again; they have no models
	now    int64                // milliseconds of the newest step, or of what was loaded; 0: none
	before int64                // of the step before this one, or of what was loaded; 0: none
	last   int64                // of the newest step; 0: none
	loaded int64                // newest time up to which any loaded record has learned; 0: none was loaded
	group1 int64                // up to which the loaded model of all series has learned

	room       int64 // most bytes that models may be charged for; negative: no limit
	held       int64 // bytes that they hold
	charged    int64 // bytes that they will hold when they have learned
	grown      int64 // bytes of one model that has learned
	sharedHeld int64 // of held, the model of all series
	mark       uint64
	b          *labels.Builder
	buf        []byte
	scratch    scratch
}

// Series is one series of a rule, or one entity of several inputs.
type Series struct {
	key    string
	labels labels.Labels // of the expression, without a metric name, or those that join inputs
	scorer *detect.Scorer
	vector *detect.VectorScorer // of inputs, instead of scorer
	state  detect.State         // of a member of a group, which has no model of its own

	born   int64  // milliseconds of its first step
	seen   int64  // of the newest step that had it
	until  int64  // of the newest step at which it counted; valid once it has ended
	loaded int64  // up to which its record has learned; 0: it was not loaded
	held   int64  // bytes, as last measured
	mark   uint64 // of the newest step that had it

	// What the step under way has of it.
	value  float64
	of     float64         // the total of a ratio
	values []float64       // by input, NaN when it is missing
	from   []labels.Labels // by input, whose value it is
	has    []bool

	replaced bool  // has a label that the rule writes over
	out      names // labels of its outputs; made when they are first written
}

// New makes the rule without anything learned. The limit of its bytes is off.
func New(spec *lang.Anomaly) (*Rule, error) {
	r := &Rule{
		spec: spec, config: scorerConfig(spec), series: map[string]*Series{}, room: -1, b: labels.NewBuilder(labels.EmptyLabels()),
		join: slices.Sorted(slices.Values(spec.Join)), metrics: spec.Output.Metrics(), written: written(spec),
	}
	var err error
	if r.group, r.by, err = groupOf(spec); err != nil {
		return nil, err
	}
	if r.grown, err = grownSize(spec); err != nil {
		return nil, err
	}
	return r, nil
}

// shared reports whether the rule's model judges all series together.
func shared(spec *lang.Anomaly) bool {
	call, ok := spec.Model.(lang.Call)
	return ok && lang.TraitsOf(call.Name).Group
}

// groupOf makes the scorer of a rule whose model judges all series together
// and names the labels that divide them; nil for other models.
func groupOf(spec *lang.Anomaly) (g *detect.GroupScorer, by []string, err error) {
	if !shared(spec) {
		return nil, nil, nil
	}
	call := spec.Model.(lang.Call)
	m, err := BuildGroupModel(spec.Model)
	if err != nil {
		return nil, nil, err
	}
	return detect.NewGroupScorer(m, scorerConfig(spec)), slices.Sorted(slices.Values(call.Args.Strings("by"))), nil
}

// Spec is the rule that this is the evaluation of.
func (r *Rule) Spec() *lang.Anomaly { return r.spec }

// Now is the time of the newest step, or up to which the newest record that was
// loaded has learned, in milliseconds; 0 before the first one.
func (r *Rule) Now() int64 { return r.now }

// Len is how many series the rule follows.
func (r *Rule) Len() int { return len(r.series) }

// Labels are those of the series, without a metric name.
func (s *Series) Labels() labels.Labels { return s.labels }

// Key tells the series of a rule apart.
func (s *Series) Key() string { return s.key }

// learner is what a series runs; nil for a member of a group.
type learner interface {
	Name() string
	State() detect.State
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

func (s *Series) learner() learner {
	switch {
	case s.vector != nil:
		return s.vector
	case s.scorer != nil:
		return s.scorer
	}
	return nil
}

// stage tells how far its model is.
func (s *Series) stage() detect.State {
	if l := s.learner(); l != nil {
		return l.State()
	}
	return s.state
}

// bare is a series without a model.
func (r *Rule) bare(key string, ls labels.Labels) *Series {
	s := &Series{key: key, labels: ls, replaced: slices.ContainsFunc(r.written, ls.Has)}
	if n := len(r.spec.Inputs); n > 0 {
		s.values, s.from, s.has = make([]float64, n), make([]labels.Labels, n), make([]bool, n)
	}
	return s
}

// make is a series with its model.
func (r *Rule) make(key string, ls labels.Labels) (*Series, error) {
	s := r.bare(key, ls)
	r.replacing = r.replacing || s.replaced
	return s, r.equip(s)
}

// equip gives a series its model.
func (r *Rule) equip(s *Series) error {
	n := len(r.spec.Inputs)
	switch {
	case shared(r.spec):
	case n > 0:
		m, err := BuildVectorModel(r.spec.Model, n)
		if err != nil {
			return err
		}
		s.vector = detect.NewVectorScorer(m, r.config)
	default:
		m, err := BuildModel(r.spec.Model)
		if err != nil {
			return err
		}
		s.scorer = detect.NewScorer(m, r.config)
		if r.spec.Forecast != nil && hasAuto(r.spec.Model) {
			ahead, err := detect.NewTrend(detect.TrendConfig{})
			if err != nil {
				return err
			}
			s.scorer.LookAhead(ahead)
		}
	}
	return nil
}

// hasAuto tells whether auto is the model or a part of it.
func hasAuto(e lang.ModelExpr) bool {
	return slices.ContainsFunc(lang.Calls(e), func(c lang.Call) bool { return c.Name == "auto" })
}

// inSource says which of several expressions an error is about.
func (r *Rule) inSource(i int, err error) error {
	if err == nil || len(r.spec.Inputs) == 0 && r.spec.Ratio == nil {
		return err
	}
	return fmt.Errorf("%s: %w", r.spec.Sources()[i].Name, err)
}
