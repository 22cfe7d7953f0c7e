package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	commonconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/notifier"
	"github.com/prometheus/prometheus/rules"
	"go.yaml.in/yaml/v2"
)

// Defaults of the notifier.
const (
	DefaultNotifyQueue = 10_000
	DefaultDrain       = 10 * time.Second
)

// Alert is one alert on its way to Alertmanager.
type Alert = notifier.Alert

// NotifierOptions configure a Notifier. The zero value alerts nobody.
type NotifierOptions struct {
	// Alerting says where alerts go; Apply replaces it.
	Alerting Alerting
	// QueueCapacity is how many alerts wait for one Alertmanager; the oldest
	// go first. 0: 10,000.
	QueueCapacity int
	// DrainTimeout bounds how long queued alerts are still sent after Run was
	// told to end, or after an Alertmanager was taken away. 0: 10 s.
	DrainTimeout time.Duration
	// UserAgent goes into every request. Empty: "Chiron".
	UserAgent string
	Logger    *slog.Logger
	// Registerer receives the prometheus_notifications_* metrics. nil: none.
	Registerer prometheus.Registerer
}

// Alerting is the part of a notifier's configuration that a reload changes.
type Alerting struct {
	// YAML is Prometheus's alerting section: alertmanagers with
	// static_configs, scheme, path_prefix, timeout, api_version, basic_auth,
	// authorization, oauth2, tls_config, relabel_configs and
	// alert_relabel_configs, and alert_relabel_configs for all of them.
	// Empty: no Alertmanager.
	YAML []byte
	// Dir is what relative file names in YAML are relative to.
	Dir string
	// ExternalLabels are added to every alert that does not have them.
	ExternalLabels labels.Labels
	// ExternalURL is where users reach this server; it starts the link back
	// from an alert. No slash at the end.
	ExternalURL string
}

// Notifier sends alerts to Alertmanagers. Sending never blocks on the network
// and is not repeated: rules send what still fires again.
type Notifier struct {
	manager *notifier.Manager
	drain   time.Duration
	updates chan targets  // to the manager; only while it runs, under mu
	started chan struct{} // closed when Run knows the Alertmanagers
	flight  *flight

	mu          sync.RWMutex // held for writing while Alertmanagers change
	running     bool
	targets     targets
	yaml        string
	externalURL string
}

// targets are the addresses of each entry of alertmanagers.
type targets = map[string][]*targetgroup.Group

// ParseAlerting checks an alerting section without using it.
func ParseAlerting(a Alerting) error {
	_, _, err := a.parse()
	return err
}

func (a Alerting) parse() (*config.Config, targets, error) {
	c := &config.Config{GlobalConfig: config.GlobalConfig{
		ExternalLabels:             a.ExternalLabels,
		MetricNameValidationScheme: model.UTF8Validation,
	}}
	if err := yaml.UnmarshalStrict(a.YAML, &c.AlertingConfig); err != nil {
		return nil, nil, fmt.Errorf("cannot read the alerting section: %w", err)
	}
	found := targets{}
	for key, am := range c.AlertingConfig.AlertmanagerConfigs.ToMap() {
		if am == nil {
			return nil, nil, errors.New("cannot use the alerting section: empty entry in alertmanagers")
		}
		groups := []*targetgroup.Group{}
		for _, sd := range am.ServiceDiscoveryConfigs {
			static, ok := sd.(discovery.StaticConfig)
			if !ok {
				return nil, nil, fmt.Errorf("cannot use the alerting section: %s_sd_configs is not supported, static_configs is", sd.Name())
			}
			groups = append(groups, static...)
		}
		found[key] = groups
	}
	if err := c.AlertingConfig.Validate(model.UTF8Validation); err != nil {
		return nil, nil, fmt.Errorf("cannot use the alerting section: %w", err)
	}
	c.AlertingConfig.SetDirectory(a.Dir)
	return c, found, nil
}

// NewNotifier builds Prometheus's notifier. Run must be called for it to send.
func NewNotifier(o NotifierOptions) (*Notifier, error) {
	if o.QueueCapacity == 0 {
		o.QueueCapacity = DefaultNotifyQueue
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = DefaultDrain
	}
	if o.UserAgent == "" {
		o.UserAgent = "Chiron"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	n := &Notifier{
		drain:   o.DrainTimeout,
		updates: make(chan targets),
		started: make(chan struct{}),
		flight:  newFlight(o.UserAgent),
	}
	// NewManager(*Options, nameValidationScheme, logger)
	n.manager = notifier.NewManager(&notifier.Options{
		QueueCapacity:   o.QueueCapacity,
		DrainOnShutdown: true,
		Do:              n.flight.do,
		Registerer:      o.Registerer,
	}, model.UTF8Validation, o.Logger)
	if err := n.Apply(o.Alerting); err != nil {
		return nil, err
	}
	return n, nil
}

// Apply replaces where alerts go; while Run runs, the next alert goes there. On
// an error nothing has changed. Alerts queued for an Alertmanager that stays
// with the same settings stay queued.
func (n *Notifier) Apply(a Alerting) error {
	c, found, err := a.parse()
	if err != nil {
		return err
	}
	// What can fail below fails here first: missing certificates and the like.
	for _, am := range c.AlertingConfig.AlertmanagerConfigs {
		if _, err := commonconfig.NewClientFromConfig(am.HTTPClientConfig, "alertmanager"); err != nil {
			return fmt.Errorf("cannot use the alerting section: %w", err)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.yaml != "" && n.yaml != string(a.YAML) {
		// Upstream recognises an unchanged Alertmanager by its settings with
		// secrets blanked out, and keeps its client: a new password would not
		// be used. So what has changed in any way starts afresh.
		stop := n.flight.limit(n.drain)
		err := n.manager.ApplyConfig(&config.Config{})
		stop()
		if err != nil {
			return fmt.Errorf("cannot drop the old Alertmanagers: %w", err)
		}
	}
	if err := n.manager.ApplyConfig(c); err != nil {
		return fmt.Errorf("cannot use the alerting section: %w", err)
	}
	n.targets, n.yaml, n.externalURL = found, string(a.YAML), a.ExternalURL
	if n.running {
		n.update()
	}
	return nil
}

// update tells the running manager the addresses. It takes one update after
// the other, so when it takes the second, the first is in effect. The caller
// holds mu.
func (n *Notifier) update() {
	n.updates <- n.targets
	n.updates <- n.targets
}

// Run sends until ctx ends, then sends what is queued for at most the drain
// timeout. When it returns, no request is under way. It can run once.
func (n *Notifier) Run(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.manager.Run(n.updates)
	}()
	n.mu.Lock()
	n.running = true
	n.update()
	n.mu.Unlock()
	close(n.started)

	<-ctx.Done()
	n.mu.Lock()
	n.running = false
	n.mu.Unlock()
	stop := n.flight.limit(n.drain)
	defer stop()
	n.manager.Stop()
	<-done
	n.flight.wait()
	return nil
}

// Started is closed once Run knows the Alertmanagers; what is sent before is
// for nobody.
func (n *Notifier) Started() <-chan struct{} { return n.started }

// Send queues alerts for every Alertmanager.
func (n *Notifier) Send(alerts ...*Alert) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	n.flight.queued()
	n.manager.Send(alerts...)
}

// Notify is the function that rule groups call with what fires or has ended;
// expr makes the link back.
func (n *Notifier) Notify(ctx context.Context, expr string, alerts ...*rules.Alert) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if len(alerts) == 0 {
		return
	}
	n.flight.queued()
	rules.SendAlerts(n.manager, n.externalURL)(ctx, expr, alerts...)
}

// Alertmanagers returns the addresses that alerts are posted to.
func (n *Notifier) Alertmanagers() []*url.URL { return n.manager.Alertmanagers() }

// DroppedAlertmanagers returns the addresses that relabelling took away.
func (n *Notifier) DroppedAlertmanagers() []*url.URL { return n.manager.DroppedAlertmanagers() }
