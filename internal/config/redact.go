package config

import "go.yaml.in/yaml/v3"

// secretKeys name values that never leave the process.
var secretKeys = map[string]bool{
	"bearer_tokens": true, "bearer_token": true, "password": true, "credentials": true, "client_secret": true,
	"secret_key": true, "key": true, "secrets": true, "values": true,
}

// Redacted returns the configuration as it was written, with "<secret>" in
// place of every secret, for /api/v1/status/config.
func (c *Config) Redacted() string {
	var root yaml.Node
	if yaml.Unmarshal(c.text, &root) != nil || root.Kind == 0 {
		return ""
	}
	redact(&root)
	out, err := yaml.Marshal(&root)
	if err != nil {
		return ""
	}
	return string(out)
}

func redact(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if secretKeys[n.Content[i].Value] {
				blank(n.Content[i+1])
			}
		}
	}
	for _, c := range n.Content {
		redact(c)
	}
}

func blank(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		n.Value, n.Tag, n.Style = "<secret>", "!!str", 0
	}
	for _, c := range n.Content {
		blank(c)
	}
}
