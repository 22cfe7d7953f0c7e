package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"

	"github.com/chironhq/chiron/bench/load"
)

// fault decides what becomes of request n of the run, counted from 0: the
// bodies to forward, and the answer if it is not to be the server's. False lets
// it pass.
type fault func(n int, body []byte) (forward [][]byte, code int, met bool)

// lose acknowledges a request that goes nowhere.
func lose(which int) fault {
	return func(n int, _ []byte) ([][]byte, int, bool) { return nil, http.StatusNoContent, n == which }
}

// twice forwards each request two times, as a sender does that missed the answer.
func twice(_ int, body []byte) ([][]byte, int, bool) { return [][]byte{body, body}, 0, true }

// answerWith refuses the third request.
func answerWith(code int) fault {
	return func(n int, _ []byte) ([][]byte, int, bool) { return nil, code, n == 2 }
}

// unsure forwards the third request and says that it did not work out, so that
// it comes again.
func unsure(n int, body []byte) ([][]byte, int, bool) {
	return [][]byte{body}, http.StatusServiceUnavailable, n == 2
}

// dropLast leaves out the last series of the last request of four in a round.
func dropLast(n int, body []byte) ([][]byte, int, bool) {
	if n != 5 {
		return nil, 0, false
	}
	return [][]byte{change(body, func(m *prompb.WriteRequest) { m.Timeseries = m.Timeseries[:len(m.Timeseries)-1] })}, 0, true
}

// changeFirst raises a value of series 0, which is compared sample by sample.
func changeFirst(n int, body []byte) ([][]byte, int, bool) {
	met := false
	body = change(body, func(m *prompb.WriteRequest) {
		if ts := &m.Timeseries[0]; n >= 4 && isFirst(ts) {
			ts.Samples[0].Value++
			met = true
		}
	})
	return [][]byte{body}, 0, met
}

// isFirst knows series 0 of a load of 1000.
func isFirst(ts *prompb.TimeSeries) bool {
	labels := map[string]string{}
	for _, l := range ts.Labels {
		labels[l.Name] = l.Value
	}
	for _, l := range load.New(1000, 0).Labels(0) {
		if labels[l[0]] != l[1] {
			return false
		}
	}
	return true
}

func change(body []byte, f func(*prompb.WriteRequest)) []byte {
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		panic(err) // ours
	}
	var m prompb.WriteRequest
	if err := proto.Unmarshal(raw, &m); err != nil {
		panic(err)
	}
	f(&m)
	if raw, err = proto.Marshal(&m); err != nil {
		panic(err)
	}
	return snappy.Encode(nil, raw)
}

// proxies stand between the load and a server.
type proxies struct {
	fault fault

	mu  sync.Mutex
	n   int
	met int // requests that the fault met
}

// between returns what puts a proxy before an endpoint.
func (p *proxies) between(t *testing.T) func(url string) string {
	return func(url string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			bodies, code := p.judge(body)
			for _, b := range bodies {
				answer, err := forward(r, url, b)
				if err != nil {
					http.Error(w, err.Error(), http.StatusBadGateway)
					return
				}
				if code == 0 {
					code = answer
				}
			}
			w.WriteHeader(code)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
}

func (p *proxies) judge(body []byte) (bodies [][]byte, code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.n
	p.n++
	if p.fault != nil {
		if bodies, code, met := p.fault(n, body); met {
			p.met++
			return bodies, code
		}
	}
	return [][]byte{body}, 0
}

func forward(r *http.Request, url string, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header = r.Header.Clone()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
