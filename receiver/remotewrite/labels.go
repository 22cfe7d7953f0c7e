package remotewrite

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"
	"unsafe"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Label is a name and a value inside a request.
type Label struct {
	Name, Value []byte
}

// Problem is what is wrong with a series apart from its samples.
type Problem uint8

// The problems. Their words are stable: metrics and messages use them.
const (
	NoProblem Problem = iota
	BadReference
	OddReferences
	MissingName
	EmptyLabelName
	DuplicateLabel
	InvalidUTF8
	TooManyLabels
	LabelNameTooLong
	LabelValueTooLong
	NoSamples
	MixedSamples
	InvalidHistogram
	InvalidExemplar
	NumProblems
)

var problemWords = [NumProblems]string{
	"accepted", "bad_reference", "odd_references", "missing_metric_name", "empty_label_name", "duplicate_label", "invalid_utf8",
	"label_limit", "label_name_too_long", "label_value_too_long", "no_samples", "mixed_samples", "invalid_histogram", "invalid_exemplar",
}

// String is the stable word of the problem.
func (p Problem) String() string {
	if p < NumProblems {
		return problemWords[p]
	}
	return "unknown"
}

// LabelError refuses one series or one exemplar; the rest of the request is good.
type LabelError struct {
	Problem Problem
	Detail  string
}

// Error is the detail, which says what and where.
func (e *LabelError) Error() string { return e.Detail }

// LabelLimits bounds the labels of one series. Zero means no limit.
type LabelLimits struct {
	Count      int // labels per series
	NameBytes  int
	ValueBytes int
}

// LabelSet builds the labels of a series; its buffers are reused.
type LabelSet struct {
	Labels []Label
	Valid  bool // all strings are known to be UTF-8

	builder labels.ScratchBuilder
	built   labels.Labels
	asSent  bool
}

// AsSent reports whether Check left the labels as they came: they were in
// order, and none was empty.
func (ls *LabelSet) AsSent() bool { return ls.asSent }

// ReadLabels fills ls with the labels of the current series as they came. The
// error is a *LabelError when only this series is bad, else it ends the request.
func (d *Decoder) ReadLabels(ls *LabelSet) error {
	ls.Labels = ls.Labels[:0]
	var err error
	if d.proto == V2 {
		ls.Labels, err = d.resolve(ls.Labels, d.s.Refs)
		return err
	}
	if ls.Labels, err = readLabels1(ls.Labels, d.s.Labels, d.MaxLabels); err != nil {
		return d.fail(d.s.base, "label", err)
	}
	return d.tooMany(len(ls.Labels))
}

// tooMany refuses n labels when they are over the limit.
func (d *Decoder) tooMany(n int) error {
	if d.MaxLabels > 0 && n > d.MaxLabels {
		return &LabelError{TooManyLabels, fmt.Sprintf("more than %d labels", d.MaxLabels)}
	}
	return nil
}

// resolve appends the labels that the references stand for.
func (d *Decoder) resolve(ls []Label, refs []uint32) ([]Label, error) {
	if len(refs)%2 != 0 {
		return ls, &LabelError{OddReferences, fmt.Sprintf("%d label references, not a multiple of two", len(refs))}
	}
	if err := d.tooMany(len(refs) / 2); err != nil {
		return ls, err
	}
	for i := 0; i < len(refs); i += 2 {
		name, ok1 := d.Symbol(refs[i])
		value, ok2 := d.Symbol(refs[i+1])
		if !ok1 || !ok2 {
			ref := refs[i]
			if ok1 {
				ref = refs[i+1]
			}
			return ls, &LabelError{BadReference, fmt.Sprintf("label reference %d outside of %d symbols", ref, len(d.symbols))}
		}
		ls = append(ls, Label{name, value})
	}
	return ls, nil
}

// Check makes the set what a store can take: sorted by name, without empty
// values. The error is a *LabelError. A set of an exemplar needs no metric name.
func (ls *LabelSet) Check(limits LabelLimits, needName bool) error {
	if limits.Count > 0 && len(ls.Labels) > limits.Count {
		return &LabelError{TooManyLabels, fmt.Sprintf("%d labels in %s, limit is %d", len(ls.Labels), ls, limits.Count)}
	}
	ls.asSent = true
	twice := false // maybe
	for i := 1; i < len(ls.Labels); i++ {
		c := bytes.Compare(ls.Labels[i-1].Name, ls.Labels[i].Name)
		twice = twice || c == 0
		if c > 0 {
			ls.asSent, twice = false, true
			slices.SortFunc(ls.Labels, func(a, b Label) int { return bytes.Compare(a.Name, b.Name) })
			break
		}
	}
	named, empty := !needName, false
	for i, l := range ls.Labels {
		switch {
		case twice && i > 0 && bytes.Equal(l.Name, ls.Labels[i-1].Name):
			return &LabelError{DuplicateLabel, fmt.Sprintf("label %s twice in %s", short(l.Name), ls)}
		case len(l.Name) == 0 && len(l.Value) > 0:
			return &LabelError{EmptyLabelName, fmt.Sprintf("label without a name in %s", ls)}
		case limits.NameBytes > 0 && len(l.Name) > limits.NameBytes:
			return &LabelError{LabelNameTooLong, fmt.Sprintf("label name of %d bytes, limit is %d: %s", len(l.Name), limits.NameBytes, short(l.Name))}
		case limits.ValueBytes > 0 && len(l.Value) > limits.ValueBytes:
			return &LabelError{LabelValueTooLong, fmt.Sprintf("value of label %s has %d bytes, limit is %d", short(l.Name), len(l.Value), limits.ValueBytes)}
		case !ls.Valid && !utf8.Valid(l.Name):
			return &LabelError{InvalidUTF8, fmt.Sprintf("label name %s is not UTF-8", short(l.Name))}
		case len(l.Value) == 0:
			empty = true
			continue
		case !ls.Valid && !utf8.Valid(l.Value):
			return &LabelError{InvalidUTF8, fmt.Sprintf("value of label %s is not UTF-8: %s", short(l.Name), short(l.Value))}
		}
		named = named || string(l.Name) == labels.MetricName
	}
	if !named {
		return &LabelError{MissingName, fmt.Sprintf("no metric name in %s", ls)}
	}
	if empty {
		ls.asSent = false
		ls.Labels = slices.DeleteFunc(ls.Labels, func(l Label) bool { return len(l.Value) == 0 })
	}
	return nil
}

// Build returns the checked set as labels without allocation. They share
// memory with the request and this set: valid until the next Build.
func (ls *LabelSet) Build() labels.Labels {
	ls.builder.Reset()
	for _, l := range ls.Labels {
		ls.builder.Add(unsafe.String(unsafe.SliceData(l.Name), len(l.Name)), unsafe.String(unsafe.SliceData(l.Value), len(l.Value)))
	}
	ls.builder.Overwrite(&ls.built)
	return ls.built
}

// Copy returns the checked set as labels with memory of their own.
func (ls *LabelSet) Copy() labels.Labels {
	ls.builder.Reset()
	for _, l := range ls.Labels {
		ls.builder.Add(string(l.Name), string(l.Value))
	}
	return ls.builder.Labels()
}

// MetricName is the value of __name__, nil without.
func (ls *LabelSet) MetricName() []byte {
	for _, l := range ls.Labels {
		if string(l.Name) == labels.MetricName {
			return l.Value
		}
	}
	return nil
}

// String shows the set in a message, cut to a few hundred bytes.
func (ls *LabelSet) String() string {
	b := []byte{'{'}
	for i, l := range ls.Labels {
		if i > 0 {
			b = append(b, ", "...)
		}
		if len(b) > 300 {
			b = append(b, "..."...)
			break
		}
		if name := l.Name; len(name) <= 64 && model.LegacyValidation.IsValidLabelName(string(name)) {
			b = append(b, name...)
		} else {
			b = append(b, short(name)...)
		}
		b = fmt.Appendf(b, "=%s", short(l.Value))
	}
	return string(append(b, '}'))
}

// short quotes bytes of the request for a message: at most 64 of them.
func short(b []byte) string {
	if len(b) > 64 {
		return fmt.Sprintf("%q...", b[:64])
	}
	return fmt.Sprintf("%q", b)
}
