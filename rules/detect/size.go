package detect

import (
	"math/bits"
	"reflect"
	"slices"
	"sync"
	"time"
	"unsafe"
)

// Size is how many bytes of heap a scorer or a model holds, as the allocator
// counts them. It follows what v points to: structs, slices up to their
// capacity, strings, and an estimate of maps. What several share is not
// counted: functions, time zones and tables of the package. A slice that is a
// part of another one is counted twice; no model has such.
//
// It changes nothing, and costs about as much as v has pointers.
func Size(v any) int {
	s := sizer{}
	s.interior(reflect.ValueOf(v))
	return s.bytes
}

// Grown is how many bytes of heap a fresh scorer or model will hold at most,
// when it has learned. v is used up by the question. Of a model that judges
// series together it is what it holds of nobody: its members come later.
func Grown(v any) int {
	reserve(v)
	return Size(v)
}

// reserver is what grows after it was made.
type reserver interface {
	// reserve takes all the memory that the model will ever take. It must not
	// be used further.
	reserve()
}

func reserve(v any) {
	if r, ok := v.(reserver); ok {
		r.reserve()
	}
}

// sizer adds up.
type sizer struct {
	bytes int
	few   [24]unsafe.Pointer // allocations seen, the first ones
	n     int
	more  map[unsafe.Pointer]struct{}
}

// first tells whether an allocation is seen for the first time.
func (s *sizer) first(p unsafe.Pointer) bool {
	if slices.Contains(s.few[:s.n], p) {
		return false
	}
	if s.n < len(s.few) {
		s.few[s.n] = p
		s.n++
		return true
	}
	if _, ok := s.more[p]; ok {
		return false
	}
	if s.more == nil {
		s.more = map[unsafe.Pointer]struct{}{}
	}
	s.more[p] = struct{}{}
	return true
}

// interior adds what a value points to, without the value itself.
func (s *sizer) interior(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		t := v.Type().Elem()
		if v.IsNil() || t == locationType || !s.first(v.UnsafePointer()) {
			return
		}
		s.bytes += allocated(t.Size(), pointers(t))
		if pointers(t) {
			s.interior(v.Elem())
		}
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		e := v.Elem()
		if t := e.Type(); !direct(t) {
			s.bytes += allocated(t.Size(), pointers(t))
		}
		s.interior(e)
	case reflect.Slice:
		t := v.Type().Elem()
		if v.Cap() == 0 || !s.first(v.UnsafePointer()) {
			return
		}
		s.bytes += allocated(t.Size()*uintptr(v.Cap()), pointers(t)) //nolint:gosec // not negative
		if pointers(t) {
			s.elements(v)
		}
	case reflect.Array:
		if pointers(v.Type()) {
			s.elements(v)
		}
	case reflect.String:
		if text := v.String(); text != "" && s.first(unsafe.Pointer(unsafe.StringData(text))) {
			s.bytes += allocated(uintptr(len(text)), false)
		}
	case reflect.Struct:
		for i := range v.NumField() { //nolint:modernize // an iterator describes each field, which allocates
			if f := v.Field(i); pointers(f.Type()) {
				s.interior(f)
			}
		}
	case reflect.Map:
		if !v.IsNil() {
			s.table(v)
		}
	default: // numbers, and functions, which are shared
	}
}

func (s *sizer) elements(v reflect.Value) {
	for i := range v.Len() {
		s.interior(v.Index(i))
	}
}

// table estimates a map: groups of eight places with a byte of control each,
// a power of two of them, seven places of which are in use at most. Places that
// are free again after there were more are not seen.
func (s *sizer) table(v reflect.Value) {
	const header, table, group = 48, 40, 8
	key, value := v.Type().Key(), v.Type().Elem()
	place := key.Size() + max(value.Size(), 1)                        // nothing at the end takes a place as well
	if align := uintptr(max(key.Align(), value.Align())); align > 0 { //nolint:gosec // small
		place = (place + align - 1) / align * align
	}
	s.bytes += allocated(header, true)
	switch n := v.Len(); {
	case n == 0:
	case n <= group:
		s.bytes += allocated(group+group*place, true)
	default:
		places := uintptr(1) << bits.Len(uint((n*8+6)/7-1)) //nolint:gosec // above 0
		s.bytes += table + allocated(places/group*(group+group*place), true)
	}
	if !pointers(key) && !pointers(value) {
		return
	}
	for i := v.MapRange(); i.Next(); {
		s.interior(i.Key())
		s.interior(i.Value())
	}
}

var locationType = reflect.TypeFor[time.Location]()

// pointed is a cache of pointers by type.
var pointed sync.Map

// pointers tells whether values of a type can point to memory of their own.
func pointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.String, reflect.Map:
		return true
	case reflect.Array:
		return t.Len() > 0 && pointers(t.Elem())
	case reflect.Struct:
		if known, ok := pointed.Load(t); ok {
			return known.(bool)
		}
		has := false
		for f := range t.Fields() {
			has = has || pointers(f.Type)
		}
		pointed.Store(t, has)
		return has
	default:
		return false
	}
}

// direct tells whether an interface holds values of a type in itself: pointers,
// and what is nothing but one.
func direct(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return true
	case reflect.Struct:
		return t.NumField() == 1 && direct(t.Field(0).Type)
	case reflect.Array:
		return t.Len() == 1 && direct(t.Elem())
	default:
		return false
	}
}

// allocated is how many bytes the allocator gives for so many.
func allocated(bytes uintptr, pointers bool) int {
	const (
		small  = 32 << 10 // beyond, whole pages
		page   = 8 << 10
		header = 512 // objects with pointers of more than so many bytes have one of 8 bytes
	)
	if bytes == 0 {
		return 0
	}
	if pointers && bytes > header && bytes <= small-8 {
		bytes += 8
	}
	if bytes > small {
		return int((bytes + page - 1) / page * page) //nolint:gosec // far smaller
	}
	classes := sizeClasses()
	i, _ := slices.BinarySearch(classes, int(bytes)) //nolint:gosec // at most small
	return classes[i]
}

// sizeClasses are those of the runtime's allocator, as it shows them: what
// append takes for a slice of bytes.
var sizeClasses = sync.OnceValue(func() (out []int) {
	for n := 1; n <= 32<<10; n = out[len(out)-1] + 1 {
		out = append(out, cap(append([]byte(nil), make([]byte, n)...)))
	}
	return out
})
