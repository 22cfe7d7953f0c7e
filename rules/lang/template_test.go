package lang

import (
	"slices"
	"strings"
	"testing"
)

func TestUsedVariables(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		if got, ok := usedVariables(text); !ok || !slices.Equal(got, want) {
			t.Errorf("%s uses %v, want %v", text, got, want)
		}
	}
	f("$actual")
	f("{{ $value }} $actual {{ \"$actual\" }} {{/* $actual */}}")
	f("{{ $actual }}", "actual")
	f("{{ $score }}{{- $lower | humanize -}}", "lower", "score")
	f("{{ range query $labels.x }}{{ if gt $expected .Value }}{{ end }}{{ end }}", "expected")
	f("{{ (printf \"%v\" $upper) }}", "upper")
	// A variable of the text's own is not ours, before or inside of its scope.
	f("{{ $actual := 1 }}{{ $actual }}")
	f("{{ if true }}{{ $actual := 1 }}{{ end }}{{ $actual }}", "actual")
	f("{{ $a := $actual }}{{ $a }}", "actual")
	for _, text := range []string{"{{ $actual }}{{ $nothing }}", "{{ $actual "} {
		if used, ok := usedVariables(text); ok {
			t.Errorf("%s uses %v", text, used)
		}
	}
}

// TestTextsThatUseNothingStayAsTheyAre keeps the common case readable where
// rules are shown.
func TestTextsThatUseNothingStayAsTheyAre(t *testing.T) {
	for _, text := range []string{"", "plain", "{{ $labels.pod }} has {{ $value }}"} {
		if got := (alertTexts{alert: "A"}).text(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	if got := (alertTexts{alert: "A"}).text("{{ $score }}"); strings.Contains(got, "query") {
		t.Errorf("the score is the value and needs no query: %s", got)
	}
}
