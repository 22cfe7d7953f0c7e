package promapi

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"
)

// TestLimits asks every list of n entries with limits around n.
func TestLimits(t *testing.T) {
	b := newBed(t, func(o *Options) { o.Rules = ruleGroups })
	fill(t, b.store)
	f := func(n int, path string, keyValues ...string) {
		t.Helper()
		for _, limit := range []int{n + 1, n, n - 1, 1, 0} {
			a := b.get(t, path, append(slices.Clone(keyValues), "limit", strconv.Itoa(limit))...)
			var e struct {
				Data     json.RawMessage
				Warnings []string
			}
			if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.code != 200 {
				t.Fatalf("%s: %d %s", path, a.code, a.body)
			}
			want, cut := n, limit > 0 && limit < n
			if cut {
				want = limit
			}
			if got := size(t, e.Data); got != want || slices.Contains(e.Warnings, truncated) != cut {
				t.Errorf("%s %v, limit %d of %d: %d entries, warnings %q", path, keyValues, limit, n, got, e.Warnings)
			}
		}
	}
	f(3, "/query", "query", "up", "time", "1767225900")
	f(3, "/query", "query", "up[1m]", "time", "1767225900")
	f(3, "/query_range", "query", "up", "start", "1767225600", "end", "1767225900", "step", "15")
	f(5, "/labels")
	f(5, "/labels", "match[]", `up`, "match[]", `{job="api"}`)
	f(5, "/label/__name__/values")
	f(5, "/label/__name__/values", "match[]", `up`, "match[]", `{job="api"}`)
	f(3, "/series", "match[]", "up")
	f(7, "/series", "match[]", "up", "match[]", `{job="api"}`)
	f(4, "/metadata")
}

// size counts the entries of whatever list data is.
func size(t *testing.T, data []byte) int {
	t.Helper()
	var list []any
	if json.Unmarshal(data, &list) == nil {
		return len(list)
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	if result, ok := object["result"].([]any); ok {
		return len(result)
	}
	return len(object)
}

// TestTopLists bounds the lists of the store's status.
func TestTopLists(t *testing.T) {
	b := newBed(t)
	fill(t, b.store)
	f := func(limit string, want int) {
		t.Helper()
		var e struct{ Data tsdbStatus }
		a := b.get(t, "/status/tsdb", "limit", limit)
		if err := json.Unmarshal([]byte(a.body), &e); err != nil {
			t.Fatal(err)
		}
		if got := len(e.Data.SeriesCountByMetricName); got != want {
			t.Errorf("limit %s: %d metric names, want %d", limit, got, want)
		}
	}
	f("1", 1)
	f("4", 4)
	f("5", 5)
	f("10000", 5)
	f("", 5)
}
