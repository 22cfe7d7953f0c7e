package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a running peer with a folder of its own.
type server struct {
	base string
	dir  string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed once the process has been waited for
	err  error         // of the wait; to be read once done is closed
}

// upWithin and downWithin bound how long a server may take on a slow machine.
const (
	upWithin   = time.Minute
	downWithin = time.Minute
)

// start runs a peer over an empty folder and waits until it answers.
func (p *peer) start(ctx context.Context, parent string) (*server, error) {
	dir, err := os.MkdirTemp(parent, "bench-"+p.name+"-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, log: filepath.Join(dir, "log"), done: make(chan struct{})}
	if err := s.launch(ctx, p); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *server) launch(ctx context.Context, p *peer) error {
	if err := os.WriteFile(filepath.Join(s.dir, "empty.yml"), nil, 0o600); err != nil {
		return err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the child has its own
	s.base = "http://" + address
	cmd := exec.Command(p.binary, append(p.args(s.dir, address), p.extra...)...) //nolint:noctx,gosec // the user's choice; ended by stop
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	// Ctrl-C is for this process, which ends its servers; should it be killed,
	// they go as well.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	go func() {
		s.err = cmd.Wait()
		close(s.done)
	}()
	for deadline := time.Now().Add(upWithin); ; {
		if err = s.ask(ctx, "GET", "/metrics"); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not up after %v: %w\n%s", upWithin, err, s.tail())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return fmt.Errorf("ended by itself: %w\n%s", s.err, s.tail())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stop ends the process, waits for it and removes its folder.
func (s *server) stop() error {
	var err error
	if s.cmd != nil {
		select {
		case <-s.done:
			err = fmt.Errorf("ended by itself: %w\n%s", s.err, s.tail())
		default:
			_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may just have ended; the wait says
			select {
			case <-s.done:
			case <-time.After(downWithin):
				_ = s.cmd.Process.Kill()
				<-s.done
				err = fmt.Errorf("did not end within %v", downWithin)
			}
		}
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// tail is the end of what the server logged.
func (s *server) tail() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// pid is the number of the process.
func (s *server) pid() int { return s.cmd.Process.Pid }

// ask expects an answer of 2xx and drops its body.
func (s *server) ask(ctx context.Context, method, path string) error {
	body, err := s.open(ctx, method, path)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, body)
	return errors.Join(err, body.Close())
}

// open asks for an answer that is not compressed.
func (s *server) open(ctx context.Context, method, path string) (io.ReadCloser, error) {
	return s.openAs(ctx, method, path, "identity")
}

// openAs asks for an answer in an encoding and leaves it as it comes.
func (s *server) openAs(ctx context.Context, method, path, encoding string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", encoding)
	resp, err := (&http.Client{Timeout: 10 * time.Minute}).Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500)) // for the message only
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%s: %s: %s", path, resp.Status, text)
	}
	return resp.Body, nil
}

// metrics is a page of metrics, line by line.
type metrics []string

func (s *server) metrics(ctx context.Context) (metrics, error) {
	body, err := s.open(ctx, http.MethodGet, "/metrics")
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(body)
	return strings.Split(string(text), "\n"), errors.Join(err, body.Close())
}

// sum adds up the series that begin with a prefix.
func (m metrics) sum(prefix string) float64 {
	total := 0.0
	for _, line := range m {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
			if err == nil {
				total += v
			}
		}
	}
	return total
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
