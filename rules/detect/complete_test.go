package detect

import (
	"bytes"
	"encoding"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chironhq/chiron/rules/lang"
)

// saved is what carries its whole state.
type saved interface {
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// moment is what a subject is given at one time.
type moment struct {
	t       int64
	newer   bool       // than all before
	v       [3]float64 // a series takes the first, a ratio the second and the third, inputs all
	members []Member
}

// subject is one way in which a rule runs models: a fresh one, and its step,
// which returns every number that it answers.
type subject struct {
	name  string
	fresh func() saved
	step  func(s saved, m moment) []float64
}

func numbers(vs ...Verdict) (out []float64) {
	for _, v := range vs {
		out = append(out, v.Score, v.Expected, v.Lower, v.Upper, float64(v.State))
	}
	return out
}

// someTimes leaves out seven minutes now and then.
var someTimes = ScorerConfig{Warmup: 20 * time.Minute, Excluded: func(t int64) bool { return t/60_000%97 < 7 }}

func seriesSubject(name string, model func() Model, ahead bool) subject {
	return subject{
		name: name,
		fresh: func() saved {
			s := NewScorer(model(), someTimes)
			if ahead {
				s.LookAhead(must(NewTrend(TrendConfig{Window: time.Hour})))
			}
			return s
		},
		step: func(x saved, m moment) []float64 {
			s := x.(*Scorer)
			out := numbers(s.Step(Point{m.t, m.v[0]}))
			for _, h := range []int64{60_000, 86_400_000} {
				mid, lower, upper := s.Forecast(m.t+h, 0.9)
				out = append(out, mid, lower, upper)
			}
			return append(out, float64(s.Learned()))
		},
	}
}

func ratioSubject(name string, model func() Model) subject {
	return subject{
		name:  name,
		fresh: func() saved { return NewScorer(model(), someTimes) },
		step: func(x saved, m moment) []float64 {
			ratio, v := x.(*Scorer).StepRatio(m.t, math.Round(m.v[1]/10), math.Round(m.v[2]))
			return append(numbers(v), ratio)
		},
	}
}

func vectorSubject(name string, model func() VectorModel) subject {
	return subject{
		name:  name,
		fresh: func() saved { return NewVectorScorer(model(), someTimes) },
		step: func(x saved, m moment) []float64 {
			share := make([]float64, len(m.v))
			v := x.(*VectorScorer).Step(Vector{m.t, m.v[:]}, share)
			return append(append(numbers(v), share...), float64(x.(*VectorScorer).Learned()))
		},
	}
}

func groupSubject(name string, model func() (GroupModel, error)) subject {
	return subject{
		name:  name,
		fresh: func() saved { return NewGroupScorer(must2(model()), someTimes) },
		step: func(x saved, m moment) (out []float64) {
			if !m.newer { // times of groups do not go back
				return nil
			}
			for _, v := range x.(*GroupScorer).Step(m.t, m.members, nil) {
				out = append(append(out, numbers(v.Verdict)...), v.V)
				for _, c := range v.Key {
					out = append(out, float64(c))
				}
			}
			return out
		},
	}
}

func newRatio() Model { return must(NewRatio(RatioConfig{Window: time.Hour})) }

// subjects are all models in all ways in which a rule runs them.
func subjects() (out []subject) {
	for name, fresh := range kinds {
		out = append(out, seriesSubject(name, fresh, false), ratioSubject(name+" of a ratio", fresh))
		if name != "any" && name != "all" {
			out = append(out, vectorSubject(name+" an input", func() VectorModel {
				return must2(NewEach(fresh(), fresh(), fresh()))
			}))
		}
	}
	autoAnd := func(combine func(...Model) (*Combined, error), others ...string) func() Model {
		return func() Model {
			models := []Model{kinds["auto"]()}
			for _, o := range others {
				models = append(models, kinds[o]())
			}
			return must(combine(models...))
		}
	}
	out = append(out,
		seriesSubject("auto, looking ahead", kinds["auto"], true),
		seriesSubject("auto + count + discord, looking ahead", autoAnd(NewAny, "count", "discord"), true),
		seriesSubject("auto & quantile & trend", autoAnd(NewAll, "quantile", "trend"), false),
		ratioSubject("ratio", newRatio),
		ratioSubject("ratio + zscore", func() Model { return must(NewAny(newRatio(), kinds["zscore"]())) }),
		ratioSubject("ratio & auto", func() Model { return must(NewAll(newRatio(), kinds["auto"]())) }),
		vectorSubject("iforest & auto of inputs", func() VectorModel {
			return must2(NewAllVector(must2(NewIForest(IForestConfig{Trees: 10, Window: time.Hour, Inputs: 3})), must2(NewJoint(JointConfig{Inputs: 3}))))
		}),
	)
	for _, m := range vectorModels {
		out = append(out, vectorSubject(m.name+" of inputs", func() VectorModel { return must2(m.make(3)) }))
	}
	for _, m := range groupModels {
		out = append(out, groupSubject(m.name, m.make))
	}
	slices.SortFunc(out, func(a, b subject) int { return strings.Compare(a.name, b.name) })
	return out
}

// TestEveryModelOfTheTableIsASubject keeps the list of subjects complete.
func TestEveryModelOfTheTableIsASubject(t *testing.T) {
	known := map[string]bool{}
	for _, s := range subjects() {
		known[s.name] = true
	}
	for _, m := range lang.Models {
		if !known[m.Name] {
			t.Errorf("%s is in no test of saved states", m.Name)
		}
	}
}

// roughly makes moments as bad as a series has them: gaps, times that stand
// still or go back, missing and absurd values, spikes and constants.
func roughly(r *rand.Rand, n int) []moment {
	out := make([]moment, n)
	at, still, newest := int64(1_700_000_000_000), 0, int64(0)
	values := [3]float64{}
	for i := range out {
		switch k := r.IntN(400); {
		case k < 8: // again
		case k < 16:
			at -= r.Int64N(300_000)
		case k < 24:
			at += r.Int64N(4 * 3_600_000)
		case k < 25:
			at += r.Int64N(9 * 86_400_000)
		case k < 120:
			at += 60_000
		default:
			at += 30_000 + r.Int64N(60_000)
		}
		if still--; still < 0 {
			for j := range values {
				values[j] = 100 + 20*math.Sin(2*math.Pi*float64(at)/3_600_000+float64(j)) + r.NormFloat64()
			}
			if r.IntN(150) == 0 {
				still = r.IntN(40)
			}
		}
		m := moment{t: at, newer: at > newest, v: values}
		newest = max(newest, at)
		for j := range m.v {
			switch k := r.IntN(1000); {
			case k < 30:
				m.v[j] = math.NaN()
			case k < 50:
				m.v[j] *= 10 * r.NormFloat64()
			case k < 54:
				m.v[j] = []float64{math.Inf(1), math.Inf(-1), 1e300, 0, math.Copysign(0, -1), 5e-324}[r.IntN(6)]
			}
		}
		for k := range 9 {
			if v := m.v[k%3] + r.NormFloat64(); r.IntN(12) > 0 {
				m.members = append(m.members, Member{Key: fmt.Sprint(k, "-", i/200), Group: []string{"a", "b"}[k%2], V: v})
			}
		}
		out[i] = m
	}
	return out
}

// sameBits tells whether two answers are equal to the bit, whatever bits make a NaN.
func sameBits(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool {
		return math.Float64bits(x) == math.Float64bits(y) || math.IsNaN(x) && math.IsNaN(y)
	})
}

// reloaded is a fresh one with the state of another.
func reloaded(t *testing.T, s subject, from saved) saved {
	t.Helper()
	b, err := from.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	to := s.fresh()
	if err := to.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestSaveAndLoadEqualsNeverStopped saves and loads after every k-th moment:
// all answers and the last state are those of one that was never stopped.
func TestSaveAndLoadEqualsNeverStopped(t *testing.T) {
	for _, s := range subjects() {
		t.Run(s.name, func(t *testing.T) {
			for seed, k := range []int{1, 7, 25, 60, 150} {
				through, stopped := s.fresh(), s.fresh()
				for i, m := range roughly(rand.New(rand.NewPCG(uint64(seed), 1)), min(60+40*k, 1500)) {
					if i%k == 0 {
						stopped = reloaded(t, s, stopped)
					}
					if a, b := s.step(through, m), s.step(stopped, m); !sameBits(a, b) {
						t.Fatalf("seed %d, moment %d: %v, and %v when saved every %d", seed, i, a, b, k)
					}
				}
				if !bytes.Equal(must2(through.AppendBinary(nil)), must2(stopped.AppendBinary(nil))) {
					t.Fatalf("seed %d: another state when saved every %d", seed, k)
				}
			}
		})
	}
}

// TestWhatStartsFromAnotherIsSavedAsSuch saves between the start from another
// one and the first point of its own, which must not be judged then either.
func TestWhatStartsFromAnotherIsSavedAsSuch(t *testing.T) {
	for _, s := range subjects() {
		t.Run(s.name, func(t *testing.T) {
			past, own := roughly(rand.New(rand.NewPCG(3, 1)), 500), roughly(rand.New(rand.NewPCG(4, 1)), 60)
			from, through := s.fresh(), s.fresh()
			for _, m := range past {
				s.step(from, m)
			}
			switch x := through.(type) {
			case *Scorer:
				if err := x.StartFrom(from.(*Scorer)); err != nil {
					t.Fatal(err)
				}
			case *VectorScorer:
				if err := x.StartFrom(from.(*VectorScorer)); err != nil {
					t.Fatal(err)
				}
			default:
				return // groups have no cohorts
			}
			stopped := reloaded(t, s, through)
			for i, m := range own {
				m.t += 86_400_000
				stopped = reloaded(t, s, stopped)
				if a, b := s.step(through, m), s.step(stopped, m); !sameBits(a, b) {
					t.Fatalf("moment %d: %v, and %v when saved", i, a, b)
				}
			}
		})
	}
}
