package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/prometheus/prometheus/promql/parser"
)

// statusError is an answer that is no success.
type statusError struct {
	code int
	body string
}

func (e statusError) Error() string { return fmt.Sprintf("%d: %s", e.code, e.body) }

// post sends one sample of each series, encoded by Prometheus's own types.
func post(ctx context.Context, url string, v2 bool, series []string, ts int64) error {
	var raw []byte
	var err error
	kind := "application/x-protobuf"
	if v2 {
		kind = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
		symbols := writev2.NewSymbolTable()
		req := &writev2.Request{}
		for _, s := range series {
			ls, err := parser.NewParser(parser.Options{}).ParseMetric(s)
			if err != nil {
				return err
			}
			req.Timeseries = append(req.Timeseries, writev2.TimeSeries{
				LabelsRefs: symbols.SymbolizeLabels(ls, nil), Samples: []writev2.Sample{{Value: crashValue(s, ts), Timestamp: ts}},
			})
		}
		req.Symbols = symbols.Symbols()
		raw, err = req.Marshal()
	} else {
		req := &prompb.WriteRequest{}
		for _, s := range series {
			ls, err := parser.NewParser(parser.Options{}).ParseMetric(s)
			if err != nil {
				return err
			}
			one := prompb.TimeSeries{Samples: []prompb.Sample{{Value: crashValue(s, ts), Timestamp: ts}}}
			ls.Range(func(l labels.Label) { one.Labels = append(one.Labels, prompb.Label{Name: l.Name, Value: l.Value}) })
			req.Timeseries = append(req.Timeseries, one)
		}
		raw, err = req.Marshal()
	}
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(snappy.Encode(nil, raw)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Content-Encoding", "snappy")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return statusError{resp.StatusCode, string(body)}
	}
	return nil
}
