package scenario

import "math"

// op is an operation of the base shape.
type op struct {
	children           int // -1 is any number
	required, optional string
	eval               func(*evaluation)
}

// ops lists the operations with their parameters.
var ops = map[string]*op{
	"const":   {0, "value", "", (*evaluation).constant},
	"sum":     {-1, "", "", (*evaluation).sum},
	"product": {-1, "", "", (*evaluation).product},
	"clip":    {1, "", "lo hi", (*evaluation).clip},
	"round":   {1, "", "digits", (*evaluation).round},

	"gauss":     {0, "sigma", "mean", (*evaluation).gauss},
	"uniform":   {0, "lo hi", "", (*evaluation).uniform},
	"lognormal": {0, "sigma", "median", (*evaluation).lognormal},
	"pareto":    {0, "alpha", "scale cap", (*evaluation).pareto},
	"ar1":       {0, "sigma tau", "mean", (*evaluation).ar1},
	"walk":      {0, "sigma", "mean", (*evaluation).walk},
	"poisson":   {1, "", "", (*evaluation).poisson},
	"sparse":    {0, "perday", "for value", (*evaluation).sparse},
	"bursts":    {0, "perday scale", "alpha for cap", (*evaluation).bursts},

	"day":      {0, "low high", "peak sharp", (*evaluation).day},
	"twopeaks": {0, "low high", "first share", (*evaluation).twoPeaks},
	"business": {0, "low high", "open close ramp", (*evaluation).business},
	"week":     {0, "sat sun", "", (*evaluation).week},
	"weekly":   {0, "low high", "peak", (*evaluation).weekly},
	"job":      {0, "height for", "every at jitter vary workdays", (*evaluation).job},

	"wave":      {0, "low high period", "", (*evaluation).wave},
	"trend":     {0, "perday", "start", (*evaluation).trend},
	"sawtooth":  {0, "perday every", "low", (*evaluation).sawtooth},
	"levels":    {0, "lo hi every", "", (*evaluation).levels},
	"autoscale": {1, "per", "hold", (*evaluation).autoscale},
}

func (e *evaluation) constant() {
	v := e.param("value", 0)
	e.same(func(int) float64 { return v })
}

func (e *evaluation) sum() {
	e.fold(func(a, b float64) float64 { return a + b })
}

func (e *evaluation) product() {
	e.fold(func(a, b float64) float64 { return a * b })
}

func (e *evaluation) fold(join func(a, b float64) float64) {
	e.clean = make([]float64, len(e.x))
	for c := range e.node.Of {
		y, clean := e.child(c)
		if c == 0 {
			e.x, e.clean = y, clean
			continue
		}
		for i := range e.x {
			e.x[i], e.clean[i] = join(e.x[i], y[i]), join(e.clean[i], clean[i])
		}
	}
}

func (e *evaluation) clip() {
	y, clean := e.child(0)
	lo, hi := e.param("lo", 0), e.param("hi", math.Inf(1))
	for i := range y {
		y[i], clean[i] = min(max(y[i], lo), hi), min(max(clean[i], lo), hi)
	}
	e.x, e.clean = y, clean
}

func (e *evaluation) round() {
	e.x, e.clean = e.child(0)
	d := math.Pow(10, e.param("digits", 0))
	for i := range e.x {
		e.x[i] = math.Round(e.x[i]*d) / d
	}
}
