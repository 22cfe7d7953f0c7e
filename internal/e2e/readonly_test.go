package e2e

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chironhq/chiron/internal/testenv"
)

// TestReadOnlyDirectory: a folder that cannot be written ends the start with
// what and where, whether it is empty or holds a ring, and changes nothing.
func TestReadOnlyDirectory(t *testing.T) {
	c := newCrashed(t)
	l := newLife(0, c.url)
	if err := l.sendOnce(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	c.proc.Stop()

	// The folder's owner may always write when it is root: be somebody else.
	home, err := os.MkdirTemp("", "chiron-readonly") //nolint:usetesting // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	if err := os.Chmod(home, 0o755); err != nil { //nolint:gosec // for somebody else to enter
		t.Fatal(err)
	}
	binary := filepath.Join(home, "chiron")
	if err := copyFile(testenv.BuildChiron(t), binary); err != nil {
		t.Fatal(err)
	}
	start := func(data string) string {
		cmd := exec.CommandContext(t.Context(), binary, "serve", "--storage.path="+data, "--cache.memory=256MiB", "--web.listen-address=127.0.0.1:0")
		if os.Geteuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
		defer stop()
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Fatalf("%v, want exit status 1\n%s", err, out)
		}
		return string(out)
	}
	empty := filepath.Join(home, "empty")
	full := filepath.Join(home, "full")
	if err := errors.Join(os.Mkdir(empty, 0o555), os.CopyFS(full, os.DirFS(c.data)), chmod(full, 0o444, 0o555)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = chmod(full, 0o644, 0o755) })
	for _, data := range []string{empty, full} {
		if out := start(data); !strings.Contains(out, data) || !strings.Contains(out, "permission denied") {
			t.Errorf("%s: the error names neither what nor where:\n%s", filepath.Base(data), out)
		}
	}

	c.proc.Restart()
	c.await()
	if err := l.check(c); err != nil {
		t.Error(err)
	}
}

// chmod sets the modes of all files and folders below and at dir.
func chmod(dir string, file, folder fs.FileMode) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.Chmod(path, folder)
		}
		return os.Chmod(path, file)
	})
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755) //nolint:gosec // a program
}
