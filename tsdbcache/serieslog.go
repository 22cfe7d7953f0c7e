package tsdbcache

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/metadata"
)

// The series log names what the pages only number. Payloads, by first byte:
//
//	'Y'  uvarint symbol, its string
//	'S'  uvarint slot, u32 generation, uvarint symbols: name, value, ...
//	'M'  family, type, unit, help, each with a uvarint length
//
// A later record of the same slot or family replaces the earlier one. Nothing
// says that a series left: it then has no pages.
const seriesMagic = "CHSL0001"

type seriesLog struct {
	*recordLog
	records int // series records in the file
}

// record writes the symbols and labels of pending series and changed metadata.
func (l *seriesLog) record(db *DB, fresh []uint32, ms []txMeta) error {
	var named []*symbol
	for _, slot := range fresh {
		db.refs = decodeRefs(db.refs[:0], db.series.encoded(slot))
		for _, id := range db.refs {
			if p := db.syms.at(id); !p.logged {
				l.putSymbol(p)
				p.logged = true
				named = append(named, p)
			}
		}
		l.putSeries(db, slot)
	}
	for _, m := range ms {
		if db.meta.changes(m.family, m.m) {
			l.putMeta(m.family, m.m)
		}
	}
	if err := l.flush(); err != nil {
		for _, p := range named {
			p.logged = false
		}
		for _, slot := range fresh {
			db.series.cold(slot).logged = false
		}
		return err
	}
	l.records += len(fresh)
	return nil
}

func (l *seriesLog) putSymbol(p *symbol) {
	at := l.begin()
	l.buf = append(l.buf, 'Y')
	l.buf = binary.AppendUvarint(l.buf, uint64(p.id))
	l.buf = append(l.buf, p.s...)
	l.end(at)
}

func (l *seriesLog) putSeries(db *DB, slot uint32) {
	at := l.begin()
	l.buf = append(l.buf, 'S')
	l.buf = binary.AppendUvarint(l.buf, uint64(slot))
	l.buf = binary.LittleEndian.AppendUint32(l.buf, atomic.LoadUint32(&db.series.entry(slot).gen))
	l.buf = append(l.buf, db.series.encoded(slot)...)
	l.end(at)
}

func (l *seriesLog) putMeta(family string, m metadata.Metadata) {
	at := l.begin()
	l.buf = append(l.buf, 'M')
	for _, s := range []string{family, string(m.Type), m.Unit, m.Help} {
		l.buf = binary.AppendUvarint(l.buf, uint64(len(s)))
		l.buf = append(l.buf, s...)
	}
	l.end(at)
}

// compact rewrites the log with what lives. db.mu is held for writing.
func (l *seriesLog) compact(db *DB) error {
	records := 0
	var written []*symbol
	err := l.rewrite(func(n *recordLog) {
		out := &seriesLog{recordLog: n}
		seen := map[uint32]bool{}
		for slot := uint32(1); slot < db.series.next; slot++ {
			c := db.series.cold(slot)
			if c.state != stateLive {
				c.logged = false // a pending one writes itself when it commits
				continue
			}
			db.refs = decodeRefs(db.refs[:0], db.series.encoded(slot))
			for _, id := range db.refs {
				if !seen[id] {
					seen[id] = true
					written = append(written, db.syms.at(id))
					out.putSymbol(db.syms.at(id))
				}
			}
			out.putSeries(db, slot)
			records++
		}
		for f, m := range db.meta.byFamily {
			out.putMeta(f, m)
		}
	})
	if err != nil {
		return err
	}
	l.records = records
	db.syms.mu.Lock()
	defer db.syms.mu.Unlock()
	for _, c := range *db.syms.dir.Load() {
		for i := range c {
			if p := c[i].Load(); p != nil {
				p.logged = false
			}
		}
	}
	for _, p := range written {
		p.logged = true
	}
	return nil
}
