package server

import "time"

// What a client may take where the configuration says nothing. Remote write has
// its own limit for bodies. The server lifts the deadline once the body is
// there, so an answer may take longer.
const (
	headerTimeout  = 10 * time.Second
	bodyTimeout    = 30 * time.Second // from the first byte of the request
	idleTimeout    = 5 * time.Minute
	maxHeaderBytes = 64 << 10
)
