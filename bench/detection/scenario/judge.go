package scenario

import (
	"math"
	"slices"
)

const (
	mergeSeconds  = 300      // alerts at most so far apart are one episode
	forSeconds    = 300      // what a rule with a duration waits for
	longSeconds   = 900      // such a rule is to tell incidents that last at least so long
	repeatSeconds = 4 * 3600 // an alert that stays on is sent again so often; each time counts
	weekSeconds   = 7 * 86400
)

// View counts what one alerting rule makes of a series: the incidents that it
// tells and its false alerts.
type View struct {
	Must, Hit int       // incidents to be told, and those told
	Delays    []float64 // seconds from the start of each incident told
	Episodes  int       // runs of alerts
	True      int       // of these, those that touch an incident
	// False counts the episodes that begin in quiet time, and for each episode
	// one more for every four hours of quiet time that it goes on.
	False int
	// Days with quiet time, and of these, days with a false alert.
	Days, FalseDays int
}

// Result is the judgement of one series or, added up, of several.
type Result struct {
	Series int
	From   int64   // first sample; of one series only
	Quiet  float64 // seconds in which nothing is to be told
	// All is what somebody with both rules gets, "onset > 1" and "score > 1 for
	// 5 minutes". Onset has the first rule alone, Lasting the second, which is
	// asked for long incidents only. In Active an alert that began long before an
	// incident and is still on tells it, too.
	All, Active, Onset, Lasting View
	Missed                      []Window // incidents that neither rule told; of one series only
	FalseAt                     []int64  // when each false alert of All began; of one series only
}

// What a sample counts as.
const (
	isQuiet    = iota // an alert is false
	isMay             // an alert counts neither way
	isLate            // the incident is over, and may still be told
	isIncident        // an alert tells an incident
)

// Judge compares scores with the truth of a series. Onset is the score of the
// rule that tells beginnings; where it is nil the score serves.
func Judge(in *Instance, score, onset []float64, threshold float64) Result {
	n := len(in.Times)
	class := in.classes()
	r := Result{Series: 1, From: in.Times[0]}
	for i := 1; i < n; i++ {
		if class[i-1] == isQuiet && class[i] == isQuiet {
			r.Quiet += float64(min(in.Times[i]-in.Times[i-1], 3*in.Step))
		}
	}
	if onset == nil {
		onset = score
	}
	above := func(s []float64) []bool {
		out := make([]bool, n)
		for i := range out {
			out[i] = s[i] > threshold // never of what is no number
		}
		return out
	}
	high, edge := above(score), above(onset)
	lasting := in.lasting(high)
	both := make([]bool, n)
	for i := range both {
		both[i] = edge[i] || lasting[i]
	}
	r.All, r.FalseAt = in.view(both, class, false, false)
	r.Active, _ = in.view(high, class, true, false)
	r.Onset, _ = in.view(edge, class, false, false)
	r.Lasting, _ = in.view(lasting, class, true, true)
	// An incident told by either rule is told.
	r.All.Hit, r.All.Delays = 0, nil
	for _, w := range in.Windows {
		if w.Kind != Must {
			continue
		}
		d, ok := in.hit(edge, w, w.Stay)
		if e, yes := in.hit(lasting, w, true); yes && long(w, in.Step) && (!ok || e < d) {
			d, ok = e, true
		}
		if ok {
			r.All.Hit++
			r.All.Delays = append(r.All.Delays, d)
		} else {
			r.Missed = append(r.Missed, w)
		}
	}
	return r
}

// classes says what each sample counts as. An incident goes before quiet
// windows, these before may windows; what no window covers is quiet.
func (in *Instance) classes() []byte {
	class := make([]byte, len(in.Times))
	mark := func(from, to int64, c byte) {
		at, _ := slices.BinarySearch(in.Times, from)
		for ; at < len(in.Times) && in.Times[at] <= to; at++ {
			if c != isLate || class[at] < isLate {
				class[at] = c
			}
		}
	}
	for _, w := range in.Windows {
		if w.Kind == May {
			mark(w.From, w.To, isMay)
		}
	}
	for _, w := range in.Windows {
		if w.Kind == Quiet {
			mark(w.From, w.To, isQuiet)
		}
	}
	for _, w := range in.Windows {
		if w.Kind == Must {
			mark(w.From, w.From+w.Within, isLate)
			mark(w.From, w.To, isIncident)
		}
	}
	return class
}

// merge is the longest time between two alerts of one episode.
func (in *Instance) merge() int64 { return max(mergeSeconds, 3*in.Step) }

// long tells whether the rule with a duration is to tell an incident.
func long(w Window, step int64) bool { return w.To-w.From >= max(longSeconds, 2*step) }

// lasting says when a rule fires that wants the score to stay high for five
// minutes; one evaluation may be missing.
func (in *Instance) lasting(high []bool) []bool {
	out := make([]bool, len(high))
	since, misses := -1, 0
	for i, h := range high {
		switch {
		case h && since < 0:
			since, misses = i, 0
		case !h && since >= 0:
			if misses++; misses > 1 {
				since = -1
			}
		}
		// A gap in the samples ends it as it ends an alert.
		if since >= 0 && i > since && in.Times[i]-in.Times[i-1] > in.merge() {
			since, misses = -1, 0
			if h {
				since = i
			}
		}
		out[i] = h && since >= 0 && in.Times[i]-in.Times[since] >= forSeconds
	}
	return out
}

// hit finds the first alert that tells the incident of a must window, and its
// delay in seconds. The episode must begin in the window, in the time that leads
// to it, or so shortly before that the two cannot be told apart; where any alert
// that is on will do (active), it may begin earlier.
func (in *Instance) hit(alert []bool, w Window, active bool) (delay float64, ok bool) {
	early := w.From - max(w.Lead, in.merge())
	begun, last := int64(math.MinInt64/2), int64(math.MinInt64/2)
	at, _ := slices.BinarySearch(in.Times, early-in.merge())
	for ; at < len(in.Times) && in.Times[at] <= w.From+w.Within; at++ {
		if !alert[at] {
			continue
		}
		t := in.Times[at]
		if t-last > in.merge() {
			begun = t
		}
		if t >= w.From && (active || begun >= early) || begun >= w.From-w.Lead {
			return float64(max(t-w.From, 0)), true
		}
		last = t
	}
	return 0, false
}

// view counts what alerts tell and how often they are false; falseAt are the
// times of the latter. With onlyLong only long incidents are asked for.
func (in *Instance) view(alert []bool, class []byte, active, onlyLong bool) (v View, falseAt []int64) {
	for _, w := range in.Windows {
		if w.Kind != Must || onlyLong && !long(w, in.Step) {
			continue
		}
		v.Must++
		if onlyLong { // it may come as long as the incident lasts
			w.Within = max(w.Within, w.To-w.From)
		}
		if d, ok := in.hit(alert, w, active || w.Stay); ok {
			v.Hit++
			v.Delays = append(v.Delays, d)
		}
	}
	day := func(i int) int64 { return (in.Times[i] - in.Times[0]) / 86400 }
	days, bad := map[int64]bool{}, map[int64]bool{}
	var last int64 = math.MinInt64 / 2
	quiet, touches := 0.0, false
	for i := range alert {
		if class[i] == isQuiet {
			days[day(i)] = true
		}
		if !alert[i] {
			continue
		}
		if gap := in.Times[i] - last; gap > in.merge() {
			v.Episodes++
			quiet, touches = 0, false
			if class[i] == isQuiet {
				v.False++
				bad[day(i)] = true
				falseAt = append(falseAt, in.Times[i])
			}
		} else if class[i] == isQuiet {
			before := math.Floor(quiet / repeatSeconds)
			quiet += float64(gap)
			if math.Floor(quiet/repeatSeconds) > before {
				v.False++
				bad[day(i)] = true
				falseAt = append(falseAt, in.Times[i])
			}
		}
		if class[i] >= isLate && !touches {
			touches = true
			v.True++
		}
		last = in.Times[i]
	}
	v.Days, v.FalseDays = len(days), len(bad)
	return v, falseAt
}

// Add pools.
func (v View) Add(o View) View {
	v.Must += o.Must
	v.Hit += o.Hit
	v.Delays = append(slices.Clip(v.Delays), o.Delays...)
	v.Episodes += o.Episodes
	v.True += o.True
	v.False += o.False
	v.Days += o.Days
	v.FalseDays += o.FalseDays
	return v
}

// Add pools; what belongs to one series only is dropped.
func (r Result) Add(o Result) Result {
	r.Missed, r.FalseAt = nil, nil
	r.Series += o.Series
	r.Quiet += o.Quiet
	r.All, r.Active = r.All.Add(o.All), r.Active.Add(o.Active)
	r.Onset, r.Lasting = r.Onset.Add(o.Onset), r.Lasting.Add(o.Lasting)
	return r
}

// Recall is NaN without incidents.
func (v View) Recall() float64 {
	if v.Must == 0 {
		return math.NaN()
	}
	return float64(v.Hit) / float64(v.Must)
}

// Precision is hits over hits and false alerts. Of series without incidents it
// is taken as if an incident a week had been told. NaN where nothing was told.
func (v View) Precision(quiet float64) float64 {
	hits := float64(v.Hit)
	if v.Must == 0 {
		hits = quiet / weekSeconds
	}
	if hits+float64(v.False) == 0 {
		return math.NaN()
	}
	return hits / (hits + float64(v.False))
}

// MedianDelay is in seconds; NaN without any hit.
func (v View) MedianDelay() float64 {
	if len(v.Delays) == 0 {
		return math.NaN()
	}
	d := slices.Clone(v.Delays)
	slices.Sort(d)
	return (d[(len(d)-1)/2] + d[len(d)/2]) / 2
}

// PerWeek is the number of false alerts per series and week of quiet time.
func (v View) PerWeek(quiet float64) float64 {
	return float64(v.False) / max(quiet/weekSeconds, 1e-9)
}
