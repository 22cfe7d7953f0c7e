package upstream

import (
	"math"
	"strconv"
)

// appendTime appends milliseconds as seconds with as many decimals as needed
// out of three.
func appendTime(b []byte, t int64) []byte {
	if t < 0 {
		b = append(b, '-')
		t = -t
	}
	b = strconv.AppendInt(b, t/1000, 10)
	if f := t % 1000; f != 0 {
		b = append(b, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
	}
	return b
}

const (
	maxExactInt = 1 << 53
	// Two decimals of up to 15 digits never are the same float64, so one that
	// gives the float is the shortest that does.
	maxShortest = 1e15
)

// appendFloat appends the shortest decimal that gives f, as strconv writes it:
// without an exponent between 1e-6 and 1e21.
func appendFloat(b []byte, f float64) []byte {
	if b, ok := appendShort(b, f); ok {
		return b
	}
	return appendLong(b, f)
}

// appendShort is appendFloat for whole numbers and millionths.
func appendShort(b []byte, f float64) ([]byte, bool) {
	if i := int64(f); float64(i) == f && i > -maxExactInt && i < maxExactInt && (i != 0 || !math.Signbit(f)) {
		return strconv.AppendInt(b, i, 10), true
	}
	if x := f * 1e6; x > -maxShortest && x < maxShortest {
		if m := math.RoundToEven(x); m/1e6 == f && m != 0 {
			return appendMillionths(b, int64(m)), true
		}
	}
	return b, false
}

// appendLong is appendFloat for anything.
func appendLong(b []byte, f float64) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs < 1e-6 && abs != 0 || abs >= 1e21 {
		format = 'e'
	}
	return strconv.AppendFloat(b, f, format, -1, 64)
}

// appendMillionths appends m / 1e6 without zeros at the end; m is no multiple
// of 1e6.
func appendMillionths(b []byte, m int64) []byte {
	if m < 0 {
		b = append(b, '-')
		m = -m
	}
	b = strconv.AppendInt(b, m/1e6, 10)
	var digits [7]byte
	digits[0] = '.'
	rest := m % 1e6
	for i := 6; i > 0; i-- {
		digits[i] = byte('0' + rest%10)
		rest /= 10
	}
	n := 7
	for digits[n-1] == '0' {
		n--
	}
	return append(b, digits[:n]...)
}

// appendString appends a JSON string as the stock codec does: bytes beyond ASCII
// as they are, no escapes for HTML.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}
