package scenario

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"time"
	_ "time/tzdata" // the same civil time everywhere
)

// Kinds of windows. What no window covers is quiet.
const (
	Must  = "must"  // to be told
	May   = "may"   // counts neither way
	Quiet = "quiet" // not to be told; wins over may
)

// Window is a piece of truth: both ends, in Unix seconds, belong to it.
type Window struct {
	Kind     string
	From, To int64
	Within   int64   // of must: the first alert comes at most so many seconds after From
	Lead     int64   // of must: an alert that begins up to so many seconds before From will do
	Stay     bool    // of must: an alert that has begun earlier, and is still on, will do
	Of       string  // incident
	Visible  float64 `json:"-"` // effect in sigma, NaN where it has none
}

// Instance is one series of a kind.
type Instance struct {
	Kind    string
	Seed    uint64
	Step    int64
	Times   []int64
	Values  []float64
	Windows []Window
}

// Generate draws the instance of a kind for a seed. Where an incident finds no
// place it draws all anew, up to nine times.
func (k *Kind) Generate(seed uint64) (Instance, error) {
	for try := uint64(0); ; try++ {
		in, err := k.generate(seed, seed+try<<32)
		if err == nil || try == 9 {
			return in, err
		}
	}
}

// generate evaluates the base, places the incidents one after the other, each in
// its share of the time that is left, and samples the outcome.
func (k *Kind) generate(seed, draws uint64) (Instance, error) {
	inst := Instance{Kind: k.Name, Seed: seed, Step: k.Step}
	fail := func(err error) (Instance, error) {
		return inst, fmt.Errorf("%s, seed %d: %w", k.Name, seed, err)
	}
	b := &build{kind: k, seed: draws, step: float64(k.Step), jobs: map[string][]occurrence{}}
	if err := b.clock(); err != nil {
		return fail(err)
	}
	n := len(b.t)
	g := b.rng("incidents")
	before, clean := b.eval(&k.Base, "base")
	dev := make([]float64, n)
	for i := range dev {
		dev[i] = before[i] - clean[i]
	}
	learned := b.samples(k.Learn.draw(g))
	windows := append([]Window{{Kind: May, From: b.t[0], To: b.t[min(learned, n-1)], Of: "learning"}}, b.may...)

	// Repetitions become incidents of their own.
	var todo []hit
	for i := range k.Incidents {
		in := &k.Incidents[i]
		h := sizes(in, b, g)
		times := int(drawOr(in.Repeat, g, 1))
		for r := range times {
			if r == 1 && in.Gap != nil {
				again := *in
				again.At, again.After = nil, in.Gap
				h.in = &again
			}
			todo = append(todo, h)
		}
	}
	lo := learned
	for at := range todo {
		h := &todo[at]
		need, shares := 0.0, 1 // seconds that this and later incidents take; those that have no place yet
		for _, later := range todo[at:] {
			if later.in.For != nil {
				need += later.in.For.max()
			}
			need += later.recover
			if later.in.Kind == "level" {
				need += later.accept + 86400
			}
			if later.in.After != nil {
				need += later.in.After.max()
			}
			if later.in != h.in && later.in.At == nil && later.in.After == nil {
				shares++
			}
		}
		hi := lo + (n-int(need/b.step)-lo)/shares
		var err error
		for range 200 {
			if err = h.place(b, g, lo, hi); err != nil {
				continue
			}
			sigma := b.sigma(dev, h.i, h.j)
			drawn := *h
			if h.mode == "sigma" {
				h.mode, h.size = "add", h.size*sigma*h.sign
			}
			var after []float64
			if h.in.Target == "" {
				x, c := slices.Clone(before), slices.Clone(clean)
				h.apply(x, c)
				after = c
			} else {
				b.hits = append(b.hits, h)
				_, after = b.finish()
				b.hits = b.hits[:len(b.hits)-1]
			}
			effect := make([]float64, n)
			for i := range effect {
				effect[i] = math.Abs(after[i] - clean[i])
			}
			var ws []Window
			var visible float64
			if ws, visible, err = h.truth(b, effect, sigma); err == nil {
				for i := range ws {
					ws[i].Visible = visible
				}
				windows = append(windows, ws...)
				break
			}
			*h = drawn
		}
		if err != nil {
			return fail(fmt.Errorf("incident %d (%s): %w", at, h.in.Kind, err))
		}
		b.hits = append(b.hits, h)
		before, clean = b.finish()
		switch h.in.Kind {
		case "level":
			lo = h.i + int(h.accept/b.step)
		case "recur":
			lo = h.bumps[h.learn()-1].j
		default:
			lo = max(lo, h.j)
		}
		lo += b.samples(h.recover)
		if at+1 < len(todo) && todo[at+1].in.After != nil {
			lo = max(learned, h.j)
		}
	}
	b.may = nil
	inst.sample(b, before, windows)
	return inst, nil
}

// finish evaluates the base with the incidents placed so far.
func (b *build) finish() (x, clean []float64) {
	x, clean = b.eval(&b.kind.Base, "base")
	for _, h := range b.hits {
		if h.in.Target == "" {
			h.apply(x, clean)
		}
	}
	return x, clean
}

// clock draws length and start, and works out civil time.
func (b *build) clock() error {
	g := b.rng("clock")
	zone, err := time.LoadLocation(b.kind.Zone)
	if err != nil {
		return err
	}
	n := int(b.kind.Days.draw(g) * 86400 / b.step)
	start := time.Date(2025, 1, 6, 0, 0, 0, 0, zone).AddDate(0, 0, g.IntN(350))
	if b.kind.DST != nil {
		var changes []time.Time
		for t := time.Date(2025, 1, 1, 0, 0, 0, 0, zone); t.Year() < 2027; t = t.Add(time.Hour) {
			_, a := t.Zone()
			if _, z := t.Add(time.Hour).Zone(); a != z {
				changes = append(changes, t.Add(time.Hour))
			}
		}
		if len(changes) == 0 {
			return fmt.Errorf("%s never changes its time", b.kind.Zone)
		}
		c := changes[g.IntN(len(changes))].Add(-time.Duration(b.kind.DST.draw(g)) * time.Second)
		start = time.Date(c.Year(), c.Month(), c.Day(), 0, 0, 0, 0, zone)
	}
	first := start.Unix() + g.Int64N(b.kind.Step)
	var offset float64
	for i := range n {
		t := first + int64(i)*b.kind.Step
		if i == 0 || t/900 != b.t[i-1]/900 {
			_, o := time.Unix(t, 0).In(zone).Zone()
			offset = float64(o)
		}
		b.t = append(b.t, t)
		b.local = append(b.local, float64(t)+offset)
	}
	return nil
}

// sample does to the finished values what happens on their way to a detector.
func (inst *Instance) sample(b *build, x []float64, windows []Window) {
	k, g := b.kind, b.rng("sample")
	if k.Counter != nil {
		sum, next := 0.0, k.Counter.draw(g)*g.Float64()
		var resets []int
		for i := range x {
			if s := float64(b.t[i] - b.t[0]); s >= next {
				sum, next = 0, s+k.Counter.draw(g)
				resets = append(resets, i)
			}
			sum += math.Max(0, x[i]) * b.step
			x[i] = sum
		}
		b.first(resets, 0)
		windows = append(windows, b.may...)
	}
	if k.Clip != nil {
		low := k.Clip.draw(g)
		for i := range x {
			x[i] = math.Max(x[i], low)
		}
	}
	if k.Round != nil {
		digits := math.Pow(10, k.Round.draw(g))
		for i := range x {
			if y := math.Round(x[i]*digits) / digits; math.Abs(x[i]) < 1e15 {
				x[i] = y
			}
		}
	}
	share, jitter := drawOr(k.Gaps, g, 0), drawOr(k.Jitter, g, 0)
	gone := make([]bool, len(x))
	for _, h := range b.hits {
		for i := h.i; i < min(h.j, len(x)) && h.in.Kind == "hole"; i++ {
			gone[i] = true
		}
	}
	keep := func(i int) bool { // short incidents are not lost
		for _, h := range b.hits {
			if h.in.Kind != "hole" && h.j-h.i <= 10 && i >= h.i-1 && i <= h.j {
				return true
			}
		}
		return false
	}
	for i := range x {
		u, v := g.Float64(), g.Float64()
		if gone[i] || u < share && !keep(i) {
			continue
		}
		t := b.t[i] + int64(math.Round(jitter*(2*v-1)*b.step))
		if m := len(inst.Times); m > 0 && t <= inst.Times[m-1] {
			t = inst.Times[m-1] + 1
		}
		inst.Times = append(inst.Times, t)
		inst.Values = append(inst.Values, x[i])
	}
	slack := int64(math.Ceil(jitter * b.step))
	for i := range windows {
		if windows[i].Kind == Must { // times have moved by so much
			windows[i].From -= slack
			windows[i].Within += slack
		}
		windows[i].To += slack
	}
	sort.SliceStable(windows, func(i, j int) bool { return windows[i].From < windows[j].From })
	inst.Windows = windows
}

// AppendLine appends what a detector gets of sample i.
func (inst *Instance) AppendLine(line []byte, i int) []byte {
	line = append(strconv.AppendInt(line, inst.Times[i], 10), ' ')
	return append(strconv.AppendFloat(line, inst.Values[i], 'g', -1, 64), '\n')
}
