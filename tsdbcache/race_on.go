//go:build race

package tsdbcache

// raceEnabled is set where the race detector looks on.
const raceEnabled = true
