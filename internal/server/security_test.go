package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"

	"github.com/chironhq/chiron/internal/config"
)

// authority signs the certificates of a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, next: 1}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue makes a certificate for loopback, good for both ends.
func (a *authority) issue(name string) (certPEM, keyPEM string) {
	a.t.Helper()
	a.next++
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pemOf("CERTIFICATE", der), pemOf("EC PRIVATE KEY", raw)
}

func (a *authority) pem() string { return pemOf("CERTIFICATE", a.cert.Raw) }

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// caller is one client of a server, with connections of its own.
type caller struct {
	t      *testing.T
	url    string
	client *http.Client
	header map[string]string
}

func newCaller(t *testing.T, url string, tlsConfig *tls.Config) *caller {
	transport := &http.Transport{TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &caller{t: t, url: url, client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (c *caller) with(name, value string) *caller {
	out := *c
	out.header = map[string]string{name: value}
	return &out
}

// do returns the code of an answer, 0 when there is none.
func (c *caller) do(method, path, body string) int {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for k, v := range c.header {
		req.Header.Set(k, v)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// write sends one sample by remote write.
func (c *caller) write() int {
	c.t.Helper()
	w := *c
	w.header = map[string]string{"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
	maps.Copy(w.header, c.header)
	return w.do(http.MethodPost, "/api/v1/write", oneSample(c.t, "secured", 1))
}

// secured starts Chiron with a web configuration and files beside it, and
// waits until ready answers.
func secured(t *testing.T, files map[string]string, ready func(o Options) *caller) (*instance, *caller) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	o := Options{ListenAddress: freeAddress(t), StoragePath: filepath.Join(dir, "data"), CacheMemory: 8 << 20, Logger: slog.New(slog.DiscardHandler)}
	if _, ok := files["web.yaml"]; ok {
		o.WebConfigFile = filepath.Join(dir, "web.yaml")
	}
	if _, ok := files["chiron.yaml"]; ok {
		o.ConfigFile = filepath.Join(dir, "chiron.yaml")
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	c := ready(o)
	eventually(t, func() error {
		select {
		case err := <-ended:
			ended <- nil
			t.Fatalf("ended: %v", err)
		default:
		}
		return want(fmt.Sprint(c.do(http.MethodGet, "/-/ready", "")), "200")
	})
	return &instance{t: t, o: o, url: c.url}, c
}

func passwordHash(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func basic(user, password string) string {
	req := http.Request{Header: http.Header{}}
	req.SetBasicAuth(user, password)
	return req.Header.Get("Authorization")
}

// allRoutes are the paths that the process serves: those of its router, those
// of the API behind it, as its table says, and pprof's.
func allRoutes(t *testing.T) []string {
	t.Helper()
	nobody := http.NotFoundHandler()
	r := routes{
		write: nobody, api: nobody, webhook: nobody, remediation: func(r chi.Router) { r.Get("/runs", nobody.ServeHTTP) }, guarded: func() bool { return true },
		registry: prometheus.NewRegistry(),
	}
	handler, err := r.handler()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	err = chi.Walk(handler.(chi.Router), func(_, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error { //nolint:forcetypeassert // it is one
		paths = append(paths, strings.TrimSuffix(route, "*"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("../promapi/routes.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\{\w+, "(/[^"]+)"`).FindAllStringSubmatch(string(table), -1) {
		paths = append(paths, "/api/v1"+strings.ReplaceAll(m[1], "{name}", "job"))
	}
	for _, name := range []string{"cmdline", "profile", "symbol", "trace", "heap", "goroutine", "allocs", "mutex", "block"} {
		paths = append(paths, "/debug/pprof/"+name)
	}
	paths = append(paths, "/nothing", "/api/v1/nothing", "//api/v1/write", "/api/v1/../../debug/pprof/")
	slices.Sort(paths)
	paths = slices.Compact(paths)
	for _, known := range []string{"/api/v1/write", "/api/v1/query", "/api/v1/read", "/-/reload", "/debug/pprof/heap", "/metrics", "/api/v1/alertmanager/webhook", "/api/v1/admin/tsdb/delete_series"} {
		if !slices.Contains(paths, known) {
			t.Fatalf("%s is not among the routes: %q", known, paths)
		}
	}
	return paths
}

// TestEveryRouteNeedsAuthentication walks all routes with all methods: without
// credentials, with wrong ones and with the other kind nobody gets further
// than 401, however authentication is configured.
func TestEveryRouteNeedsAuthentication(t *testing.T) {
	paths := allRoutes(t)
	t.Logf("%d paths", len(paths))
	plain := func(o Options) *caller { return newCaller(t, "http://"+o.ListenAddress, nil) }
	for name, tc := range map[string]struct {
		files map[string]string
		good  string
		bad   []string
	}{
		"basic auth": {
			map[string]string{"web.yaml": "basic_auth_users: { ada: '" + passwordHash(t, "secret") + "' }\n"},
			basic("ada", "secret"), []string{"", basic("ada", "wrong"), basic("eve", "secret"), basic("ada", ""), "Bearer secret"},
		},
		"bearer tokens": {
			map[string]string{"chiron.yaml": "web: { bearer_token_files: [token] }\n", "token": "open sesame please\n"},
			"Bearer open sesame please", []string{"", "Bearer wrong", "Bearer ", "open sesame please", "Basic open sesame please", basic("", "open sesame please")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, c := secured(t, tc.files, func(o Options) *caller { return plain(o).with("Authorization", tc.good) })
			for _, path := range paths {
				for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
					if code := c.with("Authorization", tc.bad[0]).do(method, path, ""); code != http.StatusUnauthorized {
						t.Errorf("%s %s without credentials: %d", method, path, code)
					}
				}
				for _, bad := range tc.bad[1:] {
					if code := c.with("Authorization", bad).do(http.MethodGet, path, ""); code != http.StatusUnauthorized {
						t.Errorf("GET %s with %q: %d", path, bad, code)
					}
				}
			}
			for _, path := range []string{"/", "/metrics", "/api/v1/query?query=1", "/debug/pprof/", "/debug/pprof/heap", "/api/v1/status/config"} {
				if code := c.do(http.MethodGet, path, ""); code != http.StatusOK {
					t.Errorf("GET %s with the right credentials: %d", path, code)
				}
			}
			if code := c.write(); code != http.StatusNoContent {
				t.Errorf("write: %d", code)
			}
		})
	}
}

// TestTLS: a real certificate, and another one in its files a moment later,
// which the next connection gets.
func TestTLS(t *testing.T) {
	ca := newAuthority(t, "first")
	cert, key := ca.issue("one")
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	i, c := secured(t, map[string]string{
		"web.yaml": "tls_server_config: { cert_file: cert.pem, key_file: key.pem }\n", "cert.pem": cert, "key.pem": key,
	}, func(o Options) *caller { return newCaller(t, "https://"+o.ListenAddress, &tls.Config{RootCAs: pool}) })
	if code := c.write(); code != http.StatusNoContent {
		t.Errorf("write over TLS: %d", code)
	}
	if code := newCaller(t, strings.Replace(c.url, "https", "http", 1), nil).do(http.MethodGet, "/-/ready", ""); code != http.StatusBadRequest {
		t.Errorf("without TLS: %d", code)
	}
	if code := newCaller(t, c.url, &tls.Config{RootCAs: x509.NewCertPool()}).do(http.MethodGet, "/-/ready", ""); code != 0 {
		t.Errorf("a client that does not know the authority: %d", code)
	}
	serial := func() string {
		conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: pool}}).DialContext(t.Context(), "tcp", i.o.ListenAddress)
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName //nolint:forcetypeassert // it is one
	}
	if err := want(serial(), "one"); err != nil {
		t.Error(err)
	}
	cert, key = ca.issue("two")
	dir := filepath.Dir(i.o.WebConfigFile)
	write(t, filepath.Join(dir, "cert.pem"), cert)
	write(t, filepath.Join(dir, "key.pem"), key)
	if err := want(serial(), "two"); err != nil {
		t.Error(err)
	}
}

// TestClientCertificates: mTLS. No certificate and one of another authority
// do not get as far as HTTP; when the authority is replaced, so are those who
// may come in.
func TestClientCertificates(t *testing.T) {
	ca, other := newAuthority(t, "ours"), newAuthority(t, "other")
	cert, key := ca.issue("server")
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	client := func(a *authority) *tls.Config {
		c := &tls.Config{RootCAs: pool}
		if a != nil {
			cert, key := a.issue("client")
			pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
			if err != nil {
				t.Fatal(err)
			}
			// Sent whatever authorities the server names.
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		return c
	}
	i, c := secured(t, map[string]string{
		"web.yaml": "tls_server_config: { cert_file: cert.pem, key_file: key.pem, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem }\n",
		"cert.pem": cert, "key.pem": key, "ca.pem": ca.pem(),
	}, func(o Options) *caller { return newCaller(t, "https://"+o.ListenAddress, client(ca)) })
	if code := c.write(); code != http.StatusNoContent {
		t.Errorf("write with a certificate: %d", code)
	}
	for _, path := range allRoutes(t) {
		for who, a := range map[string]*authority{"nobody": nil, "a stranger": other} {
			if code := newCaller(t, c.url, client(a)).do(http.MethodGet, path, ""); code != 0 {
				t.Errorf("GET %s by %s: %d", path, who, code)
			}
		}
	}
	write(t, filepath.Join(filepath.Dir(i.o.WebConfigFile), "ca.pem"), other.pem())
	if code := newCaller(t, c.url, client(other)).do(http.MethodGet, "/-/ready", ""); code != http.StatusOK {
		t.Errorf("the new authority's: %d", code)
	}
	if code := newCaller(t, c.url, client(ca)).do(http.MethodGet, "/-/ready", ""); code != 0 {
		t.Errorf("the old authority's: %d", code)
	}
}

// TestPasswordsAreReread: who is taken out of the web configuration is out at
// the next request; when nobody is left in it, profiles and the like close.
func TestPasswordsAreReread(t *testing.T) {
	i, c := secured(t, map[string]string{"web.yaml": "basic_auth_users: { ada: '" + passwordHash(t, "secret") + "' }\n"},
		func(o Options) *caller {
			return newCaller(t, "http://"+o.ListenAddress, nil).with("Authorization", basic("ada", "secret"))
		})
	write(t, i.o.WebConfigFile, "basic_auth_users: { bob: '"+passwordHash(t, "hidden")+"' }\n")
	if code := c.do(http.MethodGet, "/metrics", ""); code != http.StatusUnauthorized {
		t.Errorf("ada after she was taken out: %d", code)
	}
	if code := c.with("Authorization", basic("bob", "hidden")).do(http.MethodGet, "/metrics", ""); code != http.StatusOK {
		t.Errorf("bob: %d", code)
	}
	s := &server{o: i.o}
	if !s.guarded() {
		t.Error("not guarded with a user")
	}
	write(t, i.o.WebConfigFile, "basic_auth_users: {}\n")
	if s.guarded() {
		t.Error("guarded without a user")
	}
}

// TestBearerTokenRoles: a token is good for what its file was given for.
func TestBearerTokenRoles(t *testing.T) {
	_, c := secured(t, map[string]string{
		"chiron.yaml": `
web: { bearer_token_files: [admin], write_bearer_token_files: [write, both], query_bearer_token_files: [query, both] }
remediation: { policy_files: [policies.yaml], webhook: { bearer_token_files: [hook] } }
`,
		"policies.yaml": policies, "admin": "admin-token", "write": "write-token\n", "query": " query-token ", "both": "both-token", "hook": "hook-token",
	}, func(o Options) *caller {
		return newCaller(t, "http://"+o.ListenAddress, nil).with("Authorization", "bearer admin-token")
	})
	hook := func(token string) int {
		w := c.with("Authorization", "Bearer "+token)
		w.header["Content-Type"] = "application/json"
		return w.do(http.MethodPost, "/api/v1/alertmanager/webhook", `{"version":"4","alerts":[]}`)
	}
	for _, tc := range []struct {
		token                                                     string
		write, query, post, metrics, reload, pprof, runs, webhook int
	}{
		{"admin-token", 204, 200, 200, 200, 200, 200, 200, 401},
		{"write-token", 204, 403, 403, 403, 403, 403, 403, 401},
		{"query-token", 403, 200, 200, 200, 403, 403, 200, 401},
		{"both-token", 204, 200, 200, 200, 403, 403, 200, 401},
		{"hook-token", 401, 401, 401, 401, 401, 401, 401, 200},
		{"write-toke", 401, 401, 401, 401, 401, 401, 401, 401},
	} {
		a := c.with("Authorization", "Bearer "+tc.token)
		form := c.with("Authorization", "Bearer "+tc.token)
		form.header["Content-Type"] = "application/x-www-form-urlencoded"
		got := []int{
			a.write(), a.do(http.MethodGet, "/api/v1/query?query=1", ""), form.do(http.MethodPost, "/api/v1/query", "query=1"), a.do(http.MethodGet, "/metrics", ""),
			a.do(http.MethodPost, "/-/reload", ""), a.do(http.MethodGet, "/debug/pprof/", ""), a.do(http.MethodGet, "/api/v1/remediation/runs", ""), hook(tc.token),
		}
		if want := []int{tc.write, tc.query, tc.post, tc.metrics, tc.reload, tc.pprof, tc.runs, tc.webhook}; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", tc.token, got, want)
		}
	}
	if code := c.with("Authorization", "Bearer query-token").do(http.MethodPost, "/api/v1/admin/tsdb/snapshot", ""); code != http.StatusForbidden {
		t.Errorf("an admin path with a query token: %d", code)
	}
}

// TestBearerTokensAreReread: a new token works and an old one stops working
// after a few seconds, a file that cannot be read gives none.
func TestBearerTokensAreReread(t *testing.T) {
	dir := t.TempDir()
	file, second := filepath.Join(dir, "token"), filepath.Join(dir, "second")
	write(t, file, "first-token")
	write(t, second, "second-token")
	now := time.Unix(1_800_000_000, 0)
	tk, err := newTokens(config.Web{BearerTokenFiles: []string{file}, WriteBearerTokenFiles: []string{second}}, slog.New(slog.DiscardHandler), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	good := func(token string) role {
		req := &http.Request{Header: http.Header{"Authorization": {"Bearer " + token}}}
		return tk.roles(req)
	}
	f := func(token string, want role) {
		t.Helper()
		if got := good(token); got != want {
			t.Errorf("%s is good for %b, want %b", token, got, want)
		}
	}
	f("first-token", roleAll)
	f("second-token", roleWrite)
	write(t, file, "other-token")
	now = now.Add(reread - 1)
	f("first-token", roleAll)
	now = now.Add(1)
	f("first-token", 0)
	f("other-token", roleAll)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	now = now.Add(reread)
	f("other-token", 0)
	f("second-token", roleWrite)
	write(t, file, "short")
	now = now.Add(-time.Hour) // a clock that was put back does not keep a token alive
	f("short", 0)
	write(t, file, "other-token")
	now = now.Add(reread)
	f("other-token", roleAll)
}

// TestAuthenticationThatCannotBe: what contradicts itself or cannot be read
// stops the start, with words that help.
func TestAuthenticationThatCannotBe(t *testing.T) {
	for name, tc := range map[string]struct {
		files map[string]string
		want  string
	}{
		"both in one header": {map[string]string{
			"web.yaml": "basic_auth_users: { ada: '" + passwordHash(t, "secret") + "' }\n", "chiron.yaml": "web: { bearer_token_files: [token] }", "token": "0123456789",
		}, "bearer token in one header"},
		"no file":        {map[string]string{"chiron.yaml": "web: { query_bearer_token_files: [token] }"}, "no such file"},
		"a short token":  {map[string]string{"chiron.yaml": "web: { write_bearer_token_files: [token] }", "token": "short"}, "at least 8 characters"},
		"no certificate": {map[string]string{"web.yaml": "tls_server_config: { cert_file: cert.pem, key_file: key.pem }"}, "cannot use --web.config.file"},
		"a misspelt key": {map[string]string{"web.yaml": "basic_auth_user: {}"}, "cannot use --web.config.file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := Options{ListenAddress: "127.0.0.1:0", StoragePath: filepath.Join(dir, "data"), CacheMemory: 8 << 20, Logger: slog.New(slog.DiscardHandler)}
			for name, text := range tc.files {
				write(t, filepath.Join(dir, name), text)
				switch name {
				case "web.yaml":
					o.WebConfigFile = filepath.Join(dir, name)
				case "chiron.yaml":
					o.ConfigFile = filepath.Join(dir, name)
				}
			}
			if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v does not say %q", err, tc.want)
			}
		})
	}
}
