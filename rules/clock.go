package rules

import "time"

// clockBack is how far an evaluation must lie before the newest one for the
// clock to have been wrong then. Models refuse what is older than what they
// know, so without a new start they would stand still until that time comes
// again: years, where a machine started in a wrong year.
const clockBack = time.Hour

// startOver forgets all models if the clock was ahead when they learned. The
// caller holds mu.
func (r *anomalyRule) startOver(t int64) (bool, error) {
	if r.lastEval-t <= clockBack.Milliseconds() {
		return false, nil
	}
	group, by, err := groupOf(r.spec)
	if err != nil {
		return false, err
	}
	clear(r.series)
	r.group, r.by, r.lastEval = group, by, 0
	r.lookups.metrics.startedOver.Inc()
	return true, nil
}
