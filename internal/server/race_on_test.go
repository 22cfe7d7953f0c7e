//go:build race

package server

// overhead is how much more memory the race detector takes.
const overhead = 8
