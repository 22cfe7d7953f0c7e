// Package kube is the cluster behind a Kubernetes API server. It alone knows
// Kubernetes' client; it decides nothing, retries nothing, and writes only what
// a planned op says, with the op's uid and resourceVersion as preconditions.
package kube

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/chironhq/chiron/remediation/action"
)

// Options say which API server. The zero value is that of the pod this runs in.
type Options struct {
	Kubeconfig string // path; "" = in-cluster configuration
	Context    string // of the kubeconfig; "" = its current one
	QPS        float32
	Burst      int
}

// Cluster implements action.Cluster.
type Cluster struct{ client kubernetes.Interface }

var _ action.Cluster = (*Cluster)(nil)

// New reads the configuration. It does not connect.
func New(o Options) (*Cluster, error) {
	var cfg *rest.Config
	var err error
	if o.Kubeconfig == "" {
		cfg, err = rest.InClusterConfig()
	} else {
		cfg, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
			&clientcmd.ClientConfigLoadingRules{ExplicitPath: o.Kubeconfig},
			&clientcmd.ConfigOverrides{CurrentContext: o.Context}).ClientConfig()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the Kubernetes configuration: %w", err)
	}
	cfg.UserAgent, cfg.QPS, cfg.Burst, cfg.Timeout = "chiron-remediator", o.QPS, o.Burst, 30*time.Second
	if cfg.QPS == 0 {
		cfg.QPS, cfg.Burst = 20, 40
	}
	return fromConfig(cfg)
}

func fromConfig(cfg *rest.Config) (*Cluster, error) {
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return once{next} })
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot make a Kubernetes client: %w", err)
	}
	return &Cluster{client}, nil
}

// Resolve implements action.Cluster.
func (c *Cluster) Resolve(ctx context.Context, o action.Object) (*action.Target, error) {
	t := &action.Target{}
	if o.Kind != "Pod" {
		w, err := c.workload(ctx, o.Kind, o.Namespace, o.Name)
		if err != nil {
			return nil, err
		}
		t.Object, t.Workload = w.Object, w
		return t, nil
	}
	pod, err := c.client.CoreV1().Pods(o.Namespace).Get(ctx, o.Name, metav1.GetOptions{})
	if err != nil {
		return nil, readError(o, err)
	}
	t.Object = object("Pod", pod.ObjectMeta)
	t.Pod = &action.Pod{Object: t.Object, Ready: ready(pod), Deleting: pod.DeletionTimestamp != nil}
	return t, c.climb(ctx, t, metav1.GetControllerOf(pod))
}

// climb follows controllers up to the workload that somebody manages. A chain
// that leads to something else (a Job, a node, an operator's own kind) leaves
// Workload nil.
func (c *Cluster) climb(ctx context.Context, t *action.Target, owner *metav1.OwnerReference) error {
	ns := t.Object.Namespace
	for owner != nil {
		here := action.Object{Kind: owner.Kind, Namespace: ns, Name: owner.Name, UID: string(owner.UID)}
		t.Chain = append(t.Chain, here)
		switch owner.APIVersion + "/" + owner.Kind {
		case "apps/v1/ReplicaSet":
			rs, err := c.client.AppsV1().ReplicaSets(ns).Get(ctx, owner.Name, metav1.GetOptions{})
			if err != nil {
				return readError(here, err)
			}
			if rs.UID != owner.UID {
				return fmt.Errorf("%s: %w", here, action.ErrNotFound)
			}
			if owner = metav1.GetControllerOf(rs); owner != nil {
				continue
			}
		case "apps/v1/Deployment", "apps/v1/StatefulSet", "apps/v1/DaemonSet":
		default:
			return nil
		}
		w, err := c.workload(ctx, here.Kind, ns, here.Name)
		if err != nil {
			return err
		}
		if w.UID != here.UID {
			return fmt.Errorf("%s: %w", here, action.ErrNotFound)
		}
		t.Workload = w
		return nil
	}
	return nil
}

func (c *Cluster) workload(ctx context.Context, kind, ns, name string) (*action.Workload, error) {
	apps, get, o := c.client.AppsV1(), metav1.GetOptions{}, action.Object{Kind: kind, Namespace: ns, Name: name}
	var w *action.Workload
	switch kind {
	case "Deployment":
		d, err := apps.Deployments(ns).Get(ctx, name, get)
		if err != nil {
			return nil, readError(o, err)
		}
		w = deployment(d)
	case "StatefulSet":
		s, err := apps.StatefulSets(ns).Get(ctx, name, get)
		if err != nil {
			return nil, readError(o, err)
		}
		w = statefulSet(s)
	case "DaemonSet":
		d, err := apps.DaemonSets(ns).Get(ctx, name, get)
		if err != nil {
			return nil, readError(o, err)
		}
		w = daemonSet(d)
	case "ReplicaSet":
		r, err := apps.ReplicaSets(ns).Get(ctx, name, get)
		if err != nil {
			return nil, readError(o, err)
		}
		w = replicaSet(r)
	default:
		return nil, fmt.Errorf("cannot resolve %s: %w", o, action.ErrUnsuitable)
	}
	if kind == "DaemonSet" {
		return w, nil
	}
	var err error
	w.ScaledBy, err = c.autoscaler(ctx, w.Object)
	return w, err
}

// autoscaler finds the HPA of a workload. Two of them would fight each other and
// us; that is an error, which blocks.
func (c *Cluster) autoscaler(ctx context.Context, o action.Object) (*action.HPA, error) {
	list, err := c.client.AutoscalingV2().HorizontalPodAutoscalers(o.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot list the autoscalers of %s: %w", o, err)
	}
	var found *action.HPA
	for i := range list.Items {
		h := &list.Items[i]
		if ref := h.Spec.ScaleTargetRef; ref.Kind != o.Kind || ref.Name != o.Name {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%s has two autoscalers, %s and %s", o, found.Name, h.Name)
		}
		found = autoscaler(h)
	}
	return found, nil
}

func autoscaler(h *autoscalingv2.HorizontalPodAutoscaler) *action.HPA {
	a := &action.HPA{Object: object("HorizontalPodAutoscaler", h.ObjectMeta), Min: number(h.Spec.MinReplicas), Max: int(h.Spec.MaxReplicas)}
	if owner := metav1.GetControllerOf(h); owner != nil {
		a.ManagedBy = owner.Kind + " " + owner.Name
	}
	return a
}

// Write implements action.Cluster.
func (c *Cluster) Write(ctx context.Context, op action.Op) error {
	if err := op.Validate(); err != nil {
		return err
	}
	o := op.Object
	if op.Verb == action.Evict {
		return writeError(op, c.evict(ctx, op))
	}
	options := metav1.PatchOptions{FieldManager: "chiron-remediator"}
	if op.DryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	var err error
	switch o.Kind {
	case "Deployment":
		_, err = c.client.AppsV1().Deployments(o.Namespace).Patch(ctx, o.Name, types.MergePatchType, op.Patch, options)
	case "StatefulSet":
		_, err = c.client.AppsV1().StatefulSets(o.Namespace).Patch(ctx, o.Name, types.MergePatchType, op.Patch, options)
	case "DaemonSet":
		_, err = c.client.AppsV1().DaemonSets(o.Namespace).Patch(ctx, o.Name, types.MergePatchType, op.Patch, options)
	case "HorizontalPodAutoscaler":
		_, err = c.client.AutoscalingV2().HorizontalPodAutoscalers(o.Namespace).Patch(ctx, o.Name, types.MergePatchType, op.Patch, options)
	default:
		return fmt.Errorf("cannot patch %s: %w", o, action.ErrRefused)
	}
	return writeError(op, err)
}

func (c *Cluster) evict(ctx context.Context, op action.Op) error {
	o, uid := op.Object, types.UID(op.Object.UID)
	e := &policyv1.Eviction{
		ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name},
		DeleteOptions: &metav1.DeleteOptions{
			GracePeriodSeconds: op.GracePeriod,
			Preconditions:      &metav1.Preconditions{UID: &uid, ResourceVersion: &op.Object.ResourceVersion},
		},
	}
	if op.DryRun {
		e.DeleteOptions.DryRun = []string{metav1.DryRunAll}
	}
	return c.client.PolicyV1().Evictions(o.Namespace).Evict(ctx, e)
}

func readError(o action.Object, err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%s: %w", o, action.ErrNotFound)
	}
	return fmt.Errorf("cannot read %s: %w", o, err)
}

// writeError sorts the server's answers: those below 500 say that nothing was
// done; of all others nobody knows.
func writeError(op action.Op, err error) error {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s: %w", op.Object, action.ErrNotFound)
	case apierrors.IsConflict(err), anotherUID(err):
		return fmt.Errorf("%s: %w: %w", op.Object, action.ErrChanged, err)
	case errors.As(err, &status) && status.Status().Code >= 400 && status.Status().Code < 500 && !apierrors.IsTimeout(err):
		return fmt.Errorf("%s: %w: %w", op.Object, action.ErrRefused, err)
	}
	return fmt.Errorf("cannot write to %s: %w", op.Object, err)
}

// anotherUID reports the answer to a patch that names the uid of an object that
// has been made anew: the API server takes it for an attempt to change the uid.
func anotherUID(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	for _, c := range status.Status().Details.Causes {
		if c.Field == "metadata.uid" {
			return true
		}
	}
	return false
}

func object(kind string, m metav1.ObjectMeta) action.Object {
	return action.Object{Kind: kind, Namespace: m.Namespace, Name: m.Name, UID: string(m.UID), ResourceVersion: m.ResourceVersion}
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func number(n *int32) int {
	if n == nil {
		return 1 // what the API server fills in
	}
	return int(*n)
}

// atOnce is how many of n pods a rollout takes away at one time.
func atOnce(v *intstr.IntOrString, n int, up bool) int {
	if v == nil {
		return min(n, 1)
	}
	k, err := intstr.GetScaledValueFromIntOrPercent(v, n, up)
	if err != nil {
		k = n // not known: the worst
	}
	return min(int(math.Max(float64(k), 0)), n)
}

const restartedAt = "kubectl.kubernetes.io/restartedAt"

func deployment(d *appsv1.Deployment) *action.Workload {
	w := &action.Workload{
		Object: object("Deployment", d.ObjectMeta), Replicas: number(d.Spec.Replicas),
		Ready: int(d.Status.ReadyReplicas), Updated: int(d.Status.UpdatedReplicas), Current: int(d.Status.Replicas),
		Generation: d.Generation, Observed: d.Status.ObservedGeneration, RestartedAt: d.Spec.Template.Annotations[restartedAt],
	}
	w.AtOnce = w.Replicas // strategy Recreate
	if r := d.Spec.Strategy.RollingUpdate; r != nil {
		w.AtOnce = atOnce(r.MaxUnavailable, w.Replicas, false)
	}
	if d.Spec.Paused {
		w.NoRollout = "its rollouts are paused"
	}
	return w
}

func statefulSet(s *appsv1.StatefulSet) *action.Workload {
	w := &action.Workload{
		Object: object("StatefulSet", s.ObjectMeta), Replicas: number(s.Spec.Replicas),
		Ready: int(s.Status.ReadyReplicas), Updated: int(s.Status.UpdatedReplicas), Current: int(s.Status.Replicas),
		Generation: s.Generation, Observed: s.Status.ObservedGeneration, RestartedAt: s.Spec.Template.Annotations[restartedAt],
	}
	w.AtOnce = min(w.Replicas, 1)
	r := s.Spec.UpdateStrategy.RollingUpdate
	if r != nil {
		w.AtOnce = atOnce(r.MaxUnavailable, w.Replicas, true)
	}
	switch {
	case s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType:
		w.NoRollout = "its update strategy is OnDelete"
	case r != nil && r.Partition != nil && *r.Partition > 0:
		w.NoRollout = "its update strategy has a partition"
	}
	return w
}

func daemonSet(d *appsv1.DaemonSet) *action.Workload {
	w := &action.Workload{
		Object: object("DaemonSet", d.ObjectMeta), Replicas: int(d.Status.DesiredNumberScheduled),
		Ready: int(d.Status.NumberReady), Updated: int(d.Status.UpdatedNumberScheduled), Current: int(d.Status.CurrentNumberScheduled),
		Generation: d.Generation, Observed: d.Status.ObservedGeneration, RestartedAt: d.Spec.Template.Annotations[restartedAt],
	}
	w.AtOnce = min(w.Replicas, 1)
	if r := d.Spec.UpdateStrategy.RollingUpdate; r != nil {
		w.AtOnce = atOnce(r.MaxUnavailable, w.Replicas, true)
	}
	if d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
		w.NoRollout = "its update strategy is OnDelete"
	}
	return w
}

func replicaSet(r *appsv1.ReplicaSet) *action.Workload {
	return &action.Workload{
		Object: object("ReplicaSet", r.ObjectMeta), Replicas: number(r.Spec.Replicas),
		Ready: int(r.Status.ReadyReplicas), Updated: int(r.Status.Replicas), Current: int(r.Status.Replicas),
		Generation: r.Generation, Observed: r.Status.ObservedGeneration,
	}
}
