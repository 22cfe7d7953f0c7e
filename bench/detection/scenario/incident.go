package scenario

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

var incidentKinds = []string{
	"shift",     // another level, or one sample of it, for a while
	"level",     // another level for good
	"leak",      // grows until its end
	"stuck",     // one value repeated
	"variance",  // factor times the noise
	"weekend",   // a weekday at the level of a Sunday
	"phase",     // late by so much
	"frequency", // factor times as fast
	"nojob",     // an expected job does not run
	"recur",     // a new job, day after day; normal after some
	"glitch",    // one absurd sample
	"hole",      // no samples
	"dst",       // the change of civil time
}

// hit is an incident of which size and place are drawn. Lengths of time are in
// seconds unless they are said to be in samples.
type hit struct {
	in         *Incident
	i, j       int     // samples [i, j)
	mode       string  // what the size means: sigma, factor, add or to
	size       float64 // of sigma: in sigmas, until the place and so the noise is known
	sign       float64 // 1 or -1, of sigma
	ramp       int     // samples until the full size
	lag        int     // of phase: samples
	occurrence int     // of nojob: number of the run that is left out
	day        float64 // of weekend: days since the first Monday
	bumps      []occurrence
	report     float64 // of leak: the share of its growth at which it must be told
	accept     float64
	within     float64
	recover    float64
}

// sizes draws all that does not depend on the place. Every kind of incident
// makes the same draws, so that a change of one leaves the others as they are.
func sizes(in *Incident, b *build, g *rand.Rand) hit {
	h := hit{in: in, sign: 1}
	for _, m := range []struct {
		mode string
		r    *Range
	}{{"sigma", in.Sigma}, {"factor", in.Factor}, {"add", in.Add}, {"to", in.To}} {
		if v := drawOr(m.r, g, 0); m.r != nil {
			h.mode, h.size = m.mode, v
		}
	}
	if u := g.Float64(); in.Sign == "down" || in.Sign == "both" && u < 0.5 {
		h.sign = -1
	}
	h.ramp = int(drawOr(in.Ramp, g, 0) / b.step)
	h.lag = int(drawOr(in.By, g, 0) / b.step)
	h.report = drawOr(in.Report, g, 0.4)
	h.accept = drawOr(in.Accept, g, 86400)
	h.within = drawOr(in.Within, g, max(900, 3*b.step))
	rest := max(1800, 5*b.step)
	if in.Kind == "leak" {
		rest = 86400
	}
	h.recover = drawOr(in.Recover, g, rest)
	return h
}

// apply changes the values of the node that the incident happens to, and of
// these the part that can be foreseen (clean).
func (h *hit) apply(x, clean []float64) {
	change := func(k int, w float64) {
		for _, v := range []([]float64){x, clean} {
			switch h.mode {
			case "factor":
				v[k] *= 1 + (h.size-1)*w
			case "to":
				v[k] += (h.size - v[k]) * w
			default:
				v[k] += h.size * w
			}
		}
	}
	i, j := h.i, min(h.j, len(x))
	switch h.in.Kind {
	case "shift", "level":
		for k := i; k < j; k++ {
			w := 1.0
			if h.ramp > 0 {
				w = min(1, float64(k-i+1)/float64(h.ramp))
			}
			change(k, w)
		}
	case "leak":
		for k := i; k < j; k++ {
			change(k, float64(k-i+1)/float64(h.j-h.i))
		}
	case "recur":
		for _, o := range h.bumps {
			for k := o.i; k < o.j; k++ {
				change(k, 1)
			}
		}
	case "glitch":
		change(i, 1)
	case "stuck":
		for k := i; k < j; k++ {
			x[k], clean[k] = x[i], x[i]
		}
	case "variance":
		for k := i; k < j; k++ {
			x[k] = clean[k] + h.size*(x[k]-clean[k])
		}
	case "phase":
		for _, v := range []([]float64){x, clean} {
			was := slices.Clone(v)
			for k := i; k < j; k++ {
				v[k] = was[min(max(k-h.lag, 0), len(v)-1)]
			}
		}
	case "frequency":
		for _, v := range []([]float64){x, clean} {
			was := slices.Clone(v)
			for k := i; k < j; k++ {
				at := float64(i) + float64(k-i)*h.size
				if at >= float64(len(v)-1) { // back from the end
					at = float64(i) - math.Mod(at-float64(len(v)-1), float64(i))
				}
				f := int(at)
				v[k] = was[f] + (at-float64(f))*(was[f+1]-was[f])
			}
		}
	}
}

// sigma is the spread of the noise around an incident in samples [i, j): the
// larger one of 1.4826 times the median of the deviations and a 3.29th of their
// 99.9 % quantile. Both are the standard deviation of normal noise; the second
// one is larger where tails are heavy. Of incidents of at most three hours, only
// the noise at that time of day counts.
func (b *build) sigma(dev []float64, i, j int) float64 {
	near := 5400.0
	if b.step > 900 {
		near = 10800
	}
	middle := b.local[(i+min(j, len(dev))-1)/2]
	var d []float64
	for k, v := range dev {
		if off := math.Abs(math.Remainder(b.local[k]-middle, 86400)); off <= near || float64(j-i)*b.step > 3*3600 {
			d = append(d, math.Abs(v))
		}
	}
	slices.Sort(d)
	q := func(p float64) float64 { return d[min(int(p*float64(len(d))), len(d)-1)] }
	return max(1.4826*q(0.5), q(0.999)/3.29)
}

// place puts an incident somewhere between samples lo and hi, and further on
// where the hour or the day of the week want it.
func (h *hit) place(b *build, g *rand.Rand, lo, hi int) error {
	in, n := h.in, len(b.t)
	length := 1
	if in.For != nil {
		length = b.samples(in.For.draw(g))
	}
	switch in.Kind {
	case "dst":
		for i := 1; i < n; i++ {
			if b.local[i]-b.local[i-1]-float64(b.t[i]-b.t[i-1]) != 0 {
				h.i, h.j = i, i+1
				return nil
			}
		}
		return fmt.Errorf("no change of civil time")
	case "nojob":
		all := b.jobs[in.Target]
		var from []int
		for o := range all {
			if all[o].i >= lo && all[o].i <= hi && o >= 4 && all[o].j < n && (in.Days == "" || weekday(b.local[all[o].i]) == (in.Days == "weekday")) {
				from = append(from, o)
			}
		}
		if len(from) == 0 {
			return fmt.Errorf("no run of the job to leave out")
		}
		h.occurrence = from[g.IntN(len(from))]
		h.i, h.j = all[h.occurrence].i, all[h.occurrence].j
		return nil
	}
	switch {
	case in.At != nil:
		h.i = int(in.At.draw(g) / b.step)
	case in.After != nil:
		h.i = lo + int(in.After.draw(g)/b.step)
	default:
		h.i = lo + g.IntN(max(hi-lo, 1))
	}
	h.i = min(max(h.i, 0), n-1)
	hour := in.Hour
	if in.Kind == "weekend" && hour == nil {
		zero := Fixed(0)
		hour = &zero
	}
	if hour != nil {
		day := math.Floor(b.local[h.i]/86400) * 86400
		s := hour.draw(g) * 3600
		for h.i = b.index(day + s); h.i < n && h.i < lo; h.i = b.index(day + s) {
			day += 86400
		}
	}
	days := in.Days
	if in.Kind == "weekend" {
		days = "weekday"
	}
	for days != "" && h.i < n && weekday(b.local[h.i]) != (days == "weekday") {
		h.i = b.index(b.local[h.i] + 86400)
	}
	h.j = h.i + length
	switch in.Kind {
	case "weekend":
		midnight := b.local[min(h.i, n-1)]
		h.day = math.Floor((midnight - monday) / 86400)
		h.i, h.j = b.index(midnight-weekRamp/2), b.index(midnight+86400+weekRamp/2)
		length = h.j - h.i
	case "level":
		h.j = n
		length = int((h.accept + 86400) / b.step)
	case "recur":
		h.bumps = nil
		every := in.Every.draw(g)
		for s := 0.0; ; s += every {
			i := b.index(b.local[min(h.i, n-1)] + s)
			if i+length >= n {
				break
			}
			h.bumps = append(h.bumps, occurrence{i, i + length})
		}
		if len(h.bumps) < h.learn()+2 {
			return fmt.Errorf("too late to recur")
		}
		h.j = h.bumps[len(h.bumps)-1].j
		length = 1
	}
	if h.i < lo && in.At == nil || h.i+length+int(h.recover/b.step) > n {
		return fmt.Errorf("does not fit")
	}
	return nil
}

// learn is the number of times that a new job may be told.
func (h *hit) learn() int {
	if h.in.Learn > 0 {
		return h.in.Learn
	}
	return 3
}

func weekday(local float64) bool { return int((local-monday)/86400)%7 < 5 }

// truth says what is to be told of a placed incident. The effect is how far it
// moves each sample of what can be foreseen; an incident that does not stand out
// of the noise far and long enough is refused with errUnseen, and one that gets
// visible later is to be told from then on. The second result is the median of
// the effect in sigma while it is visible, NaN where that means nothing.
func (h *hit) truth(b *build, effect []float64, sigma float64) ([]Window, float64, error) {
	in, n := h.in, len(b.t)
	at := func(i int) int64 { return b.t[min(max(i, 0), n-1)] }
	end := min(h.j, n)
	want := in.Visible
	if want == 0 {
		want = 4
	}
	rest := func(from int) Window { // while it goes on after it was told, and its end
		return Window{Kind: May, From: at(from), To: at(end-1) + int64(h.recover), Of: in.Kind}
	}
	kind := Must
	if in.Truth != "" {
		kind = in.Truth
	}
	switch in.Kind {
	case "hole":
		return []Window{{Kind: May, From: at(h.i), To: at(end), Of: in.Kind}}, math.NaN(), nil
	case "dst":
		return []Window{{Kind: May, From: at(h.i), To: at(h.i) + int64(h.accept), Of: in.Kind}}, math.NaN(), nil
	case "glitch":
		if in.Truth == "" {
			kind = May
		}
		return []Window{{Kind: kind, From: at(h.i), To: at(h.i), Within: int64(h.within), Of: in.Kind},
			{Kind: May, From: at(h.i), To: at(h.i) + int64(max(3600, 10*b.step)), Of: in.Kind}}, math.NaN(), nil
	}
	if kind != Must {
		return []Window{{Kind: kind, From: at(h.i), To: at(end-1) + int64(h.recover), Of: in.Kind}}, math.NaN(), nil
	}
	visible := func(k int) bool { return effect[k] > 0 && effect[k] >= want*sigma }
	if in.Kind == "recur" {
		o := h.bumps[0]
		if !visible(o.i) {
			return nil, 0, errUnseen
		}
		var ws []Window
		for _, o := range h.bumps[:h.learn()] {
			ws = append(ws, Window{Kind: May, From: at(o.i), To: at(o.j-1) + int64(h.recover), Of: in.Kind})
		}
		return ws, effect[o.i] / sigma, nil
	}
	from, to := h.i, end-1
	switch in.Kind {
	case "stuck", "variance", "frequency":
	case "leak":
		told := h.i + int(h.report*float64(h.j-h.i))
		if told >= end || !visible(told) {
			return nil, 0, errUnseen
		}
		for from < told && effect[from] < want/2*sigma && float64(from-h.i) < h.report/2*float64(h.j-h.i) {
			from++
		}
		ws := []Window{{Kind: May, From: at(h.i), To: at(from), Of: in.Kind},
			{Kind: Must, From: at(from), To: at(told), Within: at(told) - at(from), Stay: true, Of: in.Kind}}
		day := b.samples(86400)
		for k := told; k+day <= end-1; k += day {
			ws = append(ws, Window{Kind: Must, From: at(k) + 1, To: at(k + day), Within: at(k+day) - at(k) - 1, Stay: true, Of: in.Kind})
		}
		return append(ws, rest(told)), effect[told] / sigma, nil
	default:
		share, upto := 0.6, end
		if in.Kind == "weekend" || in.Kind == "phase" {
			share = 0.15
		}
		if in.Kind == "level" {
			upto = min(end, h.i+int(h.accept/b.step))
		}
		seen, first := 0, -1
		need := min(max(3, b.samples(600)), upto-h.i)
		run := 0
		for k := h.i; k < upto; k++ {
			if !visible(k) {
				run = 0
				continue
			}
			seen++
			if run++; run == need && first < 0 {
				first = k - need + 1
			}
			to = k
		}
		if first < 0 || float64(seen) < share*float64(upto-h.i) {
			return nil, 0, errUnseen
		}
		from = first
	}
	var ws []Window
	lead := at(from) - at(h.i)
	if lead > 0 {
		ws = append(ws, Window{Kind: May, From: at(h.i), To: at(from) - 1, Of: in.Kind})
	}
	strength := math.NaN()
	if !slices.Contains([]string{"stuck", "variance", "frequency"}, in.Kind) {
		seen := slices.Clone(effect[from : to+1])
		slices.Sort(seen)
		strength = seen[len(seen)/2] / sigma
	}
	if in.Kind == "nojob" && in.Within == nil {
		h.within += float64(at(to) - at(from))
	}
	if in.Kind == "level" {
		to = min(to, from+b.samples(max(h.within, 3600)))
		return append(ws, Window{Kind: Must, From: at(from), To: at(to), Within: int64(h.within), Lead: lead, Of: in.Kind},
			Window{Kind: May, From: at(from), To: at(h.i) + int64(h.accept), Of: in.Kind}), strength, nil
	}
	return append(ws, Window{Kind: Must, From: at(from), To: at(to), Within: int64(h.within), Lead: lead, Of: in.Kind}, rest(from)), strength, nil
}

var errUnseen = fmt.Errorf("not visible enough")
