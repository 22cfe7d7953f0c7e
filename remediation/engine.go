package remediation

import (
	"fmt"
	"slices"
	"time"

	"github.com/chironhq/chiron/remediation/action"
	"github.com/chironhq/chiron/remediation/policy"
	"github.com/chironhq/chiron/remediation/webhook"
)

// Event is something that has happened.
type Event interface{ event() }

type (
	// Delivered is a message of Alertmanager.
	Delivered struct{ Delivery *webhook.Delivery }
	// Tick says that time has gone on.
	Tick struct{}
	// PoliciesChanged replaces what people allow. Actions under way go on as planned.
	PoliciesChanged struct{ Policies *policy.Set }
	// Gathered answers Gather. Reason is set when there is no plan; the target may be known still.
	Gathered struct {
		Run      uint64
		Target   *action.Target
		Change   *action.Change
		Evidence []policy.Evidence
		Checks   []Check // of verify, with their templates filled in
		Reason   policy.Reason
		Text     string
	}
	// Acted answers Act; a Result of Unclear says that nobody knows.
	Acted struct {
		Run    uint64
		Result Result
		Text   string
	}
	// Looked answers Look.
	Looked struct {
		Run     uint64
		Applied bool
		Result  Result // Done: Applied is known
		Text    string
	}
	// Checked answers Verify, one answer for each check of the run.
	Checked struct {
		Run    uint64
		Checks []Check
	}
	// GaveBack answers GiveBack.
	GaveBack struct {
		Run    uint64
		Result Result
		Text   string
	}
	// Tried answers DryRun.
	Tried struct {
		Run  uint64
		Text string
	}
)

func (Delivered) event()       {}
func (Tick) event()            {}
func (PoliciesChanged) event() {}
func (Gathered) event()        {}
func (Acted) event()           {}
func (Looked) event()          {}
func (Checked) event()         {}
func (GaveBack) event()        {}
func (Tried) event()           {}

// Result is how a write ended.
type Result string

// The results.
const (
	Done     Result = "done"
	Missing  Result = "missing"
	Changed  Result = "changed"
	Refused  Result = "refused"
	Unclear  Result = "unclear"   // no answer: done or not
	NotAsked Result = "not_asked" // not sent: the kill switch is on
)

// Effect is something to be done outside. All Save and Drop effects of a step
// are to be on durable record together BEFORE any other of its effects begins.
type Effect interface{ effect() }

type (
	// SaveRun records a run; the pointer belongs to the receiver.
	SaveRun struct{ Run *Run }
	// DropRun forgets a run.
	DropRun struct{ ID uint64 }
	// SaveEpisode records an episode; it is valid until the next step.
	SaveEpisode struct {
		Key     string
		Episode *Episode
	}
	// DropEpisode forgets an episode.
	DropEpisode struct{ Key string }
	// Gather asks for target, evidence and plan.
	Gather struct {
		Run    *Run
		Policy *policy.Policy
	}
	// Act asks for the one write of the run.
	Act struct{ Run *Run }
	// DryRun asks the cluster whether it would do the write.
	DryRun struct{ Run *Run }
	// Look asks whether the write has happened.
	Look struct{ Run *Run }
	// Verify asks every check that needs the cluster or a query.
	Verify struct{ Run *Run }
	// GiveBack asks for the run's undo.
	GiveBack struct{ Run *Run }
	// Count tells what a message said, for metrics.
	Count struct {
		Seen string
		N    int
	}
)

func (SaveRun) effect()     {}
func (DropRun) effect()     {}
func (SaveEpisode) effect() {}
func (DropEpisode) effect() {}
func (Gather) effect()      {}
func (Act) effect()         {}
func (DryRun) effect()      {}
func (Look) effect()        {}
func (Verify) effect()      {}
func (GiveBack) effect()    {}
func (Count) effect()       {}

// Settings are the engine's numbers; zero takes the default.
type Settings struct {
	Coalesce         time.Duration // how long a run waits for the rest of its group; 3s
	MaxAge           time.Duration // of an episode when it is first seen; 1h
	CheckEvery       time.Duration // between looks of verify; 10s
	LookFor          time.Duration // how long an unanswered write is looked for when the cluster cannot be asked; 15m
	LookUnanswered   time.Duration // how long one that is not to be seen may still be on its way; 2m
	EpisodeRetention time.Duration // since an alert was last heard of; 24h
	MaxEpisodes      int           // 100000
	RunRetention     time.Duration // of ended runs; 720h
	MaxRuns          int           // 10000
}

func (s Settings) withDefaults() Settings {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&s.Coalesce, 3*time.Second)
	def(&s.MaxAge, time.Hour)
	def(&s.CheckEvery, 10*time.Second)
	def(&s.LookFor, 15*time.Minute)
	def(&s.LookUnanswered, 2*time.Minute)
	def(&s.EpisodeRetention, 24*time.Hour)
	def(&s.RunRetention, 30*24*time.Hour)
	if s.MaxEpisodes == 0 {
		s.MaxEpisodes = 100_000
	}
	if s.MaxRuns == 0 {
		s.MaxRuns = 10_000
	}
	return s
}

// State is what outlives a process.
type State struct {
	Runs     []*Run // in the order of their numbers
	Episodes map[string]*Episode
}

// engine is the pure core: no clock, no goroutine, no I/O. Step takes the time
// and an event and returns effects; equal histories give equal effects.
type engine struct {
	settings Settings
	policies *policy.Set
	runs     map[uint64]*Run
	order    []uint64 // of runs, ascending
	last     uint64   // highest number given
	episodes map[string]*Episode

	waiting    map[uint64]bool // an effect of the run is outstanding
	recovered  map[uint64]bool // was found acting at the start
	recent     []time.Time     // when the newest episodes began to be seen, at most storm.alerts+1
	stormUntil time.Time
	nextPrune  time.Time
	out        []Effect
}

// newEngine starts from what is on record. Writes that were on record and may
// not have happened are looked for by the first Tick.
func newEngine(s Settings, policies *policy.Set, state State) *engine {
	e := &engine{
		settings: s.withDefaults(), policies: policies,
		runs: map[uint64]*Run{}, episodes: map[string]*Episode{}, waiting: map[uint64]bool{}, recovered: map[uint64]bool{},
	}
	for k, ep := range state.Episodes {
		e.episodes[k] = ep
		if !ep.FiredAt.IsZero() {
			e.recent = append(e.recent, ep.FirstSeen)
		}
	}
	slices.SortFunc(e.recent, time.Time.Compare)
	for _, r := range state.Runs {
		e.runs[r.ID] = r
		e.order = append(e.order, r.ID)
		e.last = max(e.last, r.ID)
		if r.Phase == Acting {
			e.recovered[r.ID] = true
		}
	}
	slices.Sort(e.order)
	for i := range e.recent {
		e.storm(e.recent[i], e.recent[:i+1])
	}
	return e
}

// Step takes an event in and returns what is to be done, in order. The slice is
// valid until the next Step.
func (e *engine) Step(now time.Time, ev Event) []Effect {
	e.out = e.out[:0]
	switch ev := ev.(type) {
	case Delivered:
		e.delivered(now, ev.Delivery)
	case Tick:
		e.tick(now)
	case PoliciesChanged:
		e.policies = ev.Policies
	default:
		e.answered(now, ev)
	}
	return e.out
}

func (e *engine) answered(now time.Time, ev Event) {
	switch ev := ev.(type) {
	case Gathered:
		e.answer(ev.Run, func(r *Run) { e.gathered(now, r, ev) })
	case Acted:
		e.answer(ev.Run, func(r *Run) { e.acted(now, r, ev) })
	case Looked:
		e.answer(ev.Run, func(r *Run) { e.looked(now, r, ev) })
	case Checked:
		e.answer(ev.Run, func(r *Run) { e.checked(now, r, ev) })
	case GaveBack:
		e.answer(ev.Run, func(r *Run) { e.gaveBack(now, r, ev) })
	case Tried:
		if r := e.runs[ev.Run]; r != nil && r.Phase == Suggested {
			r.DryRun = ev.Text
			e.save(r)
		}
	default:
		panic(fmt.Sprintf("remediation: unknown event %T", ev))
	}
}

// answer hands an outstanding answer to f; one that nobody waits for is dropped.
func (e *engine) answer(id uint64, f func(*Run)) {
	r := e.runs[id]
	if r == nil || !e.waiting[id] {
		return
	}
	delete(e.waiting, id)
	f(r)
}

// ask emits an effect and waits for its answer.
func (e *engine) ask(r *Run, f Effect) {
	e.waiting[r.ID] = true
	e.out = append(e.out, f)
}

func (e *engine) save(r *Run) { e.out = append(e.out, SaveRun{r.clone()}) }

// move puts a run into a phase, with the reason and a sentence, and records it.
func (e *engine) move(now time.Time, r *Run, to Phase, reason policy.Reason, text string) {
	r.Phase, r.Reason, r.Text, r.UpdatedAt = to, reason, text, now
	r.Timeline = append(r.Timeline, Entry{now, to, text})
	if to.Final() {
		r.Due = time.Time{}
		delete(e.recovered, r.ID)
	}
	e.save(r)
}

// NextWake is when the next Tick is due; zero when only events lead on.
func (e *engine) NextWake() time.Time {
	var next time.Time
	for _, id := range e.order {
		r := e.runs[id]
		if r.Phase.Final() || e.waiting[id] {
			continue
		}
		if next.IsZero() || r.Due.Before(next) {
			next = r.Due
		}
	}
	return next
}

// tick leads on every run whose time has come.
func (e *engine) tick(now time.Time) {
	for _, id := range slices.Clone(e.order) {
		r := e.runs[id]
		if r.Phase.Final() || e.waiting[id] || r.Due.After(now) {
			continue
		}
		switch r.Phase {
		case Received:
			e.begin(now, r)
		case Acting:
			e.ask(r, Look{r.clone()})
		case Settling:
			e.move(now, r, Verifying, "", "looking whether it has helped")
			e.ask(r, Verify{r.clone()})
		case Verifying:
			e.ask(r, Verify{r.clone()})
		case Holding:
			if e.halted(now, r) {
				continue
			}
			why := ReasonHoldOver
			if r.Reason == ReasonVerifyFailed {
				why = ReasonVerifyFailed // it has not helped: the circuit breaker counts it
			}
			e.move(now, r, Undoing, why, "the hold is over: "+undoText(r))
			e.ask(r, GiveBack{r.clone()})
		case Undoing:
			if e.halted(now, r) {
				continue
			}
			e.ask(r, GiveBack{r.clone()})
		}
	}
	e.prune(now)
}

// killedWait is how long an undo is put off while the kill switch is on.
const killedWait = 30 * time.Second

// halted puts a write of an undo off while the kill switch is on.
func (e *engine) halted(now time.Time, r *Run) bool {
	if e.policies.Guardrails.KillSwitch {
		r.Due = now.Add(killedWait)
	}
	return e.policies.Guardrails.KillSwitch
}

func undoText(r *Run) string {
	u := r.Change.Undo
	return fmt.Sprintf("set %s of %s back from %d to %d", u.Field, u.Object, u.From, u.To)
}

// prune keeps runs and episodes within their limits, once a minute. A run that
// acted counts in budgets and cooldowns, so it goes last.
func (e *engine) prune(now time.Time) {
	if now.Before(e.nextPrune) {
		return
	}
	e.nextPrune = now.Add(time.Minute)
	over := len(e.order) - e.settings.MaxRuns
	for _, acted := range []bool{false, true} {
		e.order = slices.DeleteFunc(e.order, func(id uint64) bool {
			r := e.runs[id]
			if !r.Phase.Final() || acted == r.ActedAt.IsZero() || over <= 0 && now.Sub(r.UpdatedAt) <= e.settings.RunRetention {
				return false
			}
			if id == e.last { // numbers are never given twice
				return false
			}
			over--
			delete(e.runs, id)
			e.out = append(e.out, DropRun{id})
			return true
		})
	}
	e.pruneEpisodes(now)
}

func (e *engine) pruneEpisodes(now time.Time) {
	var keys []string
	for k, ep := range e.episodes {
		if now.Sub(ep.LastSeen) > e.settings.EpisodeRetention {
			keys = append(keys, k)
		}
	}
	if over := len(e.episodes) - len(keys) - e.settings.MaxEpisodes; over > 0 {
		all := make([]string, 0, len(e.episodes))
		for k := range e.episodes {
			all = append(all, k)
		}
		slices.SortFunc(all, func(a, b string) int { return e.episodes[a].LastSeen.Compare(e.episodes[b].LastSeen) })
		keys = all[:len(keys)+over]
	}
	slices.Sort(keys)
	for _, k := range keys {
		delete(e.episodes, k)
		e.out = append(e.out, DropEpisode{k})
	}
}
