package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// stopWithin is how long a process may take to end by itself.
const stopWithin = 20 * time.Second

// Proc is a process of the test.
type Proc struct {
	t      testing.TB // nil of a shared process
	name   string
	binary string
	args   []string
	env    []string
	log    string // file

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has been waited for
	err  error         // of the wait; to be read once done is closed
}

// Process starts a binary that runs until the test ends. The test fails when
// the process ends by itself, does not end well when asked to, or has met a
// data race; its log is shown then.
func Process(t testing.TB, name, binary string, args ...string) *Proc {
	t.Helper()
	p := &Proc{t: t, name: name, binary: binary, args: args, log: filepath.Join(t.TempDir(), name+".log")}
	p.start()
	t.Cleanup(func() {
		if err := errors.Join(p.end(syscall.SIGTERM), p.raced()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, p.tail(200))
		}
	})
	return p
}

func (p *Proc) start() {
	if err := p.launch(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *Proc) launch() error {
	f, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()          // the child has its own
	p.cmd = exec.Command(p.binary, p.args...) //nolint:noctx // ended by end, gracefully
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.Env = append(os.Environ(), p.env...)
	// A test binary that dies takes its processes along.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("cannot start %s: %w", p.name, err)
	}
	done, cmd := make(chan struct{}), p.cmd
	p.done, p.err = done, nil
	go func() {
		p.err = cmd.Wait()
		close(done)
	}()
	return nil
}

// end signals the process and waits; one that does not end is killed. The error
// says that it ended before, or otherwise than the signal asks for.
func (p *Proc) end(sig syscall.Signal) error {
	if p.cmd == nil {
		return nil
	}
	defer func() { p.cmd = nil }()
	if err := p.ended(); err != nil {
		return err
	}
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cannot signal %s: %w", p.name, err)
	}
	select {
	case <-p.done:
	case <-time.After(stopWithin):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not end within %v", p.name, stopWithin)
	}
	if sig != syscall.SIGKILL && p.err != nil {
		return fmt.Errorf("%s was asked to end: %w", p.name, p.err)
	}
	return nil
}

// raced returns what the race detector wrote into the log.
func (p *Proc) raced() error {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err
	}
	if _, race, found := bytes.Cut(text, []byte("WARNING: DATA RACE")); found {
		return fmt.Errorf("%s has a data race:%s", p.name, race[:min(len(race), 8<<10)])
	}
	return nil
}

// PID is the number that the system knows the running process by.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Stop ends the process as an operator does, by SIGTERM.
func (p *Proc) Stop() { p.mustEnd(syscall.SIGTERM) }

// Kill ends the process as the kernel does that runs out of memory, by SIGKILL.
func (p *Proc) Kill() { p.mustEnd(syscall.SIGKILL) }

func (p *Proc) mustEnd(sig syscall.Signal) {
	p.t.Helper()
	if err := p.end(sig); err != nil {
		p.t.Fatal(err)
	}
}

// Restart starts the process again after Stop or Kill.
func (p *Proc) Restart() {
	p.t.Helper()
	p.start()
}

// ended reports why there is no point in waiting any longer.
func (p *Proc) ended() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended by itself: %w\n%s", p.name, orExit0(p.err), p.tail(20))
	default:
		return nil
	}
}

// orExit0 gives a good end that nobody asked for its name.
func orExit0(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// await polls until the process is up, or has ended.
func (p *Proc) await(up func() error) error {
	var ended error
	err := poll(upWithin, func() error {
		if ended = p.ended(); ended != nil {
			return nil
		}
		return up()
	})
	if ended != nil {
		return ended
	}
	if err != nil {
		return fmt.Errorf("%s is not up after %v: %w\n%s", p.name, upWithin, err, p.tail(40))
	}
	return nil
}

// tail returns the last lines of the log.
func (p *Proc) tail(lines int) []byte {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	all := bytes.SplitAfter(text, []byte("\n"))
	return bytes.Join(all[max(0, len(all)-lines-1):], nil)
}
