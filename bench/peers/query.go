package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/chironhq/chiron/bench/load"
)

// queries are what is asked, by how many series they touch when there are
// 100,000: 2000 pods, a hundred of them in each of twenty namespaces.
func queries(w *load.Workload) []struct{ name, text string } {
	var pod string
	for _, l := range w.Labels(0) {
		if l[0] == "pod" {
			pod = l[1]
		}
	}
	one, hundred := fmt.Sprintf("pod=%q", pod), `namespace="payments"`
	thousand := `namespace=~"checkout|payments|catalog|search|cart|ledger|auth|profile|notify|shipping"`
	raw := func(sel string) string { return "db_connection_wait_seconds{" + sel + "}" }
	rate := func(sel string) string { return `rate(http_requests_total{method="GET",code="200",` + sel + "}[5m])" }
	return []struct{ name, text string }{
		{"raw-1", raw(one)},
		{"raw-100", raw(hundred)},
		{"raw-1000", raw(thousand)},
		{"rate-1", rate(one)},
		{"rate-100", rate(hundred)},
		{"rate-1000", rate(thousand)},
		{"sum-rate-2000", `sum by (service)(rate(http_requests_total{method="GET",code="200"}[5m]))`},
	}
}

// answer is what one peer said to one query.
type answer struct {
	peer, query string
	series      int
	digest      uint64
}

// query fills a server with hours of data, looks at what it takes, and asks.
func (b *bench) query(ctx context.Context, p *peer, s *server) error {
	rounds := max(2, int(b.hours*float64(time.Hour)/float64(load.Interval)))
	proto := p.protocols[len(p.protocols)-1] // the newest: the load is not what is measured
	what := fmt.Sprintf("%s, %d series x %.3g h", p.name, b.querySeries, b.hours)
	b.say("%s: filling, load average %s", what, loadAverage())
	w, send := b.sender(s, b.querySeries, rounds, b.queryBatch, proto, what)
	fill, err := b.phase(ctx, s, send, rounds)
	if err != nil {
		return err
	}
	if err := s.quiet(ctx, time.Minute); err != nil {
		return err
	}
	m, err := s.memory(ctx)
	if err != nil {
		return err
	}
	b.say("%s: queries, load average %s", what, loadAverage())
	scale := fmt.Sprintf("/series=%d/hours=%g", b.querySeries, b.hours)
	for _, q := range queries(w) {
		if err := b.ask(ctx, p, s, w, rounds, q.name, q.text, scale); err != nil {
			return fmt.Errorf("%s: %w", q.text, err)
		}
	}
	b.say("%s: reading back", what)
	if err := b.verify(ctx, p, s, w, rounds, fill.Retries); err != nil {
		return err
	}
	stored, err := p.stored(ctx, s, fill.Samples)
	if err != nil {
		return fmt.Errorf("cannot tell the bytes stored: %w", err)
	}
	b.report.add(p.name, "part=stored"+scale, 1,
		value{stored, "B/sample"}, value{m.rss / mib, "rss-MiB"}, value{m.anonymous / mib, "anon-MiB"}, value{m.peak / mib, "peak-MiB"},
		value{float64(fill.Samples) / fill.cpu.Seconds(), "samples/cpu-s"}, value{float64(fill.Retries), "retries"})
	return nil
}

// A query is asked until that took -ask-for, for the clock of the CPU ticks a
// hundred times a second, but at least and at most so often.
const (
	leastTimes = 5
	mostTimes  = 1000
)

// ask puts one range query over all of the data: plain, and compressed as
// browsers and Grafana ask for it.
func (b *bench) ask(ctx context.Context, p *peer, s *server, w *load.Workload, rounds int, name, text, scale string) error {
	seconds := func(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }
	form := url.Values{"query": {text}, "start": {seconds(w.Start)}, "end": {seconds(w.End(rounds))}, "step": {"15s"}, "nocache": {"1"}, "timeout": {"300s"}}
	path := "/api/v1/query_range?" + form.Encode()
	body, err := s.open(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	a, err := digest(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	a.peer, a.query = p.name, name+scale
	b.answers = append(b.answers, a)
	for _, encoding := range []string{"identity", "gzip"} {
		r, err := b.repeat(ctx, s, path, encoding)
		if err != nil {
			return err
		}
		b.report.add(p.name, "part=query/q="+name+"/encoding="+encoding+scale, r.n,
			value{ms(r.cpu) / float64(r.n), "cpu-ms"}, value{ms(r.median), "p50-ms"}, value{float64(a.series), "series"}, value{float64(r.size), "answer-B"})
	}
	return nil
}

// repeated is what asking n times came to.
type repeated struct {
	n           int
	cpu, median time.Duration
	size        int64 // of one answer on the wire
}

func (b *bench) repeat(ctx context.Context, s *server, path, encoding string) (r repeated, err error) {
	before, err := s.cpu()
	if err != nil {
		return r, err
	}
	var took []time.Duration
	for begin := time.Now(); r.n < leastTimes || r.n < mostTimes && time.Since(begin) < b.askFor; r.n++ {
		t := time.Now()
		body, err := s.openAs(ctx, http.MethodGet, path, encoding)
		if err != nil {
			return r, err
		}
		r.size, err = io.Copy(io.Discard, body)
		if err = errors.Join(err, body.Close()); err != nil {
			return r, err
		}
		took = append(took, time.Since(t))
	}
	after, err := s.cpu()
	slices.Sort(took)
	r.cpu, r.median = after-before, took[len(took)/2]
	return r, err
}

// digest reads an answer as a set of series: their order is nobody's promise.
func digest(r io.Reader) (answer, error) {
	var v struct {
		Status string
		Data   struct {
			Result []struct {
				Metric map[string]string
				Values json.RawMessage
			}
		}
	}
	if err := json.NewDecoder(r).Decode(&v); err != nil {
		return answer{}, err
	}
	a := answer{series: len(v.Data.Result)}
	for _, s := range v.Data.Result {
		h := fnv.New64a()
		for _, k := range slices.SortedFunc(maps.Keys(s.Metric), cmp.Compare) {
			_, _ = fmt.Fprintf(h, "%q=%q,", k, s.Metric[k]) // a hash takes everything
		}
		_, _ = h.Write(s.Values)
		a.digest += h.Sum64()
	}
	return a, nil
}

// compareAnswers makes sure that the same was computed. VictoriaMetrics rounds
// values and has its own idea of rate: of it the number of series must agree.
func (b *bench) compareAnswers() error {
	first := map[string]answer{}
	exact := map[string]answer{}
	var errs []error
	for _, a := range b.answers {
		if f, ok := first[a.query]; !ok {
			first[a.query] = a
		} else if f.series != a.series {
			errs = append(errs, fmt.Errorf("%s: %s answers %d series, %s %d", a.query, f.peer, f.series, a.peer, a.series))
		}
		if a.series == 0 {
			errs = append(errs, fmt.Errorf("%s: %s answers nothing", a.query, a.peer))
		}
		if a.peer == "victoriametrics" {
			continue
		}
		if e, ok := exact[a.query]; !ok {
			exact[a.query] = a
		} else if e.digest != a.digest {
			errs = append(errs, fmt.Errorf("%s: %s and %s answer differently", a.query, e.peer, a.peer))
		}
	}
	return errors.Join(errs...)
}
