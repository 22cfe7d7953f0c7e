package promapi

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/chironhq/chiron/tsdbcache"
)

func (a *api) buildInfo(*http.Request) (any, []string, *apiError) { return a.o.Build, nil, nil }

func (a *api) flags(*http.Request) (any, []string, *apiError) { return a.o.Flags, nil, nil }

func (a *api) config(*http.Request) (any, []string, *apiError) {
	return map[string]string{"yaml": a.o.ConfigYAML()}, nil, nil
}

type runtimeInfo struct {
	StartTime           time.Time `json:"startTime"`
	CWD                 string    `json:"CWD"`
	Hostname            string    `json:"hostname"`
	ServerTime          time.Time `json:"serverTime"`
	ReloadConfigSuccess bool      `json:"reloadConfigSuccess"`
	LastConfigTime      time.Time `json:"lastConfigTime"`
	CorruptionCount     int64     `json:"corruptionCount"`
	GoroutineCount      int       `json:"goroutineCount"`
	GOMAXPROCS          int       `json:"GOMAXPROCS"`
	GOMEMLIMIT          int64     `json:"GOMEMLIMIT"`
	GOGC                string    `json:"GOGC"`
	GODEBUG             string    `json:"GODEBUG"`
	StorageRetention    string    `json:"storageRetention"`
}

func (a *api) runtimeInfo(*http.Request) (any, []string, *apiError) {
	// What the system does not tell is shown empty; it is for reading only.
	cwd, _ := os.Getwd()
	hostname, _ := os.Hostname()
	s := a.o.Runtime()
	return runtimeInfo{
		StartTime:           s.StartTime,
		CWD:                 cwd,
		Hostname:            hostname,
		ServerTime:          a.o.Now().UTC(),
		ReloadConfigSuccess: s.ReloadConfigSuccess,
		LastConfigTime:      s.LastConfigTime,
		CorruptionCount:     s.CorruptionCount,
		GoroutineCount:      runtime.NumGoroutine(),
		GOMAXPROCS:          runtime.GOMAXPROCS(0),
		GOMEMLIMIT:          debug.SetMemoryLimit(-1),
		GOGC:                os.Getenv("GOGC"),
		GODEBUG:             os.Getenv("GODEBUG"),
		StorageRetention:    s.StorageRetention,
	}, nil, nil
}

type tsdbStatus struct {
	HeadStats                   headStats  `json:"headStats"`
	SeriesCountByMetricName     []tsdbStat `json:"seriesCountByMetricName"`
	LabelValueCountByLabelName  []tsdbStat `json:"labelValueCountByLabelName"`
	MemoryInBytesByLabelName    []tsdbStat `json:"memoryInBytesByLabelName"`
	SeriesCountByLabelValuePair []tsdbStat `json:"seriesCountByLabelValuePair"`
}

type headStats struct {
	NumSeries     int   `json:"numSeries"`
	NumLabelPairs int   `json:"numLabelPairs"`
	ChunkCount    int   `json:"chunkCount"` // pages in use
	MinTime       int64 `json:"minTime"`
	MaxTime       int64 `json:"maxTime"`
}

type tsdbStat struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

// maxTSDBLimit is the longest top list that may be asked for.
const maxTSDBLimit = 10_000

func (a *api) tsdb(r *http.Request) (any, []string, *apiError) {
	limit, refusal := intParam(r, "limit", 10)
	if refusal != nil {
		return nil, nil, refusal
	}
	if limit < 1 || limit > maxTSDBLimit {
		return nil, nil, invalidParam("limit", fmt.Errorf("%d is not between 1 and %d", limit, maxTSDBLimit))
	}
	s := a.o.Store.Stats(limit)
	return tsdbStatus{
		HeadStats: headStats{
			NumSeries:     s.Series,
			NumLabelPairs: s.LabelPairs,
			ChunkCount:    s.PagesOpen + s.PagesClosed,
			MinTime:       s.MinTime,
			MaxTime:       s.MaxTime,
		},
		SeriesCountByMetricName:     stats(s.SeriesByMetric),
		LabelValueCountByLabelName:  stats(s.ValuesByLabel),
		MemoryInBytesByLabelName:    stats(s.BytesByLabel),
		SeriesCountByLabelValuePair: stats(s.SeriesByPair),
	}, nil, nil
}

func stats(counts []tsdbcache.Count) []tsdbStat {
	out := make([]tsdbStat, 0, len(counts))
	for _, c := range counts {
		out = append(out, tsdbStat(c))
	}
	return out
}
