//go:build race

package receiver

// raceDetector says that sync.Pool drops what it is given at random, which
// makes the number of allocations of a request random too.
const raceDetector = true
