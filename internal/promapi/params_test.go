package promapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestParamsOfPost: a posted form may leave parameters to the URL; where both
// have one, the body wins.
func TestParamsOfPost(t *testing.T) {
	b := newBed(t)
	f := func(target, body, want string) {
		t.Helper()
		a := b.do(t, http.MethodPost, target, body)
		if !strings.Contains(a.body, want) {
			t.Errorf("%s with %q: %s; want %s", target, body, a.body, want)
		}
	}
	f("/query?query=2&time=7", "query=3", `[7,"3"]`)
	f("/query?query=2", "time=9", `[9,"2"]`)
	f("/query", "query=2&time=1970-01-01T00:00:11Z", `[11,"2"]`)
	f("/query", "query=2&time=12.3456", `[12.346,"2"]`)
}

// TestDefaultTime: without a time, now is asked for.
func TestDefaultTime(t *testing.T) {
	b := newBed(t)
	before := time.Now().Unix()
	var e struct{ Data struct{ Result [2]any } }
	decode(t, []byte(b.get(t, "/query", "query", "1").body), &e)
	if at := int64(e.Data.Result[0].(float64)); at < before || at > time.Now().Unix() {
		t.Errorf("asked for %d, not for now", at)
	}
}

// TestStats: statistics come when asked for, by step when asked for all.
func TestStats(t *testing.T) {
	b := newBed(t)
	fill(t, b.store)
	f := func(param string, want ...string) {
		t.Helper()
		var e struct {
			Data struct{ Stats map[string]map[string]any }
		}
		decode(t, []byte(b.get(t, "/query_range", "query", "up", "start", "1767225600", "end", "1767225630", "step", "15", "stats", param).body), &e)
		var got []string
		for section, values := range e.Data.Stats {
			for name := range values {
				got = append(got, section+"."+name)
			}
		}
		slices.Sort(got)
		if param == "" && len(got) > 0 {
			t.Errorf("not asked for: %v", got)
		}
		for _, name := range want {
			if !slices.Contains(got, name) {
				t.Errorf("stats=%s: no %s in %v", param, name, got)
			}
		}
		if param == "true" && slices.Contains(got, "samples.totalQueryableSamplesPerStep") {
			t.Errorf("stats=true has samples by step")
		}
	}
	all := []string{
		"timings.evalTotalTime", "timings.resultSortTime", "timings.queryPreparationTime", "timings.innerEvalTime", "timings.execQueueTime", "timings.execTotalTime",
		"samples.totalQueryableSamples", "samples.samplesRead", "samples.seriesTouched", "samples.peakSamples",
	}
	f("")
	f("true", all...)
	f("all", append(all, "samples.totalQueryableSamplesPerStep")...)
}

// TestLookback: how far an instant selector reaches back can be asked for.
func TestLookback(t *testing.T) {
	b := newBed(t)
	fill(t, b.store) // ends 600 s after base
	f := func(want int, keyValues ...string) {
		t.Helper()
		var e struct{ Data struct{ Result []any } }
		decode(t, []byte(b.get(t, "/query", append([]string{"query", "up", "time", "1767226299"}, keyValues...)...).body), &e)
		if len(e.Data.Result) != want {
			t.Errorf("%v: %d series, want %d", keyValues, len(e.Data.Result), want)
		}
	}
	f(3)
	f(3, "lookback_delta", "100")
	f(0, "lookback_delta", "99")
	f(0, "lookback_delta", "1m")
}

// TestStartTimestampHeader: the header is read, and refused when it is no
// boolean.
func TestStartTimestampHeader(t *testing.T) {
	b := newBed(t)
	for value, code := range map[string]int{"true": 200, "false": 200, "perhaps": 400} {
		a := b.do(t, http.MethodGet, "/query", "query=1", "X-Prometheus-Use-Start-Timestamps", value)
		if a.code != code || !json.Valid([]byte(a.body)) {
			t.Errorf("%s: %d %s", value, a.code, a.body)
		}
	}
}
