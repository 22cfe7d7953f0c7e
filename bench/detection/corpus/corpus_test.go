package corpus

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadEntity(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"one column", "timestamp,value,label\n60,1.5,0\n120,-2,1\n", ""},
		{"many columns", "timestamp,m00,m01\n2026-01-01 00:00:00,1,2\n2026-01-01 00:05:00,3,4\n", ""},
		{"no time", "value\n1\n2\n", "no column timestamp"},
		{"unknown column", "timestamp,weight\n1,2\n", `unknown column "weight"`},
		{"no number", "timestamp,value\n60,1\n120,x\n", "row 3"},
		{"no date", "timestamp,value\nyesterday,1\n", `cannot read time "yesterday"`},
		{"too short", "timestamp,value\n60,1\n", "fewer than two rows"},
		{"ragged", "timestamp,value\n60,1\n120\n", "wrong number of fields"},
	} {
		path := filepath.Join(t.TempDir(), "x.csv")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		e, err := ReadEntity(path)
		switch {
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		case c.want == "" && (err != nil || len(e.Rows) != 2 || len(e.Rows[0]) != e.Columns || !e.Times[1].After(e.Times[0])):
			t.Errorf("%s: %+v, %v", c.name, e, err)
		}
	}
}
