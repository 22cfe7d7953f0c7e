package lang

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// Scores, as the detector gives them: up to UsualScore while a series is usual,
// from AnomalousScore on while it is anomalous. Where the score of auto is a rank
// it ends at MostRankScore.
const (
	UsualScore     = 0.99
	AnomalousScore = 1.01
	MostRankScore  = 1.91
	MostScore      = 1000
)

// mostScore is the greatest score that the model can give a value within range.
func (a *Anomaly) mostScore() float64 {
	if c, ok := a.Model.(Call); ok && c.Name == "auto" {
		return MostRankScore
	}
	return MostScore
}

// named finds conditions that name the score: when compares with it anyway.
var named = regexp.MustCompile(`^\s*\$?(?:score|value|anomaly_score)\s*([<>=!].*)$`)

// checkWhen is the check rule/when: a condition that no score meets, or that
// those of usual values meet, too.
func (l *loader) checkWhen(n *yaml.Node, c *AlertClause, a *Anomaly) {
	if n == nil || a.Model == nil {
		return
	}
	e, err := l.promQL.ParseExpr(MetricScore + " " + c.When)
	if err != nil {
		return // a problem of its own
	}
	conditions := comparisons(e)
	most := a.mostScore()
	usual := meets(conditions, 0, UsualScore)
	switch anomalous := meets(conditions, AnomalousScore, most); {
	case usual && anomalous:
		l.doc.Warnf(n, "rule/when", "usual values meet %q, too: a series is anomalous while its score is above 1; leave when out", c.When)
	case usual:
		l.doc.Warnf(n, "rule/when", "only usual values meet %q: a series is anomalous while its score is above 1; leave when out", c.When)
	case anomalous:
	case most < MostScore && a.ranged() && meets(conditions, most, MostScore):
		l.doc.Warnf(n, "rule/when", "only values outside range can meet %q: %s; leave when out, or give min_dev or for where less should be reported", c.When, whyRank)
	case most < MostScore:
		l.doc.Warnf(n, "rule/when", "no score meets %q: %s; leave when out, and give min_dev or for where less should be reported", c.When, whyRank)
	default:
		l.doc.Warnf(n, "rule/when", "no score meets %q: a score is at most %g while a series is usual, and %g to %d while it is anomalous; leave when out",
			c.When, UsualScore, AnomalousScore, MostScore)
	}
}

var whyRank = fmt.Sprintf("the score of auto is a rank, %g to %g while a series is anomalous, and no number of deviations", AnomalousScore, MostRankScore)

// ranged tells whether the rule has a range.
func (a *Anomaly) ranged() bool { return !math.IsInf(a.Range[0], -1) || !math.IsInf(a.Range[1], 1) }

// comparison is one of those that a condition is made of.
type comparison struct {
	op parser.ItemType
	v  float64
}

// comparisons takes a condition that comparesScore accepts apart.
func comparisons(e parser.Expr) []comparison {
	b, ok := e.(*parser.BinaryExpr)
	if !ok {
		return nil
	}
	return append(comparisons(b.LHS), comparison{b.Op, constantOf(b.RHS)})
}

// meets tells whether some score from lo to hi meets all comparisons. What
// decides changes at their numbers only.
func meets(all []comparison, lo, hi float64) bool {
	scores := []float64{lo, hi}
	for _, c := range all {
		scores = append(scores, math.Nextafter(c.v, math.Inf(-1)), c.v, math.Nextafter(c.v, math.Inf(1)))
	}
	return slices.ContainsFunc(scores, func(score float64) bool {
		return score >= lo && score <= hi && !slices.ContainsFunc(all, func(c comparison) bool { return !c.holds(score) })
	})
}

func (c comparison) holds(score float64) bool {
	switch c.op {
	case parser.GTR:
		return score > c.v
	case parser.GTE:
		return score >= c.v
	case parser.LSS:
		return score < c.v
	case parser.LTE:
		return score <= c.v
	case parser.EQLC:
		return score == c.v
	}
	return score != c.v
}

// constantOf is the number that an expression is which constant accepts.
func constantOf(e parser.Expr) float64 {
	switch e := e.(type) {
	case *parser.NumberLiteral:
		return e.Val
	case *parser.UnaryExpr:
		if e.Op == parser.SUB {
			return -constantOf(e.Expr)
		}
		return constantOf(e.Expr)
	case *parser.ParenExpr:
		return constantOf(e.Expr)
	}
	return math.NaN()
}

// withoutName returns the comparison of a condition that names the score.
func withoutName(text string) (comparison string, ok bool) {
	if m := named.FindStringSubmatch(text); m != nil {
		return strings.TrimSpace(m[1]), true
	}
	return "", false
}
