package lang

import (
	"testing"
	"time"
)

func TestLongestSeason(t *testing.T) {
	f := func(model string, want time.Duration) {
		t.Helper()
		e, err := ParseModel(model)
		if err != nil {
			t.Fatal(err)
		}
		if got := LongestSeason(e); got != want {
			t.Errorf("%s: %s, want %s", model, got, want)
		}
	}
	f("auto", 0)
	f("zscore + mad", 0)
	f("seasonal", 7*day)
	f("seasonal(3h)", 3*time.Hour)
	f("seasonal(2d, 1h)", 2*day)
	f("holtwinters", day)
	f("prophet(1h, 5d) & holtwinters(season=6d)", 6*day)
	f("quantile", 0)
	f("(quantile(season=1d) + mad) & zscore", day)
	if got := LongestSeason(nil); got != 0 {
		t.Errorf("no model: %s", got)
	}
}

// TestEverySeasonIsKnown finds a model that gets a season and is left out.
func TestEverySeasonIsKnown(t *testing.T) {
	for _, m := range Models {
		for _, p := range m.Params {
			season := p.Name == "season" || p.Name == "seasons" || p.Name == "periods"
			if season != (seasonParams[m.Name] == p.Name) {
				t.Errorf("%s: %s", m.Name, p.Name)
			}
		}
	}
}
