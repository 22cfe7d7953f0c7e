package detect

import "math"

// logAbove is the natural logarithm of x, at least 1, to within 2e-6: linear
// between 256 places of an octave. Auto takes some fifty logarithms a point, and
// this is a third of their price. It never falls as x rises, not by the last bit
// either, so that scores that are made of it do not.
func logAbove(x float64) float64 {
	b := math.Float64bits(x)
	octave := int(b>>52) - 1023
	if uint(octave) >= logOctaves {
		return math.Log(x)
	}
	i := b >> (52 - logBits) & (1<<logBits - 1)
	share := float64(b&(1<<(52-logBits)-1)) * (1.0 / (1 << (52 - logBits)))
	return logOctave[octave] + (logPlace[i] + (logPlace[i+1]-logPlace[i])*share)
}

const (
	logBits    = 8
	logOctaves = 24
)

// An octave begins where the one before it ends, rounding included.
var logPlace, logOctave = func() (place [1<<logBits + 1]float64, octave [logOctaves]float64) {
	for i := range place {
		place[i] = math.Log1p(float64(i) / (1 << logBits))
	}
	for i := 1; i < logOctaves; i++ {
		octave[i] = octave[i-1] + place[1<<logBits]
	}
	return place, octave
}()
