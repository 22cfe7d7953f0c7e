package remediation

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"
)

// Response is the envelope of the API, as Prometheus has it.
type Response struct {
	Status    string `json:"status"` // "success" or "error"
	Data      any    `json:"data,omitempty"`
	ErrorType string `json:"errorType,omitempty"`
	Error     string `json:"error,omitempty"`
}

const (
	defaultLimit = 100
	maxLimit     = 10_000
)

// Routes serves GET runs and GET runs/{id}, to be put below /api/v1/remediation.
//
// runs takes policy, phase (or outcome, the same), reason, namespace and limit
// (default 100), and lists the newest first.
func (r *Remediator) Routes(mux chi.Router) {
	mux.Get("/runs", r.listRuns)
	mux.Get("/runs/{id}", r.showRun)
}

func (r *Remediator) listRuns(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	limit := defaultLimit
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxLimit {
			fail(w, http.StatusBadRequest, "bad_data", "limit must be a number from 1 to "+strconv.Itoa(maxLimit))
			return
		}
		limit = n
	}
	phase := q.Get("phase")
	if phase == "" {
		phase = q.Get("outcome")
	}
	if phase != "" && !knownPhase(Phase(phase)) {
		fail(w, http.StatusBadRequest, "bad_data", "unknown phase "+strconv.Quote(phase))
		return
	}
	is := func(want, have string) bool { return want == "" || want == have }
	runs := []*Run{}
	err := r.store.each(func(run *Run) bool {
		if is(q.Get("policy"), run.Policy) && is(phase, string(run.Phase)) && is(q.Get("reason"), string(run.Reason)) && is(q.Get("namespace"), run.Object.Namespace) {
			runs = append(runs, run)
		}
		return len(runs) < limit
	})
	if err != nil {
		fail(w, http.StatusInternalServerError, "internal", err.Error())
		return
	}
	reply(w, http.StatusOK, Response{Status: "success", Data: runs})
}

func knownPhase(p Phase) bool {
	for _, t := range transitions {
		if t.From == p || t.To == p {
			return true
		}
	}
	return false
}

func (r *Remediator) showRun(w http.ResponseWriter, req *http.Request) {
	id, err := strconv.ParseUint(chi.URLParam(req, "id"), 10, 64)
	if err != nil {
		fail(w, http.StatusBadRequest, "bad_data", "a run's id is a number")
		return
	}
	run, err := r.store.run(id)
	switch {
	case err != nil:
		fail(w, http.StatusInternalServerError, "internal", err.Error())
	case run == nil:
		fail(w, http.StatusNotFound, "not_found", "there is no run "+strconv.FormatUint(id, 10))
	default:
		reply(w, http.StatusOK, Response{Status: "success", Data: run})
	}
}

func fail(w http.ResponseWriter, code int, kind, text string) {
	reply(w, code, Response{Status: "error", ErrorType: kind, Error: text})
}

func reply(w http.ResponseWriter, code int, v Response) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client is gone: nobody to tell
}
