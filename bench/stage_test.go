package bench

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/chironhq/chiron/receiver/remotewrite"
	"github.com/chironhq/chiron/tsdbcache"
)

// BenchmarkStage: the parts of a steady request one by one. What is left of the
// whole request (BenchmarkSteady) is HTTP, checks and, in 2.0, the making of
// keys and metadata.
func BenchmarkStage(b *testing.B) {
	for _, p := range protocols {
		body := newRounds(perRequest, perRequest, p).next()[0]
		b.Run(fmt.Sprintf("stage=snappy/proto=%s", p), func(b *testing.B) { benchSnappy(b, body) })
		b.Run(fmt.Sprintf("stage=scan/proto=%s", p), func(b *testing.B) { benchScan(b, p, body) })
		for _, n := range seriesCounts {
			s := newKeyed(b, p, n)
			b.Run(fmt.Sprintf("stage=lookup/proto=%s/series=%d", p, n), s.lookup)
			b.Run(fmt.Sprintf("stage=append/proto=%s/series=%d", p, n), s.append)
		}
	}
}

func benchSnappy(b *testing.B, body []byte) {
	var raw []byte
	var err error
	samples := 0
	m := newMeter(b)
	for b.Loop() {
		if raw, err = remotewrite.Decompress(raw, body, 1<<30); err != nil {
			b.Fatal(err)
		}
		samples += perRequest
	}
	m.report(samples, "sample")
}

func benchScan(b *testing.B, p remotewrite.Protocol, body []byte) {
	raw, err := remotewrite.Decompress(nil, body, 1<<30)
	if err != nil {
		b.Fatal(err)
	}
	var d remotewrite.Decoder
	samples := 0
	m := newMeter(b)
	for b.Loop() {
		if err := d.Reset(p, raw); err != nil {
			b.Fatal(err)
		}
		for d.Next() {
			for range d.Series().Samples {
				if _, err := d.NextSample(); err != nil {
					b.Fatal(err)
				}
				samples++
			}
		}
		if d.Err() != nil {
			b.Fatal(d.Err())
		}
	}
	m.report(samples, "sample")
}

// keyed is a ring with files that knows series by the keys of a protocol.
type keyed struct {
	db    *tsdbcache.DB
	space tsdbcache.KeySpace
	keys  [][]byte
	refs  []storage.SeriesRef
	now   int64
}

func newKeyed(b *testing.B, p remotewrite.Protocol, series int) *keyed {
	db, err := tsdbcache.Open(tsdbcache.Options{Dir: b.TempDir(), Memory: 512 << 20, MaxFuture: -1, Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	s := &keyed{db: db, space: tsdbcache.KeyV1, now: queryStart}
	if p == remotewrite.V2 {
		s.space = tsdbcache.KeyV2
	}
	// Keys of 1.0 are label bytes as on the wire; requests of 1.0 give the labels of both.
	var set remotewrite.LabelSet
	var d remotewrite.Decoder
	tx := db.Begin()
	for _, body := range newRounds(series, perRequest, remotewrite.V1).next() {
		raw, err := remotewrite.Decompress(nil, body, 1<<30)
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Reset(remotewrite.V1, raw); err != nil {
			b.Fatal(err)
		}
		for d.Next() {
			key := append([]byte(nil), d.Series().Labels...)
			if err := d.ReadLabels(&set); err != nil {
				b.Fatal(err)
			}
			ls := set.Build()
			if p == remotewrite.V2 {
				key = key[:0]
				ls.Range(func(l labels.Label) {
					key = binary.LittleEndian.AppendUint32(key, tx.Symbol([]byte(l.Name)))
					key = binary.LittleEndian.AppendUint32(key, tx.Symbol([]byte(l.Value)))
				})
			}
			ref, reason := tx.Create(s.space, key, ls)
			if reason != tsdbcache.Accepted {
				b.Fatal(reason)
			}
			tx.Float(ref, 0, s.now, 1)
			s.keys, s.refs = append(s.keys, key), append(s.refs, ref)
		}
	}
	s.commit(b, tx)
	s.each(b, func(tx *tsdbcache.Tx, i int) { s.find(b, tx, i) }) // the order is learned
	return s
}

func (s *keyed) commit(b *testing.B, tx *tsdbcache.Tx) {
	if res, err := tx.Commit(); err != nil || res.RefusedTotal() > 0 {
		b.Fatal(res, err)
	}
}

// each runs f for all series in transactions of a request's size.
func (s *keyed) each(b *testing.B, f func(tx *tsdbcache.Tx, i int)) {
	for lo := 0; lo < len(s.keys); lo += perRequest {
		tx := s.db.Begin()
		for i := lo; i < min(lo+perRequest, len(s.keys)); i++ {
			f(tx, i)
		}
		s.commit(b, tx)
	}
}

func (s *keyed) find(b *testing.B, tx *tsdbcache.Tx, i int) {
	if ref, ok := tx.Lookup(s.space, s.keys[i]); !ok || ref != s.refs[i] {
		b.Fatal("not found")
	}
}

// lookup finds every series by its key.
func (s *keyed) lookup(b *testing.B) {
	samples := 0
	m := newMeter(b)
	for b.Loop() {
		s.each(b, func(tx *tsdbcache.Tx, i int) { s.find(b, tx, i) })
		samples += len(s.keys)
	}
	m.report(samples, "sample")
}

// append stores a sample of every series, known by reference, and makes it
// durable; sealing full pages is part of it.
func (s *keyed) append(b *testing.B) {
	samples := 0
	m := newMeter(b)
	for b.Loop() {
		s.now += Interval
		s.each(b, func(tx *tsdbcache.Tx, i int) { tx.Float(s.refs[i], 0, s.now, float64(s.now/Interval*int64(i%7))) })
		samples += len(s.keys)
	}
	m.report(samples, "sample")
}
