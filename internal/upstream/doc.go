// Package upstream is the only door to Prometheus's heavy packages: its web API,
// notifier, remote-write client, rule groups and configuration. Each
// constructor stands in one file, which documents the arguments of the pinned
// version once, so that an upgrade of Prometheus touches these files only.
//
// Two things here are more than a door, both held to the stock ones by property
// tests: the short way of common range queries (engine_range.go and the files
// beside it) and the JSON of their answers (api_json.go, api_stream.go).
//
// It promises small option structs with usable zero values and errors that
// callers can branch on without importing Prometheus. It knows nothing of the
// ring, of anomaly rules or of remediation.
package upstream
