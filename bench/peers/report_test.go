package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTable: what stands beside what, and who is said to be better.
func TestTable(t *testing.T) {
	var lines, table bytes.Buffer
	r := report{lines: &lines}
	r.add("a", "part=steady/proto=1.0", 7, value{4_000_000, "samples/cpu-s"}, value{2.5, "p99-ms"}, value{3, "retries"})
	r.add("b", "part=steady/proto=1.0", 7, value{1_000_000, "samples/cpu-s"}, value{25, "p99-ms"}, value{0, "retries"})
	r.add("a", "part=create/proto=2.0", 1, value{99.96, "series/cpu-s"})
	r.add("c", "part=steady/proto=1.0", 9, value{8_000_000, "samples/cpu-s"})
	if err := r.table(&table, []string{"a", "b", "c"}); err != nil {
		t.Fatal(err)
	}
	wantLines := `BenchmarkPeers/part=steady/proto=1.0/side=a 7 4000000 samples/cpu-s 2.500 p99-ms 3 retries
BenchmarkPeers/part=steady/proto=1.0/side=b 7 1000000 samples/cpu-s 25 p99-ms 0 retries
BenchmarkPeers/part=create/proto=2.0/side=a 1 99.96 series/cpu-s
BenchmarkPeers/part=steady/proto=1.0/side=c 9 8000000 samples/cpu-s
`
	if d := cmp.Diff(wantLines, lines.String()); d != "" {
		t.Errorf("lines (-want +got)\n%s", d)
	}
	want := [][]string{
		{"a", "b", "c", "against", "b", "against", "c"},
		{"part=create/proto=2.0", "series/cpu-s", "99.96", "-", "-", "-", "-"},
		{"part=steady/proto=1.0", "samples/cpu-s", "4000000", "1000000", "8000000", "4.00x", "0.50x"},
		{"part=steady/proto=1.0", "p99-ms", "2.500", "25", "-", "10.00x", "-"},
	}
	var got [][]string
	text, _, _ := strings.Cut(table.String(), "\n\nRatios")
	for line := range strings.Lines(strings.TrimSpace(text)) {
		got = append(got, strings.Fields(line))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("table (-want +got)\n%s", d)
	}
}

// TestSum reads figures from a page of metrics.
func TestSum(t *testing.T) {
	m := metrics(strings.Split(`# HELP vm_rows rows
vm_rows{type="storage/small"} 30
vm_rows{type="storage/big"} 12
vm_rows{type="indexdb/file"} 7
other 3`, "\n"))
	for prefix, want := range map[string]float64{`vm_rows{type="storage/`: 42, "other": 3, "none": 0} {
		if got := m.sum(prefix); got != want {
			t.Errorf("%s is %v, want %v", prefix, got, want)
		}
	}
}

// TestParse: what makes no sense is refused before anything is started.
func TestParse(t *testing.T) {
	for args, want := range map[string]string{
		"-parts=ingest,rest": `there is no part "rest"`,
		"-rounds=1":          "rounds 2",
		"-series=0":          "at least 1",
		"more":               "flags only",
		"-peers=nobody":      `nobody is called "nobody"`,
		"-chiron=/no/such":   "chiron is not there",
	} {
		var out bytes.Buffer
		if err := run(t.Context(), []string{args}, &out, &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

// TestAnswers: the order of series is nobody's promise, their values are.
func TestAnswers(t *testing.T) {
	read := func(peer, result string) answer {
		a, err := digest(strings.NewReader(`{"status":"success","data":{"result":[` + result + `]}}`))
		if err != nil {
			t.Fatal(err)
		}
		a.peer, a.query = peer, "q"
		return a
	}
	const x, y, z = `{"metric":{"a":"1","b":"2"},"values":[[1,"2"]]}`, `{"metric":{"a":"2"},"values":[[1,"3"]]}`, `{"metric":{"a":"2"},"values":[[1,"4"]]}`
	for _, c := range []struct {
		name string
		all  []answer
		want string
	}{
		{"equal", []answer{read("chiron", x+","+y), read("prometheus", y+","+x)}, ""},
		{"another value", []answer{read("chiron", x+","+y), read("prometheus", x+","+z)}, "chiron and prometheus answer differently"},
		{"rounded", []answer{read("chiron", y), read("victoriametrics", z)}, ""},
		{"one missing", []answer{read("chiron", x+","+y), read("victoriametrics", x)}, "chiron answers 2 series, victoriametrics 1"},
		{"nothing", []answer{read("chiron", "")}, "chiron answers nothing"},
	} {
		err := (&bench{answers: c.all}).compareAnswers()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
