//go:build !race

package server

const overhead = 1
