package scenario

import "math"

func (e *evaluation) gauss() {
	m, s := e.param("mean", 0), e.param("sigma", 1)
	e.noise(m, func() float64 { return m + s*e.g.NormFloat64() })
}

func (e *evaluation) uniform() {
	lo, hi := e.param("lo", 0), e.param("hi", 1)
	e.noise((lo+hi)/2, func() float64 { return lo + (hi-lo)*e.g.Float64() })
}

func (e *evaluation) lognormal() {
	m, s := e.param("median", 1), e.param("sigma", 1)
	e.noise(m, func() float64 { return m * math.Exp(s*e.g.NormFloat64()) })
}

// pareto has the tail scale*u^(-1/alpha), up to cap.
func (e *evaluation) pareto() {
	s, a, top := e.param("scale", 1), e.param("alpha", 3), e.param("cap", math.Inf(1))
	e.noise(s*math.Pow(0.5, -1/a), func() float64 { return math.Min(s*math.Pow(1-e.g.Float64(), -1/a), top) })
}

// ar1 has spread sigma over all, and forgets to 1/e within tau.
func (e *evaluation) ar1() {
	m, s, phi := e.param("mean", 0), e.param("sigma", 1), math.Exp(-e.step/e.param("tau", 600))
	y := e.g.NormFloat64()
	e.noise(m, func() float64 {
		y = phi*y + math.Sqrt(1-phi*phi)*e.g.NormFloat64()
		return m + s*y
	})
}

// walk has spread sigma after a day; what can be foreseen is the value before.
func (e *evaluation) walk() {
	y, s := e.param("mean", 0), e.param("sigma", 1)*math.Sqrt(e.step/86400)
	e.clean = make([]float64, len(e.x))
	for i := range e.x {
		e.clean[i] = y
		y += s * e.g.NormFloat64()
		e.x[i] = y
	}
}

// poisson counts at a rate a minute.
func (e *evaluation) poisson() {
	_, rate := e.child(0)
	e.clean = make([]float64, len(e.x))
	for i := range e.x {
		e.clean[i] = math.Max(0, rate[i]) * e.step / 60
		e.x[i] = poisson(e.clean[i], e.g.Float64(), e.g.NormFloat64())
	}
}

// sparse is 0, and now and then value for a while.
func (e *evaluation) sparse() {
	chance, length, v := e.param("perday", 1)*e.step/86400, e.param("for", e.step), e.param("value", 1)
	e.clean = make([]float64, len(e.x))
	left := 0.0
	for i := range e.x {
		if u := e.g.Float64(); u < chance && left <= 0 {
			left = length
		}
		if left > 0 {
			e.x[i] = v
			left -= e.step
		}
	}
}

// bursts have heights with a Pareto tail and exponential lengths, and add up.
func (e *evaluation) bursts() {
	chance, scale, alpha, length, top := e.param("perday", 1)*e.step/86400, e.param("scale", 1), e.param("alpha", 2), e.param("for", 60), e.param("cap", math.Inf(1))
	e.clean = make([]float64, len(e.x))
	for i := range e.x {
		if u, v, w := e.g.Float64(), e.g.Float64(), e.g.ExpFloat64(); u < chance {
			height := math.Min(scale*math.Pow(1-v, -1/alpha), top)
			for j := i; j < min(i+e.samples(length*w), len(e.x)); j++ {
				e.x[j] += height
			}
		}
	}
}

// poisson turns a uniform and a normal number into a count.
func poisson(rate, u, z float64) float64 {
	if rate > 50 {
		return math.Max(0, math.Round(rate+math.Sqrt(rate)*z))
	}
	k, p := 0.0, math.Exp(-rate)
	for sum := p; u > sum && k < 1000; sum += p {
		k++
		p *= rate / k
	}
	return k
}
