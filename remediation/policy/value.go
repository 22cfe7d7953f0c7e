package policy

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Value is a float that is written to JSON as Prometheus writes it: as a
// string, because JSON has no NaN and no infinities.
type Value float64

// MarshalJSON writes "1.5", "NaN" or "+Inf".
func (v Value) MarshalJSON() ([]byte, error) {
	f := float64(v)
	if math.IsInf(f, 1) {
		return []byte(`"+Inf"`), nil
	}
	return json.Marshal(strconv.FormatFloat(f, 'f', -1, 64))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (v *Value) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("cannot read a value: %w", err)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return fmt.Errorf("cannot read a value: %w", err)
	}
	*v = Value(f)
	return nil
}
