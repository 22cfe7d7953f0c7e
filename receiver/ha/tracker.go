// Package ha elects one replica of each cluster of senders that scrape the
// same targets, as Cortex and Mimir do: the first replica heard is elected,
// and another takes over once the elected one was silent for the failover
// timeout. It knows names and times, nothing of requests.
//
// The state is in memory only: after a restart the first replica heard is
// elected.
package ha

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options configure a Tracker. Zero fields take the default.
type Options struct {
	// FailoverTimeout is the silence of the elected replica after which
	// another one is elected. 0: 30 s.
	FailoverTimeout time.Duration
	// UpdateTimeout is how often at most the elected replica's last time is
	// noted, so that its requests write nothing that is shared. Failover comes
	// up to this much earlier than the timeout after the last request. 0: 15 s.
	UpdateTimeout time.Duration
	// MaxClusters is how many clusters are tracked at a time. One whose elected
	// replica is silent beyond the failover timeout gives way. 0: 1000.
	MaxClusters int
}

// Verdict is what to do with a request.
type Verdict uint8

// The verdicts.
const (
	Accept Verdict = iota // from the elected replica
	Drop                  // from another one
	Full                  // of a new cluster, and every tracked one is active
)

// Tracker holds the elected replicas. It is for concurrent use.
type Tracker struct {
	failover, update int64 // milliseconds
	max              int

	mu       sync.RWMutex
	clusters map[string]*cluster
	refused  atomic.Uint64 // requests answered Full
}

type cluster struct {
	replica string       // under Tracker.mu
	changes uint64       // elections after the first; under Tracker.mu
	heard   atomic.Int64 // when the elected replica was noted last, milliseconds
	dropped atomic.Uint64
}

// New makes a Tracker.
func New(o Options) (*Tracker, error) {
	if o.FailoverTimeout == 0 {
		o.FailoverTimeout = 30 * time.Second
	}
	if o.UpdateTimeout == 0 {
		o.UpdateTimeout = min(15*time.Second, o.FailoverTimeout/2)
	}
	if o.MaxClusters == 0 {
		o.MaxClusters = 1000
	}
	if o.FailoverTimeout < 0 || o.UpdateTimeout < 0 || o.MaxClusters < 0 {
		return nil, fmt.Errorf("cannot use negative limits of replicas: %+v", o)
	}
	if o.UpdateTimeout >= o.FailoverTimeout {
		return nil, errors.New("the update timeout of replicas must be shorter than the failover timeout, or the elected one looks silent while it sends")
	}
	return &Tracker{
		failover: o.FailoverTimeout.Milliseconds(), update: o.UpdateTimeout.Milliseconds(), max: o.MaxClusters,
		clusters: map[string]*cluster{},
	}, nil
}

// Check says what to do with a request of a replica at a time. It allocates
// only when it elects.
func (t *Tracker) Check(now time.Time, name, replica []byte) Verdict {
	at := now.UnixMilli()
	t.mu.RLock()
	c := t.clusters[string(name)]
	if c != nil {
		v, ok := t.judge(c, at, replica)
		if ok {
			t.mu.RUnlock()
			return v
		}
	}
	t.mu.RUnlock()
	return t.elect(at, name, replica)
}

// judge decides without an election, or says that one is due. A clock that
// was put back starts the silence anew.
func (t *Tracker) judge(c *cluster, at int64, replica []byte) (Verdict, bool) {
	heard := c.heard.Load()
	if c.replica == string(replica) {
		if at-heard >= t.update || at < heard {
			c.heard.Store(at)
		}
		return Accept, true
	}
	if at < heard {
		c.heard.Store(at)
		heard = at
	}
	return Drop, at-heard < t.failover
}

func (t *Tracker) elect(at int64, name, replica []byte) Verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.clusters[string(name)]
	if c == nil {
		if len(t.clusters) >= t.max && !t.makeRoom(at) {
			t.refused.Add(1)
			return Full
		}
		c = &cluster{replica: strings.Clone(string(replica))}
		c.heard.Store(at)
		t.clusters[string(name)] = c
		return Accept
	}
	if v, ok := t.judge(c, at, replica); ok { // somebody was quicker
		return v
	}
	c.replica = string(replica)
	c.changes++
	c.heard.Store(at)
	return Accept
}

// makeRoom forgets the clusters whose next request elects its sender anyway:
// nothing is decided otherwise without them.
func (t *Tracker) makeRoom(at int64) bool {
	for name, c := range t.clusters {
		if at-c.heard.Load() >= t.failover {
			delete(t.clusters, name)
		}
	}
	return len(t.clusters) < t.max
}

// Dropped counts samples of a cluster that were not stored, because another
// replica is elected.
func (t *Tracker) Dropped(name []byte, samples int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if c := t.clusters[string(name)]; c != nil {
		c.dropped.Add(uint64(max(0, samples)))
	}
}

// Elected returns the elected replica of a cluster and when it was noted last.
func (t *Tracker) Elected(name string) (replica string, heard time.Time, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	c := t.clusters[name]
	if c == nil {
		return "", time.Time{}, false
	}
	return c.replica, time.UnixMilli(c.heard.Load()), true
}
