package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/chironhq/chiron/internal/testenv"
)

// wire passes requests on and their answers back, and holds the first that is
// like what the test waits for: before it arrives, or before its answer does.
// So a test can stop Chiron at a point that otherwise takes a millisecond.
type wire struct {
	path   string // of the request, its end
	before bool

	once     atomic.Bool
	held     chan struct{} // closed once the request is held
	released chan struct{}
	release  func() // lets the request go on, or be lost if its caller has gone
}

func newWire(path string, before bool) *wire {
	w := &wire{path: path, before: before, held: make(chan struct{}), released: make(chan struct{})}
	w.release = sync.OnceFunc(func() { close(w.released) })
	return w
}

// open makes the wire lead to a server and returns the address of its other
// end. The kubeconfig, if any, says as who the server is spoken to.
func (w *wire) open(t *testing.T, server, kubeconfig string) string {
	t.Helper()
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	if kubeconfig != "" {
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		if proxy.Transport, err = rest.TransportFor(config); err != nil {
			t.Fatal(err)
		}
	}
	proxy.ErrorHandler = func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) }
	proxy.ModifyResponse = func(resp *http.Response) error {
		if !w.before {
			w.hold(resp.Request)
		}
		return nil
	}
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.before && w.hold(r) {
			return // lost
		}
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		w.release()
		s.Close()
	})
	return s.URL
}

// kubeconfig makes the wire lead to an API server, to which it shows the
// certificate of the kubeconfig, and returns a kubeconfig for its other end.
func (w *wire) kubeconfig(t *testing.T, kubeconfig string) string {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	address := w.open(t, config.Host, kubeconfig)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := "apiVersion: v1\nkind: Config\nclusters: [{ name: wire, cluster: { server: '" + address +
		"' } }]\ncontexts: [{ name: wire, context: { cluster: wire } }]\ncurrent-context: wire\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// hold holds the first request that fits and reports whether it did.
func (w *wire) hold(r *http.Request) bool {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, w.path) || !w.once.CompareAndSwap(false, true) {
		return false
	}
	close(w.held)
	<-w.released
	return true
}

// await waits until the request is held.
func (w *wire) await(t *testing.T) {
	t.Helper()
	testenv.Eventually(t, patience, func() error {
		select {
		case <-w.held:
			return nil
		default:
			return fmt.Errorf("no request to %s has come", w.path)
		}
	})
}
