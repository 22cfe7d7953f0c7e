package policy

import "testing"

// TestNoWayAroundPlainValues: whatever way a template takes to a value of
// the alert, one that could end a string of PromQL does not reach a query.
func TestNoWayAroundPlainValues(t *testing.T) {
	bad := Values{Labels: map[string]string{"pod": `x"}) or vector(99) #`, "other": "a"}, Annotations: map[string]string{"pod": `y"`}}
	fine := Values{Labels: map[string]string{"pod": "cart-0"}, Annotations: map[string]string{"summary": `90% "full"!`}}
	f := func(text string, v Values, want string) {
		t.Helper()
		tm, err := ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tm.ExpandQuery(v, nil)
		if want == "" && err == nil || want != "" && (err != nil || got != want) {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
	f(`up{pod="{{ .Labels.pod }}"} > 0`, fine, `up{pod="cart-0"} > 0`)
	f(`up{pod="{{ .Labels.pod }}"} > 0`, bad, "")
	f(`up{pod="{{ .Annotations.pod }}"} > 0`, bad, "")
	f(`up{pod="{{ index .Labels "pod" }}"} > 0`, bad, "")
	f(`up{pod="{{ (index .Labels (printf "p%s" "od")) }}"} > 0`, bad, "")
	f(`up{x="{{ range .Labels }}{{ . }}{{ end }}"} > 0`, bad, `up{x="a"} > 0`)
	f(`summary > 0`, fine, `summary > 0`)

	n, err := ParseTemplate(`{{ query (printf "max(x{pod=\"%s\"})" .Labels.pod) }}`)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	ask := func(expr string) (float64, error) { asked = append(asked, expr); return 3, nil }
	if got, err := n.Number(bad, ask); err == nil {
		t.Errorf("a number %v for %q", got, asked)
	}
	if got, err := n.Number(fine, ask); err != nil || got != 3 || len(asked) != 1 || asked[0] != `max(x{pod="cart-0"})` {
		t.Errorf("%v, %v, %q", got, err, asked)
	}
}
