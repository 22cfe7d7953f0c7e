package rules

import (
	"errors"
	"sync"
	"time"

	"github.com/chironhq/chiron/internal/upstream"
)

// ruleStatus is what the group tells a rule about itself.
type ruleStatus struct {
	mu       sync.Mutex
	health   upstream.RuleHealth
	err      error
	duration time.Duration
	at       time.Time
}

// SetLastError keeps the outcome of an evaluation.
func (r *anomalyRule) SetLastError(err error) {
	r.status.mu.Lock()
	defer r.status.mu.Unlock()
	r.status.err = err
}

// LastError is the outcome of the last evaluation, or that the limit is
// exceeded.
func (r *anomalyRule) LastError() error {
	r.mu.Lock()
	over := r.overLimit
	r.mu.Unlock()
	r.status.mu.Lock()
	defer r.status.mu.Unlock()
	return errors.Join(r.status.err, over)
}

// SetHealth keeps the outcome of an evaluation.
func (r *anomalyRule) SetHealth(h upstream.RuleHealth) {
	r.status.mu.Lock()
	defer r.status.mu.Unlock()
	r.status.health = h
}

// Health is bad after a failed evaluation and while the limit is exceeded.
func (r *anomalyRule) Health() upstream.RuleHealth {
	r.mu.Lock()
	over := r.overLimit
	r.mu.Unlock()
	r.status.mu.Lock()
	defer r.status.mu.Unlock()
	if over != nil {
		return upstream.HealthBad
	}
	return r.status.health
}

// SetEvaluationDuration keeps how long an evaluation took.
func (r *anomalyRule) SetEvaluationDuration(d time.Duration) {
	r.status.mu.Lock()
	defer r.status.mu.Unlock()
	r.status.duration = d
}

// GetEvaluationDuration is how long the last evaluation took.
func (r *anomalyRule) GetEvaluationDuration() time.Duration {
	r.status.mu.Lock()
	defer r.status.mu.Unlock()
	return r.status.duration
}

// SetEvaluationTimestamp keeps when an evaluation began.
func (r *anomalyRule) SetEvaluationTimestamp(t time.Time) {
	r.status.mu.Lock()
	defer r.status.mu.Unlock()
	r.status.at = t
}

// GetEvaluationTimestamp is when the last evaluation began.
func (r *anomalyRule) GetEvaluationTimestamp() time.Time {
	r.status.mu.Lock()
	defer r.status.mu.Unlock()
	return r.status.at
}

// SetDependentRules is not needed: a group's rules run in order.
func (*anomalyRule) SetDependentRules([]upstream.Rule) {}

// NoDependentRules guarantees nothing.
func (*anomalyRule) NoDependentRules() bool { return false }

// DependentRules are not known.
func (*anomalyRule) DependentRules() []upstream.Rule { return nil }

// SetDependencyRules is not needed: a group's rules run in order.
func (*anomalyRule) SetDependencyRules([]upstream.Rule) {}

// NoDependencyRules guarantees nothing.
func (*anomalyRule) NoDependencyRules() bool { return false }

// DependencyRules are not known.
func (*anomalyRule) DependencyRules() []upstream.Rule { return nil }
