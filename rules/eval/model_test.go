package eval

import (
	"testing"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

func TestEveryModelOfTheTableIsBuilt(t *testing.T) {
	for _, spec := range lang.Models {
		e, err := lang.ParseModel(spec.Name)
		if err != nil {
			t.Fatal(err)
		}
		group := lang.TraitsOf(spec.Name).Group
		v, err := BuildVectorModel(e, 3)
		if group == (err == nil) || err == nil && v.Name() != spec.Name {
			t.Errorf("%s of several inputs: %v, %v", spec.Name, v, err)
		}
		if group {
			if g, err := BuildGroupModel(e); err != nil || g.Name() != spec.Name {
				t.Errorf("%s: %v, %v", spec.Name, g, err)
			}
			continue
		}
		m, err := BuildModel(e)
		if err != nil {
			t.Errorf("%s: %v", spec.Name, err)
			continue
		}
		if m.Name() != spec.Name {
			t.Errorf("%s builds %s", spec.Name, m.Name())
		}
	}
}

// TestTheTableSaysWhatModelsCanDo holds the traits of the language against the
// models themselves.
func TestTheTableSaysWhatModelsCanDo(t *testing.T) {
	for _, spec := range lang.Models {
		e, err := lang.ParseModel(spec.Name)
		if err != nil {
			t.Fatal(err)
		}
		if lang.TraitsOf(spec.Name).Group {
			continue // TestEveryModelOfTheTableIsBuilt
		}
		m, err := BuildModel(e)
		if err != nil {
			t.Error(err)
			continue
		}
		can := detect.CanForecast(m)
		if says := lang.TraitsOf(spec.Name).Forecasts; can != says {
			t.Errorf("%s: can look ahead: %v; the language says %v", spec.Name, can, says)
		}
	}
}
