package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	commonconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/storage/remote"
	"go.yaml.in/yaml/v2"

	"github.com/chironhq/chiron/rules/emit"
)

// DefaultWriteTimeout is how long one remote-write request may take.
const DefaultWriteTimeout = 30 * time.Second

// WriteClientOptions configure a WriteClient. URL is required.
type WriteClientOptions struct {
	// Name tells clients apart in metrics and messages.
	Name string
	URL  string
	// Protocol is the message version, "2.0" or "1.0". Empty: "2.0".
	Protocol string
	// Timeout of one request. 0: 30 s.
	Timeout time.Duration
	// YAML holds headers and HTTP client settings in Prometheus's form:
	// basic_auth, authorization, oauth2, tls_config, proxy_url, and so on.
	// Empty: none.
	YAML []byte
	// Dir is what relative file names in YAML are relative to.
	Dir string
	// UserAgent goes into every request. Empty: "Chiron".
	UserAgent string
}

// WriteClient sends remote-write requests in one message version. It is safe
// for concurrent use and keeps nothing of a request.
type WriteClient struct {
	client remote.WriteClient
	http   *http.Client
}

var _ emit.Client = (*WriteClient)(nil)

// writeSettings is what YAML may hold.
type writeSettings struct {
	Headers          map[string]string             `yaml:"headers,omitempty"`
	HTTPClientConfig commonconfig.HTTPClientConfig `yaml:",inline"`
}

// ParseWriteClient checks client settings without using them.
func ParseWriteClient(settings []byte) error {
	_, err := parseWriteSettings(settings)
	return err
}

func parseWriteSettings(text []byte) (writeSettings, error) {
	s := writeSettings{HTTPClientConfig: commonconfig.DefaultHTTPClientConfig}
	if err := yaml.UnmarshalStrict(text, &s); err != nil {
		return s, err
	}
	// An inlined struct is not validated while it is read.
	return s, s.HTTPClientConfig.Validate()
}

// NewWriteClient builds Prometheus's remote-write client around our settings.
func NewWriteClient(o WriteClientOptions) (*WriteClient, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("cannot send remote write to %q: not a full address", o.URL)
	}
	var message remoteapi.WriteMessageType
	switch o.Protocol {
	case "", "2.0":
		message = remoteapi.WriteV2MessageType
	case "1.0":
		message = remoteapi.WriteV1MessageType
	default:
		return nil, fmt.Errorf("cannot send remote write %q: the protocols are 2.0 and 1.0", o.Protocol)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultWriteTimeout
	}
	if o.UserAgent == "" {
		o.UserAgent = "Chiron"
	}
	s, err := parseWriteSettings(o.YAML)
	if err != nil {
		return nil, fmt.Errorf("cannot use the client settings of remote write %q: %w", o.Name, err)
	}
	s.HTTPClientConfig.SetDirectory(o.Dir)
	// NewWriteClient(name, *ClientConfig)
	c, err := remote.NewWriteClient(o.Name, &remote.ClientConfig{
		URL:              &commonconfig.URL{URL: u},
		Timeout:          model.Duration(o.Timeout),
		HTTPClientConfig: s.HTTPClientConfig,
		Headers:          s.Headers,
		RetryOnRateLimit: true, // 429 is asked again, as the 2.0 specification wants
		WriteProtoMsg:    message,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot build remote-write client %q: %w", o.Name, err)
	}
	concrete, ok := c.(*remote.Client)
	if !ok {
		return nil, fmt.Errorf("cannot observe a remote-write client of type %T", c)
	}
	concrete.Client.Transport = &observer{next: concrete.Client.Transport, userAgent: o.UserAgent}
	return &WriteClient{client: c, http: concrete.Client}, nil
}

// Store sends one Snappy-compressed request; see emit.Client for what its
// errors mean.
func (c *WriteClient) Store(ctx context.Context, body []byte, attempt int) error {
	var seen answer
	_, err := c.client.Store(context.WithValue(ctx, answerKey{}, &seen), body, attempt)
	var recoverable remote.RecoverableError
	switch {
	case err == nil:
		return nil
	case seen.status == http.StatusUnsupportedMediaType:
		return fmt.Errorf("%w: %w", emit.ErrUnsupported, err)
	case errors.As(err, &recoverable):
		return &emit.RecoverableError{Err: err, RetryAfter: seen.retryAfter}
	}
	return err
}

// CloseIdleConnections gives up the connections that wait for reuse.
func (c *WriteClient) CloseIdleConnections() { c.http.CloseIdleConnections() }

// answer is what upstream's client sees of a response and does not tell: its
// RecoverableError keeps Retry-After to itself, and its other errors are text.
type answer struct {
	status     int
	retryAfter time.Duration
}

type answerKey struct{}

// observer fills the answer that travels in a request's context; after
// redirects the last one stands.
type observer struct {
	next      http.RoundTripper
	userAgent string
}

// RoundTrip sends req on.
func (o *observer) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", o.userAgent)
	resp, err := o.next.RoundTrip(req)
	if seen, ok := req.Context().Value(answerKey{}).(*answer); ok && err == nil {
		seen.status = resp.StatusCode
		seen.retryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return resp, err
}

// CloseIdleConnections passes the wish on, as http.Client expects.
func (o *observer) CloseIdleConnections() {
	if c, ok := o.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// retryAfter reads the header's two forms, seconds and an HTTP date. What
// cannot be read, or lies in the past, is no wish: 0.
func retryAfter(header string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, err := strconv.ParseInt(header, 10, 32); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if t, err := http.ParseTime(header); err == nil {
		d = t.Sub(now)
	}
	return max(d, 0)
}
