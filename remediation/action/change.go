package action

import (
	"encoding/json"
	"fmt"
	"time"
)

// Verb is what a write does.
type Verb string

const (
	// Evict asks the Eviction API to delete a pod; a disruption budget can say no.
	Evict Verb = "evict"
	// Patch is a JSON merge patch.
	Patch Verb = "patch"
)

// Op is one write. The object carries the uid and resourceVersion that it was
// read with; they are the write's preconditions.
type Op struct {
	Verb        Verb            `json:"verb"`
	Object      Object          `json:"object"`
	Patch       json.RawMessage `json:"patch,omitempty"`
	GracePeriod *int64          `json:"gracePeriodSeconds,omitempty"`
	DryRun      bool            `json:"dryRun,omitempty"` // checked by the cluster, not kept
}

// Validate reports an op that must not be sent. Every Cluster asks it first.
func (op Op) Validate() error {
	if op.Object.UID == "" || op.Object.ResourceVersion == "" {
		return fmt.Errorf("cannot write to %s: uid and resourceVersion are not known: %w", op.Object, ErrRefused)
	}
	if op.Verb != Evict && op.Verb != Patch {
		return fmt.Errorf("cannot write to %s: unknown verb %q: %w", op.Object, op.Verb, ErrRefused)
	}
	return nil
}

// Change is a planned write and what takes it back.
type Change struct {
	Do   Op       `json:"do"`
	Undo *Restore `json:"undo,omitempty"` // nil: cannot be taken back
	Note string   `json:"note"`
	Pods int      `json:"pods"`           // taken away at once
	Zero bool     `json:"zero,omitempty"` // leaves the workload without a pod
}

// Restore gives a number back: To, if it still is From. Somebody who changed it
// meanwhile knew better.
type Restore struct {
	Object Object `json:"object"` // its uid holds; the version is read anew
	Field  string `json:"field"`  // "replicas" or "minReplicas"
	From   int    `json:"from"`
	To     int    `json:"to"`
}

// restartedAt is the annotation that kubectl rollout restart sets, too.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// patch is a merge patch with uid and resourceVersion as preconditions.
func patch(o Object, spec any) json.RawMessage {
	b, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": o.UID, "resourceVersion": o.ResourceVersion},
		"spec":     spec,
	})
	if err != nil {
		panic(err) // strings and numbers only
	}
	return b
}

func restartPatch(o Object, at time.Time) json.RawMessage {
	return patch(o, map[string]any{"template": map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{restartedAt: at.UTC().Format(time.RFC3339)},
	}}})
}

func numberPatch(o Object, field string, n int) json.RawMessage {
	return patch(o, map[string]any{field: n})
}

// Patched is what a patch of this package says.
type Patched struct {
	Metadata struct {
		UID             string `json:"uid"`
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Spec struct {
		Replicas    *int `json:"replicas"`
		MinReplicas *int `json:"minReplicas"`
		Template    struct {
			Metadata struct {
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
		} `json:"template"`
	} `json:"spec"`
}

// RestartedAt is the time that the patch puts into the pod template, or "".
func (p Patched) RestartedAt() string { return p.Spec.Template.Metadata.Annotations[restartedAt] }

// Read parses the op's patch.
func (op Op) Read() (Patched, error) {
	var p Patched
	if err := json.Unmarshal(op.Patch, &p); err != nil {
		return p, fmt.Errorf("cannot read the patch of %s: %w", op.Object, err)
	}
	return p, nil
}
