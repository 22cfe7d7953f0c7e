package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// upWithin is how long a peer may take to answer on a slow machine.
const upWithin = 2 * time.Minute

// PrometheusOptions configure Prometheus.
type PrometheusOptions struct {
	Config string   // prometheus.yml
	Flags  []string // besides those for files and address
}

// PrometheusServer is a running Prometheus.
type PrometheusServer struct {
	*Proc
	URL string
}

// Prometheus starts Prometheus and waits until it is ready.
func Prometheus(t testing.TB, o PrometheusOptions) *PrometheusServer {
	t.Helper()
	binary := Tool(t, "prometheus")
	dir, address := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(o.Config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := Process(t, "prometheus", binary, append([]string{
		"--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address,
	}, o.Flags...)...)
	s := &PrometheusServer{Proc: p, URL: "http://" + address}
	if err := p.await(answers(s.URL + "/-/ready")); err != nil {
		t.Fatal(err)
	}
	return s
}

// AlertmanagerOptions configure Alertmanager.
type AlertmanagerOptions struct {
	Config string // alertmanager.yml
	Flags  []string
}

// AlertmanagerServer is a running Alertmanager, alone in its cluster.
type AlertmanagerServer struct {
	*Proc
	URL string
}

// Alertmanager starts Alertmanager and waits until it is ready.
func Alertmanager(t testing.TB, o AlertmanagerOptions) *AlertmanagerServer {
	t.Helper()
	binary := Tool(t, "alertmanager")
	dir, address := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	file := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(file, []byte(o.Config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := Process(t, "alertmanager", binary, append([]string{
		"--config.file=" + file, "--storage.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address, "--cluster.listen-address=",
	}, o.Flags...)...)
	s := &AlertmanagerServer{Proc: p, URL: "http://" + address}
	if err := p.await(answers(s.URL + "/-/ready")); err != nil {
		t.Fatal(err)
	}
	return s
}
