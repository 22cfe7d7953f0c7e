package testenv

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// auditPolicy has the API server write down each eviction that it answered.
const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    verbs: [create]
    resources: [{ group: "", resources: [pods/eviction] }]
  - level: None
`

// Eviction is one that was asked of the API server.
type Eviction struct {
	Pod  string
	User string
	Code int // HTTP status of the answer
}

// Evictions returns those asked for in a namespace, from the API server's own
// record, in order. The record comes a moment after the answer.
func (k *KubeCluster) Evictions(t testing.TB, namespace string) []Eviction {
	t.Helper()
	text, err := os.ReadFile(k.ca.file("audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	var out []Eviction
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			break // is being written
		}
		var record struct {
			User           struct{ Username string }
			ObjectRef      struct{ Namespace, Name string }
			ResponseStatus struct{ Code int }
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%v in the audit log: %s", err, line)
		}
		if record.ObjectRef.Namespace == namespace {
			out = append(out, Eviction{record.ObjectRef.Name, record.User.Username, record.ResponseStatus.Code})
		}
	}
	return out
}
