package auto

// briefs are the statistics of a few values: of these, what comes far more often than
// the budget lets false alerts come, and is over at once each time, is how the series
// is: flags, rare errors, batches. Tails cannot tell: where they begin to be
// extrapolated there is none of it yet.
const briefs = ofThree + 1

// burst is what one side of a statistic knows of values that lay far out for a
// moment only.
type burst struct {
	count float32 // of late; late is the time in which the budget allows one alert
	size  half    // how far out they went
	run   uint8   // values of the one under way
}

const (
	// brief is of how many values one consists at most, burstMargin how much farther
	// than the usual ones another must go.
	brief, burstMargin = 3, 1.15
	// burstGrowth is by how much one of them makes the size grow at most.
	burstGrowth = 2
	// burstKept is the part of the size that is kept when another one was smaller.
	burstKept = 0.98
)

// burstsUsual is from how many on they are usual: two values of three far out by
// chance that come four times in the time of one alert, or single ones that come every
// day at the usual budget. Less often a single value far out is what users look for.
var burstsUsual = [briefs]float32{30, 4}

func (b *burst) extend() { b.run += min(1, 255-b.run) }

// end takes in how far it went, which least is the least of.
func (b *burst) end(most, least float64) {
	if b.run <= brief {
		b.count++
		size := b.size.float()
		b.size = toHalf(max(size*burstKept, min(most, burstGrowth*max(size, least))))
	}
	b.run = 0
}

// fade forgets a part of them.
func (b *burst) fade(part float32) {
	part = min(part, 1)
	b.count -= part * b.count
}

// usual is how far out is still usual; 0: nothing is known.
func (b *burst) usual(i int) float32 {
	if b.count < burstsUsual[i] {
		return 0
	}
	return float32(burstMargin * b.size.float())
}

func (b *burst) code(c *coder) {
	c.float32(&b.count)
	number(c, 2, &b.size)
	number(c, 1, &b.run)
}

func (b *burst) sound() bool { return b.count >= 0 && b.size < 0x8000 && b.size != nothing }
