package rules

import (
	"errors"
	"fmt"

	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/rules/modelstore"
)

// restore makes models of a rule's records and tells from which time on, in
// milliseconds, they must learn again. What cannot be read learns anew, which
// is told unless that is done already.
func (m *Manager) restore(a *anomalyRule, told bool) (models *eval.Rule, next int64, err error) {
	models, err = eval.New(a.spec)
	if err != nil || m.store == nil || a.id.Load() == 0 {
		return models, 0, err
	}
	refused := 0
	var reason error
	owner, lost, err := m.store.Read(a.id.Load(), func(record []byte) {
		if err := models.Load(record); err != nil {
			refused++
			reason = err
		}
	})
	switch {
	case err != nil:
		if !told {
			a.logger.Warn("saved models cannot be read; they learn again from the ring", "err", err)
		}
		models, err = eval.New(a.spec)
		return models, 0, err
	case lost > 0:
		reason = errors.Join(reason, errors.New("they are damaged, not there, or older than they should be"))
		fallthrough
	case refused > 0:
		if !told {
			a.logger.Warn("some saved models cannot be used; they learn again from the ring", "models", refused+lost, "because", reason)
			m.metrics.restored.Add(float64(models.Len()))
		}
		return models, 0, nil
	}
	if !told {
		m.metrics.restored.Add(float64(models.Len()))
	}
	if owner.Mark == 0 {
		return models, 0, nil
	}
	return models, owner.Mark + 1, nil
}

// adopt gives a place in the store to the rules that have none yet.
func (m *Manager) adopt(groups []*group) error {
	if m.store == nil {
		return nil
	}
	var t modelstore.Transaction
	var of []*anomalyRule
	for _, g := range groups {
		for _, a := range g.anomalies {
			if a.id.Load() == 0 {
				o := a.owner
				o.Used = m.o.Clock.Now().UnixMilli()
				t.Owners, of = append(t.Owners, &o), append(of, a)
			}
		}
	}
	if len(of) == 0 {
		return nil
	}
	if err := m.store.Write(t); err != nil {
		return fmt.Errorf("cannot save models of new rules: %w", err)
	}
	for i, a := range of {
		a.id.Store(t.Owners[i].ID)
	}
	return nil
}

// disown takes the places of all rules away: the store is a new one.
func (m *Manager) disown() {
	for _, g := range m.snapshotGroups() {
		for _, a := range g.anomalies {
			a.id.Store(0)
		}
	}
}

// orphans are the owners in the store that no rule of these groups is.
func (m *Manager) orphans(groups []*group) (out []modelstore.Owner, err error) {
	if m.store == nil {
		return nil, nil
	}
	owners, err := m.store.Owners()
	if err != nil {
		return nil, err
	}
	used := map[uint64]bool{}
	for _, g := range groups {
		for _, a := range g.anomalies {
			used[a.id.Load()] = true
		}
	}
	for _, o := range owners {
		if !used[o.ID] {
			out = append(out, o)
		}
	}
	return out, nil
}

// forgetOrphans removes what nobody has come back for: the ring does not reach
// back to it any more, so nothing would go on where it ended.
func (m *Manager) forgetOrphans(groups []*group) error {
	orphans, err := m.orphans(groups)
	if err != nil {
		return fmt.Errorf("cannot list saved models: %w", err)
	}
	var t modelstore.Transaction
	damaged := 0
	age := max(orphanAge, m.reach())
	for _, o := range orphans {
		if o.Damaged {
			damaged++
		}
		if o.Damaged || m.o.Clock.Now().UnixMilli()-o.Used > age.Milliseconds() {
			t.Remove = append(t.Remove, o.ID)
		}
	}
	if len(t.Remove) == 0 {
		return nil
	}
	if err := m.store.Write(t); err != nil {
		return fmt.Errorf("cannot remove models of rules that have gone: %w", err)
	}
	if damaged > 0 {
		m.o.Logger.Warn("saved models were removed of which damage has left nothing but their place; their rules learn from the ring", "rules", damaged)
	}
	return nil
}
