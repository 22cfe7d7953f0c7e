package rules

import (
	"errors"
	"strings"
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
func (a *anomalyRule) SetLastError(err error) {
	a.status.mu.Lock()
	defer a.status.mu.Unlock()
	a.status.err = err
}

// LastError is the outcome of the last evaluation, or what has no model.
func (a *anomalyRule) LastError() error {
	problems := a.report.Load().problems(a.spec.Limit)
	a.status.mu.Lock()
	defer a.status.mu.Unlock()
	if len(problems) == 0 {
		return a.status.err
	}
	return errors.Join(a.status.err, errors.New(strings.Join(problems, "; ")))
}

// SetHealth keeps the outcome of an evaluation.
func (a *anomalyRule) SetHealth(h upstream.RuleHealth) {
	a.status.mu.Lock()
	defer a.status.mu.Unlock()
	a.status.health = h
}

// Health is bad after a failed evaluation and while series have no model.
func (a *anomalyRule) Health() upstream.RuleHealth {
	problems := a.report.Load().problems(a.spec.Limit)
	a.status.mu.Lock()
	defer a.status.mu.Unlock()
	if len(problems) > 0 {
		return upstream.HealthBad
	}
	return a.status.health
}

// SetEvaluationDuration keeps how long an evaluation took.
func (a *anomalyRule) SetEvaluationDuration(d time.Duration) {
	a.status.mu.Lock()
	defer a.status.mu.Unlock()
	a.status.duration = d
}

// GetEvaluationDuration is how long the last evaluation took.
func (a *anomalyRule) GetEvaluationDuration() time.Duration {
	a.status.mu.Lock()
	defer a.status.mu.Unlock()
	return a.status.duration
}

// SetEvaluationTimestamp keeps when an evaluation began.
func (a *anomalyRule) SetEvaluationTimestamp(t time.Time) {
	a.status.mu.Lock()
	defer a.status.mu.Unlock()
	a.status.at = t
}

// GetEvaluationTimestamp is when the last evaluation began.
func (a *anomalyRule) GetEvaluationTimestamp() time.Time {
	a.status.mu.Lock()
	defer a.status.mu.Unlock()
	return a.status.at
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
