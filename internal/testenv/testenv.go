// Package testenv starts the real peers of the tests on loopback: Prometheus,
// Alertmanager, and a Kubernetes control plane whose kubelets alone are
// simulated (kwok). Binaries come from `make tools`; processes end with the
// test, and what they logged is shown when it fails.
//
// It knows nothing of Chiron but how to build it.
package testenv

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Main runs a package's tests and then ends what they shared.
func Main(m *testing.M) {
	code := m.Run()
	if shared.kube != nil {
		shared.kube.stop()
	}
	for _, dir := range shared.dirs {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// shared is what all tests of a package use together.
var shared struct {
	kubeOnce   sync.Once
	kube       *KubeCluster
	kubeErr    error
	chironOnce sync.Once
	chiron     string
	chironErr  error

	mu   sync.Mutex
	dirs []string
}

// root is the folder of the module's go.mod.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the test's folder")
		}
		dir = filepath.Dir(dir)
	}
}

// toolsDir is where `make tools` puts things; as there, a relative
// CHIRON_TOOLS_DIR is relative to the module.
func toolsDir() (string, error) {
	dir := os.Getenv("CHIRON_TOOLS_DIR")
	if dir == "" {
		dir = ".tools"
	}
	if filepath.IsAbs(dir) {
		return dir, nil
	}
	module, err := root()
	return filepath.Join(module, dir), err
}

// Tool returns the path of a tool's binary. Tests that need one do not belong
// to the quick part; everywhere else a missing binary is a failure.
func Tool(t testing.TB, name string) string {
	t.Helper()
	needTools(t)
	path, err := tool(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func needTools(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real peers: not part of -short")
	}
}

func tool(name string) (string, error) {
	dir, err := toolsDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "bin", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not built: run make tools (%w)", name, err)
	}
	return path, nil
}

// Eventually polls until f returns nil and fails the test with f's last error
// after the time. The time says how long a broken machine is waited for; no
// test passes or fails by how fast things are.
func Eventually(t testing.TB, within time.Duration, f func() error) {
	t.Helper()
	if err := poll(within, f); err != nil {
		t.Fatalf("still after %v: %v", within, err)
	}
}

func poll(within time.Duration, f func() error) (err error) {
	for end := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		if err = f(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// answers returns nil once url answers 200.
func answers(url string) func() error {
	return func() error {
		_, err := get(url)
		return err
	}
}

// get returns what url answers; anything but 200 is an error.
func get(url string) (string, error) {
	client := &http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(url) //nolint:noctx // bounded by the client's timeout
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return string(body), err
}

// BuildChiron builds the chiron command once for the package's tests, with the
// race detector when they have it, and returns its path.
func BuildChiron(t testing.TB) string {
	t.Helper()
	needTools(t)
	shared.chironOnce.Do(func() { shared.chiron, shared.chironErr = buildChiron() })
	if shared.chironErr != nil {
		t.Fatal(shared.chironErr)
	}
	return shared.chiron
}

func buildChiron() (string, error) {
	dir, err := sharedDir("chiron")
	if err != nil {
		return "", err
	}
	module, err := root()
	if err != nil {
		return "", err
	}
	if err := touchSources(module); err != nil {
		return "", err
	}
	args := []string{"build", "-o", filepath.Join(dir, "chiron")}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/chiron")...) //nolint:noctx // shared by tests, outlives each
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build chiron: %w\n%s", err, out)
	}
	return filepath.Join(dir, "chiron"), nil
}

// touchSources looks at each file of the module. The cache of test results
// notes what a test looks at, not what the compiler that it calls does: without
// this, a change to Chiron would leave an old "ok" in place.
func touchSources(module string) error {
	return filepath.WalkDir(module, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != module && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"), d.Name() == "go.mod", d.Name() == "go.sum":
			_, err = os.Stat(path)
		}
		return err
	})
}

// sharedDir makes a folder that lives until Main ends.
func sharedDir(name string) (string, error) {
	dir, err := os.MkdirTemp("", "chiron-test-"+name)
	if err == nil {
		shared.mu.Lock()
		shared.dirs = append(shared.dirs, dir)
		shared.mu.Unlock()
	}
	return dir, err
}
