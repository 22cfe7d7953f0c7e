package rules

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// The file of saved models:
//
//	"CHIRONM2"
//	uvarint rules, then for each:
//	    string key, varint lastEval, bytes state of the group's scorer
//	    uvarint series, then for each:
//	        uvarint labels, then name and value strings
//	        varint seen, bytes state of the scorer
//	crc32 (Castagnoli, little endian) of everything before it
//
// Strings and bytes stand behind their length as uvarint.
const stateMagic = "CHIRONM2"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// savedRule is one rule's models as they were saved.
type savedRule struct {
	lastEval int64
	group    []byte // state of the group's scorer; empty: none
	series   []savedSeries
}

type savedSeries struct {
	labels labels.Labels
	seen   int64
	state  []byte
}

// save writes all models to the state file, atomically.
func (m *Manager) save() error {
	m.mu.Lock()
	groups, loaded := slices.Clone(m.groups), m.restored
	m.mu.Unlock()
	if !loaded {
		return nil // what was saved is not taken over yet and must stay
	}
	b := []byte(stateMagic)
	var rules []*anomalyRule
	for _, g := range groups {
		rules = append(rules, g.anomalies...)
	}
	b = binary.AppendUvarint(b, uint64(len(rules)))
	var err error
	for _, r := range rules {
		if b, err = r.appendState(b); err != nil {
			m.metrics.snapshots.WithLabelValues("failed").Inc()
			return fmt.Errorf("cannot save the models of %s: %w", r.Name(), err)
		}
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if err := writeAtomically(m.stateFile(), b); err != nil {
		m.metrics.snapshots.WithLabelValues("failed").Inc()
		return fmt.Errorf("cannot save models: %w", err)
	}
	m.metrics.snapshots.WithLabelValues("written").Inc()
	m.metrics.snapshot.Set(float64(len(b)))
	return nil
}

func (r *anomalyRule) appendState(b []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b = appendBytes(b, r.key)
	b = binary.AppendVarint(b, r.lastEval)
	var scratch []byte
	var err error
	if r.group != nil {
		if scratch, err = r.group.AppendBinary(nil); err != nil {
			return nil, err
		}
	}
	b = appendBytes(b, scratch)
	b = binary.AppendUvarint(b, uint64(len(r.series)))
	for _, tr := range r.series {
		b = binary.AppendUvarint(b, uint64(tr.labels.Len()))
		tr.labels.Range(func(l labels.Label) { b = appendBytes(appendBytes(b, l.Name), l.Value) })
		b = binary.AppendVarint(b, tr.seen)
		scratch = scratch[:0]
		if l := tr.learner(); l != nil {
			if scratch, err = l.AppendBinary(scratch); err != nil {
				return nil, err
			}
		}
		b = appendBytes(b, scratch)
	}
	return b, nil
}

func appendBytes[T string | []byte](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// writeAtomically replaces the file so that a crash leaves the old or the new.
func writeAtomically(file string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".tmp*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// loadState reads the state file; none is no error.
func loadState(file string) (map[string]savedRule, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseState(b)
}

// parseState reads what save wrote. The states alias b.
func parseState(b []byte) (map[string]savedRule, error) {
	if len(b) < len(stateMagic)+4 || !bytes.HasPrefix(b, []byte(stateMagic)) {
		return nil, errors.New("not a file of saved models of this version")
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, errors.New("the checksum is wrong: the file is damaged")
	}
	p := &stateParser{b: body[len(stateMagic):]}
	out := map[string]savedRule{}
	for range p.count() {
		key := string(p.bytes())
		r := savedRule{lastEval: p.varint(), group: p.bytes()}
		for range p.count() {
			ls := labels.NewScratchBuilder(8)
			for range p.count() {
				name := string(p.bytes())
				ls.Add(name, string(p.bytes()))
			}
			ls.Sort()
			r.series = append(r.series, savedSeries{labels: ls.Labels(), seen: p.varint(), state: p.bytes()})
		}
		out[key] = r
	}
	if p.failed || len(p.b) > 0 {
		return nil, errors.New("the lengths do not add up: the file is damaged")
	}
	return out, nil
}

type stateParser struct {
	b      []byte
	failed bool
}

func (p *stateParser) fail() { p.failed, p.b = true, nil }

// count reads how many things follow; each takes a byte at least.
func (p *stateParser) count() int {
	v, n := binary.Uvarint(p.b)
	if n <= 0 || v > uint64(len(p.b)-n) {
		p.fail()
		return 0
	}
	p.b = p.b[n:]
	return int(v)
}

func (p *stateParser) varint() int64 {
	v, n := binary.Varint(p.b)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *stateParser) bytes() []byte {
	n := p.count()
	if p.failed {
		return nil
	}
	v := p.b[:n]
	p.b = p.b[n:]
	return v
}

// inheritSaved gives the rules their saved models. A model that does not fit
// its rule any more learns again.
func (g *group) inheritSaved(saved map[string]savedRule) {
	for _, a := range g.anomalies {
		s, ok := saved[a.key]
		if !ok {
			continue
		}
		a.mu.Lock()
		a.lastEval = s.lastEval
		if a.group != nil {
			if err := g.inheritGroup(a, s); err != nil {
				g.logger.Warn("a saved model does not fit and learns again", "rule", a.Name(), "err", err)
				a.mu.Unlock()
				continue
			}
		}
		for _, series := range s.series {
			tr, err := a.track(series.labels)
			if err == nil && tr.learner() != nil {
				err = tr.learner().UnmarshalBinary(series.state)
			}
			if err != nil {
				g.logger.Warn("a saved model does not fit and learns again", "rule", a.Name(), "series", series.labels.String(), "err", err)
				continue
			}
			tr.seen = series.seen
			a.series[string(series.labels.Bytes(nil))] = tr
			g.m.metrics.restored.Inc()
		}
		a.mu.Unlock()
	}
}

// inheritGroup gives a rule the model of all its series; a new one when the
// saved one does not fit.
func (g *group) inheritGroup(a *anomalyRule, s savedRule) error {
	err := a.group.UnmarshalBinary(s.group)
	if err == nil {
		return nil
	}
	a.lastEval = 0
	fresh, _, buildErr := groupOf(a.spec)
	a.group = fresh
	return errors.Join(err, buildErr)
}
