package rules

import (
	"context"
	"time"
)

// Clock tells the time and wakes at one. The groups take their slots from it.
type Clock interface {
	Now() time.Time
	// Timer returns a channel that receives once when d has passed, and what
	// stops it.
	Timer(d time.Duration) (c <-chan time.Time, stop func())
}

// wallClock is the machine's.
type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) Timer(d time.Duration) (c <-chan time.Time, stop func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

// sleep waits until a time and reports whether ctx is still going.
func sleep(ctx context.Context, c Clock, until time.Time) bool {
	wake, stop := c.Timer(until.Sub(c.Now()))
	defer stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
		return true
	}
}

// nextSlot is the slot to evaluate at now when the one before was last: those
// between the two are missed. It may lie ahead of now.
func nextSlot(last, now time.Time, interval time.Duration) (slot time.Time, missed int) {
	missed = max(int(now.Sub(last)/interval)-1, 0)
	return last.Add(time.Duration(missed+1) * interval), missed
}

// clockBack is how far what was learned must lie ahead for the clock to have
// been wrong then; package eval then starts over.
const clockBack = time.Hour
