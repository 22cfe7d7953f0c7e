package rules

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// childEnv has the process of a test be one whose files may not grow.
const childEnv = "CHIRON_RULES_CHILD"

// inChild runs the test again in a process of its own, where it reports true.
func inChild(t *testing.T) bool {
	t.Helper()
	if os.Getenv(childEnv) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// limitFiles has no file of this process grow beyond a size.
func limitFiles(t *testing.T, bytes uint64) {
	t.Helper()
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}); err != nil {
		t.Fatal(err)
	}
}

// swap puts a device in the place of the open file of models and returns what
// puts it back.
func (w *watched) swap(device string) (back func()) {
	w.t.Helper()
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	fds, err := os.ReadDir("/proc/self/fd")
	must(err)
	for _, e := range fds {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || to != w.m.stateFile() {
			continue
		}
		info, err := os.ReadFile("/proc/self/fdinfo/" + e.Name())
		must(err)
		if !bytes.Contains(info, []byte("lock:")) {
			continue // the store reads with it, the database does not know it
		}
		var fd int
		_, err = fmt.Sscan(e.Name(), &fd)
		must(err)
		kept, err := unix.Dup(fd)
		must(err)
		with, err := unix.Open(device, unix.O_RDWR, 0)
		must(err)
		must(unix.Dup3(with, fd, unix.O_CLOEXEC))
		must(unix.Close(with))
		return func() {
			must(unix.Dup3(kept, fd, unix.O_CLOEXEC))
			must(unix.Close(kept))
		}
	}
	w.t.Fatal("the file of models is not open")
	return nil
}

// A disk that has no room, or does not keep what is written, is reported once,
// counted and tried again. Nothing else notices, and once it works again all
// models are on it.
func TestADiskThatRefusesModels(t *testing.T) {
	if !inChild(t) {
		return
	}
	f := func(name string, refuse func(w *watched) (back func()), grow bool, says string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWatched(t, nil)
				w.begin(strings.Replace(one, "zscore(window=30m)", "auto", 1))
				var pods []string
				for i := range 41 {
					pods = append(pods, fmt.Sprintf(`hum{pod="%d"}`, i))
				}
				if grow { // most come later, so that the file must grow
					w.live(5*time.Minute, hum, pods[0])
				} else {
					w.live(30*time.Minute, hum, pods...)
				}
				back := refuse(w)
				w.live(15*time.Minute, hum, pods...)
				if got := w.query(`count(anomaly_score{anomaly_name="Hum"} >= 0)`); len(got) != 1 || !strings.HasSuffix(got[0], " 41") {
					t.Errorf("scores while the disk refuses: %v", got)
				}
				if n := w.metric("chiron_rules_state_snapshots_total", "failed"); n < 10 {
					t.Errorf("failed %v times in 15 minutes", n)
				}
				stuck := w.metric("chiron_rules_state_saved_bytes_total")
				back()
				w.live(5*time.Minute, hum, pods...)
				if n, m := w.log.count("level=ERROR"), w.log.count(says); n != 1 || m != 1 {
					t.Errorf("%d errors in the log, %d of them with %q:\n%s", n, m, says, w.log.text.String())
				}
				if n := w.log.count("models are saved again"); n != 1 {
					t.Errorf("the log says %d times that it works again:\n%s", n, w.log.text.String())
				}
				if got := w.metric("chiron_rules_state_saved_bytes_total"); got <= stuck {
					t.Errorf("%v bytes were saved when it failed, %v at the end", stuck, got)
				}
				w.halt()
				w.compare()
			})
		})
	}
	f("no room", func(w *watched) func() {
		info, err := os.Stat(w.m.stateFile())
		if err != nil {
			w.t.Fatal(err)
		}
		limitFiles(w.t, uint64(info.Size()))
		w.t.Cleanup(func() { limitFiles(w.t, unix.RLIM_INFINITY) })
		return func() { limitFiles(w.t, unix.RLIM_INFINITY) }
	}, true, "file too large")
	f("nothing can be written", func(w *watched) func() { return w.swap("/dev/full") }, false, "no space left on device")
	f("nothing can be synced", func(w *watched) func() { return w.swap("/dev/null") }, false, "invalid argument")
}

// A start that finds no room for the file of models goes on without it and
// makes it when there is room.
func TestAStartWithoutRoomForModels(t *testing.T) {
	if !inChild(t) {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, nil)
		rules := one
		w.files(rules) // as long as there is room for them
		limitFiles(t, 8<<10)
		t.Cleanup(func() { limitFiles(t, unix.RLIM_INFINITY) })
		w.begin(rules)
		w.live(10*time.Minute, hum, `hum`)
		if got := w.query(`anomaly_score{anomaly_name="Hum"} >= 0`); len(got) != 1 {
			t.Errorf("no scores: %v", w.query("anomaly_score"))
		}
		if n := w.log.count("models are not saved until there is room for their file"); n != 1 {
			t.Errorf("the log says it %d times:\n%s", n, w.log.text.String())
		}
		if n := w.log.count("level=ERROR"); n > 2 {
			t.Errorf("%d errors in ten minutes:\n%s", n, w.log.text.String())
		}
		limitFiles(t, unix.RLIM_INFINITY)
		w.live(3*time.Minute, hum, `hum`)
		if n := w.log.count("models are saved again"); n != 1 {
			t.Errorf("the log says %d times that it works again:\n%s", n, w.log.text.String())
		}
		w.halt()
		w.compare()
	})
}
