package promql

import (
	"context"

	"github.com/prometheus/prometheus/promql"
)

type (
	textKey struct{}
	sinkKey struct{}
)

// withText notes the text of a query that the engine runs without knowing it.
func withText(ctx context.Context, text string) context.Context {
	return context.WithValue(ctx, textKey{}, text)
}

// Text returns the text of the query that ctx belongs to, for whoever lists
// running queries, if the engine does not know it.
func Text(ctx context.Context) (text string, ok bool) {
	text, ok = ctx.Value(textKey{}).(string)
	return text, ok
}

// WithSink has the queries under the returned context give their matrix to
// sink, and an empty one as their result: encoding a large one in pieces needs
// no second copy of it. The matrix is valid until the query is closed. Only
// what was evaluated the short way goes to the sink, and nothing that is empty.
func WithSink(ctx context.Context, sink func(promql.Matrix)) context.Context {
	return context.WithValue(ctx, sinkKey{}, sink)
}

// leave gives a matrix to the sink of ctx, if it has one, and returns what the
// result is to be.
func leave(ctx context.Context, m promql.Matrix) promql.Matrix {
	sink, ok := ctx.Value(sinkKey{}).(func(promql.Matrix))
	if !ok || len(m) == 0 {
		return m
	}
	sink(m)
	return promql.Matrix{}
}
