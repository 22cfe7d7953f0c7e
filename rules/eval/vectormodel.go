package eval

import (
	"fmt"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// BuildVectorModel makes the model of several inputs that a checked model
// string describes. Models that know one series only get one model an input.
func BuildVectorModel(e lang.ModelExpr, inputs int) (detect.VectorModel, error) {
	switch e := e.(type) {
	case lang.Any:
		parts, err := buildVectors(e.Of, inputs)
		if err != nil {
			return nil, err
		}
		return detect.NewAnyVector(parts...)
	case lang.All:
		parts, err := buildVectors(e.Of, inputs)
		if err != nil {
			return nil, err
		}
		return detect.NewAllVector(parts...)
	case lang.Call:
		return buildVectorCall(e, inputs)
	}
	return nil, fmt.Errorf("cannot build a model from %T", e)
}

func buildVectors(of []lang.ModelExpr, inputs int) ([]detect.VectorModel, error) {
	parts := make([]detect.VectorModel, len(of))
	for i, e := range of {
		m, err := BuildVectorModel(e, inputs)
		if err != nil {
			return nil, err
		}
		parts[i] = m
	}
	return parts, nil
}

func buildVectorCall(c lang.Call, inputs int) (detect.VectorModel, error) {
	a := c.Args
	switch c.Name {
	case "auto":
		return detect.NewJoint(detect.JointConfig{Inputs: inputs, Alerts: alertsOf(a)})
	case "iforest":
		return detect.NewIForest(detect.IForestConfig{Trees: a.Int("trees"), Window: a.Duration("window"), Inputs: inputs})
	case "lstm":
		return detect.NewLSTM(detect.LSTMConfig{Lookback: a.Int("lookback"), Hidden: a.Int("hidden"), Inputs: inputs})
	}
	models := make([]detect.Model, inputs)
	for i := range models {
		m, err := buildCall(c)
		if err != nil {
			return nil, err
		}
		models[i] = m
	}
	return detect.NewEach(models...)
}

// BuildGroupModel makes the model that judges all series of a rule together.
func BuildGroupModel(e lang.ModelExpr) (detect.GroupModel, error) {
	c, ok := e.(lang.Call)
	if !ok {
		return nil, fmt.Errorf("a model that judges series together cannot be a part of %s", e)
	}
	a := c.Args
	switch c.Name {
	case "peers":
		method := detect.PeersMAD
		if a.String("method") == "zscore" {
			method = detect.PeersZScore
		}
		return detect.NewPeers(detect.PeersConfig{Method: method, Tolerance: a.Float("tolerance"), MinMembers: a.Int("min_members")})
	case "presence":
		return detect.NewPresence(detect.PresenceConfig{Learn: a.Duration("learn"), Forget: a.Duration("forget")})
	case "novelty":
		return detect.NewNovelty(detect.NoveltyConfig{Learn: a.Duration("learn"), Hold: a.Duration("hold"), Capacity: a.Int("capacity")})
	}
	return nil, fmt.Errorf("%s does not judge series together", c.Name)
}
