package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chironhq/chiron/internal/testenv"
	"github.com/chironhq/chiron/receiver/remotewrite"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// small are the flags of a run of seconds against the real servers.
func small(t *testing.T) (args []string, dir string) {
	t.Helper()
	dir = t.TempDir()
	return []string{
		"-series=1000", "-rounds=3", "-query-series=1000", "-hours=0.1", "-settle=0s", "-ask-for=50ms", "-peers=chiron,prometheus", "-dir=" + dir,
		"-chiron=" + testenv.BuildChiron(t), "-prometheus=" + testenv.Tool(t, "prometheus"), "-victoriametrics=" + testenv.Tool(t, "victoria-metrics"),
	}, dir
}

// TestRun: the whole command against Chiron and Prometheus. It fails by itself
// when a sample does not come back or when the two answer a query differently.
func TestRun(t *testing.T) {
	args, dir := small(t)
	var stdout, progress bytes.Buffer
	file := filepath.Join(t.TempDir(), "peers.txt")
	if err := run(t.Context(), append(args, "-o="+file), &stdout, &progress); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	lines, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(stdout.Bytes(), lines) {
		t.Error("the file does not hold the lines that were printed")
	}
	for _, want := range []string{
		"BenchmarkPeers/part=create/proto=1.0/series=1000/side=%s ", "BenchmarkPeers/part=create/proto=2.0/series=1000/side=%s ",
		"BenchmarkPeers/part=steady/proto=1.0/series=1000/side=%s ", "BenchmarkPeers/part=steady/proto=2.0/series=1000/side=%s ",
		"BenchmarkPeers/part=query/q=raw-1/encoding=identity/series=1000/hours=0.1/side=%s ", "BenchmarkPeers/part=query/q=sum-rate-2000/encoding=gzip/series=1000/hours=0.1/side=%s ",
		"BenchmarkPeers/part=stored/series=1000/hours=0.1/side=%s ",
	} {
		for _, p := range []string{"chiron", "prometheus"} {
			if n := strings.Count(string(lines), fmt.Sprintf(want, p)); n != 1 {
				t.Errorf("%d lines %s", n, fmt.Sprintf(want, p))
			}
		}
	}
	if !strings.Contains(stdout.String(), "against prometheus") {
		t.Errorf("no table in\n%s", stdout.String())
	}
	empty(t, dir)
}

// empty fails when a server left something behind.
func empty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestReadingBack: what is acknowledged and lost on the way is found, with the
// real servers, and nothing else is taken for a loss.
func TestReadingBack(t *testing.T) {
	args, dir := small(t)
	o, err := parse(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		peer  string
		fault fault
		want  []string // of the error; none when all is well
	}{
		{"all well", "chiron", nil, nil},
		{"all well", "prometheus", nil, nil},
		{"a request is lost", "chiron", lose(2), []string{"sum(count_over_time(", "want 60"}},
		{"a request is lost", "prometheus", lose(2), []string{"sum(count_over_time("}},
		{"one sample is lost", "chiron", dropLast, []string{"sum(count_over_time(", " is 59, want 60"}},
		{"one sample is lost", "prometheus", dropLast, []string{"sum(count_over_time(", " is 59, want 60"}},
		{"a value is changed", "chiron", changeFirst, []string{"sample 1 is "}},
		{"a request comes twice", "chiron", twice, nil},
		{"an answer is lost", "chiron", unsure, nil},
		{"an answer is lost", "prometheus", unsure, nil},
		{"an answer is lost", "victoriametrics", unsure, nil},
		{"a request is lost", "victoriametrics", lose(2), []string{"sum(count_over_time(", "is 50, want 60"}},
		{"a request is refused for good", "chiron", answerWith(400), []string{"cannot write to", "400"}},
		{"a request is refused for now", "chiron", answerWith(503), nil},
	} {
		t.Run(strings.ReplaceAll(c.peer+" "+c.name, " ", "_"), func(t *testing.T) {
			p, err := o.find(c.peer)
			if err != nil {
				t.Fatal(err)
			}
			b := &bench{options: o, start: time.Now(), stderr: io.Discard, report: report{lines: io.Discard}}
			b.patience = 0
			proxies := &proxies{fault: c.fault}
			b.target = proxies.between(t)
			p.protocols = []remotewrite.Protocol{remotewrite.V1} // the faults that change a message know this one
			err = b.measure(t.Context(), "ingest", p)
			if proxies.met == 0 && c.fault != nil {
				t.Fatal("the fault did not happen")
			}
			if len(c.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("nothing was noticed")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the error does not say %q:\n%v", w, err)
				}
			}
		})
	}
	empty(t, dir)
}

// TestInterrupted: a run that is given up ends its servers and removes their
// folders, whatever it was doing.
func TestInterrupted(t *testing.T) {
	for _, at := range []string{"creating", "reading back", "filling", "queries"} {
		t.Run(strings.ReplaceAll(at, " ", "_"), func(t *testing.T) {
			args, dir := small(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w := &onWord{word: at, then: cancel}
			if err := run(ctx, args, io.Discard, w); !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
			empty(t, dir)
		})
	}
}

// onWord calls then once a word is written.
type onWord struct {
	mu   sync.Mutex
	word string
	then func()
}

func (w *onWord) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.Contains(string(p), w.word) {
		w.then()
	}
	return len(p), nil
}
