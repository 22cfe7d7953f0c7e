// Package policy reads what people allow: guardrails and policies from YAML,
// checked with every mistake named and placed, and the guards that compare a
// planned change with them.
//
// A guard only restricts, gives its reason as a constant, and blocks when it
// cannot answer. Nothing here reads a clock, a cluster or a database.
package policy

import (
	"fmt"
	"path"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/remediation/action"
)

// Mode is how far a policy may go; a larger one includes the smaller.
type Mode uint8

const (
	// Observe records the decision.
	Observe Mode = iota
	// Suggest publishes the plan as well, checked by the cluster's dry run.
	Suggest
	// Auto acts.
	Auto
)

var modes = []string{"observe", "suggest", "auto"}

// String is the mode's name in policies.
func (m Mode) String() string { return modes[m] }

// Set is everything that people allow at one time. It is not changed after Load.
type Set struct {
	Guardrails Guardrails
	Policies   []*Policy
}

// Lookup returns the policy of that name, nil when there is none.
func (s *Set) Lookup(name string) *Policy {
	for _, p := range s.Policies {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Rate is at most N things in any Per.
type Rate struct {
	N   int
	Per time.Duration
}

// String renders "10/1h0m0s" without the zero parts.
func (r Rate) String() string { return fmt.Sprintf("%d/%s", r.N, short(r.Per)) }

// Guardrails are the platform team's limits; no policy can widen them.
type Guardrails struct {
	ModeMax      Mode
	KillSwitch   bool
	Allow, Deny  []string // globs of namespaces; denied wins
	Never        []action.Name
	Actions      Rate // of all
	PerTarget    Rate
	PerNamespace Rate
	Concurrent   int
	MaxPods      action.Amount // that one action may take away at once; zero: no limit
	Storm        Rate          // new episodes; more is a storm
	StormPause   time.Duration // without any action after a storm
	Windows      []Window
}

// DefaultGuardrails hold where the file is silent.
func DefaultGuardrails() Guardrails {
	return Guardrails{
		ModeMax: Auto,
		Allow:   []string{"*"}, Deny: []string{"kube-system", "kube-public", "kube-node-lease"},
		Actions: Rate{10, time.Hour}, PerTarget: Rate{2, 6 * time.Hour}, PerNamespace: Rate{4, time.Hour}, Concurrent: 2,
		Storm: Rate{50, time.Minute}, StormPause: 10 * time.Minute,
	}
}

// Window is a time in which nothing is done.
type Window struct {
	Name     string
	Interval timeinterval.TimeInterval
}

// Policy is what a team wants done about its alerts.
type Policy struct {
	Name    string
	Match   []*labels.Matcher
	Target  Target
	Mode    Mode
	Require []*Template // PromQL; each must return something
	Action  Action
	Limits  Limits
	Verify  Verify
	Undo    Undo
}

// Matches reports whether all matchers match; an absent label is "".
func (p *Policy) Matches(ls map[string]string) bool {
	for _, m := range p.Match {
		if !m.Matches(ls[m.Name]) {
			return false
		}
	}
	return true
}

// Target says what to act on.
type Target struct {
	Kind            string
	Namespace, Name *Template
}

// Action is one action before its templates are filled in.
type Action struct {
	Spec     action.Spec
	Replicas *Template     // of scale
	Hold     time.Duration // of scale: given back after it; 0: kept
}

// Limits are the policy's own.
type Limits struct {
	Cooldown   time.Duration // on one target
	Rate       Rate          // N 0: none
	Concurrent int           // 0: none
	OfWorkload action.Amount
}

// Verify says how to see that it has helped.
type Verify struct {
	Settle time.Duration // before the first look
	Within time.Duration // of the action; later it has failed
	Checks []Check
}

// Check is one condition; exactly one field is set.
type Check struct {
	Ready          string // "owner" or "target"
	AlertsResolved bool
	PromQL         *Template
}

// Undo says when a change is taken back.
type Undo struct {
	None         bool // written down: nothing to take back
	HoldOver     bool
	VerifyFailed bool
}

// matchesAny reports whether one of the globs matches name.
func matchesAny(globs []string, name string) (string, bool) {
	for _, g := range globs {
		if ok, err := path.Match(g, name); ok && err == nil {
			return g, true
		}
	}
	return "", false
}

// short renders a duration without trailing zero units.
func short(d time.Duration) string {
	switch {
	case d > 0 && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d > 0 && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}
