package promapi

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/metadata"
)

// metadata lists type, help and unit by metric family. The store keeps one
// entry a family, so limit_per_metric is checked and always kept. A limit of 0
// or below means none.
func (a *api) metadata(r *http.Request) (any, []string, *apiError) {
	limit, refusal := intParam(r, "limit", 0)
	if refusal != nil {
		return nil, nil, refusal
	}
	if _, refusal = intParam(r, "limit_per_metric", 0); refusal != nil {
		return nil, nil, refusal
	}
	metric := r.Form.Get("metric")
	if strings.HasPrefix(metric, "U__") {
		metric = model.UnescapeName(metric, model.ValueEncodingEscaping)
	}

	out := map[string][]metadata.Metadata{}
	a.o.Store.EachMetadata(func(family string, m metadata.Metadata) bool {
		if metric == "" || metric == family {
			out[family] = []metadata.Metadata{m}
		}
		return metric == "" || metric != family
	})
	if limit <= 0 || len(out) <= limit {
		return out, nil, nil
	}
	// The first by name, so that the same question has the same answer.
	for _, family := range slices.Sorted(maps.Keys(out))[limit:] {
		delete(out, family)
	}
	return out, []string{truncated}, nil
}
