package detect

import (
	"os"
	"strings"
	"testing"
)

func TestEveryModelHasASectionInTheDocs(t *testing.T) {
	b, err := os.ReadFile("../../docs/models.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []Model{
		must(NewZScore(ZScoreConfig{})), must(NewMAD(MADConfig{})), must(NewSeasonal(SeasonalConfig{})),
		must(NewHoltWinters(HoltWintersConfig{})), must(NewAuto(AutoConfig{})),
		must(NewTrend(TrendConfig{})),
		must(NewQuantile(QuantileConfig{})),
		must(NewChangepoint(ChangepointConfig{})),
		must(NewProphet(ProphetConfig{})),
		must(NewCount(CountConfig{})),
		must(NewSpectral(SpectralConfig{})),
		must(NewRatio(RatioConfig{})),
	} {
		if !strings.Contains(string(b), "\n## "+m.Name()+"\n") {
			t.Errorf("docs/models.md has no section on %s", m.Name())
		}
	}
}
