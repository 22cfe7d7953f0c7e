package detect

import "reflect"

// Size is the bytes of a value itself, without what it points to.
func Size(v any) int { return int(reflect.TypeOf(v).Elem().Size()) }
