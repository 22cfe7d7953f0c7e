package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chironhq/chiron/internal/config"
)

const (
	// reread is how old what is known of the token files may be: a token that
	// is taken back works for so long.
	reread = 5 * time.Second
	// minToken is the shortest token, in bytes.
	minToken = 8
)

// role is what a bearer token is good for; a token may have several.
type role uint8

const (
	roleWrite role = 1 << iota // remote write
	roleQuery                  // what only reads
	roleAdmin                  // everything else
	roleAll   = roleWrite | roleQuery | roleAdmin
)

// tokens asks every client for a bearer token.
type tokens struct {
	files  map[string]role // path -> what its token is good for
	own    string          // path that asks for a token of its own; empty: none
	logger *slog.Logger
	now    func() time.Time

	known atomic.Pointer[[]token]
	mu    sync.Mutex // over reading
	read  atomic.Int64
}

// token is kept as its hash: comparing hashes takes as long for every token.
type token struct {
	hash [sha256.Size]byte
	good role
}

// newTokens reads the files; nil when none are configured.
func newTokens(c config.Web, logger *slog.Logger, now func() time.Time) (*tokens, error) {
	if !c.BearerTokens() {
		return nil, nil
	}
	t := &tokens{files: map[string]role{}, logger: logger, now: now}
	for good, names := range map[role][]string{roleAll: c.BearerTokenFiles, roleWrite: c.WriteBearerTokenFiles, roleQuery: c.QueryBearerTokenFiles} {
		for _, name := range names {
			t.files[name] |= good
		}
	}
	list, err := t.load()
	if err != nil {
		return nil, fmt.Errorf("cannot use the bearer tokens of the web section: %w", err)
	}
	t.known.Store(&list)
	t.read.Store(now().UnixNano())
	return t, nil
}

// load reads all files. A file that cannot be used gives no token.
func (t *tokens) load() ([]token, error) {
	var list []token
	var errs []error
	for name, good := range t.files {
		text, err := os.ReadFile(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		secret := strings.TrimSpace(string(text))
		if len(secret) < minToken {
			errs = append(errs, fmt.Errorf("%s: a bearer token needs at least %d characters", name, minToken))
			continue
		}
		list = append(list, token{sha256.Sum256([]byte(secret)), good})
	}
	return list, errors.Join(errs...)
}

// current are the tokens, read again when that was long ago. One request reads
// while the others go on with what was known.
func (t *tokens) current() []token {
	now := t.now().UnixNano()
	if age := now - t.read.Load(); (age >= int64(reread) || age < 0) && t.mu.TryLock() {
		list, err := t.load()
		if err != nil {
			t.logger.Error("bearer tokens cannot be read and are not accepted", "err", err)
		}
		t.known.Store(&list)
		t.read.Store(now)
		t.mu.Unlock()
	}
	return *t.known.Load()
}

// roles are what the request's token is good for, found in the same time
// whichever token it is.
func (t *tokens) roles(req *http.Request) role {
	scheme, secret, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return 0
	}
	hash := sha256.Sum256([]byte(strings.TrimSpace(secret)))
	var good role
	for _, known := range t.current() {
		match := subtle.ConstantTimeCompare(hash[:], known.hash[:])
		good |= known.good & role(-match) //nolint:gosec // 0 or all bits
	}
	return good
}

// need is what a request must be allowed. What is not known to only read is
// for administrators.
func need(req *http.Request) role {
	path, reads := req.URL.Path, req.Method == http.MethodGet || req.Method == http.MethodHead
	under := func(prefix string) bool { return strings.HasPrefix(path, prefix) }
	switch {
	case path == "/api/v1/write":
		return roleWrite
	case path == "/", path == "/metrics", path == "/graph", path == "/-/healthy", path == "/-/ready":
		if reads {
			return roleQuery
		}
	case under("/api/v1/admin"), under("/api/v1/alertmanager/"):
	case under("/api/v1/remediation"):
		if reads {
			return roleQuery
		}
	case under("/api/v1/"):
		if reads || req.Method == http.MethodPost || req.Method == http.MethodOptions {
			return roleQuery
		}
	}
	return roleAdmin
}

// guard lets only requests with a good token through.
func (t *tokens) guard(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if t.own != "" && req.URL.Path == t.own {
			next.ServeHTTP(w, req)
			return
		}
		switch have := t.roles(req); {
		case have == 0:
			w.Header().Set("WWW-Authenticate", `Bearer realm="chiron"`)
			http.Error(w, "a bearer token is needed", http.StatusUnauthorized)
		case have&need(req) == 0:
			http.Error(w, "this bearer token is not good for this", http.StatusForbidden)
		default:
			next.ServeHTTP(w, req)
		}
	})
}
