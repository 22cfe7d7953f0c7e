package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chironhq/chiron/internal/testenv"
)

// TestCrash kills Chiron under load at random moments, spoils the ends of its
// logs as a torn write does, and asks it after each start for every sample
// that it had acknowledged, over HTTP as a user would. CHIRON_KILLS=200 is the
// long form (make crash).
func TestCrash(t *testing.T) {
	kills := 12
	if s := os.Getenv("CHIRON_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("CHIRON_KILLS: %v", err)
		}
		kills = n
	}
	seed := rand.Uint64()
	t.Logf("%d kills, seed %d", kills, seed)
	r := rand.New(rand.NewPCG(seed, 0))
	c := newCrashed(t)
	var lives []*life
	acknowledged, resumed := 0, 0
	for n := range kills {
		l := newLife(n, c.url)
		ctx, stop := context.WithCancel(t.Context())
		enough := 1 + r.IntN(150)
		senders := l.send(ctx, enough)
		<-l.enough
		time.Sleep(time.Duration(r.IntN(3000)) * time.Microsecond) // somewhere within the requests that follow
		how := "kill"
		if r.IntN(5) == 0 {
			how = "stop"
			c.proc.Stop()
		} else {
			c.proc.Kill()
		}
		stop()
		if err := senders(); err != nil {
			t.Fatal(err)
		}
		if r.IntN(3) == 0 {
			how += ", torn logs"
			c.tear(r)
		}
		c.proc.Restart()
		c.await()
		lives = append(lives, l)
		// This life, and one of those before.
		for _, l := range []*life{l, lives[r.IntN(len(lives))]} {
			if err := l.check(c); err != nil {
				t.Fatalf("life %d (%s): %v", l.n, how, err)
			}
		}
		acknowledged += l.total()
		if n%20 == 19 {
			t.Logf("%d kills, %d samples acknowledged and found", n+1, acknowledged)
		}
		resumed++
	}
	for _, l := range lives {
		if err := l.check(c); err != nil {
			t.Fatalf("life %d, at the end: %v", l.n, err)
		}
	}
	if acknowledged == 0 || resumed != kills {
		t.Fatalf("%d samples over %d restarts: nothing was tested", acknowledged, resumed)
	}
	t.Logf("%d kills, %d samples acknowledged and found", kills, acknowledged)
}

// TestFullDisk lets the files that grow reach a limit, as a full disk does: a
// request that cannot be kept is told to come again, those that need no new
// room are served, and once there is room everything goes on. Nothing that was
// acknowledged is lost over the kill that follows.
func TestFullDisk(t *testing.T) {
	c := newCrashed(t)
	known := newLife(0, c.url)
	if err := known.sendOnce(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	log, err := os.Stat(filepath.Join(c.data, "ring", "series.log"))
	if err != nil {
		t.Fatal(err)
	}
	limit := func(bytes uint64) {
		if err := unix.Prlimit(c.proc.PID(), unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil); err != nil {
			t.Fatal(err)
		}
	}
	limit(uint64(log.Size()) + 700) // the next record is written in part
	var lives []*life
	for n := range 3 {
		l := newLife(n+1, c.url)
		err := l.sendOnce(t.Context(), 0)
		var refused statusError
		if !errors.As(err, &refused) || refused.code/100 != 5 {
			t.Fatalf("new series on a full disk: %v, want a 5xx, which a sender sends again", err)
		}
		if n == 0 && !strings.Contains(refused.body, "file too large") {
			t.Errorf("the answer does not say why: %s", refused.body)
		}
		lives = append(lives, l)
	}
	if err := known.sendOnce(t.Context(), 1); err != nil {
		t.Errorf("known series need no room: %v", err)
	}
	limit(unix.RLIM_INFINITY)
	for _, l := range lives {
		if err := l.sendOnce(t.Context(), 0); err != nil {
			t.Errorf("sent again once there is room: %v", err)
		}
	}
	c.proc.Kill()
	c.proc.Restart()
	c.await()
	for _, l := range append(lives, known) {
		if err := l.check(c); err != nil {
			t.Errorf("life %d: %v", l.n, err)
		}
	}
}

// crashed is a Chiron that is killed and started again.
type crashed struct {
	t    *testing.T
	proc *testenv.Proc
	url  string
	data string
}

func newCrashed(t *testing.T) *crashed {
	t.Helper()
	port := testenv.FreePort(t)
	c := &crashed{t: t, url: fmt.Sprintf("http://127.0.0.1:%d", port), data: filepath.Join(t.TempDir(), "data")}
	c.proc = testenv.Process(t, "chiron", testenv.BuildChiron(t), "serve", "--storage.path="+c.data, "--cache.memory=256MiB",
		fmt.Sprintf("--web.listen-address=127.0.0.1:%d", port))
	c.await()
	return c
}

func (c *crashed) await() {
	c.t.Helper()
	testenv.Eventually(c.t, patience, func() error { _, err := c.get("/-/ready"); return err })
}

func (c *crashed) get(path string) (string, error) {
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.url+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = statusError{resp.StatusCode, string(b)}
	}
	return string(b), err
}

// tear appends what a write that was cut short leaves behind: the head of a
// record whose rest never came, or any bytes at all.
func (c *crashed) tear(r *rand.Rand) {
	c.t.Helper()
	for _, name := range []string{"series.log", "exemplars.log"} {
		f, err := os.OpenFile(filepath.Join(c.data, "ring", name), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			c.t.Fatal(err)
		}
		torn := []byte{200, 0, 0, 0, 1, 2, 3, 4}
		for range r.IntN(40) {
			torn = append(torn, byte(r.Uint32()))
		}
		if _, err := f.Write(torn[r.IntN(8):]); err != nil {
			c.t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			c.t.Fatal(err)
		}
	}
}

// life is what was sent to one process: each sender has series of its own.
type life struct {
	n      int
	url    string
	start  int64 // milliseconds of the first sample
	enough chan struct{}

	mu   sync.Mutex
	acks int
	sent map[string]map[int64]bool // series to times; true: acknowledged
}

const (
	crashSenders = 4 // two of each protocol
	crashSeries  = 30
	crashStep    = 20 // milliseconds
)

func newLife(n int, url string) *life {
	return &life{n: n, url: url, start: time.Now().Add(-5 * time.Minute).UnixMilli(), enough: make(chan struct{}), sent: map[string]map[int64]bool{}}
}

// series names a series; some live for a few requests only, so that the log of
// series is always at work.
func (l *life) series(sender, i, request int) string {
	if i%10 == 9 {
		return fmt.Sprintf(`{__name__="crash",churn="%d",i="%d",life="%d",sender="%d"}`, request/3, i, l.n, sender)
	}
	return fmt.Sprintf(`{__name__="crash",i="%d",life="%d",sender="%d"}`, i, l.n, sender)
}

// crashValue is the one right value of a sample; every third has a full mantissa.
func crashValue(series string, ts int64) float64 {
	if len(series)%3 == 0 {
		return math.Sqrt(float64(ts % 1_000_003))
	}
	return float64(ts % 100_000)
}

// send starts the senders; enough is closed after that many acknowledged
// requests. The result waits for them.
func (l *life) send(ctx context.Context, enough int) (wait func() error) {
	var wg sync.WaitGroup
	errs := make([]error, crashSenders)
	for sender := range crashSenders {
		wg.Go(func() {
			for request := 0; ctx.Err() == nil; request++ {
				err := l.request(ctx, sender, request)
				if err != nil {
					var refused statusError
					if errors.As(err, &refused) && refused.code != http.StatusServiceUnavailable {
						errs[sender] = err
						return
					}
					return // the process has gone, or is going
				}
				l.mu.Lock()
				if l.acks++; l.acks == enough {
					close(l.enough)
				}
				l.mu.Unlock()
			}
		})
	}
	return func() error { wg.Wait(); return errors.Join(errs...) }
}

// sendOnce has every sender send one request.
func (l *life) sendOnce(ctx context.Context, request int) error {
	for sender := range crashSenders {
		if err := l.request(ctx, sender, request); err != nil {
			return err
		}
	}
	return nil
}

func (l *life) request(ctx context.Context, sender, request int) error {
	ts := l.start + int64(request)*crashStep
	names := make([]string, crashSeries)
	for i := range names {
		names[i] = l.series(sender, i, request)
	}
	l.note(names, ts, false)
	if err := post(ctx, l.url+"/api/v1/write", sender%2 == 1, names, ts); err != nil {
		return err
	}
	l.note(names, ts, true)
	return nil
}

func (l *life) note(names []string, ts int64, acknowledged bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range names {
		if l.sent[s] == nil {
			l.sent[s] = map[int64]bool{}
		}
		l.sent[s][ts] = acknowledged
	}
}

// total is the number of samples that were acknowledged.
func (l *life) total() (n int) {
	for _, times := range l.sent {
		for _, ok := range times {
			if ok {
				n++
			}
		}
	}
	return n
}

// check asks for everything of the life: each acknowledged sample is there, and
// nothing is there that was not sent.
func (l *life) check(c *crashed) error {
	body, err := c.get("/api/v1/query?" + url.Values{
		"query": {fmt.Sprintf(`crash{life="%d"}[1h]`, l.n)},
		"time":  {strconv.FormatFloat(float64(l.start)/1000+1800, 'f', 3, 64)},
	}.Encode())
	if err != nil {
		return err
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return err
	}
	found := map[string]map[int64]bool{}
	for _, s := range answer.Data.Result {
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(s.Metric)) {
			parts = append(parts, fmt.Sprintf("%s=%q", k, s.Metric[k]))
		}
		name := "{" + strings.Join(parts, ",") + "}"
		found[name] = map[int64]bool{}
		for _, v := range s.Values {
			seconds, ok := v[0].(float64)
			text, ok2 := v[1].(string)
			if !ok || !ok2 {
				return fmt.Errorf("%s: unreadable sample %v", name, v)
			}
			ts := int64(math.Round(seconds * 1000))
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return err
			}
			if _, sent := l.sent[name][ts]; !sent || value != crashValue(name, ts) {
				return fmt.Errorf("%s at %d is %v: not what was sent (%v)", name, ts, value, crashValue(name, ts))
			}
			found[name][ts] = true
		}
	}
	for name, times := range l.sent {
		for ts, acknowledged := range times {
			if acknowledged && !found[name][ts] {
				return fmt.Errorf("%s at %d was acknowledged and is lost; %d of its samples are there", name, ts, len(found[name]))
			}
		}
	}
	return nil
}
