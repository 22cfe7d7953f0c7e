package auto

import "math"

// What has come again and again at a constant pace, and does not come now, is missed:
// jobs several times a day, short ones of every day, and weekly ones, of which no
// expectation that leads need know. Longer ones that come every day are expected by the
// time of day.
const (
	// missedTimes is how many times it must have come before, missedWidths how far out
	// it must have been each time, in widths.
	missedTimes, missedWeeks = 4, 3
	missedWidths, weekWidths = 6, 10
	// missedShare is the part of it that would be seen as its coming.
	missedShare = 0.5
	// missedHours is how long before and after a weekly one it must have been gone.
	missedHours = 6
	// aroundDaily is how long before and after a daily one, in seconds, it must have been gone.
	aroundDaily = 1800
	// clearly is how many times as much yesterday and a week ago must have been: on a slope
	// noise decides what is there and what is not.
	clearly = 1.6
	// After missedMost times nothing is missed until one is forgotten, one every
	// missedForget days: what comes only most of the time would be reported for ever.
	missedMost, missedForget = 3, 10
	// alikeLeast is the part of an hour's mean that other weeks must have had, too.
	alikeLeast = 0.7
)

// ofMissing is what begins an episode of a series in which something is missing.
const ofMissing int8 = 10

// missing tells what should have been in the newest closed buckets, above or below
// what there was: 1, -1, or 0 for nothing. weekly tells that only another week knows.
func (p *past) missing(width float64) (sign int8, weekly bool) {
	if p.bucket > fine {
		return 0, false
	}
	at := p.now - 1 - nearby // the times nearby have gone by, too
	low, high := p.reach(at, p.now)
	if low > high {
		return 0, false
	}
	least := missedWidths * width
	for _, hours := range pulses {
		every, ok := p.pace(hours)
		if !ok || at-missedTimes*every < p.first {
			continue
		}
		if s := p.missed(at, every, low, high, least); s != 0 {
			return s, false
		}
	}
	if s := p.missedDaily(at, low, high, least); s != 0 {
		return s, false
	}
	return p.missedWeekly(at, low, high, weekWidths*width), true
}

// missedDaily looks for something short that has come at this time of the last days, and
// a week ago, and at no other time of yesterday. Weekends are not known before the second.
func (p *past) missedDaily(at int64, low, high, least float64) int8 {
	yesterday, around := at-p.back(1), aroundDaily/p.bucket
	if around <= 2*nearby || p.weekend(at) && !p.weekend(yesterday) && at-p.back(lastDays) < p.first {
		return 0
	}
	usual, ok := p.smooth(at-around, p.now)
	if !ok {
		return 0
	}
	for _, sign := range [2]int8{1, -1} {
		v, ok := p.at(yesterday, p.now)
		if !ok {
			return 0
		}
		come := p.standsOut(yesterday, v, v, around, sign)
		if come < least || math.Abs(usual-p.surroundings(yesterday, around).mean) > missedShare/2*come {
			continue
		}
		if l, h := p.reach(at-p.back(lastDays), p.now); l <= h && !came(l, h, usual, come, sign) {
			continue
		}
		smallest, times := come, int64(1)
		for ; times < missedTimes; times++ {
			k := at - p.back(times+1)
			l, h := p.reach(k, p.now)
			c := p.standsOut(k, l, h, around, sign)
			if c < least {
				break
			}
			smallest = min(smallest, c)
		}
		if times == missedTimes && !came(low, high, usual, smallest, sign) && p.onlyThen(yesterday, at, around, missedShare*smallest, sign) {
			return sign
		}
	}
	return 0
}

// nearBy is what it was like some buckets before and after one, and by how much these
// differ; NaN where either is not known.
type nearBy struct{ mean, differ float64 }

func (p *past) surroundings(k, around int64) nearBy {
	before, ok := p.smooth(k-around, p.now)
	after, known := p.smooth(k+around, p.now)
	if !ok || !known {
		return nearBy{math.NaN(), math.NaN()}
	}
	return nearBy{(before + after) / 2, math.Abs(after - before)}
}

// standsOut is how far values in or near a bucket lie to one side of what it was like
// before and after; 0 where that differs by as much, or is not known.
func (p *past) standsOut(k int64, low, high float64, around int64, sign int8) float64 {
	n := p.surroundings(k, around)
	by := height(low, high, n.mean, sign)
	if low > high || !(n.differ <= missedShare*by) {
		return 0
	}
	return by
}

// onlyThen tells whether nothing between two buckets, but for what is around them, stood
// out by least.
func (p *past) onlyThen(from, to, around int64, least float64, sign int8) bool {
	for k := from + around; k < to-around; k++ {
		if v, ok := p.at(k, p.now); ok && height(v, v, p.surroundings(k, around).mean, sign) >= least {
			return false
		}
	}
	return true
}

// missed looks for something that has come every so many buckets before at, and was
// gone in between. What did not come yesterday, or a week ago, need not come now.
func (p *past) missed(at, every int64, low, high, least float64) int8 {
	last, ok := p.at(at-every, p.now)
	before, known := p.smooth(at-every/2, p.now)
	if !ok || !known {
		return 0
	}
	for _, sign := range [2]int8{1, -1} {
		come := float64(sign) * (last - before)
		if come < least || came(low, high, before, come, sign) {
			continue
		}
		for _, days := range [2]int64{1, 7} {
			if l, h := p.reach(at-p.back(days), p.now); l <= h && !came(l, h, before, clearly*come, sign) {
				return 0
			}
		}
		times := int64(1)
		for ; times < missedTimes; times++ {
			k := at - (times+1)*every
			l, h := p.reach(k, p.now)
			between, ok := p.smooth(k+every/2, p.now)
			if !ok || l > h {
				break
			}
			c := height(l, h, between, sign)
			if c < missedShare*come || c < least || math.Abs(between-before) > missedShare*come {
				break
			}
		}
		if times == missedTimes && p.quiet(at-every, at, before, come, sign) {
			return sign
		}
	}
	return 0
}

// quiet tells whether nothing like it came at any other time between two buckets: what
// comes at random comes at a constant pace now and then.
func (p *past) quiet(from, to int64, before, come float64, sign int8) bool {
	for k := from + jobLength(to-from); k < to-nearby; k++ {
		if v, ok := p.at(k, p.now); ok && came(v, v, before, come, sign) {
			return false
		}
	}
	return true
}

// jobLength is how many buckets something may go on for that comes every so many.
func jobLength(every int64) int64 { return max(nearby+1, int64(pulseShare*float64(every))) }

// nextDay lets what is counted by days go on.
func (e *evidence) nextDay() {
	e.days += min(1, 255-e.days)
	if e.missed == 0 {
		e.missedDays = 0
		return
	}
	if e.missedDays++; e.missedDays >= missedForget {
		e.missed, e.missedDays = e.missed-1, 0
	}
}

// height is how far there was anything to one side of before.
func height(low, high, before float64, sign int8) float64 {
	if sign > 0 {
		return high - before
	}
	return before - low
}

// came tells whether what is so far from before to one side is there now.
func came(low, high, before, come float64, sign int8) bool {
	return height(low, high, before, sign) >= missedShare*come
}

// missedWeekly looks for something that was there at this time of the last weeks, and
// on no other day.
func (p *past) missedWeekly(at int64, low, high, least float64) int8 {
	week := at - p.back(7)
	if at-p.back(7*missedWeeks) < p.first {
		return 0
	}
	a := p.analog(at, p.now)
	was, ok := p.at(week, p.now)
	if !ok || !a.ok[byDay] {
		return 0
	}
	usual := a.v[byDay]
	come, sign := was-usual, int8(1)
	if come < 0 {
		come, sign = -come, -1
	}
	if come < least || came(low, high, usual, come, sign) {
		return 0
	}
	// Some hours before and after it, and on the days before and after it, all was as usual: it was
	// a job, and no level.
	hours := missedHours * hourLength / p.bucket
	for _, k := range [...]int64{week - hours, week + hours, at - p.back(5), at - p.back(6), at - p.back(8), at - p.back(9)} {
		v, ok := p.at(k, p.now)
		if !p.inRing(k, p.now) {
			v, ok = p.older(k, p.now)
		}
		if !ok || math.Abs(v-usual) > missedShare/2*come {
			return 0
		}
	}
	for k := int64(2); k <= missedWeeks; k++ {
		if !p.cameHourly(week, at-p.back(7*k), usual, least/3, sign) {
			return 0
		}
	}
	return sign
}

// cameHourly tells whether a week of which only hours are known was rather like bucket
// recent than as usual: the mean of an hour must show that by least.
func (p *past) cameHourly(recent, old int64, usual, least float64, sign int8) bool {
	if p.inRing(old, p.now) {
		v, ok := p.at(old, p.now)
		return ok && float64(sign)*(v-usual) >= least
	}
	was, ok := p.pieceAt(p.pieceOf(old), p.now)
	if !ok {
		return false
	}
	mean, n := p.hourOf(recent, old, p.now)
	by := float64(sign) * (mean - usual)
	return n > 0 && by >= least && float64(sign)*(was-usual) >= alikeLeast*by
}
