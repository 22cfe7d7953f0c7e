package tsdbcache

import (
	"cmp"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

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

// Stats counts what the ring holds; each list has at most limit lines, the
// largest first.
func (db *DB) Stats(limit int) Stats {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return Stats{}
	}
	s := Stats{Series: db.series.live, LabelPairs: db.post.pairs, PageSize: pageSize}
	db.syms.mu.Lock()
	s.Symbols = db.syms.live
	db.syms.mu.Unlock()
	s.PagesFree, s.PagesOpen, s.PagesClosed = db.pageCounts()
	if minT, maxT, ok := db.bounds(); ok {
		s.MinTime, s.MaxTime = minT, maxT
	}
	for id, n := range db.post.names {
		name := db.syms.get(id)
		bytes, values := uint64(0), uint64(0)
		for v, l := range n.vals {
			count := uint64(0)
			l.each(func(slot uint32) {
				if db.series.cold(slot).state == stateLive {
					count++
				}
			})
			if count == 0 {
				continue
			}
			values++
			val := db.syms.get(v)
			bytes += uint64(len(val))
			s.SeriesByPair = top(s.SeriesByPair, Count{name + "=" + val, count}, limit)
			if name == labels.MetricName {
				s.SeriesByMetric = top(s.SeriesByMetric, Count{val, count}, limit)
			}
		}
		if values > 0 {
			s.ValuesByLabel = top(s.ValuesByLabel, Count{name, values}, limit)
			s.BytesByLabel = top(s.BytesByLabel, Count{name, bytes}, limit)
		}
	}
	return s
}

// Evicted is how many pages were given back to make room or by retention since
// the ring was opened.
func (db *DB) Evicted() int {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.n.evicted
}

// top keeps the limit largest lines, sorted.
func top(list []Count, c Count, limit int) []Count {
	at, _ := slices.BinarySearchFunc(list, c, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Name, b.Name))
	})
	if at >= limit {
		return list
	}
	list = slices.Insert(list, at, c)
	return list[:min(len(list), limit)]
}
