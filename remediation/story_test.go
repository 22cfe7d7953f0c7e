package remediation

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/chironhq/chiron/remediation/policy"
	"github.com/chironhq/chiron/remediation/sim"
	"github.com/chironhq/chiron/remediation/webhook"
)

// TestStories runs testdata/stories. Commands:
//
//	policy             the file of policies; a reload when it comes again
//	cluster            lines of objects and events, see cluster below
//	query              lines "expression => value | nothing | error"
//	alert [resolved] [age=5m] [ended=1m] label=value ...
//	deliver truncated=n    many alerts: one a line of the input
//	advance 5m
//	crash before|after     of the next write; what happens to the cluster meanwhile is the input
//	restart
//	counts             what the messages said so far
//	run id             as `chiron runs` shows it
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		w := newWorld(t, &policy.Set{Guardrails: policy.DefaultGuardrails()})
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			w.t = t
			return w.command(t, d)
		})
		if b := w.sim.Broken(); len(b) > 0 {
			t.Errorf("writes without preconditions: %v", b)
		}
	})
}

func (w *world) command(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "policy":
		set, problems := policy.Load("policy.yaml", []byte(d.Input))
		if problems.HasErrors() {
			return problems.String()
		}
		w.policies = set
		w.step(PoliciesChanged{set})
		return "ok\n"
	case "cluster":
		for line := range strings.SplitSeq(d.Input, "\n") {
			w.cluster(t, strings.Fields(line))
		}
		return "ok\n"
	case "query":
		for line := range strings.SplitSeq(d.Input, "\n") {
			expr, answer, _ := strings.Cut(line, " => ")
			w.answers[expr] = answer
		}
		return "ok\n"
	case "alert":
		fields := []string{}
		for _, a := range d.CmdArgs {
			fields = append(fields, a.String())
		}
		w.deliver(0, w.alert(fields))
		return w.flush()
	case "deliver":
		var truncated uint64
		d.MaybeScanArgs(t, "truncated", &truncated)
		var alerts []webhook.Alert
		for line := range strings.SplitSeq(d.Input, "\n") {
			alerts = append(alerts, w.alert(strings.Fields(line)))
		}
		w.deliver(truncated, alerts...)
		return w.flush()
	case "advance":
		by, err := time.ParseDuration(d.CmdArgs[0].Key)
		w.must(err)
		w.advance(by)
		return w.flush()
	case "crash":
		w.crash, w.dead = d.CmdArgs[0].Key, nil
		if line := strings.Fields(d.Input); len(line) > 0 {
			w.dead = func() { w.cluster(t, line) }
		}
		return "ok\n"
	case "restart":
		w.restart()
		w.step(Tick{})
		return w.flush()
	case "counts":
		var out strings.Builder
		for _, k := range slices.Sorted(maps.Keys(w.counts)) {
			fmt.Fprintf(&out, "%s %d\n", k, w.counts[k])
		}
		return out.String()
	case "run":
		id, err := strconv.ParseUint(d.CmdArgs[0].Key, 10, 64)
		w.must(err)
		var out strings.Builder
		w.must(RenderRun(&out, w.r.engine.runs[id]))
		return out.String()
	}
	t.Fatalf("unknown command %s", d.Cmd)
	return ""
}

func (w *world) alert(fields []string) webhook.Alert {
	a := webhook.Alert{Status: "firing", Labels: map[string]string{}, StartsAt: w.now.Add(-30 * time.Second)}
	duration := func(s string) time.Duration {
		d, err := time.ParseDuration(s)
		w.must(err)
		return d
	}
	for _, f := range fields {
		k, v, _ := strings.Cut(f, "=")
		switch k {
		case "resolved":
			a.Status, a.EndsAt = "resolved", w.now
		case "age":
			a.StartsAt = w.now.Add(-duration(v))
		case "at": // since ten o'clock
			a.StartsAt = begin.Add(duration(v))
		case "ended":
			a.EndsAt = w.now.Add(-duration(v))
		default:
			a.Labels[k] = v
		}
	}
	return a
}

var simKinds = map[string]string{"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet", "pod": "Pod"}

// cluster understands
//
//	deployment|statefulset|daemonset ns/name replicas
//	pod ns/name
//	hpa deployment ns/name min max
//	budget deployment ns/name ready
//	unready|ready ns/pod
//	scaled deployment ns/name replicas
//	delete kind ns/name
//	fault conflict|refuse|lost|timeout|down ...
//	settle
func (w *world) cluster(t *testing.T, f []string) {
	n := func(i int) int {
		v, err := strconv.Atoi(f[i])
		w.must(err)
		return v
	}
	name := func(i int) (string, string) {
		a, b, _ := strings.Cut(f[i], "/")
		return a, b
	}
	switch f[0] {
	case "deployment", "statefulset", "daemonset":
		ns, nm := name(1)
		w.sim.AddWorkload(simKinds[f[0]], ns, nm, n(2))
	case "pod":
		ns, nm := name(1)
		w.sim.AddPod(ns, nm)
	case "hpa":
		ns, nm := name(2)
		w.sim.AddHPA(simKinds[f[1]], ns, nm, n(3), n(4))
	case "budget":
		ns, nm := name(2)
		w.sim.SetBudget(simKinds[f[1]], ns, nm, n(3))
	case "ready", "unready":
		ns, nm := name(1)
		w.sim.SetReady(ns, nm, f[0] == "ready")
	case "scaled":
		ns, nm := name(2)
		w.sim.SetReplicas(simKinds[f[1]], ns, nm, n(3))
	case "delete":
		ns, nm := name(2)
		w.sim.Delete(simKinds[f[1]], ns, nm)
	case "fault":
		for _, s := range f[1:] {
			w.sim.Fail(sim.Fault(s))
		}
	case "settle":
		w.sim.Settle()
	default:
		t.Fatalf("unknown line %v", f)
	}
}
