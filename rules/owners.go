package rules

import (
	"errors"

	"github.com/chironhq/chiron/rules/eval"
	"github.com/chironhq/chiron/rules/modelstore"
)

// restore makes models of a rule's records and tells from which time on, in
// milliseconds, they must learn again. What cannot be read learns anew.
func (m *Manager) restore(a *anomalyRule) (models *eval.Rule, next int64, err error) {
	models, err = eval.New(a.spec)
	if err != nil || m.store == nil || a.id.Load() == 0 {
		return models, 0, err
	}
	refused := 0
	var reason error
	err = m.store.Read(a.id.Load(), func(record []byte) {
		if err := models.Load(record); err != nil {
			refused++
			reason = err
		}
	})
	if err != nil {
		a.logger.Warn("saved models cannot be read; they learn again from the ring", "err", err)
		models, err = eval.New(a.spec)
		return models, 0, err
	}
	if refused > 0 {
		a.logger.Warn("some saved models cannot be used; they learn again from the ring", "models", refused, "the_last_because", reason)
		return models, 0, nil
	}
	m.metrics.restored.Add(float64(models.Len()))
	mark, err := m.store.Mark(a.id.Load())
	if err != nil {
		a.logger.Warn("it is not known when models were saved; they learn all of the ring", "err", err)
	}
	if mark == 0 {
		return models, 0, nil
	}
	return models, mark + 1, nil
}

// adopt gives a place in the store to the rules that have none yet.
func (m *Manager) adopt(groups []*group) {
	if m.store == nil {
		return
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
		return
	}
	if err := m.store.Write(t); err != nil {
		m.o.Logger.Error("models of new rules are not saved yet", "err", err)
		return
	}
	for i, a := range of {
		a.id.Store(t.Owners[i].ID)
	}
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
func (m *Manager) forgetOrphans(groups []*group) {
	orphans, err := m.orphans(groups)
	var t modelstore.Transaction
	age := max(orphanAge, m.reach())
	for _, o := range orphans {
		if m.o.Clock.Now().UnixMilli()-o.Used > age.Milliseconds() {
			t.Remove = append(t.Remove, o.ID)
		}
	}
	if len(t.Remove) > 0 {
		err = errors.Join(err, m.store.Write(t))
	}
	if err != nil {
		m.o.Logger.Error("models of rules that have gone are not removed", "err", err)
	}
}
