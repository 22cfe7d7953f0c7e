package remotewrite

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
)

// Clauses 4.2: sorted on arrival or not, no duplicates, empty values dropped,
// valid UTF-8, a metric name, within limits.
func TestCheckLabels(t *testing.T) {
	limits := LabelLimits{Count: 4, NameBytes: 10, ValueBytes: 8}
	f := func(want string, pairs ...string) {
		t.Helper()
		var ls LabelSet
		for i := 0; i < len(pairs); i += 2 {
			ls.Labels = append(ls.Labels, Label{[]byte(pairs[i]), []byte(pairs[i+1])})
		}
		got := ""
		err := ls.Check(limits, true)
		le := &LabelError{}
		if errors.As(err, &le) {
			got = le.Problem.String()
		} else if err == nil {
			got = ls.Build().String()
			if other := ls.Copy().String(); other != got {
				t.Errorf("%q: Build %s, Copy %s", pairs, got, other)
			}
		}
		if got != want {
			t.Errorf("%q: %s (%v), want %s", pairs, got, err, want)
		}
	}
	f(`{__name__="up"}`, "__name__", "up")
	f(`{__name__="up", a="1", b="2"}`, "b", "2", "__name__", "up", "a", "1")
	f(`{__name__="up"}`, "__name__", "up", "empty", "")
	f(`{__name__="up"}`, "__name__", "up", "", "")
	f(`{__name__="a.b c", "x y"="two\nln"}`, "__name__", "a.b c", "x y", "two\nln")
	f("missing_metric_name")
	f("missing_metric_name", "a", "b")
	f("missing_metric_name", "__name__", "")
	f("empty_label_name", "__name__", "up", "", "x")
	f("duplicate_label", "a", "1", "__name__", "up", "a", "1")
	f("duplicate_label", "a", "", "__name__", "up", "a", "1")
	f("invalid_utf8", "__name__", "\xff")
	f("invalid_utf8", "__name__", "up", "\xff", "a")
	f("invalid_utf8", "__name__", "up", "\xff", "")
	f("label_limit", "__name__", "up", "a", "1", "b", "1", "c", "1", "d", "1")
	f("label_name_too_long", "__name__", "up", "elevenbytes", "1")
	f("label_value_too_long", "__name__", "ninebytes")
}

// A message about a series stays short whatever the series holds.
func TestLabelMessagesAreBounded(t *testing.T) {
	long := []byte(strings.Repeat("x", 1<<20))
	var ls LabelSet
	for range 1000 {
		ls.Labels = append(ls.Labels, Label{long, long})
	}
	err := ls.Check(LabelLimits{}, true)
	if err == nil || len(err.Error()) > 1000 {
		t.Fatalf("message of %d bytes", len(err.Error()))
	}
}

// Equal label bytes mean equal labels, also when they come scattered.
func TestScatteredLabels(t *testing.T) {
	label := func(name, value string) []byte {
		return appendLabels1(nil, v1Labels, labels.FromStrings(name, value))
	}
	sample := appendSample(nil, Sample{T: 1, V: 1})
	request := func(parts ...[]byte) []byte {
		b, mark := begin(nil, v1Timeseries)
		for _, p := range parts {
			b = append(b, p...)
		}
		return finish(b, mark)
	}
	a, b := label("__name__", "up"), label("job", "x")
	var want string
	for i, body := range [][]byte{request(a, b, sample), request(a, sample, b), request(sample, a, b)} {
		var d Decoder
		if err := d.Reset(V1, body); err != nil || !d.Next() {
			t.Fatal(err, d.Err())
		}
		got := string(d.Series().Labels)
		if i == 0 {
			want = got
		}
		if got != want || d.Series().Samples != 1 {
			t.Errorf("request %d: key %q, want %q", i, got, want)
		}
		if x, err := d.NextSample(); err != nil || x.T != 1 {
			t.Errorf("request %d: sample %+v, %v", i, x, err)
		}
	}
}

// References outside of the symbols or in odd number concern one series.
func TestBadReferences(t *testing.T) {
	f := func(want Problem, symbols string, refs ...byte) {
		t.Helper()
		var body []byte
		for _, s := range symbols {
			body = append(body, v2Symbols<<3|wireBytes, 1, byte(s))
		}
		body = append(body, v2Timeseries<<3|wireBytes, byte(len(refs)+2), v2LabelsRefs<<3|wireBytes, byte(len(refs)))
		body = append(body, refs...)
		var d Decoder
		if err := d.Reset(V2, body); err != nil || !d.Next() {
			t.Fatal(err, d.Err())
		}
		var ls LabelSet
		err := d.ReadLabels(&ls)
		got := NoProblem
		le := &LabelError{}
		if errors.As(err, &le) {
			got = le.Problem
		}
		if got != want {
			t.Errorf("refs %v of %d symbols: %v (%v), want %v", refs, len(symbols), got, err, want)
		}
		if d.Next() || d.Err() != nil {
			t.Errorf("the request ends with %v", d.Err())
		}
	}
	f(NoProblem, "abc", 0, 1, 2, 2)
	f(NoProblem, "abc")
	f(BadReference, "abc", 0, 3)
	f(BadReference, "abc", 3, 0)
	f(BadReference, "", 0, 0)
	f(OddReferences, "abc", 0, 1, 2)
}

// TestLimitsOfTheDecoder: what is made of a request is bounded: symbols end it,
// labels refuse their series or exemplar and nothing else.
func TestLimitsOfTheDecoder(t *testing.T) {
	many := make([]string, 0, 20)
	for i := range 10 {
		many = append(many, string(rune('a'+i)), "x")
	}
	var e Encoder
	body := func(p Protocol, ls, ex labels.Labels) []byte {
		return e.Encode(nil, p, &Batch{Series: []BatchSeries{{Labels: ls, Samples: []Sample{{T: 1}}, Exemplars: []exemplar.Exemplar{{Labels: ex, Ts: 1}}}}})
	}
	for _, p := range []Protocol{V1, V2} {
		for _, tc := range []struct {
			limit            int
			series, exemplar bool // refused
		}{{9, true, true}, {10, false, false}, {0, false, false}} {
			d := Decoder{MaxLabels: tc.limit}
			if err := d.Reset(p, body(p, labels.FromStrings(many...), labels.FromStrings(many...))); err != nil || !d.Next() {
				t.Fatal(err)
			}
			var ls LabelSet
			var ex Exemplar
			if err := d.ReadLabels(&ls); (err != nil) != tc.series {
				t.Errorf("%s, limit %d: %v", p, tc.limit, err)
			}
			if err := d.NextExemplar(&ex); (err != nil) != tc.exemplar || d.Err() != nil {
				t.Errorf("%s, limit %d, exemplar: %v, %v", p, tc.limit, err, d.Err())
			}
			if n := max(len(ls.Labels), len(ex.Labels)); tc.limit > 0 && n > tc.limit+1 {
				t.Errorf("%s: %d labels made", p, n)
			}
		}
	}
	d := Decoder{MaxSymbols: 5}
	if err := d.Reset(V2, body(V2, labels.FromStrings(many...), labels.EmptyLabels())); err == nil {
		t.Error("12 symbols accepted")
	}
	if err := d.Reset(V2, body(V2, labels.FromStrings("a", "b"), labels.EmptyLabels())); err != nil {
		t.Error(err)
	}
}
