package config

import (
	"os"
	"regexp"
	"testing"
)

// Parts of a configuration in the page on rules are marked yml: yaml marks
// rules there.
func TestExamplesOfTheConfigurationAreRight(t *testing.T) {
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?ms)^```yml\n(.*?)^```$").FindAllSubmatch(text, -1)
	if len(found) == 0 {
		t.Fatal("there are no examples")
	}
	for _, m := range found {
		if _, problems := Parse("rules.md", m[1]); len(problems) > 0 {
			t.Errorf("%s\n%s", problems, m[1])
		}
	}
}
