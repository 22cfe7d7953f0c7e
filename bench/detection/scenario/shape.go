package scenario

import (
	"math"
	"slices"
)

// day is smooth, with its peak at an hour; sharp narrows the peak.
func (e *evaluation) day() {
	lo, hi, peak, sharp := e.param("low", 0), e.param("high", 1), e.param("peak", 14), e.param("sharp", 1)
	e.same(func(i int) float64 {
		return lo + (hi-lo)*math.Pow(0.5+0.5*math.Cos(2*math.Pi*(e.hour(i)-peak)/24), sharp)
	})
}

// twoPeaks has a smaller peak at hour first and a higher one eight hours later.
func (e *evaluation) twoPeaks() {
	lo, hi, first, share := e.param("low", 0), e.param("high", 1), e.param("first", 12), e.param("share", 0.6)
	bump := func(h float64) float64 { return math.Pow(0.5+0.5*math.Cos(2*math.Pi*h/24), 4) }
	e.same(func(i int) float64 {
		return lo + (hi-lo)*math.Min(1, share*bump(e.hour(i)-first)+bump(e.hour(i)-first-8))
	})
}

// business is low at night and high between two hours, with ramps.
func (e *evaluation) business() {
	lo, hi, open, end, ramp := e.param("low", 0), e.param("high", 1), e.param("open", 8), e.param("close", 18), e.param("ramp", 1800)/3600
	e.same(func(i int) float64 {
		h := e.hour(i)
		return lo + (hi-lo)*math.Max(0, math.Min(1, math.Min((h-open)/ramp, (end-h)/ramp)))
	})
}

// week is a factor: 1 on weekdays, sat and sun at the weekend.
func (e *evaluation) week() {
	sat, sun := e.param("sat", 1), e.param("sun", 1)
	factor := [7]float64{1, 1, 1, 1, 1, sat, sun}
	on := func(day float64) float64 {
		for _, h := range e.hits {
			if h.in.Kind == "weekend" && h.in.Target == e.node.ID && h.day == day {
				return sun
			}
		}
		return factor[int(day)%7]
	}
	var last, today, tomorrow float64
	e.same(func(i int) float64 {
		s := e.local[i] - monday - weekRamp/2
		d := math.Floor(s / 86400)
		if d != last {
			last, today, tomorrow = d, on(d), on(d+1)
		}
		w := math.Max(0, s-(d+1)*86400+weekRamp) / weekRamp
		return today*(1-w) + tomorrow*w
	})
}

// weekly is smooth, with its peak at a time from Monday 00:00 on.
func (e *evaluation) weekly() {
	lo, hi, peak := e.param("low", 0), e.param("high", 1), e.param("peak", 0)
	e.same(func(i int) float64 {
		return lo + (hi-lo)*(0.5+0.5*math.Cos(2*math.Pi*(e.local[i]-monday-peak)/(7*86400)))
	})
}

// wave is a sine of any period.
func (e *evaluation) wave() {
	lo, hi, period, phase := e.param("low", 0), e.param("high", 1), e.param("period", 3600), e.g.Float64()
	e.same(func(i int) float64 {
		return lo + (hi-lo)*(0.5+0.5*math.Sin(2*math.Pi*(e.since(i)/period+phase)))
	})
}

func (e *evaluation) trend() {
	start, d := e.param("start", 0), e.param("perday", 0)
	e.same(func(i int) float64 { return start + d*e.since(i)/86400 })
}

// sawtooth rises, and falls back every so often.
func (e *evaluation) sawtooth() {
	lo, rise, every := e.param("low", 0), e.param("perday", 1), e.node.Params["every"]
	next, from := every.draw(e.g)*e.g.Float64(), 0.0
	var resets []int
	e.same(func(i int) float64 {
		s := e.since(i)
		if s >= next {
			from, next = next, next+every.draw(e.g)
			resets = append(resets, i)
		}
		return lo + rise*(s-from)/86400
	})
	e.first(resets, 0)
}

// levels is another level every so often.
func (e *evaluation) levels() {
	lo, hi, every := e.param("lo", 0), e.param("hi", 1), e.node.Params["every"]
	next, y := 0.0, 0.0
	var changes []int
	e.same(func(i int) float64 {
		if e.since(i) >= next {
			next += every.draw(e.g)
			y = lo + (hi-lo)*e.g.Float64()
			changes = append(changes, i)
		}
		return y
	})
	e.first(changes, 0)
}

// autoscale is as many as the load needs at per each; one waits hold before
// there are fewer.
func (e *evaluation) autoscale() {
	_, load := e.child(0)
	per, hold := e.param("per", 1), e.param("hold", 600)
	now, low := 0.0, 0.0
	e.same(func(i int) float64 {
		want := math.Max(1, math.Ceil(load[i]/per))
		if want >= now {
			now, low = want, 0
		} else if low += e.step; low >= hold {
			now, low = want, 0
		}
		return now
	})
}

// job runs for a while every so often, from Monday 00:00 on in civil time.
func (e *evaluation) job() {
	size := len(e.x)
	every, at, length, height := e.param("every", 86400), e.param("at", 2*3600), e.param("for", 1800), e.param("height", 1)
	jitter, vary, workdays := e.param("jitter", 0), e.param("vary", 0), e.param("workdays", 0) > 0
	var occurrences []occurrence
	for k := math.Floor((e.local[0] - monday) / every); ; k++ {
		s := monday + k*every + at
		if s >= e.local[size-1] {
			break
		}
		late, f := jitter*(2*e.g.Float64()-1), 1+vary*(2*e.g.Float64()-1)
		if day := int((s-monday)/86400) % 7; workdays && day > 4 {
			continue
		}
		i := e.index(s + late)
		j := min(i+e.samples(length*f), size)
		if s+late < e.local[0] || i >= size {
			continue
		}
		left := false
		for _, h := range e.hits {
			left = left || h.in.Kind == "nojob" && h.in.Target == e.node.ID && h.occurrence == len(occurrences)
		}
		occurrences = append(occurrences, occurrence{i, j})
		if left {
			continue
		}
		for k := i; k < j; k++ {
			e.x[k] += height * f
		}
	}
	if e.node.ID != "" {
		e.jobs[e.node.ID] = occurrences
	}
	for _, o := range occurrences[:min(3, len(occurrences))] {
		e.first([]int{o.i}, o.j-o.i)
	}
	e.clean = slices.Clone(e.x)
}
