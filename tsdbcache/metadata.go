package tsdbcache

import (
	"maps"

	"github.com/prometheus/prometheus/model/metadata"
)

// metas holds what was last said of each metric family. It is bounded: when
// it is full, new families are not kept.
type metas struct {
	byFamily map[string]metadata.Metadata
	bytes    int // of all texts
}

const (
	maxMetas     = 100_000
	maxMetaText  = 4 << 10  // longer help is cut
	maxMetaBytes = 32 << 20 // of all texts
)

func newMetas() *metas { return &metas{byFamily: map[string]metadata.Metadata{}} }

func clip(m metadata.Metadata) metadata.Metadata {
	if len(m.Help) > maxMetaText {
		m.Help = m.Help[:maxMetaText]
	}
	if len(m.Unit) > maxMetaText {
		m.Unit = m.Unit[:maxMetaText]
	}
	return m
}

// changes reports whether set would change anything.
func (s *metas) changes(family string, m metadata.Metadata) bool {
	old, ok := s.byFamily[family]
	m = clip(m)
	if !ok && len(s.byFamily) >= maxMetas || s.bytes+s.grows(family, m) > maxMetaBytes {
		return false
	}
	return family != "" && len(family) <= maxMetaText && (!ok || old != m)
}

func (s *metas) set(family string, m metadata.Metadata) {
	if s.changes(family, m) {
		m = clip(m)
		s.bytes += s.grows(family, m)
		s.byFamily[family] = m
	}
}

// grows is by how many bytes the texts grow with m.
func (s *metas) grows(family string, m metadata.Metadata) int {
	n := len(m.Help) + len(m.Unit)
	if old, ok := s.byFamily[family]; ok {
		return n - len(old.Help) - len(old.Unit)
	}
	return n + len(family)
}

// Metadata is what was last said of a metric family.
func (db *DB) Metadata(metric string) (metadata.Metadata, bool) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	m, ok := db.meta.byFamily[metric]
	return m, ok
}

// EachMetadata calls f with every family that has metadata, in no order, until
// f returns false.
func (db *DB) EachMetadata(f func(family string, m metadata.Metadata) bool) {
	db.mu.RLock()
	all := maps.Clone(db.meta.byFamily)
	db.mu.RUnlock()
	for k, m := range all {
		if !f(k, m) {
			return
		}
	}
}
