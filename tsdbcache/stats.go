package tsdbcache

// Stats describe what the ring holds, as /api/v1/status/tsdb shows it.
type Stats struct {
	Series     int
	Symbols    int
	LabelPairs int
	// Pages of the ring by state, and the size of one in bytes.
	PagesFree, PagesOpen, PagesClosed, PageSize int
	// MinTime and MaxTime bound the samples held, in milliseconds; both 0
	// while there is none.
	MinTime, MaxTime int64

	SeriesByMetric []Count // metric name -> series
	ValuesByLabel  []Count // label name -> distinct values
	BytesByLabel   []Count // label name -> bytes of its distinct values
	SeriesByPair   []Count // name=value -> series
}

// Count is one line of a top list.
type Count struct {
	Name  string
	Value uint64
}
