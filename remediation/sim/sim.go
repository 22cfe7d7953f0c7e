// Package sim is a cluster in memory with faults on demand, for the engine's
// tests and for simulation without an API server. It keeps versions and
// preconditions as the API server does and counts every write that took place.
package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/chironhq/chiron/remediation/action"
)

// Fault is what goes wrong with one call.
type Fault string

// The faults.
const (
	Conflict Fault = "conflict" // the object changes just before the write
	Refuse   Fault = "refuse"   // a disruption budget, missing rights
	Lost     Fault = "lost"     // no answer, and nothing done
	Timeout  Fault = "timeout"  // no answer, and done
	Down     Fault = "down"     // reading fails
)

// Cluster implements action.Cluster.
type Cluster struct {
	mu      sync.Mutex
	version int
	uid     int
	objects map[string]*object // by Object.Key
	faults  []Fault            // of the next calls they fit, first first
	writes  []action.Op        // that took place
	dryRuns int
	// Broken reports what must never happen: a write without preconditions.
	broken []string
}

type object struct {
	action.Object
	owner   string // key of the controller
	ready   bool
	deleted bool
	w       action.Workload
	h       action.HPA
	scales  string // key of what an HPA scales
	budget  int    // of a workload: pods that must stay ready
}

var _ action.Cluster = (*Cluster)(nil)

// New returns an empty cluster.
func New() *Cluster { return &Cluster{objects: map[string]*object{}} }

func (c *Cluster) put(kind, ns, name string) *object {
	c.uid++
	o := &object{Object: action.Object{Kind: kind, Namespace: ns, Name: name, UID: "uid-" + strconv.Itoa(c.uid)}}
	c.touch(o)
	c.objects[o.Key()] = o
	return o
}

func (c *Cluster) touch(o *object) {
	c.version++
	o.ResourceVersion = strconv.Itoa(c.version)
}

// AddWorkload makes a workload with ready pods named name-0, name-1 and so on.
func (c *Cluster) AddWorkload(kind, ns, name string, replicas int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.put(kind, ns, name)
	o.w = action.Workload{Replicas: replicas, AtOnce: max(replicas/4, 1), Generation: 1, Observed: 1}
	for i := range replicas {
		c.addPod(o, name+"-"+strconv.Itoa(i))
	}
}

func (c *Cluster) addPod(w *object, name string) {
	p := c.put("Pod", w.Namespace, name)
	p.owner, p.ready = w.Key(), true
}

// AddPod makes a pod that nothing manages.
func (c *Cluster) AddPod(ns, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put("Pod", ns, name).ready = true
}

// AddHPA makes an autoscaler of a workload.
func (c *Cluster) AddHPA(kind, ns, name string, least, most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.put("HorizontalPodAutoscaler", ns, name)
	h.h = action.HPA{Min: least, Max: most}
	h.scales = action.Object{Kind: kind, Namespace: ns, Name: name}.Key()
}

// SetBudget makes a disruption budget: so many pods of the workload stay ready.
func (c *Cluster) SetBudget(kind, ns, name string, ready int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects[action.Object{Kind: kind, Namespace: ns, Name: name}.Key()].budget = ready
}

// SetReady changes the readiness of a pod.
func (c *Cluster) SetReady(ns, name string, ready bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.objects[action.Object{Kind: "Pod", Namespace: ns, Name: name}.Key()]
	o.ready = ready
	c.touch(o)
}

// SetReplicas changes a workload from outside.
func (c *Cluster) SetReplicas(kind, ns, name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.objects[action.Object{Kind: kind, Namespace: ns, Name: name}.Key()]
	o.w.Replicas = n
	c.touch(o)
}

// Delete removes an object.
func (c *Cluster) Delete(kind, ns, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.objects, action.Object{Kind: kind, Namespace: ns, Name: name}.Key())
}

// Fail scripts the faults of coming calls.
func (c *Cluster) Fail(faults ...Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, faults...)
}

// Writes returns what took place, dry runs left out.
func (c *Cluster) Writes() []action.Op {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.writes)
}

// Broken returns the writes that came without preconditions.
func (c *Cluster) Broken() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.broken)
}

// Settle does what controllers do: pods that are missing come back ready,
// surplus ones go, and every change has been seen.
func (c *Cluster) Settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	keys := make([]string, 0, len(c.objects))
	for k := range c.objects {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		o := c.objects[k]
		if o == nil || o.w.Generation == 0 {
			continue
		}
		o.w.Observed = o.w.Generation
		pods := c.pods(o)
		for _, p := range pods {
			if p.deleted {
				delete(c.objects, p.Key())
			}
		}
		pods = c.pods(o)
		for i := len(pods); i < o.w.Replicas; i++ {
			c.addPod(o, fmt.Sprintf("%s-r%d", o.Name, c.uid))
		}
		for i := o.w.Replicas; i < len(pods); i++ {
			delete(c.objects, pods[i].Key())
		}
	}
}

func (c *Cluster) pods(w *object) []*object {
	var out []*object
	for _, o := range c.objects {
		if o.owner == w.Key() {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b *object) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

// take uses up the next fault if it is one of those.
func (c *Cluster) take(fit ...Fault) Fault {
	if len(c.faults) > 0 && slices.Contains(fit, c.faults[0]) {
		f := c.faults[0]
		c.faults = c.faults[1:]
		return f
	}
	return ""
}

// Resolve implements action.Cluster.
func (c *Cluster) Resolve(_ context.Context, o action.Object) (*action.Target, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.take(Down) != "" {
		return nil, errors.New("connection refused")
	}
	at := c.objects[o.Key()]
	if at == nil {
		return nil, fmt.Errorf("%s: %w", o, action.ErrNotFound)
	}
	t := &action.Target{Object: at.Object}
	if at.Kind != "Pod" {
		t.Workload = c.workload(at)
		return t, nil
	}
	t.Pod = &action.Pod{Object: at.Object, Ready: at.ready && !at.deleted, Deleting: at.deleted}
	if w := c.objects[at.owner]; w != nil {
		t.Chain, t.Workload = []action.Object{w.Object}, c.workload(w)
	}
	return t, nil
}

func (c *Cluster) workload(o *object) *action.Workload {
	w := o.w
	w.Object = o.Object
	for _, p := range c.pods(o) {
		if p.deleted {
			continue
		}
		w.Current++
		w.Updated++
		if p.ready {
			w.Ready++
		}
	}
	for _, h := range c.objects {
		if h.scales == o.Key() {
			hpa := h.h
			hpa.Object = h.Object
			w.ScaledBy = &hpa
		}
	}
	return &w
}

// Write implements action.Cluster.
func (c *Cluster) Write(_ context.Context, op action.Op) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := op.Validate(); err != nil {
		c.broken = append(c.broken, err.Error())
		return err
	}
	o := c.objects[op.Object.Key()]
	fault := c.take(Conflict, Refuse, Lost, Timeout)
	switch fault {
	case Conflict:
		if o != nil {
			c.touch(o)
		}
	case Refuse:
		return fmt.Errorf("%s: %w: disruption budget", op.Object, action.ErrRefused)
	case Lost:
		return errors.New("timeout")
	}
	if err := c.write(o, op); err != nil {
		return err
	}
	if fault == Timeout {
		return errors.New("timeout")
	}
	return nil
}

func (c *Cluster) write(o *object, op action.Op) error {
	switch {
	case o == nil:
		return fmt.Errorf("%s: %w", op.Object, action.ErrNotFound)
	case o.UID != op.Object.UID || o.ResourceVersion != op.Object.ResourceVersion:
		return fmt.Errorf("%s: %w", op.Object, action.ErrChanged)
	}
	if w := c.objects[o.owner]; op.Verb == action.Evict && w != nil && w.budget > 0 && o.ready && c.workload(w).Ready-1 < w.budget {
		return fmt.Errorf("%s: %w: disruption budget", op.Object, action.ErrRefused)
	}
	var p action.Patched
	if op.Verb == action.Patch {
		var err error
		if p, err = op.Read(); err != nil {
			return fmt.Errorf("%w: %w", action.ErrRefused, err)
		}
		if p.Metadata.UID != o.UID || p.Metadata.ResourceVersion != o.ResourceVersion {
			c.broken = append(c.broken, "patch without preconditions: "+string(op.Patch))
		}
	}
	if op.DryRun {
		c.dryRuns++
		return nil
	}
	switch {
	case op.Verb == action.Evict:
		o.deleted = true
	case p.Spec.MinReplicas != nil:
		o.h.Min = *p.Spec.MinReplicas
		if w := c.objects[o.scales]; w != nil && w.w.Replicas < o.h.Min {
			w.w.Replicas = o.h.Min
			w.w.Generation++
		}
	case p.Spec.Replicas != nil:
		o.w.Replicas = *p.Spec.Replicas
		o.w.Generation++
	default:
		o.w.RestartedAt = p.RestartedAt()
		o.w.Generation++
	}
	c.touch(o)
	c.writes = append(c.writes, op)
	return nil
}

// Touch gives an object another version.
func (c *Cluster) Touch(o action.Object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.touch(c.objects[o.Key()])
}
