package scenario

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
)

// ops lists the operations with their parameters; children -1 is any number.
var ops = map[string]struct {
	children           int
	required, optional string
}{
	"const":     {0, "value", ""},
	"sum":       {-1, "", ""},
	"product":   {-1, "", ""},
	"gauss":     {0, "sigma", "mean"},
	"uniform":   {0, "lo hi", ""},
	"lognormal": {0, "sigma", "median"},
	"pareto":    {0, "alpha", "scale cap"},      // scale*u^(-1/alpha), at most cap
	"ar1":       {0, "sigma tau", "mean"},       // sigma of the whole, tau: time to 1/e
	"day":       {0, "low high", "peak sharp"},  // smooth, peak: hour
	"twopeaks":  {0, "low high", "first share"}, // smaller peak at hour first, higher one 8 h later
	"business":  {0, "low high", "open close ramp"},
	"week":      {0, "sat sun", ""},         // factor, 1 on weekdays
	"weekly":    {0, "low high", "peak"},    // smooth, peak: time from Monday 00:00
	"wave":      {0, "low high period", ""}, // sine of any period
	"trend":     {0, "perday", "start"},     // start + perday*days
	"walk":      {0, "sigma", "mean"},       // sigma: spread after a day
	"sawtooth":  {0, "perday every", "low"}, // rises, falls back at deploys
	"levels":    {0, "lo hi every", ""},     // another level every so often
	"autoscale": {1, "per", "hold"},         // ceil(of/per), down only after hold
	"sparse":    {0, "perday", "for value"}, // 0, sometimes value for a while
	"poisson":   {1, "", ""},                // counts of a rate per minute
	"job":       {0, "height for", "every at jitter vary workdays"},
	"bursts":    {0, "perday scale", "alpha for cap"}, // heavy-tailed height, exponential length
	"clip":      {1, "", "lo hi"},
	"round":     {1, "", "digits"},
}

// build is a series in the making.
type build struct {
	kind  *Kind
	seed  uint64
	step  float64   // seconds
	t     []int64   // times before gaps and jitter
	local []float64 // civil time in seconds
	hits  []*hit    // incidents placed so far
	jobs  map[string][]occurrence
	may   []Window // where what recurs in the base is still new
}

// occurrence is a run of a job: samples [i, j).
type occurrence struct{ i, j int }

// rng is the source of randomness of one part of a kind. Each part has its own,
// so that none depends on how much another one draws.
func (b *build) rng(path string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(b.kind.Name + "\x00" + path))
	return rand.New(rand.NewPCG(b.seed, h.Sum64()))
}

// index is the first sample at or after local time s.
func (b *build) index(s float64) int {
	return sort.Search(len(b.local), func(i int) bool { return b.local[i] >= s })
}

func (b *build) samples(seconds float64) int { return max(1, int(math.Round(seconds/b.step))) }

const (
	monday   = 4 * 86400 // the first one of the epoch
	weekRamp = 7200      // from one day's level to the next, around midnight
)

// eval returns the values of a node and what of them can be foreseen; the
// difference is the noise. The draws do not depend on incidents.
func (b *build) eval(n *Node, path string) (x, clean []float64) {
	size := len(b.t)
	p := func(name string, otherwise float64) float64 {
		if r, ok := n.Params[name]; ok {
			return r.draw(b.rng(path + "/" + name))
		}
		return otherwise
	}
	child := func(i int) ([]float64, []float64) { return b.eval(&n.Of[i], path+"/"+strconv.Itoa(i)) }
	g := b.rng(path)
	x = make([]float64, size)
	hour := func(i int) float64 { return float64(int64(b.local[i])%86400) / 3600 }
	same := func(f func(i int) float64) {
		for i := range x {
			x[i] = f(i)
		}
		clean = slices.Clone(x)
	}
	noise := func(centre float64, f func() float64) {
		clean = make([]float64, size)
		for i := range x {
			x[i], clean[i] = f(), centre
		}
	}
	switch n.Op {
	case "const":
		v := p("value", 0)
		same(func(int) float64 { return v })
	case "sum", "product":
		clean = make([]float64, size)
		for c := range n.Of {
			y, yc := child(c)
			for i := range x {
				switch {
				case c == 0:
					x[i], clean[i] = y[i], yc[i]
				case n.Op == "sum":
					x[i] += y[i]
					clean[i] += yc[i]
				default:
					x[i] *= y[i]
					clean[i] *= yc[i]
				}
			}
		}
	case "gauss":
		m, s := p("mean", 0), p("sigma", 1)
		noise(m, func() float64 { return m + s*g.NormFloat64() })
	case "uniform":
		lo, hi := p("lo", 0), p("hi", 1)
		noise((lo+hi)/2, func() float64 { return lo + (hi-lo)*g.Float64() })
	case "lognormal":
		m, s := p("median", 1), p("sigma", 1)
		noise(m, func() float64 { return m * math.Exp(s*g.NormFloat64()) })
	case "pareto":
		s, a, top := p("scale", 1), p("alpha", 3), p("cap", math.Inf(1))
		noise(s*math.Pow(0.5, -1/a), func() float64 { return math.Min(s*math.Pow(1-g.Float64(), -1/a), top) })
	case "ar1":
		m, s, phi := p("mean", 0), p("sigma", 1), math.Exp(-b.step/p("tau", 600))
		y := g.NormFloat64()
		noise(m, func() float64 {
			y = phi*y + math.Sqrt(1-phi*phi)*g.NormFloat64()
			return m + s*y
		})
	case "day":
		lo, hi, peak, sharp := p("low", 0), p("high", 1), p("peak", 14), p("sharp", 1)
		same(func(i int) float64 {
			return lo + (hi-lo)*math.Pow(0.5+0.5*math.Cos(2*math.Pi*(hour(i)-peak)/24), sharp)
		})
	case "twopeaks":
		lo, hi, first, share := p("low", 0), p("high", 1), p("first", 12), p("share", 0.6)
		bump := func(h float64) float64 { return math.Pow(0.5+0.5*math.Cos(2*math.Pi*h/24), 4) }
		same(func(i int) float64 {
			return lo + (hi-lo)*math.Min(1, share*bump(hour(i)-first)+bump(hour(i)-first-8))
		})
	case "business":
		lo, hi, open, end, ramp := p("low", 0), p("high", 1), p("open", 8), p("close", 18), p("ramp", 1800)/3600
		same(func(i int) float64 {
			h := hour(i)
			return lo + (hi-lo)*math.Max(0, math.Min(1, math.Min((h-open)/ramp, (end-h)/ramp)))
		})
	case "week":
		sat, sun := p("sat", 1), p("sun", 1)
		factor := [7]float64{1, 1, 1, 1, 1, sat, sun}
		on := func(day float64) float64 {
			for _, h := range b.hits {
				if h.in.Kind == "weekend" && h.in.Target == n.ID && h.day == day {
					return sun
				}
			}
			return factor[int(day)%7]
		}
		var last, today, tomorrow float64
		same(func(i int) float64 {
			s := b.local[i] - monday - weekRamp/2
			d := math.Floor(s / 86400)
			if d != last {
				last, today, tomorrow = d, on(d), on(d+1)
			}
			w := math.Max(0, s-(d+1)*86400+weekRamp) / weekRamp
			return today*(1-w) + tomorrow*w
		})
	case "weekly":
		lo, hi, peak := p("low", 0), p("high", 1), p("peak", 0)
		same(func(i int) float64 {
			return lo + (hi-lo)*(0.5+0.5*math.Cos(2*math.Pi*(b.local[i]-monday-peak)/(7*86400)))
		})
	case "wave":
		lo, hi, period, phase := p("low", 0), p("high", 1), p("period", 3600), g.Float64()
		same(func(i int) float64 {
			return lo + (hi-lo)*(0.5+0.5*math.Sin(2*math.Pi*(float64(b.t[i]-b.t[0])/period+phase)))
		})
	case "trend":
		start, d := p("start", 0), p("perday", 0)
		same(func(i int) float64 { return start + d*float64(b.t[i]-b.t[0])/86400 })
	case "walk":
		y, s := p("mean", 0), p("sigma", 1)*math.Sqrt(b.step/86400)
		clean = make([]float64, size)
		for i := range x {
			clean[i] = y
			y += s * g.NormFloat64()
			x[i] = y
		}
	case "sawtooth":
		lo, rise, every := p("low", 0), p("perday", 1), n.Params["every"]
		next, from := every.draw(g)*g.Float64(), 0.0
		var resets []int
		same(func(i int) float64 {
			s := float64(b.t[i] - b.t[0])
			if s >= next {
				from, next = next, next+every.draw(g)
				resets = append(resets, i)
			}
			return lo + rise*(s-from)/86400
		})
		b.first(resets, 0)
	case "levels":
		lo, hi, every := p("lo", 0), p("hi", 1), n.Params["every"]
		next, y := 0.0, 0.0
		var changes []int
		same(func(i int) float64 {
			if s := float64(b.t[i] - b.t[0]); s >= next {
				next += every.draw(g)
				y = lo + (hi-lo)*g.Float64()
				changes = append(changes, i)
			}
			return y
		})
		b.first(changes, 0)
	case "autoscale":
		_, c := child(0)
		per, hold := p("per", 1), p("hold", 600)
		now, low := 0.0, 0.0
		same(func(i int) float64 {
			want := math.Max(1, math.Ceil(c[i]/per))
			switch {
			case want >= now:
				now, low = want, 0
			default:
				if low += b.step; low >= hold {
					now, low = want, 0
				}
			}
			return now
		})
	case "sparse":
		chance, length, v := p("perday", 1)*b.step/86400, p("for", b.step), p("value", 1)
		clean = make([]float64, size)
		left := 0.0
		for i := range x {
			if u := g.Float64(); u < chance && left <= 0 {
				left = length
			}
			if left > 0 {
				x[i] = v
				left -= b.step
			}
		}
	case "poisson":
		var c []float64
		_, c = child(0)
		clean = make([]float64, size)
		for i := range x {
			clean[i] = math.Max(0, c[i]) * b.step / 60
			x[i] = poisson(clean[i], g.Float64(), g.NormFloat64())
		}
	case "job":
		x, clean = b.job(n, p, g)
	case "bursts":
		chance, scale, alpha, length, top := p("perday", 1)*b.step/86400, p("scale", 1), p("alpha", 2), p("for", 60), p("cap", math.Inf(1))
		clean = make([]float64, size)
		for i := range x {
			if u, v, e := g.Float64(), g.Float64(), g.ExpFloat64(); u < chance {
				height := math.Min(scale*math.Pow(1-v, -1/alpha), top)
				for j := i; j < min(i+b.samples(length*e), size); j++ {
					x[j] += height
				}
			}
		}
	case "clip":
		y, yc := child(0)
		lo, hi := p("lo", 0), p("hi", math.Inf(1))
		clean = yc
		for i := range x {
			x[i], clean[i] = min(max(y[i], lo), hi), min(max(yc[i], lo), hi)
		}
	case "round":
		y, yc := child(0)
		d := math.Pow(10, p("digits", 0))
		clean = yc
		for i := range x {
			x[i] = math.Round(y[i]*d) / d
		}
	}
	for _, h := range b.hits {
		if n.ID != "" && h.in.Target == n.ID {
			h.apply(x, clean)
		}
	}
	return x, clean
}

// first lets the first three of the changes that recur in the base be told: each
// for as long as it lasts, and a while after.
func (b *build) first(at []int, last int) {
	for _, i := range at[:min(3, len(at))] {
		j := min(i+max(last, 0), len(b.t)-1)
		b.may = append(b.may, Window{Kind: May, From: b.t[i], To: b.t[j] + int64(math.Max(1800, 5*b.step))})
	}
}

func (b *build) job(n *Node, p func(string, float64) float64, g *rand.Rand) (x, clean []float64) {
	size := len(b.t)
	every, at, length, height := p("every", 86400), p("at", 2*3600), p("for", 1800), p("height", 1)
	jitter, vary, workdays := p("jitter", 0), p("vary", 0), p("workdays", 0) > 0
	x = make([]float64, size)
	var occurrences []occurrence
	for k := math.Floor((b.local[0] - monday) / every); ; k++ {
		s := monday + k*every + at
		if s >= b.local[size-1] {
			break
		}
		late, f := jitter*(2*g.Float64()-1), 1+vary*(2*g.Float64()-1)
		if day := int((s-monday)/86400) % 7; workdays && day > 4 {
			continue
		}
		i := b.index(s + late)
		j := min(i+b.samples(length*f), size)
		if s+late < b.local[0] || i >= size {
			continue
		}
		left := false
		for _, h := range b.hits {
			left = left || h.in.Kind == "nojob" && h.in.Target == n.ID && h.occurrence == len(occurrences)
		}
		occurrences = append(occurrences, occurrence{i, j})
		if left {
			continue
		}
		for k := i; k < j; k++ {
			x[k] += height * f
		}
	}
	if b.jobs != nil && n.ID != "" {
		b.jobs[n.ID] = occurrences
	}
	for _, o := range occurrences[:min(3, len(occurrences))] {
		b.first([]int{o.i}, o.j-o.i)
	}
	return x, slices.Clone(x)
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
