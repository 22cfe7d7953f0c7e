// Package webhook turns what Alertmanager posts into deliveries: authenticated,
// bounded, checked, and on record before it is answered.
//
// It decides nothing: which alerts are new, repeated or stale is the engine's.
package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Delivery is one message of Alertmanager.
type Delivery struct {
	ReceivedAt time.Time `json:"receivedAt"`
	Receiver   string    `json:"receiver"`
	GroupKey   string    `json:"groupKey"`
	Truncated  uint64    `json:"truncated,omitempty"` // alerts that are in no message
	Alerts     []Alert   `json:"alerts"`
}

// Alert is one alert of a delivery. Its labels are its identity.
type Alert struct {
	Status       string            `json:"status"` // "firing" or "resolved"
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"` // of a resolved one only
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// message is version 4 of the payload; fields that are not named are ignored.
type message struct {
	Version         string  `json:"version"`
	GroupKey        string  `json:"groupKey"`
	TruncatedAlerts uint64  `json:"truncatedAlerts"`
	Receiver        string  `json:"receiver"`
	Alerts          []Alert `json:"alerts"`
}

const (
	maxDepth  = 16
	maxAlerts = 50_000
	maxLabels = 512 // of one alert; annotations likewise
)

// ErrVersion means that the payload is of another version than "4".
var ErrVersion = errors.New("payload version is not \"4\"")

// Decode reads a payload. Every error is one of the input.
func Decode(body []byte) (*Delivery, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("the body is not UTF-8")
	}
	if err := shallow(body); err != nil {
		return nil, err
	}
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("cannot read the JSON: %w", err)
	}
	if m.Version != "4" {
		return nil, fmt.Errorf("%w but %.20q", ErrVersion, m.Version)
	}
	if len(m.Alerts) > maxAlerts {
		return nil, fmt.Errorf("%d alerts, more than %d", len(m.Alerts), maxAlerts)
	}
	for i, a := range m.Alerts {
		switch {
		case a.Status != "firing" && a.Status != "resolved":
			return nil, fmt.Errorf("alert %d: unknown status %.20q", i, a.Status)
		case len(a.Labels) == 0:
			return nil, fmt.Errorf("alert %d: no labels", i)
		case len(a.Labels) > maxLabels || len(a.Annotations) > maxLabels:
			return nil, fmt.Errorf("alert %d: more than %d labels or annotations", i, maxLabels)
		case a.StartsAt.IsZero():
			return nil, fmt.Errorf("alert %d: no startsAt", i)
		case a.Status == "resolved" && a.EndsAt.Before(a.StartsAt):
			return nil, fmt.Errorf("alert %d: endsAt is before startsAt", i)
		}
	}
	return &Delivery{Receiver: m.Receiver, GroupKey: m.GroupKey, Truncated: m.TruncatedAlerts, Alerts: m.Alerts}, nil
}

// shallow refuses nesting that no payload has, before anything is allocated for it.
func shallow(body []byte) error {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return fmt.Errorf("nested deeper than %d", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}
