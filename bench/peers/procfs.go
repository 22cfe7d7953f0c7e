package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is USER_HZ; Linux has 100 on every architecture that Go knows.
const clockTick = 100

// cpu is the user and system time that the process has used so far.
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid()))
	if err != nil {
		return 0, fmt.Errorf("the server is gone: %w\n%s", err, s.tail())
	}
	// The command's name stands in parentheses and may hold anything.
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(f) < 13 {
		return 0, errors.New("/proc/PID/stat is too short")
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * (time.Second / clockTick), errors.Join(err1, err2)
}

// memory is the resident set of a process in bytes.
type memory struct {
	rss, anonymous, peak float64
	heap                 float64 // live, after a collection
}

// memory collects garbage and then looks.
func (s *server) memory(ctx context.Context) (memory, error) {
	var m memory
	body, err := s.open(ctx, http.MethodGet, "/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return m, err
	}
	text, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return m, err
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "# HeapAlloc = "); ok {
			if m.heap, err = strconv.ParseFloat(strings.TrimSpace(v), 64); err != nil {
				return m, err
			}
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid()))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, _ := strconv.ParseFloat(f[1], 64) // other lines are no numbers
		switch f[0] {
		case "VmRSS:":
			m.rss = kb * 1024
		case "RssAnon:":
			m.anonymous = kb * 1024
		case "VmHWM:":
			m.peak = kb * 1024
		}
	}
	return m, nil
}

// quiet waits until the process uses less than a twentieth of a core, at most
// for a time: what it still does then is charged to what is measured next.
func (s *server) quiet(ctx context.Context, within time.Duration) error {
	const look = 2 * time.Second
	for deadline := time.Now().Add(within); time.Now().Before(deadline); {
		before, err := s.cpu()
		if err != nil {
			return err
		}
		if err := pause(ctx, look); err != nil {
			return err
		}
		after, err := s.cpu()
		if err != nil || after-before < look/20 {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	f := strings.Fields(string(text))
	return strings.Join(f[:min(3, len(f))], " ")
}
