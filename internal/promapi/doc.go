// Package promapi serves the query side of Prometheus's HTTP API v1, as
// Grafana, Perses, promtool and client_golang call it.
//
// Queries, labels and remote read are Prometheus's own handlers, reached
// through internal/upstream, compressed by compress.go; what those cannot answer for this server is served
// here: metadata of remote-written series, the three kinds of rules, and the
// status of the ring. routes.go is the list of all endpoints. It does not
// receive samples, does not know how rules are evaluated, and reads nothing but
// what Options hand to it.
package promapi
