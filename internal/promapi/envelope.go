package promapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/prometheus/prometheus/util/httputil"
)

// envelope is what every answer comes in.
type envelope struct {
	Status    string   `json:"status"`
	Data      any      `json:"data,omitempty"`
	ErrorType string   `json:"errorType,omitempty"`
	Error     string   `json:"error,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
}

// apiError is a refusal with its status code and its word on the wire.
type apiError struct {
	code int
	typ  string
	err  error
}

func badData(err error) *apiError { return &apiError{http.StatusBadRequest, "bad_data", err} }

func invalidParam(name string, err error) *apiError {
	return badData(fmt.Errorf("invalid parameter %q: %w", name, err))
}

// truncated is the warning of every list that a limit has cut.
const truncated = "results truncated due to limit"

// own makes a handler of a function that returns data, warnings or a refusal.
func (a *api) own(f func(*http.Request) (data any, warnings []string, refusal *apiError)) http.Handler {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httputil.SetCORS(w, a.origin, r)
		if err := r.ParseForm(); err != nil {
			respondError(w, badData(fmt.Errorf("error parsing form values: %w", err)))
			return
		}
		data, warnings, refusal := f(r)
		if refusal != nil {
			respondError(w, refusal)
			return
		}
		respond(w, http.StatusOK, envelope{Status: "success", Data: data, Warnings: warnings})
	})
	return httputil.CompressionHandler{Handler: h}
}

func respondError(w http.ResponseWriter, e *apiError) {
	respond(w, e.code, envelope{Status: "error", ErrorType: e.typ, Error: e.err.Error()})
}

func respond(w http.ResponseWriter, code int, e envelope) {
	body, err := json.Marshal(e)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(body) // the client has gone: nobody is left to tell
}

// intParam returns a number from the form, or def when it is not given.
func intParam(r *http.Request, name string, def int) (int, *apiError) {
	s := r.Form.Get(name)
	if s == "" {
		return def, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, invalidParam(name, fmt.Errorf("%q is not a number", s))
	}
	return n, nil
}
