package eval

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"math/rand"
	"slices"
	"testing"

	"github.com/chironhq/chiron/rules/lang"
)

// loadedEquals loads records that were saved after frame k and holds the rule
// against one that never stopped, right after loading and from there on.
func loadedEquals(rnd *rand.Rand, spec *lang.Anomaly, frames []timed, k int, records map[string][]byte) error {
	loaded, err := (&store{records: records}).load(rnd, spec)
	if err != nil {
		return err
	}
	whole, _, err := never(spec, frames[:k])
	if err != nil {
		return err
	}
	for i := k; ; i++ {
		if err := sameRecords(loaded, whole); err != nil {
			return fmt.Errorf("before frame %d: %w", i, err)
		}
		if i == len(frames) {
			return nil
		}
		f := frames[i]
		got, want := see(loaded.Step(f.t, f.Frame)), see(whole.Step(f.t, f.Frame))
		if err := got.differ(want); err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
	}
}

// reseal puts the right checksum behind a record.
func reseal(record []byte) {
	body := record[:len(record)-4]
	binary.LittleEndian.PutUint32(record[len(body):], crc32.Checksum(body, castagnoli))
}

// inBudget tells whether a byte is one of the budget of alerts under which
// something was learned.
func inBudget(record []byte, at int) bool {
	budget := binary.LittleEndian.AppendUint64(nil, math.Float64bits(1.0/30))
	for from := max(at-7, 0); from <= at && from+8 <= len(record); from++ {
		if bytes.Equal(record[from:from+8], budget) {
			return true
		}
	}
	return false
}

// TestEveryByteOfARecordCounts alters single bytes of what was saved. The
// comparison that holds for what was saved must then fail: by the checksum, and
// where that is made right again, because the record cannot be or because the
// rule is another one.
func TestEveryByteOfARecordCounts(t *testing.T) {
	eachStream(t, quick, 1, 130, func(rnd *rand.Rand, spec *lang.Anomaly, frames []timed) error {
		const k = 120
		r, _, err := never(spec, frames[:k])
		if err != nil {
			return err
		}
		records, err := recordsOf(r)
		if err != nil {
			return err
		}
		if err := loadedEquals(rnd, spec, frames, k, records); err != nil {
			return fmt.Errorf("nothing is altered: %w", err)
		}
		keys := slices.Sorted(maps.Keys(records))
		for i := range 60 {
			key := keys[rnd.Intn(len(keys))]
			record := slices.Clone(records[key])
			at, by := rnd.Intn(len(record)-4), byte(1+rnd.Intn(255))
			if inBudget(record, at) { // under another one, what was learned is measured anew
				continue
			}
			record[at] ^= by
			if sealed := i%4 > 0; sealed {
				reseal(record)
			}
			altered := maps.Clone(records)
			altered[key] = record
			if loadedEquals(rnd, spec, frames, k, altered) == nil {
				return fmt.Errorf("byte %d of %d of the record of %q is %x instead of %x, and nothing notices", at, len(record), key, record[at], records[key][at])
			}
		}
		return nil
	})
}
