package remediation

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chironhq/chiron/remediation/webhook"
)

// Episode is what is known of the alert with these labels: its newest firing
// period, open or closed. It is the memory that makes deliveries idempotent.
type Episode struct {
	Labels    map[string]string `json:"labels"`
	StartsAt  time.Time         `json:"startsAt"`
	Resolved  bool              `json:"resolved,omitempty"`
	EndsAt    time.Time         `json:"endsAt,omitzero"`   // of a closed one
	FiredAt   time.Time         `json:"firedAt,omitzero"`  // last seen firing
	FirstSeen time.Time         `json:"firstSeen"`         // of this period
	LastSeen  time.Time         `json:"lastSeen"`          // in any message
	Decided   bool              `json:"decided,omitempty"` // the policies were asked about this period
	Runs      map[string]uint64 `json:"runs,omitempty"`    // by policy
}

// seen is what a message says about an episode.
type seen string

const (
	seenNew       seen = "new"        // a period that begins
	seenDuplicate seen = "duplicate"  // the same within a minute: another sender, or a retry
	seenRepeat    seen = "repeat"     // still firing
	seenOlder     seen = "older"      // a firing of a period that is over
	seenClosed    seen = "resolved"   // closes the period
	seenEarly     seen = "early"      // resolved before it was seen firing
	seenDisputed  seen = "disputed"   // resolved earlier than another sender saw it firing
	seenOldEnd    seen = "old_end"    // resolves a period that a newer one has replaced
	seenSelf      seen = "own_caused" // our own doing
)

// alertKey is equal for equal label sets.
func alertKey(ls map[string]string) string {
	names := make([]string, 0, len(ls))
	for n := range ls {
		names = append(names, n)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, n := range names {
		b.WriteString(strconv.Quote(n))
		b.WriteByte('=')
		b.WriteString(strconv.Quote(ls[n]))
		b.WriteByte(',')
	}
	return b.String()
}

// observe is the state machine of one alert. It returns the episode after a,
// which may be e itself, unchanged when the message says nothing new.
func (e *Episode) observe(now time.Time, a webhook.Alert) (*Episode, seen) {
	if a.Status == "firing" {
		return e.firing(now, a)
	}
	return e.resolved(now, a)
}

func (e *Episode) firing(now time.Time, a webhook.Alert) (*Episode, seen) {
	switch {
	case e == nil, a.StartsAt.After(e.StartsAt) && !(e.Resolved && a.StartsAt.Before(e.EndsAt)):
		return &Episode{Labels: a.Labels, StartsAt: a.StartsAt, FiredAt: now, FirstSeen: now, LastSeen: now}, seenNew
	case e.Resolved, a.StartsAt.Before(e.StartsAt):
		e.LastSeen = now
		return e, seenOlder
	}
	what := seenRepeat
	if now.Sub(e.LastSeen) < time.Minute {
		what = seenDuplicate
	}
	e.FiredAt, e.LastSeen = now, now
	return e, what
}

func (e *Episode) resolved(now time.Time, a webhook.Alert) (*Episode, seen) {
	switch {
	case e == nil:
		return &Episode{Labels: a.Labels, StartsAt: a.StartsAt, Resolved: true, EndsAt: a.EndsAt, FirstSeen: now, LastSeen: now}, seenEarly
	case e.StartsAt.After(a.StartsAt):
		e.LastSeen = now
		return e, seenOldEnd
	case e.Resolved:
		what := seenRepeat
		if now.Sub(e.LastSeen) < time.Minute {
			what = seenDuplicate
		}
		if a.EndsAt.After(e.EndsAt) {
			e.StartsAt, e.EndsAt = a.StartsAt, a.EndsAt
		}
		e.LastSeen = now
		return e, what
	case a.StartsAt.Equal(e.StartsAt) && a.EndsAt.Add(disputeSlack).Before(e.FiredAt):
		e.LastSeen = now
		return e, seenDisputed
	}
	e.Resolved, e.EndsAt, e.LastSeen = true, a.EndsAt, now
	return e, seenClosed
}

// disputeSlack is how much the clocks of the machine that saw an alert firing
// and of the one that saw it end may differ.
const disputeSlack = 30 * time.Second
