package rules

import (
	"errors"
	"fmt"
	"slices"

	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/rules/modelstore"
)

// handover is what has become of what was learned.
type handover struct {
	heirs map[*anomalyRule]bool   // rules that go on with it
	anew  map[*anomalyRule]string // rules that learn anew although something had been learned, and why
}

// handOver gives the rules of new groups what rules of groups that have
// stopped, or rules that have gone, have learned.
func (m *Manager) handOver(begin, stopped, kept []*group) *handover {
	var news, olds []*anomalyRule
	var newOwners, oldOwners []*modelstore.Owner
	for _, g := range begin {
		for _, a := range g.anomalies {
			news, newOwners = append(news, a), append(newOwners, &a.owner)
		}
	}
	for _, g := range stopped {
		for _, a := range g.anomalies {
			if a.models == nil {
				continue // others go on with them
			}
			olds, oldOwners = append(olds, a), append(oldOwners, &a.owner)
		}
	}
	orphans, err := m.orphans(slices.Concat(kept, stopped))
	if err != nil && !errors.Is(err, modelstore.ErrClosed) { // which is known already
		m.o.Logger.Error("saved models cannot be listed; rules learn from the ring", "err", err)
	}
	for i := range orphans {
		if !orphans[i].Damaged {
			oldOwners = append(oldOwners, &orphans[i])
		}
	}
	h := newHeirs(newOwners, oldOwners)
	h.remaining(0, len(olds)) // what has just run is newer than what was saved
	h.remaining(len(olds), len(oldOwners))
	out := &handover{map[*anomalyRule]bool{}, map[*anomalyRule]string{}}
	for i, a := range news {
		why, err := "", error(nil)
		switch j := h.heir[i]; {
		case j < 0:
			why = h.why(i)
			err = a.learnAll()
		case j < len(olds):
			why, err = a.inherit(olds[j])
		default:
			a.id.Store(oldOwners[j].ID)
			a.behind = newCatchUp(nil, 0, true)
		}
		if err != nil { // a model that could be built once cannot be built again
			why = err.Error()
		}
		out.heirs[a] = h.heir[i] >= 0 && err == nil
		if why != "" {
			out.anew[a] = why
		}
	}
	return out
}

// learnAll lets a second set of models learn what the ring holds.
func (a *anomalyRule) learnAll() error {
	models, err := eval.New(a.spec)
	if err != nil {
		return err
	}
	a.behind = newCatchUp(models, 0, false)
	return nil
}

// inherit takes over from a rule whose group has stopped, which has nothing
// afterwards. It says what of it learns anew.
func (a *anomalyRule) inherit(o *anomalyRule) (anew string, err error) {
	models, behind := o.models, o.behind
	if behind != nil {
		if x := behind.offered.Load(); x != nil && x.upTo == 0 {
			models = x.models // they came too late for a slot
		}
		madeRoom := behind.madeRoom
		behind = newCatchUp(behind.models, behind.next, behind.load)
		behind.madeRoom = madeRoom
	}
	refused := 0
	if a.text != o.text {
		var reason error
		if models, refused, reason, err = models.CopyAs(a.spec); err != nil {
			return "", err
		}
		if refused > 0 {
			anew = fmt.Sprintf("%d of its series, the last one because: %v", refused, reason)
		}
		if behind != nil && behind.models != nil {
			if behind.models, _, _, err = behind.models.CopyAs(a.spec); err != nil {
				return "", err
			}
		}
	}
	a.id.Store(o.id.Load())
	pending := o.saving.pending()
	a.use(models)
	if a.text == o.text {
		// What has become of batches under way is not told to this rule.
		a.saving = o.saving
		a.saving.settle(lost)
	} else {
		a.saving.whole = a.saving.whole || pending
	}
	a.behind, a.known = behind, o.known
	switch {
	case behind != nil:
	case models.Now() == 0: // it has never been evaluated
		err = a.learnAll()
	case refused > 0: // what was refused learns from the ring, the others pass over it
		copied, _, _, err := models.CopyAs(a.spec)
		if err != nil {
			return anew, err
		}
		a.behind = newCatchUp(copied, 0, false)
	}
	o.models, o.behind = nil, nil
	return anew, err
}
