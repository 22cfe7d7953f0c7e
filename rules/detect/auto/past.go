package auto

import "math"

// past remembers the series: the means of the last weekBuckets buckets, which
// are five minutes long, or one step where that is longer, and of two weeks
// before in pieces of an hour. Medians of the same time on other days and
// in other weeks are what the series is expected to be like then; one incident
// among them moves no median.
type past struct {
	ring     [ringBuckets]half
	old      [oldPieces]half
	base     float64 // what is remembered is relative to it,
	unit     float64 // and in this unit; 0: nothing has been remembered yet
	bucket   int64   // seconds; 0: the step is not known yet
	first    int64   // first bucket
	now      int64   // bucket that is being filled
	sum, n   float64 // of its values
	piece    int64   // piece that is being filled
	oldSum   float64
	oldN     float64
	started  bool
	changes  uint32     // times that what is remembered has changed
	perPiece int64      // buckets, by bucket
	recent   [5]float64 // newest values as received
	widths   timely
	falls    falls
}

const (
	// ringBuckets is a week of five minutes, and the neighbours of what was a week
	// ago.
	ringBuckets = 2016 + 4
	oldPieces   = 342 // two weeks of hours
	piecesADay  = 24
	day         = 86400 // seconds
	fine        = 900   // seconds; longer buckets are compared one by one
	// nearby is how many buckets before and after one belong to the same time:
	// jobs do not start on the second.
	nearby = 2
)

// start sets the length of a bucket for a step in seconds.
func (p *past) start(step float64) {
	p.shape(bucketOf(step))
	p.clear()
}

// bucketOf is how long buckets are, in seconds.
func bucketOf(step float64) int64 {
	if step > 200 {
		return max(60, int64(min(step, 30*day)+30)/60*60)
	}
	return 300
}

// clear forgets everything.
func (p *past) clear() {
	for i := range p.ring {
		p.ring[i] = nothing
	}
	for i := range p.old {
		p.old[i] = nothing
	}
}

// shape works out what follows from the length of a bucket.
func (p *past) shape(bucket int64) {
	p.bucket = bucket
	p.perPiece = max(1, p.back(1)/piecesADay)
}

func floorMod(a, n int64) int64 {
	if a %= n; a < 0 {
		a += n
	}
	return a
}

func floorDiv(a, n int64) int64 { return (a - floorMod(a, n)) / n }

func (p *past) half(x float64) half    { return toHalf((x - p.base) / p.unit) }
func (p *past) value(h half) float64   { return p.base + h.float()*p.unit }
func (p *past) bucketOf(t int64) int64 { return floorDiv(t, p.bucket) }
func (p *past) pieceOf(b int64) int64  { return floorDiv(b, p.perPiece) }

// back is how many buckets lie in so many days. A bucket that does not divide
// the day would drift by a part of itself each day.
func (p *past) back(days int64) int64 {
	if p.bucket > day {
		return days
	}
	return (days*day + p.bucket/2) / p.bucket
}

// under is the bucket that is under way once b has been asked for. What is asked
// before the bucket before it is closed must be what is asked after.
func (p *past) under(b int64) int64 { return min(b, p.now+1) }

// inRing tells whether the ring holds bucket b while bucket of is under way;
// older ones have gone to the pieces.
func (p *past) inRing(b, of int64) bool { return max(of, p.now)-b <= ringBuckets }

func (p *past) known(b, of int64) bool {
	return p.started && b >= p.first && b <= p.now && p.inRing(b, of)
}

// at is the mean of bucket b while bucket of is under way.
func (p *past) at(b, of int64) (float64, bool) {
	if !p.known(b, of) {
		return 0, false
	}
	if b == p.now {
		if p.n == 0 {
			return 0, false
		}
		return p.value(p.half(p.sum / p.n)), true
	}
	h := p.ring[floorMod(b, ringBuckets)]
	if h == nothing {
		return 0, false
	}
	return p.value(h), true
}

// smooth is the mean of bucket b and its neighbours, which count half.
func (p *past) smooth(b, of int64) (float64, bool) {
	v, ok := p.at(b, of)
	if p.bucket > fine {
		return v, ok
	}
	sum, n := 0.0, 0.0
	if ok {
		sum, n = 2*v, 2
	}
	for _, k := range [2]int64{-1, 1} {
		if v, ok := p.at(b+k, of); ok {
			sum += v
			n++
		}
	}
	if n == 0 {
		return 0, false
	}
	return sum / n, true
}

// reach is the least and the greatest value nearby bucket b.
func (p *past) reach(b, of int64) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	w := int64(nearby)
	if p.bucket > fine {
		w = 0
	}
	for k := -w; k <= w; k++ {
		if v, ok := p.at(b+k, of); ok {
			low, high = min(low, v), max(high, v)
		}
	}
	return low, high
}

// pieceAt is piece i, which must have been completed before bucket of.
func (p *past) pieceAt(i, of int64) (float64, bool) {
	left := min(of-1, p.now) - 1 - ringBuckets
	written := p.pieceOf(max(of, p.now) - 1 - ringBuckets)
	if !p.started || (i+1)*p.perPiece > left || i <= written-oldPieces || (i+1)*p.perPiece <= p.first {
		return 0, false
	}
	h := p.old[floorMod(i, oldPieces)]
	if h == nothing {
		return 0, false
	}
	return p.value(h), true
}

// older reads the weeks before the ring, between the middles of two pieces.
func (p *past) older(b, of int64) (float64, bool) {
	i := p.pieceOf(b)
	v, ok := p.pieceAt(i, of)
	if !ok || b < p.first {
		return 0, false
	}
	share := (float64(floorMod(b, p.perPiece))+0.5)/float64(p.perPiece) - 0.5
	next := i + 1
	if share < 0 {
		next, share = i-1, -share
	}
	if w, ok := p.pieceAt(next, of); ok {
		v += (w - v) * share
	}
	return v, true
}

// alike tells whether what is left of a week before the ring is what bucket recent was
// like: of the old one only means of an hour are known, which tell nothing of where in
// it a job begins and ends.
func (p *past) alike(recent, old, of int64) bool {
	was, ok := p.pieceAt(p.pieceOf(old), of)
	if !ok {
		return false
	}
	from := p.pieceOf(old)*p.perPiece + recent - old
	low, high := math.Inf(1), math.Inf(-1)
	for k := -p.perPiece; k < 2*p.perPiece; k++ {
		if v, ok := p.at(from+k, of); ok {
			low, high = min(low, v), max(high, v)
		}
	}
	for k := int64(-1); k <= 1; k++ { // of the recent one the ring may hold no more than the end
		if v, ok := p.pieceAt(p.pieceOf(old)+k, of); ok {
			low, high = min(low, v), max(high, v)
		}
	}
	mean, n := p.hourOf(recent, old, of)
	return n > 0 && math.Abs(mean-was) <= alikeShare*(high-low)
}

// hourOf is the mean of the buckets around recent that lie there as those of one piece
// lie around old.
func (p *past) hourOf(recent, old, of int64) (mean, n float64) {
	from := p.pieceOf(old)*p.perPiece + recent - old
	for k := range p.perPiece {
		if v, ok := p.at(from+k, of); ok {
			mean += v
			n++
		}
	}
	return mean / max(n, 1), n
}

// alikeShare is the part of the movement nearby by which pieces that are alike may differ.
const alikeShare = 0.25

// olderReach is reach for the weeks before the ring.
func (p *past) olderReach(b, of int64) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, k := range [...]int64{-nearby, 0, nearby} {
		if v, ok := p.older(b+k, of); ok {
			low, high = min(low, v), max(high, v)
		}
	}
	if h := p.old[floorMod(p.pieceOf(b), oldPieces)]; low <= high && h != nothing {
		low, high = min(low, p.value(h)), max(high, p.value(h))
	}
	return low, high
}

// widestReach is olderReach for a series of which nothing else knows the time of
// day: where a job begins or ends within a piece, of which only the mean is known,
// its level is that of the next piece, or of the one before.
func (p *past) widestReach(b, of int64) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for k := int64(-1); k <= 1; k++ {
		if v, ok := p.pieceAt(p.pieceOf(b)+k, of); ok {
			low, high = min(low, v), max(high, v)
		}
	}
	return low, high
}

// advance goes on to bucket b. What was filled is remembered, or instead, when
// that is a number.
func (p *past) advance(b int64, instead float64) {
	if !p.started {
		p.started, p.first, p.now = true, b, b
		return
	}
	if b <= p.now { // clocks set back
		return
	}
	v := math.NaN()
	if p.n > 0 {
		v = p.sum / p.n
		if !math.IsNaN(instead) {
			v = instead
		}
	}
	p.put(p.now, v)
	if b != p.now+1 || !math.IsNaN(instead) {
		p.changes++ // for what has been asked before
	}
	for k := p.now + 1; k < min(b, p.now+1+ringBuckets); k++ {
		p.put(k, math.NaN())
	}
	if b-p.now > 1+ringBuckets { // all has left; nothing was there since
		p.leave(b - 1 - ringBuckets)
	}
	p.now, p.sum, p.n = b, 0, 0
}

// put writes bucket b. What leaves the ring for it goes to the older weeks.
func (p *past) put(b int64, v float64) {
	i := floorMod(b, ringBuckets)
	if leaving := b - ringBuckets; leaving >= p.first {
		p.leave(leaving)
		if h := p.ring[i]; h != nothing {
			p.oldSum += p.value(h)
			p.oldN++
		}
	}
	p.ring[i] = p.half(v)
}

// leave goes on to the piece of bucket b. Pieces between have nothing.
func (p *past) leave(b int64) {
	piece := p.pieceOf(b)
	if piece == p.piece {
		return
	}
	h := nothing
	if p.oldN > 0 {
		h = p.half(p.oldSum / p.oldN)
	}
	p.old[floorMod(p.piece, oldPieces)] = h
	for k := max(p.piece+1, piece-oldPieces); k < piece; k++ {
		p.old[floorMod(k, oldPieces)] = nothing
	}
	p.piece, p.oldSum, p.oldN = piece, 0, 0
}

// change maps what was remembered before bucket since by f, and keeps the rest,
// relative to base and in unit from now on.
func (p *past) change(f func(float64) float64, since int64, base, unit float64) {
	was := *p
	p.base, p.unit = base, unit
	for i, h := range p.old {
		if h != nothing {
			p.old[i] = p.half(f(was.value(h)))
		}
	}
	for b := max(p.first, p.now-ringBuckets); b < p.now; b++ {
		i := floorMod(b, ringBuckets)
		h := was.ring[i]
		if h == nothing {
			continue
		}
		v := was.value(h)
		if b < since {
			v = f(v)
		}
		p.ring[i] = p.half(v)
	}
	if p.oldN > 0 {
		p.oldSum = f(p.oldSum/p.oldN) * p.oldN
	}
	p.changes++
}

// median of the middle, or of the two in the middle; it sorts.
func median(a []float64) float64 {
	for i := 1; i < len(a); i++ {
		for j := i; j > 0 && a[j] < a[j-1]; j-- {
			a[j], a[j-1] = a[j-1], a[j]
		}
	}
	return (a[(len(a)-1)/2] + a[len(a)/2]) / 2
}
