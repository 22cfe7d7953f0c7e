package webhook

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// DefaultMaxBody bounds a body, in bytes.
const DefaultMaxBody = 4 << 20

// Options configure a Handler.
type Options struct {
	Tokens     []string // any of them is good, so that they can be changed one by one
	TokenFiles []string // one token a file, read at every request
	// AllowUnauthenticated lets everybody in when there is no token. Only for a
	// server that listens on loopback or has authenticated the request by itself.
	AllowUnauthenticated bool
	MaxBody              int64 // bytes; 0 = DefaultMaxBody
	// Record puts the delivery on durable record. Only after it has returned nil is
	// the request answered with 200.
	Record     func(context.Context, *Delivery) error
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Handler answers POST requests of Alertmanager.
type Handler struct {
	o        Options
	received prometheus.Counter
	rejected *prometheus.CounterVec
}

// New checks the options.
func New(o Options) (*Handler, error) {
	if len(o.Tokens)+len(o.TokenFiles) == 0 && !o.AllowUnauthenticated {
		return nil, errors.New("the alert webhook needs a bearer token (remediation.webhook.bearer_tokens), other authentication, or an address on loopback")
	}
	for _, t := range o.Tokens {
		if strings.TrimSpace(t) == "" {
			return nil, errors.New("a bearer token of the alert webhook is empty")
		}
	}
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	f := promauto.With(o.Registerer)
	h := &Handler{o: o,
		received: f.NewCounter(prometheus.CounterOpts{Name: "chiron_remediation_deliveries_received_total", Help: "Messages of Alertmanager that are on record."}),
		rejected: f.NewCounterVec(prometheus.CounterOpts{Name: "chiron_remediation_deliveries_rejected_total", Help: "Messages of Alertmanager that were refused, by reason."}, []string{"reason"}),
	}
	for _, r := range []string{"method", "auth", "content_type", "too_large", "invalid", "version", "not_recorded"} {
		h.rejected.WithLabelValues(r)
	}
	for _, name := range o.TokenFiles {
		if _, err := readToken(name); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func readToken(name string) (string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("cannot read a token of the alert webhook: %w", err)
	}
	t := strings.TrimSpace(string(b))
	if t == "" {
		return "", fmt.Errorf("the token file %s of the alert webhook is empty", name)
	}
	return t, nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(code int, reason, text string) {
		h.rejected.WithLabelValues(reason).Inc()
		http.Error(w, text, code)
	}
	if !h.authenticated(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(http.StatusUnauthorized, "auth", "unauthorized")
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuse(http.StatusMethodNotAllowed, "method", "use POST")
		return
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		refuse(http.StatusUnsupportedMediaType, "content_type", "Content-Type must be application/json")
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(10 * time.Second)) // not every writer has one
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.o.MaxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			refuse(http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("the body is larger than %d bytes", h.o.MaxBody))
			return
		}
		refuse(http.StatusBadRequest, "invalid", "cannot read the body")
		return
	}
	d, err := Decode(body)
	if err != nil {
		reason := "invalid"
		if errors.Is(err, ErrVersion) {
			reason = "version"
		}
		refuse(http.StatusBadRequest, reason, err.Error())
		return
	}
	d.ReceivedAt = h.o.Now()
	if err := h.o.Record(r.Context(), d); err != nil {
		h.o.Logger.Error("alert delivery is not on record; the sender will try again", "err", err)
		refuse(http.StatusServiceUnavailable, "not_recorded", "cannot put the delivery on record; try again")
		return
	}
	h.received.Inc()
	w.WriteHeader(http.StatusOK)
}

// authenticated compares hashes, so that neither content nor length of a token
// shows in the time it takes.
func (h *Handler) authenticated(r *http.Request) bool {
	tokens := h.o.Tokens
	for _, name := range h.o.TokenFiles {
		t, err := readToken(name)
		if err != nil {
			h.o.Logger.Error("webhook token is not readable", "err", err)
			continue
		}
		tokens = append(slices.Clip(tokens), t)
	}
	if len(h.o.Tokens)+len(h.o.TokenFiles) == 0 {
		return h.o.AllowUnauthenticated
	}
	scheme, given, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	hash, good := sha256.Sum256([]byte(strings.TrimSpace(given))), 0
	for _, t := range tokens {
		want := sha256.Sum256([]byte(t))
		good |= subtle.ConstantTimeCompare(hash[:], want[:])
	}
	return ok && strings.EqualFold(scheme, "Bearer") && good == 1
}
