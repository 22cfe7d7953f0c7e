// Package upstream is the only door to Prometheus's heavy packages: its web API,
// notifier, remote-write client, rule groups and configuration. Each
// constructor stands in one file, which documents the arguments of the pinned
// version once, so that an upgrade of Prometheus touches these files only.
//
// One thing here is more than a door, held to the stock one by property tests:
// the JSON of the answers to queries (api_json.go, api_stream.go). The short way
// of common range queries is internal/promql; NewQueryEngine puts it before the
// engine.
//
// It promises small option structs with usable zero values and errors that
// callers can branch on without importing Prometheus. It knows nothing of the
// ring, of anomaly rules or of remediation.
package upstream
