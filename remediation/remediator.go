// Package remediation decides what to do about an alert, does it, looks whether
// it has helped, and writes all of that down.
//
// The core (engine) is pure: Step(time, event) returns effects. The driver
// (Remediator.Run) carries them out and puts what is decided on disk BEFORE it
// does it, so that a crash at any point leads to at most one write. The package
// knows Alertmanager's deliveries and a cluster through an interface; it knows
// neither rules nor the ring.
package remediation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chironhq/chiron/remediation/action"
	"github.com/chironhq/chiron/remediation/policy"
	"github.com/chironhq/chiron/remediation/webhook"
)

// Sample is one element of an instant vector.
type Sample = policy.Sample

// Options configure a Remediator.
type Options struct {
	Dir      string         // of the run store; required
	Policies *policy.Set    // required
	Cluster  action.Cluster // nil: every run is blocked, because the cluster cannot be asked
	// Query answers an instant query; nil: expressions cannot be asked, which blocks.
	Query func(ctx context.Context, expr string, t time.Time) ([]Sample, error)

	Tokens     []string // bearer tokens of the webhook
	TokenFiles []string // files with one token each, read at every request
	// AllowUnauthenticated opens the webhook without a token: only when the server
	// listens on loopback or has authenticated the request itself.
	AllowUnauthenticated bool

	Settings   Settings
	Now        func() time.Time // nil = time.Now
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Remediator is the acting half of Chiron.
type Remediator struct {
	o       Options
	logger  *slog.Logger
	store   *store
	engine  *engine // of Run's goroutine
	metrics *metrics
	hook    *webhook.Handler

	arrived  chan struct{} // capacity 1: the inbox has something
	changed  chan struct{} // capacity 1: policies has something
	mu       sync.Mutex
	policies *policy.Set // to be taken by Run; nil: nothing new
	killed   atomic.Bool // the kill switch as it was given last; asked right before each write
}

// Open reads the run store. Nothing is done before Run.
func Open(o Options) (*Remediator, error) {
	if o.Policies == nil {
		return nil, errors.New("remediation needs policies")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := openStore(o.Dir)
	if err != nil {
		return nil, err
	}
	r := &Remediator{o: o, logger: o.Logger, store: s, arrived: make(chan struct{}, 1), changed: make(chan struct{}, 1)}
	r.hook, err = webhook.New(webhook.Options{
		Tokens: o.Tokens, TokenFiles: o.TokenFiles, AllowUnauthenticated: o.AllowUnauthenticated,
		Record: r.record, Now: o.Now, Logger: o.Logger, Registerer: o.Registerer,
	})
	if err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	state, err := s.load()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot read the run store: %w", err), s.db.Close())
	}
	r.killed.Store(o.Policies.Guardrails.KillSwitch)
	r.engine = newEngine(o.Settings, o.Policies, state)
	r.metrics = newMetrics(o.Registerer)
	return r, nil
}

// Close closes the run store. Run must have returned.
func (r *Remediator) Close() error {
	if err := r.store.db.Close(); err != nil {
		return fmt.Errorf("cannot close the run store: %w", err)
	}
	return nil
}

// Webhook answers Alertmanager.
func (r *Remediator) Webhook() http.Handler { return r.hook }

// SetPolicies replaces what people allow. Writes that have been sent are
// finished as they were planned; the kill switch counts at once, also for
// writes that are decided and wait for their turn, and for taking back.
func (r *Remediator) SetPolicies(p *policy.Set) {
	r.killed.Store(p.Guardrails.KillSwitch)
	r.mu.Lock()
	r.policies = p
	r.mu.Unlock()
	poke(r.changed)
}

func (r *Remediator) takePolicies() *policy.Set {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.policies
	r.policies = nil
	return p
}

// record puts a delivery on disk and wakes Run.
func (r *Remediator) record(_ context.Context, d *webhook.Delivery) error {
	if err := r.store.enqueue(d); err != nil {
		return err
	}
	poke(r.arrived)
	return nil
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
