package tsdbcache

import "time"

// clock is the time that samples are judged by. A wall clock can jump, both
// ways: an hour ahead would put every sample behind the retention, an hour
// back would put it too far ahead, and a sender drops for good what is refused.
// What has passed since the start does not jump. So both are asked, and a
// sample is refused, or dropped, only when both say so.
type clock struct {
	start time.Time
	// read returns the wall clock, and the start plus what has passed since.
	read func() (wall, steady time.Time)
}

func newClock(now func() time.Time) clock {
	start := now()
	return clock{start: start, read: func() (wall, steady time.Time) {
		t := now()
		// A difference of two readings is monotonic when both have such a part.
		return t.Round(0), start.Round(0).Add(t.Sub(start))
	}}
}

// bounds returns the earliest and the latest time that it may be.
func (c *clock) bounds() (earliest, latest time.Time) {
	wall, steady := c.read()
	if wall.Before(steady) {
		return wall, steady
	}
	return steady, wall
}
