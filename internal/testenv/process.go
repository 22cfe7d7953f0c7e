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
}

// Process starts a binary that runs until the test ends. When the test fails
// its log is shown.
func Process(t testing.TB, name, binary string, args ...string) *Proc {
	t.Helper()
	p := &Proc{t: t, name: name, binary: binary, args: args, log: filepath.Join(t.TempDir(), name+".log")}
	p.start()
	t.Cleanup(func() {
		p.end(syscall.SIGTERM)
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
	p.done = done
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	return nil
}

// end signals the process and waits; one that does not end is killed.
func (p *Proc) end(sig os.Signal) {
	if p.cmd == nil {
		return
	}
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) && p.t != nil {
		p.t.Logf("cannot signal %s: %v", p.name, err)
	}
	select {
	case <-p.done:
	case <-time.After(stopWithin):
		if p.t != nil {
			p.t.Errorf("%s did not end within %v", p.name, stopWithin)
		}
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	p.cmd = nil
}

// Stop ends the process as an operator does, by SIGTERM.
func (p *Proc) Stop() { p.end(syscall.SIGTERM) }

// Kill ends the process as a power cut of the process does, by SIGKILL.
func (p *Proc) Kill() { p.end(syscall.SIGKILL) }

// Restart starts the process again after Stop or Kill.
func (p *Proc) Restart() {
	p.t.Helper()
	p.start()
}

// ended reports why there is no point in waiting any longer.
func (p *Proc) ended() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended: %s", p.name, p.tail(20))
	default:
		return nil
	}
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
