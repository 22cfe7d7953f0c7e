package upstream

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// flight knows the notifier's requests under way and can bound their time,
// because upstream neither waits for the last one nor ends a drain by itself.
type flight struct {
	userAgent string

	mu      sync.Mutex
	idle    *sync.Cond // running became empty
	running map[*http.Request]context.CancelFunc
	last    time.Time // when alerts were queued or a request ended
	limits  int       // limits set so far, so that a late timer knows it is late
	over    bool      // the limit has passed: nothing starts any more
}

// encoding is longer than upstream takes from when alerts are queued, or the
// request before them has ended, to their own request. Nothing shows a batch
// that is on this way.
const encoding = time.Second

// errDrained is why a request was not sent.
var errDrained = errors.New("the time for sending queued alerts is over")

func newFlight(userAgent string) *flight {
	f := &flight{userAgent: userAgent, running: map[*http.Request]context.CancelFunc{}}
	f.idle = sync.NewCond(&f.mu)
	return f
}

// limit ends all requests, under way or to come, after d from now, unless the
// returned function is called before. One limit holds at a time.
func (f *flight) limit(d time.Duration) (stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limits++
	mine := f.limits
	timer := time.AfterFunc(d, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.limits != mine {
			return
		}
		f.over = true
		for _, cancel := range f.running {
			cancel()
		}
	})
	return func() {
		timer.Stop()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.limits++
		f.over = false
	}
}

// queued notes that alerts are on their way to a request.
func (f *flight) queued() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = time.Now()
}

// wait returns when no request is under way and none can be about to begin.
func (f *flight) wait() {
	for {
		f.mu.Lock()
		for len(f.running) > 0 {
			f.idle.Wait()
		}
		settled := f.last.Add(encoding)
		f.mu.Unlock()
		left := time.Until(settled)
		if left <= 0 {
			return
		}
		time.Sleep(left)
	}
}

// do sends one request of the notifier.
func (f *flight) do(ctx context.Context, client *http.Client, req *http.Request) (*http.Response, error) {
	// The answer's body is read under ctx after do has returned, so the new
	// context ends with the old one and not here.
	ctx, cancel := context.WithCancel(ctx)
	req = req.WithContext(ctx)
	req.Header.Set("User-Agent", f.userAgent)

	f.mu.Lock()
	if f.over {
		f.mu.Unlock()
		cancel()
		return nil, errDrained
	}
	f.running[req] = cancel
	f.mu.Unlock()

	resp, err := client.Do(req)

	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, req)
	f.last = time.Now()
	f.idle.Broadcast()
	return resp, err
}
