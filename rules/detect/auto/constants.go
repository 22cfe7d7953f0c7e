package auto

// Constants that no derivation gives, and on which figures depend the most. The
// protocol of make tune-detection tries others, and measures each choice on what it
// was not made on.
var (
	// clusterShare is the part of a threshold from which on a value is far out.
	clusterShare = 0.8
	// effect scales the least effects.
	effect = 1.07
	// unknownFactor widens the least effect to the threshold of a tail of which
	// fewer than tailFew values are known, youngFactor all thresholds at first.
	unknownFactor, youngFactor = 1.5, 1.5
	// shapePrior is the shape of a tail that is assumed, as if priorValues had shown
	// it. tailEnd is the probability at which extrapolation begins.
	shapePrior, priorValues, tailEnd = 0.05, 100.0, 0.002
	// cautionStep is the part by which an alert raises a threshold, and leastCaution
	// the one by which it falls while nothing crosses it.
	cautionStep, leastCaution = 0.12, -0.3
	// An expectation that follows the newest values, and the one by the week, must
	// be better than others by a margin.
	followMargin, weekMargin = 1.3, 1.03
	// errorMemory is how long errors of expectations count, in seconds: of a
	// block, which is three hours a day, some three days.
	errorMemory = 0.4 * day
	// anomalousRate slows what is learned of errors while something is anomalous:
	// who follows is right then, and who led wrongly must not lead for ever.
	anomalousRate = 0.1
	// leastOfAll is the part of the width of all day that no time of day falls
	// below, widthClip how many widths a deviation adds to one at most, visits how
	// many of a time of day its width is a mean of.
	leastOfAll, widthClip, visits = 0.25, 5.0, 8.0
	// habitTolerance is how near what was seen before must be, habitWidths what it
	// may still deviate by, in widths.
	habitTolerance, habitWidths = 2.5, 2.0
	// grown is the part of itself by which a level that holds may grow.
	grown = 0.06
	// holdMost is how many widths of a threshold the end of an episode takes at
	// most, spreadAccept after how long another spread is accepted, in seconds.
	holdMost, spreadAccept = 4.0, 10 * 3600.0
)

// Constant is one that may be chosen.
type Constant struct {
	Name  string
	Value *float64
	Try   []float64 // what else it may be
}

// Constants are those that figures depend on the most. Nothing may run while one
// is changed.
func Constants() []Constant {
	return []Constant{
		{"cluster", &clusterShare, []float64{0.7, 0.9}},
		{"effect", &effect, []float64{0.95, 1.2}},
		{"unknown", &unknownFactor, []float64{1.2, 1.8}},
		{"young", &youngFactor, []float64{0.75, 2.5}},
		{"shape-prior", &shapePrior, []float64{0, 0.1}},
		{"prior-values", &priorValues, []float64{30, 300}},
		{"tail-end", &tailEnd, []float64{0.0014, 0.003}},
		{"caution-step", &cautionStep, []float64{0.06, 0.2}},
		{"caution-least", &leastCaution, []float64{-0.15, -0.4}},
		{"follow-margin", &followMargin, []float64{1.15, 1.5}},
		{"week-margin", &weekMargin, []float64{1, 1.1}},
		{"error-memory", &errorMemory, []float64{0.2 * day, 0.8 * day}},
		{"anomalous-rate", &anomalousRate, []float64{0.03, 0.3}},
		{"width-least", &leastOfAll, []float64{0.15, 0.4}},
		{"width-clip", &widthClip, []float64{3.5, 7}},
		{"width-visits", &visits, []float64{5, 14}},
		{"habit-tolerance", &habitTolerance, []float64{1.8, 3.5}},
		{"habit-widths", &habitWidths, []float64{1.4, 2.5}},
		{"grown", &grown, []float64{0.04, 0.09}},
		{"hold", &holdMost, []float64{3, 5.5}},
		{"spread-accept", &spreadAccept, []float64{5 * 3600, 20 * 3600}},
	}
}
