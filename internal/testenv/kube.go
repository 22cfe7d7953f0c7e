package testenv

import (
	"bytes"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// KubeCluster is a real control plane on loopback: etcd, API server,
// controller manager and scheduler, with one node whose kubelet kwok plays.
type KubeCluster struct {
	Kubeconfig string // of an administrator
	Server     string // https address of the API server
	KwokURL    string // serves /metrics/nodes/node-0/metrics/resource

	kubectl    string
	ca         *authority
	processes  []*Proc
	namespaces atomic.Int64
}

// Kube returns the package's control plane and starts it for the first test
// that asks. The package needs a TestMain that calls Main.
func Kube(t testing.TB) *KubeCluster {
	t.Helper()
	needTools(t)
	shared.kubeOnce.Do(func() { shared.kube, shared.kubeErr = startKube() })
	if shared.kubeErr != nil {
		t.Fatal(shared.kubeErr)
	}
	t.Cleanup(func() { shared.kube.report(t) })
	return shared.kube
}

// report fails the test if a part has ended meanwhile, and shows what all
// parts logged if the test has failed.
func (k *KubeCluster) report(t testing.TB) {
	for _, p := range k.processes {
		if err := p.ended(); err != nil {
			t.Error(err)
		}
	}
	if !t.Failed() {
		return
	}
	for _, p := range k.processes {
		t.Logf("log of %s:\n%s", p.name, p.tail(40))
	}
}

// startKube starts the parts in the order in which they need each other.
func startKube() (k *KubeCluster, err error) {
	dir, err := sharedDir("kube")
	if err != nil {
		return nil, err
	}
	var ports [6]int // etcd client, etcd peer, API server, controller manager, scheduler, kwok
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	k = &KubeCluster{Server: fmt.Sprintf("https://127.0.0.1:%d", ports[2]), KwokURL: fmt.Sprintf("http://127.0.0.1:%d", ports[5])}
	defer func() {
		if err != nil {
			k.stop()
		}
	}()
	if err := k.certificates(dir); err != nil {
		return nil, fmt.Errorf("cannot make certificates: %w", err)
	}
	if err := os.WriteFile(k.ca.file("audit.yaml"), []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	if k.kubectl, err = tool("kubectl"); err != nil {
		return nil, err
	}
	etcd, peer := fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	if err := k.start("etcd", "--data-dir="+filepath.Join(dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer); err != nil {
		return nil, err
	}
	if err := k.start("kube-apiserver", "--etcd-servers="+etcd, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", ports[2]), "--tls-cert-file="+k.ca.file("api.crt"), "--tls-private-key-file="+k.ca.file("api.key"),
		"--client-ca-file="+k.ca.file("ca.crt"), "--service-account-key-file="+k.ca.file("sa.pub"),
		"--service-account-signing-key-file="+k.ca.file("sa.key"), "--service-account-issuer=https://kubernetes.default.svc",
		"--service-cluster-ip-range=10.0.0.0/16", "--authorization-mode=Node,RBAC", "--endpoint-reconciler-type=none",
		"--audit-policy-file="+k.ca.file("audit.yaml"), "--audit-log-path="+k.ca.file("audit.log")); err != nil {
		return nil, err
	}
	if err := k.processes[1].await(func() error { _, err := k.run("", "get", "--raw", "/readyz"); return err }); err != nil {
		return nil, err
	}
	if err := k.start("kube-controller-manager", "--kubeconfig="+k.ca.file("kcm.kubeconfig"),
		"--service-account-private-key-file="+k.ca.file("sa.key"), "--root-ca-file="+k.ca.file("ca.crt"), "--use-service-account-credentials",
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[3]), "--leader-elect=false"); err != nil {
		return nil, err
	}
	if err := k.start("kube-scheduler", "--kubeconfig="+k.ca.file("scheduler.kubeconfig"), "--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", ports[4]), "--leader-elect=false"); err != nil {
		return nil, err
	}
	return k, k.kwok(ports[5])
}

// kwok starts the simulated kubelet and waits for its node.
func (k *KubeCluster) kwok(port int) error {
	tools, err := toolsDir()
	if err != nil {
		return err
	}
	args := []string{"--kubeconfig=" + k.Kubeconfig, "--manage-all-nodes=true", "--cidr=10.1.0.0/16", "--node-ip=127.0.0.1",
		fmt.Sprintf("--server-address=127.0.0.1:%d", port)}
	for _, behaviour := range []string{"stage/node/fast", "stage/node/heartbeat", "stage/pod/fast", "stage/pod/chaos", "metrics/usage", "metrics/resource"} {
		files, err := filepath.Glob(filepath.Join(tools, "kwok", "kustomize", filepath.FromSlash(behaviour), "*.yaml"))
		if err != nil || len(files) == 0 {
			return fmt.Errorf("kwok's %s is missing: run make tools", behaviour)
		}
		for _, f := range files {
			if filepath.Base(f) != "kustomization.yaml" {
				args = append(args, "--config="+f)
			}
		}
	}
	if err := k.start("kwok", args...); err != nil {
		return err
	}
	if _, err := k.run(node, "apply", "-f", "-"); err != nil {
		return err
	}
	return k.processes[len(k.processes)-1].await(func() error {
		status, err := k.run("", "get", "node", "node-0", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		if err == nil && status != "True" {
			err = fmt.Errorf("node-0 is not ready: %q", status)
		}
		return err
	})
}

const node = `
apiVersion: v1
kind: Node
metadata:
  name: node-0
  labels: { kubernetes.io/os: linux, kubernetes.io/hostname: node-0 }
  annotations: { kwok.x-k8s.io/node: fake }
status:
  allocatable: { cpu: "32", memory: 256Gi, pods: "110" }
  capacity: { cpu: "32", memory: 256Gi, pods: "110" }
`

// certificates makes one authority, the API server's certificate, and clients
// for everybody who talks to it.
func (k *KubeCluster) certificates(dir string) (err error) {
	if k.ca, err = newAuthority(dir); err != nil {
		return err
	}
	loopback := net.IPv4(127, 0, 0, 1)
	return errors.Join(
		k.ca.issue("api", pkix.Name{CommonName: "kube-apiserver"}, loopback, net.IPv4(10, 0, 0, 1)),
		k.ca.issue("sa", pkix.Name{CommonName: "service-accounts"}),
		k.client("admin", "admin", "system:masters"),
		k.client("kcm", "system:kube-controller-manager"),
		k.client("scheduler", "system:kube-scheduler"),
	)
}

func (k *KubeCluster) client(name, user string, groups ...string) error {
	if err := k.ca.issue(name, pkix.Name{CommonName: user, Organization: groups}); err != nil {
		return err
	}
	file, err := k.ca.kubeconfig(name, k.Server)
	if name == "admin" {
		k.Kubeconfig = file
	}
	return err
}

func (k *KubeCluster) start(name string, args ...string) error {
	binary, err := tool(name)
	if err != nil {
		return err
	}
	p := &Proc{name: name, binary: binary, args: args, log: k.ca.file(name + ".log")}
	if err := p.launch(); err != nil {
		return err
	}
	k.processes = append(k.processes, p)
	return nil
}

// stop ends the parts, those that depend on others first.
func (k *KubeCluster) stop() {
	for _, v := range slices.Backward(k.processes) {
		_ = v.end(syscall.SIGTERM) // report has told of those that ended before
	}
}

// run calls kubectl as the administrator.
func (k *KubeCluster) run(stdin string, args ...string) (string, error) {
	cmd := exec.Command(k.kubectl, append([]string{"--kubeconfig=" + k.Kubeconfig, "--request-timeout=30s"}, args...)...) //nolint:noctx // bounded by its timeout
	cmd.Stdin = strings.NewReader(stdin)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, problems.String())
	}
	return out.String(), nil
}

// Kubectl calls kubectl as the administrator and returns what it prints.
func (k *KubeCluster) Kubectl(t testing.TB, args ...string) string {
	t.Helper()
	out, err := k.run("", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Apply creates or changes the objects of a YAML text.
func (k *KubeCluster) Apply(t testing.TB, yaml string) {
	t.Helper()
	if _, err := k.run(yaml, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// Namespace makes a namespace for one test.
func (k *KubeCluster) Namespace(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test-%d", k.namespaces.Add(1))
	k.Kubectl(t, "create", "namespace", name)
	Eventually(t, upWithin, func() error {
		_, err := k.run("", "-n", name, "get", "serviceaccount", "default")
		return err
	})
	t.Cleanup(func() {
		if t.Failed() {
			out, err := k.run("", "-n", name, "get", "pods,deployments,events", "-o", "wide")
			t.Logf("namespace %s: %v\n%s", name, err, out)
		}
		if _, err := k.run("", "delete", "namespace", name, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	return name
}

// UserKubeconfig returns the path of a kubeconfig for a user that may do only
// what RBAC gives it.
func (k *KubeCluster) UserKubeconfig(t testing.TB, user string, groups ...string) string {
	t.Helper()
	if err := k.client(user, user, groups...); err != nil {
		t.Fatal(err)
	}
	return k.ca.file(user + ".kubeconfig")
}
