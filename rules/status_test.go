package rules

import (
	"testing"

	"github.com/chironhq/chiron/rules/lang"
)

func TestAStatusSaysWhatTheBudgetMeans(t *testing.T) {
	f := func(model string, series int, want string) {
		t.Helper()
		m, err := lang.ParseModel(model)
		if err != nil {
			t.Fatal(err)
		}
		if got := falseAlerts(&lang.Anomaly{Model: m}, series); got != want {
			t.Errorf("%s: %q, want %q", model, got, want)
		}
	}
	f("auto", 120, "about 28 false alerts a week: 120 series, 0.23 each")
	f("auto(alerts=1/1w)", 1, "about 1 false alert a week: 1 series, 1 each")
	f("auto(alerts=24/1d)", 100, "about 17000 false alerts a week: 100 series, 170 each")
	f("zscore(alerts=1/1d)", 3, "about 21 false alerts a week: 3 series, 7 each")
	f("zscore(threshold=3)", 3, "")
	f("discord", 3, "")
}
