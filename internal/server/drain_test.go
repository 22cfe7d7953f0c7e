package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestGracefulStopAnswersWhatItTook: requests whose bodies are half there when
// the stop begins are finished and answered; senders that send all the time
// get an answer or an error of the connection; and after a restart every
// sample that was acknowledged is there.
func TestGracefulStopAnswersWhatItTook(t *testing.T) {
	i := launch(t, nil, nil)
	const halves, senders = 40, 4
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	note := func(metric string, code int) {
		mu.Lock()
		defer mu.Unlock()
		switch code {
		case http.StatusNoContent:
			acknowledged[metric] = true
		case http.StatusServiceUnavailable, 0: // to be sent again
		default:
			t.Errorf("%s: %d", metric, code)
		}
	}

	// Half of a request each.
	conns, rests := make([]net.Conn, halves), make([]string, halves)
	for n := range conns {
		body := oneSample(t, fmt.Sprint("half_", n), 1)
		conns[n], rests[n] = i.dial(), body[len(body)/2:]
		defer conns[n].Close()
		if _, err := io.WriteString(conns[n], "POST /api/v1/write HTTP/1.1\r\nHost: chiron\r\nContent-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\nContent-Length: "+
			strconv.Itoa(len(body))+"\r\n\r\n"+body[:len(body)/2]); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() error {
		if n := i.metric(`chiron_receiver_inflight_requests`); n < halves {
			return fmt.Errorf("%v requests have arrived", n)
		}
		return nil
	})

	// Senders that do not care.
	quit := make(chan struct{})
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-quit:
					return
				default:
				}
				metric := fmt.Sprintf("sent_%d_%d", s, n)
				code, text := do(t, http.MethodPost, i.url+"/api/v1/write", oneSample(t, metric, 1), map[string]string{"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"})
				note(metric, code)
				if code == http.StatusServiceUnavailable && !strings.Contains(text, "shutting down") {
					t.Errorf("%s: %q", metric, text)
				}
			}
		})
	}
	eventually(t, func() error {
		mu.Lock()
		defer mu.Unlock()
		if len(acknowledged) < 50 {
			return fmt.Errorf("%d acknowledged", len(acknowledged))
		}
		return nil
	})

	stop, stopped := i.stop, make(chan error, 1)
	i.stop = nil
	go func() { stopped <- stop() }()
	eventually(t, func() error { // until nobody gets in any more
		c, err := net.Dial("tcp", i.o.ListenAddress)
		if err == nil {
			_ = c.Close()
			return fmt.Errorf("still listening")
		}
		return nil
	})
	select {
	case err := <-stopped:
		t.Fatalf("stopped before the requests under way were answered: %v", err)
	default:
	}
	for n, c := range conns {
		if _, err := io.WriteString(c, rests[n]); err != nil {
			t.Fatalf("request %d under way: %v", n, err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("request %d under way has no answer: %v", n, err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent {
			t.Errorf("request %d under way: %d", n, resp.StatusCode)
		}
		note(fmt.Sprint("half_", n), resp.StatusCode)
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	close(quit)
	wg.Wait()
	http.DefaultClient.CloseIdleConnections()

	i.start()
	lost := 0
	for metric := range acknowledged {
		if i.value(metric) != "1" {
			lost++
		}
	}
	t.Logf("%d acknowledged, %d of them while stopping", len(acknowledged), halves)
	if lost > 0 {
		t.Errorf("%d of %d acknowledged samples are lost", lost, len(acknowledged))
	}
}
