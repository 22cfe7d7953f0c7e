package rules

import "sync/atomic"

// budget is the bytes that the models of all rules may hold together.
type budget struct {
	limit   int64 // 0: none
	charged atomic.Int64
}

// room is how much a rule may be charged for that is charged for own now; -1
// is no limit.
func (b *budget) room(own int64) int64 {
	if b.limit == 0 {
		return -1
	}
	return max(b.limit-(b.charged.Load()-own), 0)
}

// move notes that a rule is charged for after where it was for before.
func (b *budget) move(before, after int64) { b.charged.Add(after - before) }
