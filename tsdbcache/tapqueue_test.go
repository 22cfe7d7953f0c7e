package tsdbcache

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestTapQueue compares the queue with a list a reader, also while another one
// drains: what a drainer looks at is not used again until it is done.
func TestTapQueue(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ts := &taps{}
		queue := &tap{}
		queue.blocks.pool, queue.dropped = &ts.blocks, &ts.dropped
		type listed struct {
			*TapReader
			wants []int64
			lost  bool
		}
		var readers []*listed
		n, dropped := int64(0), 0
		push := func() {
			for range rapid.IntRange(0, 3*tapBlockSize).Draw(rt, "pushed") {
				n++
				for _, r := range readers {
					switch {
					case r.lost:
						dropped++
					case len(r.wants) == int(r.capacity):
						dropped += len(r.wants) + 1
						r.wants, r.lost = nil, true
					default:
						r.wants = append(r.wants, n)
					}
				}
				queue.push(TapSample{T: n})
			}
		}
		var drain func(r *listed, meanwhile bool)
		drain = func(r *listed, meanwhile bool) {
			wants, lost := r.wants, r.lost
			r.wants, r.lost = nil, false
			i := 0
			overflowed := queue.drain(r.TapReader, func(s TapSample) {
				if i >= len(wants) || s.T != wants[i] {
					rt.Fatalf("sample %d of %d is %d", i, len(wants), s.T)
				}
				i++
				if meanwhile && (i == 1 || i == len(wants)/2) {
					push()
					for _, other := range readers {
						if other != r {
							drain(other, false)
						}
					}
					push()
				}
			})
			if overflowed != lost || i != len(wants) {
				rt.Fatalf("%d of %d samples, overflowed %v, want %v", i, len(wants), overflowed, lost)
			}
		}
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0:
				readers = append(readers, &listed{TapReader: queue.join(queue, rapid.SampledFrom([]int{1, 200, 1000}).Draw(rt, "capacity"))})
			case 1:
				if len(readers) > 0 {
					i := rapid.IntRange(0, len(readers)-1).Draw(rt, "left")
					queue.leave(readers[i].TapReader)
					readers = slices.Delete(readers, i, i+1)
				}
			case 2, 3:
				push()
			default:
				if len(readers) > 0 {
					drain(rapid.SampledFrom(readers).Draw(rt, "drained"), rapid.Bool().Draw(rt, "meanwhile"))
				}
			}
			most := 0
			for _, r := range readers {
				most = max(most, len(r.wants))
			}
			if have := len(queue.blocks.run); most == 0 && have > 0 || have > most/tapBlockSize+2 {
				rt.Fatalf("%d blocks for %d samples", have, most)
			}
		}
		for _, r := range readers {
			drain(r, false)
		}
		if uint64(dropped) != ts.dropped.Load() {
			rt.Fatalf("%d dropped, want %d", ts.dropped.Load(), dropped)
		}
	})
}
