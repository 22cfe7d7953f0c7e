package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Verifier reads back what a server acknowledged.
type Verifier struct {
	Base string // root of the query API
	// Tolerance is the relative error that values may have: 0 for stores that
	// promise to give back what they were given.
	Tolerance float64
	// Repeats says that samples of a request that was sent again may be there
	// twice, in a store that does not compare them.
	Repeats bool
	// Patience is how long a server may take to show new samples.
	Patience time.Duration
}

// witnesses is how many series are compared sample by sample.
const witnesses = 7

// Verify compares a server that got the first rounds of a workload and nothing
// else with the workload: the number of series, the number of samples under
// every metric name, and every sample of a few series spread over the set. The
// error names all that differs.
func (v Verifier) Verify(ctx context.Context, w *Workload, rounds int) error {
	end := w.End(rounds)
	window := end/1000 - w.Start/1000 + 2
	errs := []error{v.expect(ctx, `count({__name__=~".+"})`, end, float64(w.Series))}
	names := w.Names()
	for _, name := range sortedKeys(names) {
		q := fmt.Sprintf("sum(count_over_time({__name__=%q}[%ds]))", name, window)
		errs = append(errs, v.expect(ctx, q, end, float64(names[name])*float64(rounds)))
	}
	for k := range min(witnesses, w.Series) {
		i := k * (w.Series - 1) / max(1, witnesses-1)
		errs = append(errs, v.compare(ctx, w, i, rounds, fmt.Sprintf("%s[%ds]", selector(w.Labels(i)), window), end))
	}
	return errors.Join(errs...)
}

// expect asks for one number until it is the right one.
func (v Verifier) expect(ctx context.Context, q string, at int64, want float64) error {
	return v.until(ctx, func() error {
		result, err := v.query(ctx, q, at)
		if err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
		got := 0.0 // an empty answer counts nothing
		if len(result) == 1 {
			if _, got, err = result[0].Value.parse(); err != nil {
				return fmt.Errorf("%s: %w", q, err)
			}
		}
		if got != want && (!v.Repeats || got < want) || len(result) > 1 {
			return fmt.Errorf("%s is %v, want %v (%d results)", q, got, want, len(result))
		}
		return nil
	})
}

// compare asks for every sample of series i.
func (v Verifier) compare(ctx context.Context, w *Workload, i, rounds int, q string, at int64) error {
	return v.until(ctx, func() error {
		result, err := v.query(ctx, q, at)
		if err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
		n := 0
		for i := range result {
			if v.Repeats {
				result[i].Values = slices.Compact(result[i].Values)
			}
			n += len(result[i].Values)
		}
		if len(result) != 1 || n != rounds {
			return fmt.Errorf("%s has %d samples in %d series, want %d in one", q, n, len(result), rounds)
		}
		value := 0.0
		for round, p := range result[0].Values {
			value = w.step(value, i, round)
			t, got, err := p.parse()
			if err != nil {
				return fmt.Errorf("%s: %w", q, err)
			}
			if want := w.time(i, round); t != want || math.Abs(got-value) > v.Tolerance*math.Abs(value) {
				return fmt.Errorf("%s: sample %d is %v at %d, want %v at %d", q, round, got, t, value, want)
			}
		}
		return nil
	})
}

// until repeats a check for as long as the server may take.
func (v Verifier) until(ctx context.Context, check func() error) error {
	for deadline := time.Now().Add(v.Patience); ; {
		err := check()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// point is a time in seconds and a value as text.
type point [2]any

func (p point) parse() (t int64, v float64, err error) {
	seconds, ok := p[0].(float64)
	text, isText := p[1].(string)
	if !ok || !isText {
		return 0, 0, fmt.Errorf("%v is no sample", p)
	}
	v, err = strconv.ParseFloat(text, 64)
	return int64(math.Round(seconds * 1000)), v, err
}

type series struct {
	Value  point
	Values []point
}

// query asks for an instant query's result at a time in milliseconds.
func (v Verifier) query(ctx context.Context, q string, at int64) ([]series, error) {
	form := url.Values{"query": {q}, "time": {strconv.FormatFloat(float64(at)/1000, 'f', 3, 64)}, "nocache": {"1"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.Base+"/api/v1/query", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := (&http.Client{Timeout: 5 * time.Minute}).Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	var answer struct {
		Status, Error string
		Data          struct{ Result []series }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("%s: %w", resp.Status, err)
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("%s: %s", resp.Status, answer.Error)
	}
	return answer.Data.Result, nil
}

func sortedKeys(m map[string]int) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
