package config

import (
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

// Web guards the HTTP side besides --web.config.file.
type Web struct {
	BearerTokenFiles      []string // good for every path
	WriteBearerTokenFiles []string // good for remote write only
	QueryBearerTokenFiles []string // good for reading only
	MaxConnections        int
	HeaderTimeout         time.Duration // how long the header of a request may take
	BodyTimeout           time.Duration // how long a request may take in all; remote write has its own
}

// BearerTokens reports whether clients need one.
func (w Web) BearerTokens() bool {
	return len(w.BearerTokenFiles)+len(w.WriteBearerTokenFiles)+len(w.QueryBearerTokenFiles) > 0
}

func (r reader) web(n *yaml.Node, c *Web) {
	r.Object(n, "web", map[string]diag.Field{
		"bearer_token_files":       func(_, v *yaml.Node) { c.BearerTokenFiles = r.Strings(v, "bearer_token_files") },
		"write_bearer_token_files": func(_, v *yaml.Node) { c.WriteBearerTokenFiles = r.Strings(v, "write_bearer_token_files") },
		"query_bearer_token_files": func(_, v *yaml.Node) { c.QueryBearerTokenFiles = r.Strings(v, "query_bearer_token_files") },
		"header_timeout":           func(_, v *yaml.Node) { c.HeaderTimeout = r.Duration(v, "header_timeout") },
		"body_timeout":             func(_, v *yaml.Node) { c.BodyTimeout = r.Duration(v, "body_timeout") },
		"max_connections":          func(_, v *yaml.Node) { c.MaxConnections = r.count(v, "max_connections") },
	})
}
