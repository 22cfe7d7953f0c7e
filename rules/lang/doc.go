// Package lang turns the text of rule files and model strings into checked
// trees, or into problems with their place and the nearest right word.
//
// It promises that what it returns without an error-level problem is complete:
// names resolved, arguments typed, within their ranges and defaulted,
// expressions parsed, references free of cycles. A Prometheus rule file means
// here exactly what it means in Prometheus.
//
// It runs nothing and knows no model's inside: the table [Models] and their
// [Traits] are all it knows about them.
//
//	text -> tokens (lex.go) -> tree (parse.go) -> checked tree (resolve.go)
//	file -> YAML nodes (load.go) -> rules (prometheus.go, anomaly.go) -> graph (cycle.go)
package lang
