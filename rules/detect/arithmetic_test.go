package detect

import "testing"

// arithmetic begins a test that counts what models say of many series: one goroutine
// and much arithmetic, which the race detector makes ten times slower and has
// nothing to say of. make test runs it without.
func arithmetic(t *testing.T) {
	t.Helper()
	if underRace {
		t.Skip("it counts, and has no second goroutine: make test runs it without the race detector")
	}
}
