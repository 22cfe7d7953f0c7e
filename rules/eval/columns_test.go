package eval

import (
	"fmt"
	"math"
	"math/rand"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// directly runs a model over lines without a rule around it.
func directly(t *testing.T, e lang.ModelExpr, c detect.ScorerConfig, n int) func(t int64, values []float64) detect.Verdict {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if call, ok := e.(lang.Call); ok && lang.TraitsOf(call.Name).Group {
		m, err := BuildGroupModel(e)
		must(err)
		g := detect.NewGroupScorer(m, c)
		return func(t int64, values []float64) detect.Verdict {
			var members []detect.Member
			for i, v := range values {
				key := string(labels.FromStrings("member", strconv.Itoa(i+1)).BytesWithoutLabels(nil))
				members = append(members, detect.Member{Key: key, V: v})
			}
			nan := math.NaN()
			worst := detect.Verdict{Score: nan, Expected: nan, Lower: nan, Upper: nan}
			for i, v := range g.Step(t, members, nil) {
				if i == 0 || math.IsNaN(worst.Score) || v.Score > worst.Score {
					worst = v.Verdict
				}
			}
			return worst
		}
	}
	if n > 1 {
		m, err := BuildVectorModel(e, n)
		must(err)
		s := detect.NewVectorScorer(m, c)
		return func(t int64, values []float64) detect.Verdict { return s.Step(detect.Vector{T: t, V: values}, nil) }
	}
	m, err := BuildModel(e)
	must(err)
	s := detect.NewScorer(m, c)
	return func(t int64, values []float64) detect.Verdict { return s.Step(detect.Point{T: t, V: values[0]}) }
}

// TestColumnsEqualTheModelItself holds every model under a rule against the
// model alone, to the bit.
func TestColumnsEqualTheModelItself(t *testing.T) {
	for _, text := range quick {
		e, err := lang.ParseModel(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 2, 5} {
			for seed, direction := range []lang.Direction{lang.Both, lang.Above, lang.Below} {
				rnd := rand.New(rand.NewSource(int64(seed)))
				spec := lang.NewAnomaly(e)
				spec.Direction = direction
				c, err := NewColumns(*spec, n)
				if err != nil {
					t.Fatalf("%s of %d columns: %v", text, n, err)
				}
				want := directly(t, e, detect.ScorerConfig{Direction: [...]detect.Direction{detect.Both, detect.Above, detect.Below}[direction]}, n)
				at := began
				for i := range 200 {
					at += minute
					if rnd.Intn(50) == 0 {
						at += 150 * minute
					}
					values := make([]float64, n)
					for k := range values {
						values[k] = 100 + 20*math.Sin(float64(i)/10) + rnd.NormFloat64()
						switch rnd.Intn(60) {
						case 0:
							values[k] = math.NaN()
						case 1:
							values[k] *= 10
						}
					}
					got, err := c.Step(at, values)
					if err != nil {
						t.Fatalf("%s of %d columns, line %d: %v", text, n, i, err)
					}
					if w := want(at, values); verdictBits(got) != verdictBits(w) {
						t.Fatalf("%s of %d columns, direction %s, line %d: %+v, want %+v", text, n, direction, i, got, w)
					}
				}
			}
		}
	}
}

func verdictBits(v detect.Verdict) string {
	return fmt.Sprintf("%x %x %x %x %s", math.Float64bits(v.Score), math.Float64bits(v.Expected), math.Float64bits(v.Lower), math.Float64bits(v.Upper), v.State)
}

func TestColumnsOfAnotherNumber(t *testing.T) {
	c, err := NewColumns(*lang.NewAnomaly(lang.DefaultModel()), 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Step(began, []float64{1}); err == nil {
		t.Error("a line of one number after lines of two is taken")
	}
}

// TestColumnsTellOfAClockThatWasAhead starts over more than an hour before the
// newest line, not before.
func TestColumnsTellOfAClockThatWasAhead(t *testing.T) {
	c, err := NewColumns(*lang.NewAnomaly(lang.DefaultModel()), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []struct {
		at          int64
		startedOver bool
	}{{began, false}, {began - 60*minute, false}, {began - 61*minute, true}, {began, false}} {
		if _, err := c.Step(line.at, []float64{1}); err != nil {
			t.Fatal(err)
		}
		if c.StartedOver() != line.startedOver {
			t.Errorf("at %d: started over %v", line.at, c.StartedOver())
		}
	}
}

// TestScoresLieWhereTheLanguageSays holds what `chiron check` knows of scores
// against those that models give, of one series and of two inputs.
func TestScoresLieWhereTheLanguageSays(t *testing.T) {
	for _, text := range []string{"auto", "zscore(threshold=3)"} {
		model, err := lang.ParseModel(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 2} {
			c, err := NewColumns(*lang.NewAnomaly(model), n)
			if err != nil {
				t.Fatal(err)
			}
			rnd, top, values := rand.New(rand.NewSource(1)), 0.0, make([]float64, n)
			for i := range 3000 {
				for k := range values {
					values[k] = 100 + rnd.NormFloat64()
					if i%1000 > 990 {
						values[k] = 1e12
					}
				}
				v, err := c.Step(began+int64(i)*minute, values)
				if err != nil {
					t.Fatal(err)
				}
				if v.Score > lang.UsualScore && v.Score < lang.AnomalousScore {
					t.Fatalf("%s of %d values: a score of %g is neither usual nor anomalous", text, n, v.Score)
				}
				if !math.IsNaN(v.Score) {
					top = max(top, v.Score)
				}
			}
			most := float64(lang.MostScore)
			if text == "auto" {
				most = lang.MostRankScore
			}
			if top > most || top < 0.8*most {
				t.Errorf("%s of %d values scores %g at most, want up to %g", text, n, top, most)
			}
		}
	}
}
