// Package promql answers the range queries that dashboards ask most series by
// series instead of step by step, and leaves all others to Prometheus's engine.
//
//	NewRangeQuery -> plan.go: is the shape known? --no---------> the engine
//	                      | yes                                    ^
//	                      v                                        |
//	                 eval.go: columns.go -> rate.go or a function  |
//	                          of the engine -> aggregate.go        |
//	                      |                                        |
//	                      +-- histograms, a limit close by, ... ---+
//
// It promises the engine's own answers: the same floats, labels, order,
// annotations, counts of samples and refusals, held by a property test. It works
// over any storage.Queryable and knows nothing of the ring, of HTTP or of rules.
package promql
