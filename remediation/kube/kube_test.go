package kube

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authv1 "k8s.io/api/authorization/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/chironhq/chiron/internal/testenv"
	"github.com/chironhq/chiron/remediation/action"
	"github.com/chironhq/chiron/remediation/clustertest"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// server is the API server to test against, as its administrator.
func server(t *testing.T) *rest.Config {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", testenv.Kube(t).Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS, cfg.Burst = 200, 400
	return cfg
}

const account = "system:serviceaccount:chiron:chiron-remediator"

// remediator is the cluster as the service account of the role file sees it.
func remediator(t *testing.T, admin *rest.Config) (*Cluster, kubernetes.Interface) {
	t.Helper()
	cfg := rest.CopyConfig(admin)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: account}
	c, err := fromConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, c.client
}

// applyRole installs the role file.
func applyRole(t *testing.T, admin kubernetes.Interface) {
	t.Helper()
	b, err := os.ReadFile("../../deploy/kubernetes/remediator-rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for doc := range bytes.SplitSeq(b, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(doc, &kind); err != nil {
			t.Fatal(err)
		}
		switch kind.Kind {
		case "ServiceAccount":
		case "ClusterRole":
			var r rbacv1.ClusterRole
			if err := yaml.UnmarshalStrict(doc, &r); err != nil {
				t.Fatal(err)
			}
			_, err = admin.RbacV1().ClusterRoles().Create(t.Context(), &r, metav1.CreateOptions{})
		case "ClusterRoleBinding":
			var r rbacv1.ClusterRoleBinding
			if err := yaml.UnmarshalStrict(doc, &r); err != nil {
				t.Fatal(err)
			}
			_, err = admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &r, metav1.CreateOptions{})
		default:
			t.Fatalf("unexpected %q in the role file", kind.Kind)
		}
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
}

// lab is one namespace; the service account acts, the administrator prepares.
type lab struct {
	t       *testing.T
	admin   kubernetes.Interface
	cluster *Cluster
	ns      string
	touched int
}

func newLab(t *testing.T) *lab {
	t.Helper()
	cfg := server(t)
	admin, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	applyRole(t, admin)
	ns, err := admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "chiron-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = admin.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{})
	})
	c, _ := remediator(t, cfg)
	l := &lab{t: t, admin: admin, cluster: c, ns: ns.Name}
	l.eventually("a service account", func(ctx context.Context) bool {
		_, err := admin.CoreV1().ServiceAccounts(l.ns).Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
	return l
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) eventually(what string, f func(context.Context) bool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 2*time.Minute)
	defer cancel()
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) { return f(ctx), nil })
	if err != nil {
		l.t.Fatalf("never seen: %s", what)
	}
}

func (l *lab) Cluster() action.Cluster { return l.cluster }
func (l *lab) Namespace() string       { return l.ns }

func (l *lab) Workload(kind, name string, replicas int) {
	l.t.Helper()
	n, labels := int32(replicas), map[string]string{"app": name, "kind": kind}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example.org/none:1"}}},
	}
	meta := metav1.ObjectMeta{Name: name}
	var err error
	switch kind {
	case "Deployment":
		_, err = l.admin.AppsV1().Deployments(l.ns).Create(l.t.Context(), &appsv1.Deployment{ObjectMeta: meta,
			Spec: appsv1.DeploymentSpec{Replicas: &n, Selector: selector, Template: template}}, metav1.CreateOptions{})
	case "StatefulSet":
		_, err = l.admin.AppsV1().StatefulSets(l.ns).Create(l.t.Context(), &appsv1.StatefulSet{ObjectMeta: meta,
			Spec: appsv1.StatefulSetSpec{Replicas: &n, Selector: selector, Template: template, ServiceName: name}}, metav1.CreateOptions{})
	default:
		err = fmt.Errorf("unknown kind %s", kind)
	}
	l.must(err)
}

func (l *lab) HPA(kind, name string, least, most int) {
	l.t.Helper()
	n := int32(least)
	_, err := l.admin.AutoscalingV2().HorizontalPodAutoscalers(l.ns).Create(l.t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: kind, Name: name},
			MinReplicas:    &n, MaxReplicas: int32(most),
		}}, metav1.CreateOptions{})
	l.must(err)
}

func (l *lab) Budget(kind, name string, ready int) {
	l.t.Helper()
	least := intstr.FromInt32(int32(ready))
	_, err := l.admin.PolicyV1().PodDisruptionBudgets(l.ns).Create(l.t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: &least, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name, "kind": kind}}},
	}, metav1.CreateOptions{})
	l.must(err)
	l.eventually("the budget's status", func(ctx context.Context) bool {
		b, err := l.admin.PolicyV1().PodDisruptionBudgets(l.ns).Get(ctx, name, metav1.GetOptions{})
		return err == nil && b.Status.ObservedGeneration == b.Generation && b.Status.ExpectedPods > 0
	})
}

func (l *lab) Pod(kind, name string) string {
	l.t.Helper()
	pods, err := l.admin.CoreV1().Pods(l.ns).List(l.t.Context(), metav1.ListOptions{LabelSelector: "app=" + name + ",kind=" + kind})
	l.must(err)
	for _, p := range pods.Items {
		if p.DeletionTimestamp == nil {
			return p.Name
		}
	}
	l.t.Fatalf("%s has no pod", name)
	return ""
}

func (l *lab) Touch(o action.Object) {
	l.t.Helper()
	l.touched++
	patch := []byte(fmt.Sprintf(`{"metadata":{"labels":{"touched":"%d"}}}`, l.touched))
	var err error
	switch o.Kind {
	case "Pod":
		_, err = l.admin.CoreV1().Pods(o.Namespace).Patch(l.t.Context(), o.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	case "Deployment":
		_, err = l.admin.AppsV1().Deployments(o.Namespace).Patch(l.t.Context(), o.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	default:
		err = fmt.Errorf("unknown kind %s", o.Kind)
	}
	l.must(err)
}

// Settle waits for the controllers and the played kubelet.
func (l *lab) Settle(kind, name string) {
	l.t.Helper()
	l.eventually(kind+" "+name+" as wanted", func(ctx context.Context) bool {
		t, err := l.cluster.Resolve(ctx, action.Object{Kind: kind, Namespace: l.ns, Name: name})
		if err != nil {
			return false
		}
		settled, _ := t.Workload.Settled()
		return settled
	})
}

func TestBehaviour(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) clustertest.Lab { return newLab(t) })
}

// TestRoleAllowsNoMore asks the API server itself.
func TestRoleAllowsNoMore(t *testing.T) {
	l := newLab(t)
	_, client := remediator(t, server(t))
	f := func(verb, group, resource string, want bool) {
		t.Helper()
		resource, sub, _ := strings.Cut(resource, "/")
		r, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authv1.SelfSubjectAccessReview{
			Spec: authv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authv1.ResourceAttributes{Namespace: l.ns, Verb: verb, Group: group, Resource: resource, Subresource: sub}},
		}, metav1.CreateOptions{})
		if apierrors.IsForbidden(err) {
			t.Fatal("the account may not ask about itself")
		}
		l.must(err)
		if r.Status.Allowed != want {
			t.Errorf("%s %s/%s %s: allowed is %v", verb, group, resource, sub, r.Status.Allowed)
		}
	}
	f("get", "", "pods", true)
	f("create", "", "pods/eviction", true)
	f("patch", "apps", "deployments", true)
	f("list", "autoscaling", "horizontalpodautoscalers", true)
	f("delete", "", "pods", false)
	f("create", "", "pods", false)
	f("list", "", "pods", false)
	f("get", "", "secrets", false)
	f("create", "", "pods/exec", false)
	f("delete", "apps", "deployments", false)
	f("update", "apps", "deployments", false)
	f("create", "apps", "deployments", false)
	f("patch", "apps", "replicasets", false)
	f("delete", "autoscaling", "horizontalpodautoscalers", false)
	f("patch", "policy", "poddisruptionbudgets", false)
	f("impersonate", "", "users", false)
	f("patch", "rbac.authorization.k8s.io", "clusterroles", false)
}
