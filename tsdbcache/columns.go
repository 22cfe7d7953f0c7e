package tsdbcache

import (
	"sort"
	"unsafe"
)

// Floats decodes all samples of a fresh iterator at once, which costs less than
// a call for each. ok is false, and the iterator as it was, if the series has
// histograms. The slices belong to the caller until the iterator is used again;
// Err tells whether they are complete.
func (it *iterator) Floats() (t []int64, v []float64, ok bool) {
	if it.i >= 0 || len(it.cur.hs) > 0 {
		return nil, nil, false
	}
	for _, k := range it.chunks {
		if k.kind == kindHist || k.kind == kindLateHist {
			return nil, nil, false
		}
	}
	for _, k := range it.chunks { // none if late samples were merged: cur has all
		if err := it.decode(k, it.lateN, &it.cur, &it.scratch); err != nil {
			it.fail(err)
			return nil, nil, true
		}
	}
	t = it.cur.t
	lo := sort.Search(len(t), func(i int) bool { return t[i] >= it.mint })
	hi := lo + sort.Search(len(t)-lo, func(i int) bool { return t[lo+i] > it.maxt })
	bits := it.cur.v[lo:hi]
	it.finish()
	return t[lo:hi], unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(bits))), len(bits)), true
}
