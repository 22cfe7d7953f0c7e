package detect

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const groupStep = 30_000 // milliseconds

// groupModels are all models of groups, for what they promise alike.
var groupModels = []struct {
	name string
	make func() (GroupModel, error)
}{
	{"peers", func() (GroupModel, error) { return NewPeers(PeersConfig{Tolerance: 3, MinMembers: 4}) }},
	{"peers by zscore", func() (GroupModel, error) {
		return NewPeers(PeersConfig{Method: PeersZScore, Tolerance: 3, MinMembers: 4})
	}},
	{"presence", func() (GroupModel, error) {
		return NewPresence(PresenceConfig{Learn: 30 * time.Minute, Forget: 12 * time.Hour})
	}},
	{"novelty", func() (GroupModel, error) {
		return NewNovelty(NoveltyConfig{Learn: 30 * time.Minute, Hold: 10 * time.Minute, Capacity: 300})
	}},
}

func newGroupModel(t testing.TB, make func() (GroupModel, error)) GroupModel {
	t.Helper()
	m, err := make()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// pods are two services' pods; some come and go.
func pods(r *rand.Rand, step int) (out []Member) {
	for i := range 12 {
		if i > 8 && (step/50+i)%3 == 0 {
			continue
		}
		out = append(out, Member{Key: fmt.Sprintf("pod-%d", i), Group: []string{"cart", "pay"}[i%2], V: 100 + float64(i%2)*50 + 5*r.NormFloat64()})
	}
	return out
}

func verdictOf(t testing.TB, out []MemberVerdict, key string) MemberVerdict {
	t.Helper()
	i := slices.IndexFunc(out, func(v MemberVerdict) bool { return v.Key == key })
	if i < 0 {
		return MemberVerdict{Verdict: unknown(Cold)}
	}
	return out[i]
}

func TestGroupModelsRestore(t *testing.T) {
	for _, k := range groupModels {
		a := newGroupModel(t, k.make)
		r := rand.New(rand.NewPCG(1, 2))
		for step := range 400 {
			if step%40 == 0 {
				b := newGroupModel(t, k.make)
				state := stateOf(t, a)
				if err := b.UnmarshalBinary(state); err != nil {
					t.Fatalf("%s: %v", k.name, err)
				}
				if again := stateOf(t, b); !bytes.Equal(state, again) {
					t.Fatalf("%s: another state after loading it", k.name)
				}
				for cut := 0; cut < len(state); cut += 1 + len(state)/50 {
					if err := newGroupModel(t, k.make).UnmarshalBinary(state[:cut]); err == nil {
						t.Fatalf("%s: %d of %d bytes load", k.name, cut, len(state))
					}
				}
				members := pods(r, step)
				x, y := a.Step(int64(step)*groupStep, members, nil), b.Step(int64(step)*groupStep, members, nil)
				if fmt.Sprint(x) != fmt.Sprint(y) {
					t.Fatalf("%s: %v, and %v when loaded", k.name, x, y)
				}
				a = b
				continue
			}
			a.Step(int64(step)*groupStep, pods(r, step), nil)
		}
	}
}

// Members that come and go for good do not make the state grow.
func TestGroupModelsStayBounded(t *testing.T) {
	for _, k := range groupModels {
		m := newGroupModel(t, k.make)
		most := 0
		for step := range 8000 {
			members := []Member{{Key: fmt.Sprint("job-", step), Group: fmt.Sprint("group-", step/100), V: 1}}
			for i := range 5 {
				members = append(members, Member{Key: fmt.Sprint("pod-", i), Group: "g", V: float64(i)})
			}
			m.Step(int64(step)*groupStep, members, nil)
			if step%200 != 0 {
				continue
			}
			if n := len(stateOf(t, m)); step <= 4000 {
				most = max(most, n)
			} else if n > most*3/2+1000 {
				t.Fatalf("%s: %d bytes after %d steps, %d before", k.name, n, step, most)
			}
		}
	}
}

func TestGroupModelsTakeAnyNumber(t *testing.T) {
	for _, k := range groupModels {
		m := newGroupModel(t, k.make)
		for step, v := range []float64{1, math.NaN(), math.Inf(1), -math.Inf(1), 1e308, -1e308, 0} {
			members := []Member{{"a", "g", v}, {"b", "g", 1}, {"c", "g", 2}, {"d", "g", 3}, {"e", "g", 2}}
			for _, v := range m.Step(int64(step)*groupStep, members, nil) {
				if v.Score < 0 || v.Score > maxScore {
					t.Errorf("%s: %+v", k.name, v)
				}
			}
			if out := m.Step(int64(step)*groupStep+1, nil, nil); len(out) > 0 {
				t.Errorf("%s: verdicts on nobody: %v", k.name, out)
			}
		}
	}
}

func TestPeers(t *testing.T) {
	for _, k := range groupModels[:2] {
		m := newGroupModel(t, k.make)
		r := rand.New(rand.NewPCG(3, 3))
		loud, judged := 0, 0
		for step := range 500 {
			for _, v := range m.Step(int64(step)*groupStep, pods(r, step), nil) {
				if judged++; v.Score > 1 {
					loud++
				}
			}
		}
		if loud > judged/25 { // small groups have heavy tails
			t.Errorf("%s: %d of %d usual values are odd", k.name, loud, judged)
		}
		// All double, as they do when traffic doubles: nobody is unlike. One
		// stays where it was.
		members := pods(r, 500)
		for i := range members {
			members[i].V *= 2
		}
		for _, v := range m.Step(500*groupStep, members, nil) {
			if v.Score > 1.7 {
				t.Errorf("%s: all have doubled, %s scores %v", k.name, v.Key, v.Score)
			}
		}
		members[2].V /= 2
		if v := verdictOf(t, m.Step(501*groupStep, members, nil), members[2].Key); !(v.Score > 1) || v.Expected < 150 || v.Lower <= v.V {
			t.Errorf("%s: one has not doubled: %+v", k.name, v)
		}
	}
}

// A group that is too small is not judged, and each group is judged alone.
func TestPeersGroups(t *testing.T) {
	m := newGroupModel(t, groupModels[0].make)
	out := m.Step(0, []Member{
		{"a", "small", 1}, {"b", "small", 1}, {"c", "small", 50}, {"nan", "large", math.NaN()},
		{"d", "large", 10}, {"e", "large", 11}, {"f", "large", 12}, {"g", "large", 11}, {"h", "large", 30},
	}, nil)
	for _, v := range out {
		odd := v.Key == "h"
		switch v.Key {
		case "a", "b", "c", "nan":
			if !math.IsNaN(v.Score) || v.State != Learning || (v.Reason == BelowMinMembers) != (v.Key != "nan") {
				t.Errorf("%+v", v)
			}
		default:
			if v.Reason != "" || v.State != Ready || (v.Score > 1) != odd || v.Expected != 11 {
				t.Errorf("%+v", v)
			}
		}
	}
}

// TestPeersSayWhichGroupsAreTooSmall follows groups that grow and shrink, over
// a rule's fields and saved states: what is too small is said for each step,
// and is no part of what was learned.
func TestPeersSayWhichGroupsAreTooSmall(t *testing.T) {
	fresh := func() *GroupScorer {
		return NewGroupScorer(newGroupModel(t, groupModels[0].make), ScorerConfig{Warmup: time.Hour})
	}
	s := fresh()
	f := func(step int64, want Small, sizes ...int) {
		t.Helper()
		var members []Member
		for group, n := range sizes {
			for i := range n {
				members = append(members, Member{Key: fmt.Sprint(group, i), Group: fmt.Sprint(group), V: float64(i)})
			}
		}
		small := 0
		for _, v := range s.Step(step*groupStep, members, nil) {
			if v.Reason == BelowMinMembers {
				small++
			}
			if (v.Reason == BelowMinMembers) != (v.State == Learning && math.IsNaN(v.Score) && sizes[v.Key[0]-'0'] < 4) {
				t.Errorf("step %d: %+v", step, v)
			}
		}
		if got := s.Small(); got != want || small != want.Members {
			t.Errorf("step %d: %+v, and %d members with the reason; want %+v", step, got, small, want)
		}
		state := stateOf(t, s)
		s = fresh()
		if err := s.UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
	}
	f(0, Small{})
	f(1, Small{Groups: 3, Members: 6}, 1, 2, 3)
	f(2, Small{Groups: 1, Members: 3}, 4, 9, 3)
	f(3, Small{}, 4, 4, 4)
	f(200, Small{Groups: 2, Members: 4}, 4, 1, 3)
	f(201, Small{}, 6)
	if got := NewGroupScorer(newGroupModel(t, groupModels[2].make), ScorerConfig{}).Small(); got != (Small{}) {
		t.Errorf("presence has small groups: %+v", got)
	}
}

// Median and MAD by sorting, against the walk from the middle.
func TestPeersMAD(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range 2000 {
		values := make([]float64, 1+r.IntN(12))
		for i := range values {
			values[i] = float64(r.IntN(9)) + r.Float64()*float64(r.IntN(2))
		}
		slices.Sort(values)
		middle := func(s []float64) float64 { return (s[(len(s)-1)/2] + s[len(s)/2]) / 2 }
		want := middle(values)
		var away []float64
		for _, v := range values {
			away = append(away, math.Abs(v-want))
		}
		slices.Sort(away)
		median, spread := peersMAD(values)
		if median != want || math.Abs(spread-1.4826*middle(away)) > 1e-12 {
			t.Fatalf("%v: %v and %v, want %v and %v", values, median, spread, want, 1.4826*middle(away))
		}
	}
}

func TestPresence(t *testing.T) {
	m := newGroupModel(t, groupModels[2].make)
	all := []Member{{Key: "always", V: 1}, {Key: "hourly", V: 1}, {Key: "leaves", V: 1}}
	step := int64(0)
	run := func(until int64, there func(key string) bool) (out []MemberVerdict) {
		for ; step < until; step++ {
			var now []Member
			for _, p := range all {
				if (p.Key != "hourly" || step%120 == 0) && there(p.Key) {
					now = append(now, p)
				}
			}
			out = m.Step(step*groupStep, now, nil)
			for _, v := range out {
				if there(v.Key) && v.Score > 1 {
					t.Fatalf("step %d: %s is there as ever and scores %v", step, v.Key, v.Score)
				}
			}
		}
		return out
	}
	everybody := func(string) bool { return true }
	run(1000, everybody)
	nobody := func(gone string) func(string) bool { return func(key string) bool { return key != gone } }
	if v := verdictOf(t, run(1004, nobody("leaves")), "leaves"); !(v.Score > 1) || v.V != 0 || v.Expected != 1 {
		t.Errorf("two minutes without it: %+v", v)
	}
	// The cadence is the member's own: an hour of silence is usual for one.
	if v := verdictOf(t, run(1200, nobody("leaves")), "hourly"); v.Score > 1 {
		t.Errorf("%+v", v)
	}
	// It comes back, and is no news any more; what it did it may do again.
	run(1201, everybody)
	if v := verdictOf(t, run(1205, nobody("leaves")), "leaves"); v.Score > 1 {
		t.Errorf("it was away for 100 minutes before: %+v", v)
	}
	// Away for longer than Forget it has left.
	if v := verdictOf(t, run(1205+13*120, nobody("leaves")), "leaves"); !math.IsNaN(v.Score) {
		t.Errorf("after half a day: %+v", v)
	}
	// A pause of the whole evaluation is nobody's absence.
	step += 500
	if out := run(step+1, everybody); len(out) < 1 {
		t.Error("nobody is there")
	}
	for _, v := range run(step+2, everybody) {
		if v.Score > 1 {
			t.Errorf("after a pause: %+v", v)
		}
	}
}

// TestPresenceWhenTheClockIsSetBack holds that who is there is not reported as
// absent beside it, and that such times leave no mark on the state.
func TestPresenceWhenTheClockIsSetBack(t *testing.T) {
	m := newGroupModel(t, groupModels[2].make)
	all := []Member{{Key: "a", V: 1}, {Key: "b", V: 1}}
	for i := range int64(200) {
		m.Step(i*groupStep, all, nil)
	}
	want, err := m.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, back := range []int64{0, 1, 50} {
		out := m.Step((199-back)*groupStep, all, nil)
		if len(out) != 2 {
			t.Fatalf("%d steps back two members have %d verdicts", back, len(out))
		}
		for _, v := range out {
			if v.Score != 0 || v.V != 1 {
				t.Errorf("%d steps back %s, which is there: %+v", back, v.Key, v)
			}
		}
	}
	if got, err := m.AppendBinary(nil); err != nil || !bytes.Equal(got, want) {
		t.Errorf("it has learned from times before: %x, want %x (%v)", got, want, err)
	}
}

func TestPresenceCapacity(t *testing.T) {
	m, err := NewPresence(PresenceConfig{Learn: 0, Forget: time.Hour, Capacity: 2})
	if err != nil {
		t.Fatal(err)
	}
	for step := range int64(3) {
		m.Step(step*groupStep, []Member{{Key: "a", V: 1}, {Key: "b", V: 1}}, nil)
	}
	out := m.Step(3*groupStep, []Member{{Key: "a", V: 1}, {Key: "b", V: 1}, {Key: "c", V: 1}}, nil)
	if v := verdictOf(t, out, "c"); v.State != Cold || len(m.members) != 2 {
		t.Errorf("%+v, %d members", v, len(m.members))
	}
	m.Step(4*groupStep, []Member{{Key: "a", V: 1}}, nil)
	m.Step(5*groupStep, []Member{{Key: "a", V: 1}, {Key: "c", V: 1}}, nil) // in the place of b
	if m.members["b"] != nil || m.members["c"] == nil {
		t.Errorf("%v", m.members)
	}
}

func TestNovelty(t *testing.T) {
	m := newGroupModel(t, groupModels[3].make)
	known := []Member{{Key: "timeout", V: 3}, {Key: "refused", V: 1}}
	for step := range int64(500) {
		for _, v := range m.Step(step*groupStep, known, nil) {
			if want := 60 > step; math.IsNaN(v.Score) != want || v.Score > 0 {
				t.Fatalf("step %d: %+v", step, v)
			}
		}
	}
	with := append(slices.Clone(known), Member{Key: "out of memory", V: 1})
	for step := range int64(60) {
		v := verdictOf(t, m.Step((500+step)*groupStep, with, nil), "out of memory")
		if held := step <= 20; (v.Score > 1) != held {
			t.Errorf("%v after it came: %+v", time.Duration(step*groupStep)*time.Millisecond, v)
		}
	}
	// Where something new comes all the time it surprises nobody.
	var last MemberVerdict
	for step := range int64(200) {
		key := fmt.Sprint("request ", step)
		last = verdictOf(t, m.Step((600+step)*groupStep, append(slices.Clone(known), Member{Key: key, V: 1}), nil), key)
	}
	if last.Score > 1 {
		t.Errorf("the 200th new thing in a row: %+v", last)
	}
}

// The memory forgets what was not seen for long, and nothing that was.
func TestNoveltyForgets(t *testing.T) {
	m, err := NewNovelty(NoveltyConfig{Hold: time.Minute, Capacity: 100})
	if err != nil {
		t.Fatal(err)
	}
	m.Step(0, []Member{{Key: "once", V: 1}, {Key: "always", V: 1}}, nil)
	for step := range int64(1000) {
		m.Step((step+1)*groupStep, []Member{{Key: "always", V: 1}, {Key: fmt.Sprint(step), V: 1}}, nil)
	}
	if n := len(m.young) + len(m.old); n > 200 {
		t.Errorf("%d keys are held", n)
	}
	if m.remember(hashKey("always")) || !m.remember(hashKey("once")) {
		t.Error("what is always there is new, or what was there once is known")
	}
}

func TestGroupConfigs(t *testing.T) {
	for _, c := range []PeersConfig{{Tolerance: 3, MinMembers: 2}, {Tolerance: 0, MinMembers: 4}, {Tolerance: math.NaN(), MinMembers: 4}} {
		if _, err := NewPeers(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
	if _, err := NewPresence(PresenceConfig{Learn: 1}); err == nil {
		t.Error("presence that forgets at once is accepted")
	}
	if _, err := NewNovelty(NoveltyConfig{Hold: -1}); err == nil {
		t.Error("a negative hold is accepted")
	}
}

func BenchmarkGroupModels(b *testing.B) {
	for _, k := range groupModels {
		b.Run(k.name, func(b *testing.B) {
			m := newGroupModel(b, k.make)
			var members []Member
			for i := range 1000 {
				members = append(members, Member{Key: fmt.Sprintf("pod-%d", i), Group: fmt.Sprintf("service-%d", i/20), V: float64(i % 7)})
			}
			var out []MemberVerdict
			b.ReportAllocs()
			b.ResetTimer()
			for step := range b.N {
				out = m.Step(int64(step)*groupStep, members, out[:0])
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/member")
			b.ReportMetric(float64(len(stateOf(b, m)))/1000, "state-B/member")
		})
	}
}
