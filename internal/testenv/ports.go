package testenv

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Ports are taken below the range from which the kernel serves those who do
// not name one (32768 and up on Linux). A peer that is killed and started again
// finds its port as it left it: no connection or test server gets it meanwhile,
// and those that call it in vain cannot connect to themselves.
const (
	firstPort = 10_000
	lastPort  = 32_000
	blockSize = 100
)

// ports hands out blocks of ports. A process of tests claims a block by
// listening on its first port until it ends, so that test packages that run
// side by side do not meet.
var ports struct {
	mu        sync.Mutex
	claims    []net.Listener
	next, end int
}

// FreePort returns a loopback port that nothing listens on and no other test
// is given.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func freePort() (int, error) {
	ports.mu.Lock()
	defer ports.mu.Unlock()
	for {
		if ports.next == ports.end {
			if err := claimPorts(); err != nil {
				return 0, err
			}
		}
		port := ports.next
		ports.next++
		if l, err := listen(port); err == nil {
			return port, l.Close()
		}
	}
}

// claimPorts takes a block that nobody has, a random one first.
func claimPorts() error {
	const blocks = (lastPort - firstPort) / blockSize
	for _, i := range rand.Perm(blocks) {
		first := firstPort + i*blockSize
		if l, err := listen(first); err == nil {
			ports.claims = append(ports.claims, l)
			ports.next, ports.end = first+1, first+blockSize
			return nil
		}
	}
	return errors.New("no block of loopback ports is free")
}

func listen(port int) (net.Listener, error) {
	return net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
}
