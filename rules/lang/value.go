package lang

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/chironhq/chiron/internal/diag"
)

// scalar gives one value its type: the checks model/type and model/range.
func (r *resolver) scalar(spec *ModelSpec, p *ParamSpec, v valueNode) (any, bool) {
	x, ok := typed(p, v)
	if !ok {
		r.errorf(v.at, "model/type", "%s: %s must be %s, not %s", spec.Name, p.Name, p.Type.describe(p), v)
		return nil, false
	}
	if msg := p.outside(x); msg != "" {
		r.errorf(v.at, "model/range", "%s: %s must be %s, not %s%s", spec.Name, p.Name, msg, v, diag.DidYouMean(v.str, p.Choices))
		return nil, false
	}
	return x, true
}

func typed(p *ParamSpec, v valueNode) (any, bool) {
	if v.list {
		return nil, false
	}
	word := v.kind == tokName || v.kind == tokString
	switch p.Type {
	case Number:
		return v.num, v.kind == tokNumber
	case Integer:
		return v.num, v.kind == tokNumber && v.num == math.Trunc(v.num) && math.Abs(v.num) < 1<<53
	case Fraction:
		return v.num, v.kind == tokNumber || v.kind == tokPercentage
	case Duration:
		return v.dur, v.kind == tokDuration
	case Rate:
		return Frequency{v.num, v.dur}, v.kind == tokRate
	case Text, Choice, Timezone, Date:
		return v.str, word
	}
	panic(fmt.Sprintf("parameter %s has the unknown type %d", p.Name, p.Type))
}

func (t Type) describe(p *ParamSpec) string {
	switch t {
	case Number:
		return "a number"
	case Integer:
		return "a whole number"
	case Fraction:
		return "a fraction such as 0.05 or 5%"
	case Duration:
		return "a duration such as 30m or 1d"
	case Rate:
		return "a rate such as 1/30d"
	case Text:
		return "a word or a quoted string"
	case Timezone:
		return `a time zone such as "Europe/Berlin"`
	case Date:
		return `a date such as "2026-12-25" or "12-25"`
	case Choice:
		return enumerateOr(p.Choices)
	}
	panic(fmt.Sprintf("unknown type %d", t))
}

// outside says what the value must be when it is not in the parameter's range.
func (p *ParamSpec) outside(x any) string {
	switch x := x.(type) {
	case string:
		if p.Type == Choice && !slices.Contains(p.Choices, x) {
			return enumerateOr(p.Choices)
		}
		if p.Type == Timezone && !knownTimezone(x) {
			return `a name of the time zone database such as "Europe/Berlin"`
		}
		if p.Type == Date && !knownDate(x) {
			return p.Type.describe(p)
		}
	case float64:
		if p.Bounds != nil && !p.Bounds.contain(x) {
			return p.Bounds.describe(formatValue)
		}
	case Frequency:
		if !(x.Count > 0) || x.Per <= 0 {
			return "a number above 0 over a time above 0, such as 1/30d"
		}
		if p.Bounds != nil && !p.Bounds.contain(x.PerDay()) {
			return p.Bounds.describe(formatPerDay)
		}
	case time.Duration:
		if p.Bounds != nil && !p.Bounds.contain(x.Seconds()) {
			return p.Bounds.describe(formatSeconds)
		}
	}
	return ""
}

// knownTimezone refuses "Local", which means something else on each machine.
func knownTimezone(name string) bool {
	if name == "" || name == "Local" {
		return false
	}
	_, err := time.LoadLocation(name)
	return err == nil
}

// knownDate reports whether a text is a day, of one year or of all.
func knownDate(text string) bool {
	_, err := time.Parse(time.DateOnly, text)
	if err != nil { // 2000 has a 29th of February
		_, err = time.Parse(time.DateOnly, "2000-"+text)
	}
	return err == nil
}

func (b *Bounds) contain(x float64) bool {
	return (x > b.Min || (x == b.Min && !b.MinOpen)) && (x < b.Max || (x == b.Max && !b.MaxOpen))
}

func (b *Bounds) describe(format func(any) string) string {
	lower := "at least "
	if b.MinOpen {
		lower = "above "
	}
	lower += format(b.Min)
	switch {
	case math.IsInf(b.Max, 1):
		return lower
	case b.MaxOpen:
		return lower + " and below " + format(b.Max)
	}
	return lower + " and at most " + format(b.Max)
}

func formatSeconds(seconds any) string {
	return model.Duration(time.Duration(seconds.(float64) * float64(time.Second))).String()
}

func typedList(t Type, xs []any) any {
	switch t {
	case Number, Integer, Fraction:
		return castList[float64](xs)
	case Duration:
		return castList[time.Duration](xs)
	case Rate:
		return castList[Frequency](xs)
	case Text, Choice, Timezone, Date:
		return castList[string](xs)
	}
	panic(fmt.Sprintf("unknown type %d", t))
}

func castList[T any](xs []any) []T {
	out := make([]T, len(xs))
	for i, x := range xs {
		out[i] = x.(T)
	}
	return out
}

func enumerate(words []string) string { return enumerateWith(words, "and") }

func enumerateOr(words []string) string { return enumerateWith(words, "or") }

func enumerateWith(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	n := len(words) - 1
	return strings.Join(words[:n], ", ") + " " + last + " " + words[n]
}
