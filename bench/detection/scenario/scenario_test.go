package scenario

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

var drawn = map[string]Instance{} // by kind and seed; drawing takes most of the time

func each(t *testing.T, seeds int, f func(t *testing.T, k *Kind, in *Instance)) {
	s, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Kinds {
		k := &s.Kinds[i]
		for seed := range seeds {
			key := fmt.Sprint(k.Name, seed+1)
			in, ok := drawn[key]
			if !ok {
				if in, err = k.Generate(uint64(seed + 1)); err != nil {
					t.Fatal(err)
				}
				drawn[key] = in
			}
			f(t, k, &in)
		}
	}
}

func TestDeterministic(t *testing.T) {
	each(t, 2, func(t *testing.T, k *Kind, in *Instance) {
		if in.Seed == 2 {
			other := drawn[k.Name+"1"]
			if reflect.DeepEqual(in.Times, other.Times) || reflect.DeepEqual(in.Values, other.Values) {
				t.Errorf("%s: two seeds, the same series", k.Name)
			}
			return
		}
		again, err := k.Generate(1)
		if err != nil {
			t.Fatal(err)
		}
		// As text, as windows may hold NaN.
		if !reflect.DeepEqual(in.Values, again.Values) || !reflect.DeepEqual(in.Times, again.Times) || fmt.Sprint(in.Windows) != fmt.Sprint(again.Windows) {
			t.Errorf("%s: twice the same seed, two series", k.Name)
		}
	})
}

func TestTruth(t *testing.T) {
	each(t, 2, checkTruth)
}

// The spec that is there for judging only holds what a spec must hold, and its
// kinds are other ones.
func TestUnseen(t *testing.T) {
	s, err := Read("unseen.json")
	if err != nil {
		t.Fatal(err)
	}
	known, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, k := range known.Kinds {
		names[k.Name] = true
	}
	steps := map[int64]int{}
	for i := range s.Kinds {
		k := &s.Kinds[i]
		if names[k.Name] {
			t.Errorf("%s: a kind of the built-in spec", k.Name)
		}
		steps[k.Step]++
		in, err := k.Generate(1)
		if err != nil {
			t.Fatal(err)
		}
		checkTruth(t, k, &in)
	}
	for _, step := range []int64{15, 30, 60, 300, 900, 3600} {
		if steps[step] < 10 {
			t.Errorf("%d kinds with a step of %d s", steps[step], step)
		}
	}
}

// checkTruth checks that times go forward and that incidents lie where they can
// be told.
func checkTruth(t *testing.T, k *Kind, in *Instance) {
	t.Helper()
	n := len(in.Times)
	if n != len(in.Values) || n < 400 {
		t.Fatalf("%s: %d samples", k.Name, n)
	}
	for i := range n {
		if math.IsNaN(in.Values[i]) || math.IsInf(in.Values[i], 0) {
			t.Fatalf("%s: value %v", k.Name, in.Values[i])
		}
		if i > 0 && in.Times[i] <= in.Times[i-1] {
			t.Fatalf("%s: time goes back at %d", k.Name, i)
		}
	}
	learned := in.Times[0] + int64(k.Learn.v[0])
	must := 0
	for _, w := range in.Windows {
		if w.Kind != Must {
			continue
		}
		must++
		if w.From < learned || w.To > in.Times[n-1] || w.To < w.From || w.Within <= 0 || w.Within > w.To-w.From+5*86400 {
			t.Errorf("%s: window %+v in %d..%d", k.Name, w, learned, in.Times[n-1])
		}
		inside := 0
		for _, x := range in.Times {
			if x >= w.From && x <= w.To {
				inside++
			}
		}
		if inside == 0 {
			t.Errorf("%s: no sample in %+v", k.Name, w)
		}
	}
	if quiet := strings.Contains(k.Name, "quiet") || strings.Contains(k.Name, "job-new"); quiet != (must == 0) {
		t.Errorf("%s: %d incidents", k.Name, must)
	}
}

// Detectors whose figures are known: one that knows the truth, one that says
// nothing, one that always shouts, one that tells only the start.
func TestKnownDetectors(t *testing.T) {
	var oracle, silent, always, starts []KindResult
	each(t, 1, func(t *testing.T, k *Kind, in *Instance) {
		n := len(in.Times)
		truth, none, all, edge := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
		class := in.classes()
		for i := range class {
			none[i], all[i] = math.NaN(), 2
			if class[i] == isIncident {
				truth[i] = 2
				if i > 0 && class[i-1] != isIncident {
					edge[i] = 2
				}
			}
		}
		add := func(to *[]KindResult, s, onset []float64) Result {
			r := Judge(in, s, onset, 1)
			var rank Ranking
			rank.Add(in, s)
			*to = append(*to, KindResult{Name: k.Name, Step: k.Step, Result: r, AveragePrecision: rank.AveragePrecision()})
			return r
		}
		if r := add(&oracle, truth, nil); r.All.Hit != r.All.Must || r.Lasting.Hit != r.Lasting.Must || r.All.False != 0 || r.Onset.Hit != r.Onset.Must {
			t.Errorf("%s: the oracle has %+v", k.Name, r.All)
		}
		if r := add(&silent, none, nil); r.All.Hit != 0 || r.All.False != 0 {
			t.Errorf("%s: the silent one has %+v", k.Name, r.All)
		}
		add(&always, all, nil)
		if r := add(&starts, none, edge); r.Lasting.Hit != 0 || r.Onset.False != 0 {
			t.Errorf("%s: the one for starts has %+v", k.Name, r.Onset)
		}
	})
	if s := Summarize(oracle); s.All.F1 != 1 || s.Onset.F1 != 1 || s.Lasting.F1 != 1 || s.Active != 1 || s.AveragePrecision != 1 || s.All.FalsePerWeek != 0 {
		t.Errorf("oracle: %+v", s)
	}
	if s := Summarize(silent); s.All.F1 != 0 || s.All.Recall != 0 || s.Active != 0 || s.All.FalsePerWeek != 0 {
		t.Errorf("silent: %+v", s)
	}
	if s := Summarize(always); s.Active != 1 || s.Onset.Recall > 0.1 || s.All.Precision > 0.05 || s.All.F1 > 0.1 || s.All.FalseDays < 0.95 {
		t.Errorf("always: %+v", s)
	}
	if s := Summarize(starts); s.Onset.Recall < 0.94 || s.Lasting.Recall != 0 || s.Onset.Precision != 1 { // days of a leak have no start of their own
		t.Errorf("starts: %+v", s)
	}
}

func TestJudge(t *testing.T) {
	in := Instance{Step: 60, Windows: []Window{
		{Kind: May, From: 0, To: 3600},
		{Kind: Must, From: 36000, To: 39600, Within: 900},
		{Kind: May, From: 39600, To: 41400},
		{Kind: Must, From: 50040, To: 50160, Within: 600},
	}}
	score := make([]float64, 3*1440)
	for i := range score {
		in.Times = append(in.Times, int64(60*i))
	}
	high := func(from, to int) {
		for s := from; s <= to; s += 60 {
			score[s/60] = 1.5
		}
	}
	high(1200, 1200)   // learning
	high(7200, 7200)   // false
	high(10800, 10800) // false, with the next one
	high(11040, 11040)
	high(11460, 11460) // 7 minutes later: false
	high(36300, 36900) // after 5 minutes, for 10
	high(40200, 40200) // allowed
	high(50520, 50520) // 8 minutes after the start, in time
	high(60000, 92400) // 9 hours: false, and twice again
	high(93600, 93600) // the next day, 20 minutes later
	score[100] = 1     // not above the threshold
	score[36420/60] = math.NaN()
	r := Judge(&in, score, nil, 1)
	want := View{Must: 2, Hit: 2, Delays: []float64{300, 480}, Episodes: 9, True: 2, False: 7, Days: 3, FalseDays: 2}
	if !reflect.DeepEqual(r.All, want) {
		t.Errorf("all\n%+v, want\n%+v", r.All, want)
	}
	// Only the long incident counts; the rule fires 5 minutes after the first
	// high score, as one evaluation may be missing, and at the long alert.
	want = View{Must: 1, Hit: 1, Delays: []float64{600}, Episodes: 2, True: 1, False: 3, Days: 3, FalseDays: 2}
	if !reflect.DeepEqual(r.Lasting, want) {
		t.Errorf("lasting\n%+v, want\n%+v", r.Lasting, want)
	}
	score[36360/60] = 0 // two are missing: 6 minutes are left
	if r := Judge(&in, score, nil, 1); !reflect.DeepEqual(r.Lasting.Delays, []float64{780}) {
		t.Errorf("%+v", r.Lasting)
	}
	// Another column for the starts.
	onset := make([]float64, len(score))
	onset[36000/60], onset[80000/60] = 9, 9
	r = Judge(&in, score, onset, 1)
	if r.Onset.Hit != 1 || r.Onset.False != 1 || r.All.Hit != 1 || r.All.Delays[0] != 0 || r.Active.Hit != 2 {
		t.Errorf("onset %+v, all %+v", r.Onset, r.All)
	}
	if f := r.Onset.Precision(0); f != 0.5 {
		t.Errorf("precision %v", f)
	}
	if f := (View{False: 1}).Precision(3 * weekSeconds); f != 0.75 {
		t.Errorf("precision without incidents %v", f)
	}
	// The alert had begun before.
	score = make([]float64, len(score))
	high(35640, 39600)
	r = Judge(&in, score, nil, 1)
	if r.Active.Hit != 1 || r.Onset.Hit != 0 || r.All.Hit != 1 || r.Lasting.Delays[0] != 0 || r.All.False != 1 {
		t.Errorf("%+v", r)
	}
	// Quiet are three days less learning, the long incident with its end and the
	// ten minutes for the short one, and a step at each of the six edges.
	if want := 3*86400.0 - 3600 - 5400 - 600 - 6*60; r.Quiet != want {
		t.Errorf("quiet %v, want %v", r.Quiet, want)
	}
	// It had begun just before: told, and false all the same.
	high(35700, 39600)
	score[35640/60] = 0
	if r = Judge(&in, score, nil, 1); r.Onset.Hit != 1 || r.Onset.Delays[0] != 0 || r.All.False != 1 {
		t.Errorf("%+v", r)
	}
	// An alert in the lead is enough, one before it is not.
	score = make([]float64, len(score))
	high(35400, 35400)
	if r = Judge(&in, score, nil, 1); r.Onset.Hit != 0 || r.All.False != 1 || len(r.Missed) != 2 || r.FalseAt[0] != 35400 {
		t.Errorf("%+v", r)
	}
	in.Windows[1].Lead = 900
	if r = Judge(&in, score, nil, 1); r.Onset.Hit != 1 || r.Onset.Delays[0] != 0 {
		t.Errorf("%+v", r)
	}
}
