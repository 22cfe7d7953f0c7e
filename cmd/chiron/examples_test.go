package main

import (
	"bytes"
	"path/filepath"
	"testing"
)

// TestExamplesAreFine checks every shipped example as a user would.
func TestExamplesAreFine(t *testing.T) {
	files, err := filepath.Glob("../../deploy/examples/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("examples: %v, %v", files, err)
	}
	for _, file := range files {
		var out, problems bytes.Buffer
		c := checker{env: env{stdout: &out, stderr: &problems}}
		c.file("", file)
		if c.unreadable || len(c.problems) > 0 {
			t.Errorf("%s: %s%v", file, problems.String(), c.problems)
		}
	}
}
