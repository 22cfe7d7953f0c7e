package tsdbcache

import (
	"fmt"
	"time"

	"github.com/prometheus/prometheus/util/annotations"
)

// edge is how far back the ring is whole: the newest time of any sample that
// was dropped, to make room or by the retention. It is under DB.mu. The page
// file's header has a copy.
type edge struct {
	known bool
	t     int64 // milliseconds
}

// dropped notes that samples up to t are gone.
func (db *DB) dropped(t int64) {
	if db.edge.known && t <= db.edge.t {
		return
	}
	db.edge = edge{true, t}
	db.arena.noteEdge(db.edge)
}

// warning tells whoever asks for samples from mint on that some are missing.
func (e edge) warning(mint int64) annotations.Annotations {
	if !e.known || mint > e.t {
		return nil
	}
	return annotations.New().Add(fmt.Errorf("%w: the ring reaches back to %s; older samples have been dropped",
		annotations.PromQLWarning, time.UnixMilli(e.t+1).UTC().Format(time.RFC3339)))
}
