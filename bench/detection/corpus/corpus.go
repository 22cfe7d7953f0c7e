// Package corpus reads labelled series from disk.
package corpus

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/chironhq/chiron/bench/detection/nab"
)

// Open opens a file, unpacking it if its name ends in .gz. If path is missing
// but path.gz exists, that is opened.
func Open(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !strings.HasSuffix(path, ".gz") {
		path += ".gz"
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(path, ".gz") {
		return f, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}, nil
}

var layouts = []string{
	"2006-01-02 15:04:05", "2006-01-02 15:04:05.000000", time.RFC3339,
	"2006-01-02T15:04:05", "2006-01-02 15:04", "1/2/2006 15:04", "1/2/2006 3:04:05 PM",
}

// ParseTime accepts Unix seconds and the layouts found in public corpora.
func ParseTime(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0).UTC(), nil
	}
	for _, l := range layouts {
		if t, err := time.Parse(l, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("cannot read time %q", s)
}

// Entity is a labelled series of one or more columns.
type Entity struct {
	Columns int
	Times   []time.Time
	Rows    [][]float64
	Labels  []bool // false throughout where a file has no label column
}

// ReadEntity reads a file with the columns timestamp and value, or m00, m01,
// ..., and perhaps label.
func ReadEntity(path string) (e Entity, err error) {
	r, err := Open(path)
	if err != nil {
		return e, err
	}
	defer func() { _ = r.Close() }()
	cr := csv.NewReader(r)
	cr.ReuseRecord = true
	head, err := cr.Read()
	if err != nil {
		return e, fmt.Errorf("%s: %w", path, err)
	}
	label := -1
	var columns []int
	for j, h := range head {
		switch {
		case j == 0 && h == "timestamp":
		case h == "label":
			label = j
		case h == "value", strings.HasPrefix(h, "m"):
			columns = append(columns, j)
		default:
			return e, fmt.Errorf("%s: unknown column %q: want timestamp, value or m00, m01, ..., label", path, h)
		}
	}
	if e.Columns = len(columns); e.Columns == 0 || head[0] != "timestamp" {
		return e, fmt.Errorf("%s: no column timestamp, or none with values", path)
	}
	for n := 2; ; n++ {
		rec, err := cr.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return e, fmt.Errorf("%s: %w", path, err)
		}
		t, err := ParseTime(rec[0])
		if err != nil {
			return e, fmt.Errorf("%s: row %d: %w", path, n, err)
		}
		row := make([]float64, len(columns))
		for i, j := range columns {
			if row[i], err = strconv.ParseFloat(rec[j], 64); err != nil {
				return e, fmt.Errorf("%s: row %d: %w", path, n, err)
			}
		}
		e.Times, e.Rows = append(e.Times, t), append(e.Rows, row)
		e.Labels = append(e.Labels, label >= 0 && strings.HasPrefix(rec[label], "1"))
	}
	if len(e.Rows) < 2 {
		return e, fmt.Errorf("%s: fewer than two rows", path)
	}
	return e, nil
}

// ReadWindows reads a NAB window file: {"dir/file.csv": [["start","end"],...]}.
func ReadWindows(path string) (map[string][]nab.Window, error) {
	r, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	var raw map[string][][2]string
	if err := json.NewDecoder(r).Decode(&raw); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	out := make(map[string][]nab.Window, len(raw))
	for name, ws := range raw {
		out[name] = []nab.Window{}
		for _, w := range ws {
			a, err := ParseTime(w[0])
			if err != nil {
				return nil, err
			}
			b, err := ParseTime(w[1])
			if err != nil {
				return nil, err
			}
			out[name] = append(out[name], nab.Window{Start: a, End: b})
		}
	}
	return out, nil
}

// Files lists the .csv and .csv.gz files below a directory, relative to it and
// without .gz.
func Files(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		p, _ = filepath.Rel(dir, p)
		p = strings.TrimSuffix(filepath.ToSlash(p), ".gz")
		if strings.HasSuffix(p, ".csv") {
			out = append(out, p)
		}
		return nil
	})
	sort.Strings(out)
	return out, err
}
