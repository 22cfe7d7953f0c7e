package rules

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chironhq/chiron/internal/upstream"
	"github.com/chironhq/chiron/rules/lang"
)

// killedEnv has the process of the test be the one that is killed: the first
// slot, then the folders of the ring and of the rules.
const killedEnv = "CHIRON_KILLED_RULES"

const killedPods = 8

// killedLoud says whether the condition holds for a pod at a slot: for some
// slots in a row, now and then.
func killedLoud(pod, slot int) bool {
	h := fnv.New64a()
	_ = binary.Write(h, binary.LittleEndian, [2]int64{int64(pod), int64((slot + pod) / 3)})
	return h.Sum64()%3 == 0
}

// TestKeepFiringForOutlivesKills kills a process that evaluates an alert rule,
// again and again and at any moment, also between the evaluation and the record
// of it. Alerts fire as if the evaluations that did not happen had been missed.
func TestKeepFiringForOutlivesKills(t *testing.T) {
	if arg := os.Getenv(killedEnv); arg != "" {
		killedRules(t, arg)
		return
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	ring, dir := t.TempDir(), t.TempDir()
	// What each alert may have come to: the evaluation under way when the
	// process was killed may or may not have been.
	states := make([][]told, killedPods)
	for pod := range states {
		states[pod] = []told{{keep: 4}}
	}
	next, kept := 0, 0
	for range 12 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKeepFiringForOutlivesKills$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d:%s:%s", killedEnv, next, ring, dir))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := next + 3 + r.IntN(30)
		last := -1
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var slot int
			var firing string
			if _, err := fmt.Sscanf(lines.Text(), "did %d %s", &slot, &firing); err != nil {
				t.Fatalf("child: %s", lines.Text())
			}
			last = slot
			if slot == stop {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			for pod := range states {
				if states[pod] = step(states[pod], killedLoud(pod, slot), slot, firing[pod] == 'x'); len(states[pod]) == 0 {
					t.Fatalf("slot %d, the process began at %d: pod %d fires: %c, which cannot be", slot, next, pod, firing[pod])
				}
			}
		}
		if err := cmd.Wait(); err == nil || last < 0 {
			t.Fatalf("the child ended by itself: %v", err)
		}
		for pod, s := range states {
			if s[0].state == 'f' && s[0].since >= 0 {
				kept++
			}
			for _, a := range s {
				a.step(killedLoud(pod, last+1), last+1)
				states[pod] = append(states[pod], a)
			}
		}
		next = last + 2
	}
	if kept == 0 {
		t.Error("no alert was kept when its process was killed: nothing was tested")
	}
}

// step are the states that are possible after an evaluation at which the alert
// was seen to fire, or not.
func step(before []told, condition bool, slot int, fires bool) (after []told) {
	for _, a := range before {
		a.step(condition, slot)
		if fires == (a.state == 'f') {
			after = append(after, a)
		}
	}
	return after
}

// killedRules evaluates from a slot on and says what fires, until it is killed.
func killedRules(t *testing.T, arg string) {
	part := strings.SplitN(arg, ":", 3)
	engine, err := upstream.NewEngine(upstream.EngineOptions{Parser: lang.PromQL()})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := &keptWorld{world: &world{t: t, engine: engine, dir: part[2]}, ring: part[1], file: keptPlain}
		if _, err := fmt.Sscan(part[0], &w.now); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(w.now) * 10 * time.Second)
		w.open()
		for {
			load := map[string]float64{}
			for pod := range killedPods {
				load[fmt.Sprint(pod)] = 10
				if killedLoud(pod, w.now) {
					load[fmt.Sprint(pod)] = 200
				}
			}
			slot := w.now
			w.pass(load)
			firing := w.firing()
			line := []byte(strings.Repeat(".", killedPods))
			for pod := range killedPods {
				if firing[fmt.Sprint(pod)] != nil {
					line[pod] = 'x'
				}
			}
			fmt.Printf("did %d %s\n", slot, line)
		}
	})
}
