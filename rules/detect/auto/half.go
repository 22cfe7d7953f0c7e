package auto

import "math"

// half is a number of 16 bits: IEEE 754 binary16, without infinities. What is
// remembered for weeks is kept so, relative to a level and in a unit of the
// series' own noise: 11 bits are finer than that noise.
type half uint16

// nothing is the half that stands for no value.
const nothing half = 0x7e00

const greatestHalf = 65504

// toHalf rounds to nearest; numbers that are too large become the largest ones.
func toHalf(x float64) half {
	if math.IsNaN(x) {
		return nothing
	}
	var sign half
	if x < 0 {
		sign, x = 0x8000, -x
	}
	if x >= greatestHalf {
		return sign | 0x7bff
	}
	if x < 0x1p-14 { // subnormal
		return sign | half(math.RoundToEven(x*0x1p24))
	}
	b := math.Float64bits(x)
	h := half((b>>52)-1023+15)<<10 | half(b>>42&0x3ff)
	if b&(1<<41) != 0 {
		h++
	}
	return sign | min(h, 0x7bff)
}

// float is the inverse of toHalf, but for nothing.
func (h half) float() float64 {
	v := float64(math.Float32frombits(uint32(h&0x7fff)<<13)) * 0x1p112
	if h&0x8000 != 0 {
		return -v
	}
	return v
}
