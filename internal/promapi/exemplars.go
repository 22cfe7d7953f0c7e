package promapi

import (
	"context"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// exemplars answers with an empty list where the store has none: a nil one
// would be null on the wire, which clients take for a failure.
type exemplars struct{ storage.ExemplarQueryable }

// ExemplarQuerier opens the store's.
func (e exemplars) ExemplarQuerier(ctx context.Context) (storage.ExemplarQuerier, error) {
	q, err := e.ExemplarQueryable.ExemplarQuerier(ctx)
	return exemplarQuerier{q}, err
}

type exemplarQuerier struct{ storage.ExemplarQuerier }

// Select never returns a nil list without an error.
func (q exemplarQuerier) Select(start, end int64, ms ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	found, err := q.ExemplarQuerier.Select(start, end, ms...)
	if found == nil {
		found = []exemplar.QueryResult{}
	}
	return found, err
}
