package remediation

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chironhq/chiron/remediation/policy"
)

var update = flag.Bool("update", false, "write the table of reasons into docs/remediation.md")

const doc = "../docs/remediation.md"

// TestDocumentedReasons holds the page's table equal to the constants.
func TestDocumentedReasons(t *testing.T) {
	b, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), "<!-- reasons -->\n")
	have, tail, ok2 := strings.Cut(rest, "<!-- end -->")
	if !ok || !ok2 {
		t.Fatal("the page has no place for the reasons")
	}
	var want strings.Builder
	want.WriteString("| reason | why |\n| --- | --- |\n")
	for _, g := range policy.Guards {
		fmt.Fprintf(&want, "| `%s` | %s |\n", g.Reason, g.Help)
	}
	for _, r := range Reasons {
		fmt.Fprintf(&want, "| `%s` | %s |\n", r.Reason, r.Help)
	}
	if *update {
		if err := os.WriteFile(doc, []byte(head+"<!-- reasons -->\n"+want.String()+"<!-- end -->"+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != want.String() {
		t.Errorf("the table of reasons is\n%s\nnot\n%s\n(go test ./remediation -update)", have, want.String())
	}
}

// TestDocumentedPolicyLoads keeps the worked example true.
func TestDocumentedPolicyLoads(t *testing.T) {
	b, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "<!-- policy -->\n```yaml\n")
	text, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the page has no policy")
	}
	set, problems := policy.Load(doc, []byte(text))
	if len(problems) > 0 || len(set.Policies) != 1 {
		t.Errorf("problems: %v", problems)
	}
}
