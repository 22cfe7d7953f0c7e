package lang

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// Args are the arguments of a call by parameter name. A value is a float64,
// time.Duration, Frequency or string, or a slice of one of them. A parameter that has no
// default and was not given is absent.
type Args map[string]any

// Has reports whether the parameter has a value, given or by default.
func (a Args) Has(name string) bool { _, ok := a[name]; return ok }

// Float returns a number or a fraction; 0 when it is absent.
func (a Args) Float(name string) float64 { return get[float64](a, name) }

// Int returns a whole number; 0 when it is absent.
func (a Args) Int(name string) int { return int(get[float64](a, name)) }

// Duration returns a duration; 0 when it is absent.
func (a Args) Duration(name string) time.Duration { return get[time.Duration](a, name) }

// Frequency returns a rate; nothing in no time when it is absent.
func (a Args) Frequency(name string) Frequency { return get[Frequency](a, name) }

// String returns a string, a choice or a time zone; "" when it is absent.
func (a Args) String(name string) string { return get[string](a, name) }

// Durations returns a list of durations; nil when it is absent. The caller must not change it.
func (a Args) Durations(name string) []time.Duration { return get[[]time.Duration](a, name) }

// Floats returns a list of numbers; nil when it is absent. The caller must not change it.
func (a Args) Floats(name string) []float64 { return get[[]float64](a, name) }

// Strings returns a list of strings; nil when it is absent. The caller must not change it.
func (a Args) Strings(name string) []string { return get[[]string](a, name) }

// get panics when the parameter has another type than the code that asks
// believes: table and code disagree, which no input can cause.
func get[T any](a Args, name string) T {
	v, ok := a[name]
	if !ok {
		var zero T
		return zero
	}
	t, ok := v.(T)
	if !ok {
		panic(fmt.Sprintf("argument %s is %T, not %T", name, v, t))
	}
	return t
}

func sameValue(a, b any) bool { return reflect.DeepEqual(a, b) }

// formatValue prints a value so that the parser reads the same one.
func formatValue(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case time.Duration:
		return model.Duration(v).String()
	case Frequency:
		return v.String()
	case string:
		if isName(v) {
			return v
		}
		return strconv.Quote(v)
	default:
		return "[" + strings.Join(listItems(v), ", ") + "]"
	}
}

func listItems(v any) []string {
	var out []string
	switch v := v.(type) {
	case []float64:
		for _, e := range v {
			out = append(out, formatValue(e))
		}
	case []time.Duration:
		for _, e := range v {
			out = append(out, formatValue(e))
		}
	case []string:
		for _, e := range v {
			out = append(out, formatValue(e))
		}
	default:
		panic(fmt.Sprintf("value of type %T", v))
	}
	return out
}

func isName(s string) bool {
	for i := range len(s) {
		if !isLetter(s[i]) && (i == 0 || !isDigit(s[i])) {
			return false
		}
	}
	return s != ""
}

func isLetter(c byte) bool {
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
