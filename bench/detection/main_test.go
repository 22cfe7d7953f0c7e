package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// dataDir writes tiny data sets in the formats of the public ones: noise with
// one block of samples far away.
func dataDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(7, 7))
	write := func(name, head string, rows, columns int, times func(int) string, label func(int) string) {
		var b strings.Builder
		fmt.Fprintln(&b, head)
		for i := range rows {
			b.WriteString(times(i))
			for range columns {
				v := 10 + r.NormFloat64()
				if rows > 900 && i >= 800 && i < 820 {
					v += 30
				}
				fmt.Fprintf(&b, ",%.4f", v)
			}
			b.WriteString(label(i) + "\n")
		}
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(b.String()), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	clock := func(i int) string {
		return time.Date(2026, 1, 1, 0, 5*i, 0, 0, time.UTC).Format("2006-01-02 15:04:05")
	}
	none := func(int) string { return "" }
	for _, name := range []string{"a/one.csv", "b/two.csv"} {
		write("nab-dev/data/"+name, "timestamp,value", 1000, 1, clock, none)
	}
	windows := fmt.Sprintf(`{"a/one.csv": [[%q, %q]], "b/two.csv": []}`, clock(790), clock(830))
	if err := os.WriteFile(filepath.Join(dir, "nab-dev/windows.json"), []byte(windows), 0o600); err != nil {
		t.Fatal(err)
	}
	seconds := func(i int) string { return fmt.Sprint(i * 60) } // both parts count from 0
	label := func(i int) string {
		if i >= 800 && i < 820 {
			return ",1"
		}
		return ",0"
	}
	write("smd-dev/train/m.csv", "timestamp,m00,m01,label", 500, 2, seconds, func(int) string { return ",0" })
	write("smd-dev/test/m.csv", "timestamp,m00,m01,label", 1000, 2, seconds, label)
	return dir
}

func TestTables(t *testing.T) {
	dir := dataDir(t)
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-data", dir, "-model", "zscore(window=1h); zscore(window=1h, threshold=1e9)", "-files"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{"## nab-dev", "## smd-dev", "Numenta HTM", "a/one.csv"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	// The windows of one file are found by the first model and not, at 1, by
	// the second.
	var first, second []string
	for line := range strings.SplitSeq(text, "\n") {
		cells := strings.Split(strings.ReplaceAll(line, " ", ""), "|")
		switch {
		case len(cells) < 9 || second != nil && first != nil:
		case cells[0] == "zscore(window=1h)" && first == nil:
			first = cells
		case cells[0] == "zscore(window=1h,threshold=1e9)":
			second = cells
		}
	}
	if first == nil || second == nil {
		t.Fatal(text)
	}
	if first[8] != "1of1" || second[2] != "0.0" {
		t.Errorf("rows %q and %q in\n%s", first, second, text)
	}
}

// A stream is its training part and then its test part, in one line of time,
// and only the latter counts.
func TestStreams(t *testing.T) {
	c, err := findCorpora(dataDir(t), "smd-dev")
	if err != nil {
		t.Fatal(err)
	}
	if err := c[0].load(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := &c[0].streams[0].points
	if len(c[0].streams) != 1 || p.train != 500 || len(p.Rows) != 1500 || p.Columns != 2 {
		t.Fatalf("%d streams; %d rows, %d of them training", len(c[0].streams), len(p.Rows), p.train)
	}
	for i := 1; i < len(p.Times); i++ {
		if p.Times[i].Sub(p.Times[i-1]) != time.Minute {
			t.Fatalf("row %d comes %v after the one before", i, p.Times[i].Sub(p.Times[i-1]))
		}
	}
	r, err := score(t.Context(), &c[0], "zscore", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if s := r.series[0]; len(s.scores) != 1000 || !s.labels[800] || s.labels[799] || s.scores[800] < 1 || math.IsNaN(s.scores[0]) {
		t.Errorf("%d scores, %v at the block", len(s.scores), s.scores[800])
	}
}

func TestPlot(t *testing.T) {
	dir := dataDir(t)
	out := filepath.Join(t.TempDir(), "p.svg")
	if err := run(t.Context(), []string{"plot", "-data", dir, "-file", "nab-dev/data/a/one.csv", "-model", "zscore", "-out", out}, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	d, elements := xml.NewDecoder(bytes.NewReader(b)), 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := tok.(xml.StartElement); ok {
			elements++
		}
	}
	if elements < 9 || !bytes.Contains(b, []byte("#f6d5d5")) || bytes.Contains(b, []byte("NaN")) {
		t.Errorf("%d elements in\n%s", elements, b)
	}
}

func TestErrors(t *testing.T) {
	dir := dataDir(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{}, "want -data DIR"},
		{[]string{"-data", t.TempDir()}, "no data set in"},
		{[]string{"-data", dir, "-model", "zscor"}, "did you mean"},
		{[]string{"plot", "-data", dir, "-file", "x.csv", "-out", "x.svg"}, "no such file"},
	} {
		if err := run(t.Context(), c.args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
	}
}
