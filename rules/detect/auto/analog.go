package auto

// What the past says of a bucket: medians of the same time of day on the last
// seven days, on those of them that are weekdays, or weekend, as the bucket is,
// and on the same weekday of other weeks.
const (
	byDay = iota
	byKind
	byWeek
	analogs
)

const (
	lastDays = 7
	// fineWeeks is how many weeks back pieces are read, ringWeeks how many the
	// ring can hold.
	fineWeeks, ringWeeks = 3, 8
	// admitted is how many weeks a weekday must have been seen in: after one,
	// anything that was odd in it would be expected.
	admitted = 2
)

type analog struct {
	v  [analogs]float64
	ok [analogs]bool
}

// weekday is 0 on Mondays; t is civil time in seconds since 1970.
func weekday(t int64) int { return int(floorMod(floorDiv(t, day)+3, 7)) }

func weekend(weekday int) bool { return weekday >= 5 }

func (p *past) weekend(b int64) bool { return weekend(weekday(b * p.bucket)) }

// analog is that of bucket b while bucket of is under way.
func (p *past) analog(b, of int64) (a analog) {
	today := weekday(b * p.bucket)
	var days, alike [lastDays]float64
	n, m := 0, 0
	for k := range lastDays {
		v, ok := p.smooth(b-p.back(int64(k+1)), of)
		if !ok {
			continue
		}
		days[n] = v
		n++
		if weekend((today+lastDays-k-1)%7) == weekend(today) {
			alike[m] = v
			m++
		}
	}
	if n > 0 {
		a.v[byDay], a.ok[byDay] = median(days[:n]), true
	}
	if m > 0 && m < n {
		a.v[byKind], a.ok[byKind] = median(alike[:m]), true
	}
	var weeks [ringWeeks]float64
	w := 0
	last, known := p.smooth(b-p.back(7), of)
	for k := int64(1); k <= ringWeeks; k++ {
		at := b - p.back(7*k)
		v, ok := 0.0, false
		if p.inRing(at, of) {
			v, ok = p.smooth(at, of)
		} else if k <= fineWeeks {
			if v, ok = p.older(at, of); ok && known && p.alike(b-p.back(7), at, of) {
				v = last
			}
		}
		if ok {
			weeks[w] = v
			w++
		}
	}
	if w >= admitted {
		a.v[byWeek], a.ok[byWeek] = median(weeks[:w]), true
	}
	return a
}

// sought is a value that may have come before.
type sought struct {
	x, expected, tolerance float64
	// dilution is how many values a bucket is the mean of.
	dilution float64
}

// in tells whether it is within what there was, give or take; or whether it would
// have been, had only some of the values of a bucket been like it.
func (w sought) in(low, high float64) bool {
	if w.x >= low-w.tolerance && w.x <= high+w.tolerance {
		return true
	}
	height, was := w.x-w.expected, high-w.expected
	if height < 0 {
		height, was = -height, w.expected-low
	}
	return was > w.tolerance && was <= height && was*w.dilution >= height
}

// habit tells on how many days and weeks w was seen at the time of bucket b, and
// whether those days are as many as make a habit: three that are weekdays, or of a
// weekend, as this one is, or all of the last week of a series that has not seen
// three; or three of any kind for which it was new: weekdays do not make a habit of
// what weekends are like. timed tells that the time of day is expected, to the
// bucket, weekly that the weekday is, too: then what other days are like is no
// habit, but for what is new to them.
func (p *past) habit(b int64, w sought, timed, weekly bool) (daily bool, weeks int) {
	of, older := p.under(b), p.widestReach
	if timed {
		older = p.olderReach
	}
	week := func(at int64) bool { // whether it was seen in another week
		if p.inRing(at, of) {
			return w.in(p.reach(at, of))
		}
		hourly := w // of an hour only the mean is known
		hourly.dilution = max(hourly.dilution, mostDiluted)
		return hourly.in(older(at, of))
	}
	alike, seenAlike, seenNew := 0, 0, 0
	for k := int64(1); k <= lastDays; k++ {
		at := b - p.back(k)
		low, high := p.reach(at, of)
		switch {
		case low > high: // nothing is known of it
		case p.weekend(at) == p.weekend(b):
			if alike++; w.in(low, high) && !(weekly && week(at-p.back(7))) {
				seenAlike++
			}
		case w.in(low, high) && !week(at-p.back(7)):
			seenNew++
		}
	}
	if p.weekend(b) { // a week has two of them
		for k := lastDays + int64(1); k <= 2*lastDays; k++ {
			if at := b - p.back(k); p.weekend(at) {
				if low, high := older(at, of); low <= high {
					if alike++; w.in(low, high) && !weekly {
						seenAlike++
					}
				}
			}
		}
	}
	daily = alike >= 2 && seenAlike >= min(habitDays, alike) || seenAlike+seenNew >= habitDays
	for k := int64(1); k <= ringWeeks; k++ {
		at := b - p.back(7*k)
		if (k <= fineWeeks || p.inRing(at, of)) && week(at) {
			weeks++
		}
	}
	return daily, weeks
}

// pulses are the hours after which jobs come again within a day, pulseTimes how
// many times one must have come before, pulseShare the part of the time that it may
// take, and pulseLeft the part of it that may be left in between.
var pulses = [...]int64{1, 2, 3, 4, 6, 8, 12}

const (
	pulseTimes = 3
	pulseShare = 0.45
	pulseLeft  = 0.25
)

// pace is how many buckets so many hours are. It is not ok where these do not divide
// them, or are too long for what comes so often.
func (p *past) pace(hours int64) (every int64, ok bool) {
	every = hours * hourLength / p.bucket
	return every, every*p.bucket == hours*hourLength && every >= 2*nearby
}

// pulse tells whether w has come at a constant pace up to bucket b, and was gone for
// most of the time since it came last: what stays, or goes to and fro, is no job.
func (p *past) pulse(b int64, w sought) bool {
	of := p.under(b)
	for _, hours := range pulses {
		every, ok := p.pace(hours)
		if !ok {
			continue
		}
		times := int64(0)
		for at := b - every; times < pulseTimes && w.in(p.reach(at, of)) && p.gone(at+every*5/12, of, w) && p.gone(at+every*7/12, of, w); at -= every {
			times++
		}
		if times == pulseTimes && p.rested(b, every, of, w) {
			return true
		}
	}
	return false
}

// gone tells whether most of w was not there in bucket b.
func (p *past) gone(b, of int64, w sought) bool {
	v, ok := p.at(b, of)
	return ok && (w.x-v)/(w.x-w.expected) >= 1-pulseLeft
}

// rested tells whether w was gone in most of the n buckets before b.
func (p *past) rested(b, n, of int64, w sought) bool {
	there := 0.0
	for k := int64(1); k <= n; k++ {
		if !p.gone(b-k, of, w) {
			there++
		}
	}
	return there <= pulseShare*float64(n)
}
