package lang

import (
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

// laterFields are fields of the language that this version cannot carry out.
// Loading a file without them would watch something else than its author
// meant, so they are errors: the check rule/unsupported.
var laterFields = []string{"cohort"}

// refuseUnsupported adds the fields that are errors.
func (l *loader) refuseUnsupported(fields map[string]diag.Field) {
	for _, name := range laterFields {
		fields[name] = func(k, _ *yaml.Node) {
			l.doc.Errorf(k, "rule/unsupported", "%s is not supported yet by this version", name)
		}
	}
}
