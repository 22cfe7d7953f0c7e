package config

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/alecthomas/units"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

// Load reads and checks the file. Paths in it are relative to its folder.
func Load(file string) (*Config, diag.Problems, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	c, problems := Parse(file, text)
	if problems.HasErrors() {
		return nil, problems, problems.Err()
	}
	dir := filepath.Dir(file)
	absolute(dir, c.RuleFiles)
	absolute(dir, c.Remediation.PolicyFiles)
	absolute(dir, c.Remediation.Webhook.BearerTokenFiles)
	absolute(dir, c.Web.BearerTokenFiles)
	absolute(dir, c.Web.WriteBearerTokenFiles)
	absolute(dir, c.Web.QueryBearerTokenFiles)
	if k := &c.Remediation.Kubernetes.Kubeconfig; *k != "" && !filepath.IsAbs(*k) {
		*k = filepath.Join(dir, *k)
	}
	return c, problems, nil
}

func absolute(dir string, paths []string) {
	for i, p := range paths {
		if !filepath.IsAbs(p) {
			paths[i] = filepath.Join(dir, p)
		}
	}
}

// Parse checks text; file is its name in messages.
func Parse(file string, text []byte) (*Config, diag.Problems) {
	c := Default()
	c.text = text
	d, root := diag.Parse(file, text)
	if root == nil {
		return c, d.Problems
	}
	r := reader{d}
	d.Object(root, "configuration", map[string]diag.Field{
		"global":       func(_, v *yaml.Node) { r.global(v, &c.Global) },
		"rule_files":   func(_, v *yaml.Node) { c.RuleFiles = d.Strings(v, "rule_files") },
		"alerting":     func(_, v *yaml.Node) { c.Alerting = r.raw(v, "alerting") },
		"remote_write": func(_, v *yaml.Node) { c.RemoteWrite = r.remoteWrites(v) },
		"receiver":     func(_, v *yaml.Node) { r.receiver(v, &c.Receiver) },
		"web":          func(_, v *yaml.Node) { r.web(v, &c.Web) },
		"query":        func(_, v *yaml.Node) { r.query(v, &c.Query) },
		"models":       func(_, v *yaml.Node) { r.models(v, &c.Models) },
		"self_monitor": func(_, v *yaml.Node) { r.self(v, &c.Self) },
		"remediation":  func(_, v *yaml.Node) { r.remediation(v, &c.Remediation) },
	})
	d.Problems.Sort()
	return c, d.Problems
}

type reader struct{ *diag.Doc }

func (r reader) global(n *yaml.Node, g *Global) {
	r.Object(n, "global", map[string]diag.Field{
		"evaluation_interval": func(_, v *yaml.Node) {
			g.IntervalGiven = true
			if g.EvaluationInterval = r.Duration(v, "evaluation_interval"); g.EvaluationInterval <= 0 {
				r.Errorf(v, "config/range", "evaluation_interval must be longer than 0")
			}
		},
		"rule_query_offset": func(_, v *yaml.Node) { g.QueryOffset = r.Duration(v, "rule_query_offset") },
		"external_labels": func(_, v *yaml.Node) {
			b := labels.NewScratchBuilder(4)
			r.Map(v, "external_labels", func(k, v *yaml.Node) {
				if !model.UTF8Validation.IsValidLabelName(k.Value) {
					r.Errorf(k, "config/label", "external_labels: %q is not a label name", k.Value)
					return
				}
				b.Add(k.Value, r.String(v, "external_labels "+k.Value))
			})
			b.Sort()
			g.ExternalLabels = b.Labels()
		},
	})
}

// raw gives a section back as YAML for a library that decodes it itself.
func (r reader) raw(n *yaml.Node, what string) []byte {
	out, err := yaml.Marshal(n)
	if err != nil {
		r.Errorf(n, "config/"+what, "%s: %v", what, err)
	}
	return out
}

func (r reader) query(n *yaml.Node, c *Query) {
	r.Object(n, "query", map[string]diag.Field{
		"range_short_way":        func(_, v *yaml.Node) { c.RangeShortWay = r.Bool(v, "range_short_way") },
		"timeout":                func(_, v *yaml.Node) { c.Timeout = r.Duration(v, "timeout") },
		"max_samples":            func(_, v *yaml.Node) { c.MaxSamples = r.count(v, "max_samples") },
		"max_concurrency":        func(_, v *yaml.Node) { c.MaxConcurrent = r.count(v, "max_concurrency") },
		"lookback_delta":         func(_, v *yaml.Node) { c.Lookback = r.Duration(v, "lookback_delta") },
		"experimental_functions": func(_, v *yaml.Node) { c.ExperimentalFunctions = r.Bool(v, "experimental_functions") },
	})
}

func (r reader) self(n *yaml.Node, c *Self) {
	c.Enabled = true
	r.Object(n, "self_monitor", map[string]diag.Field{
		"enabled": func(_, v *yaml.Node) { c.Enabled = r.Bool(v, "enabled") },
		"interval": func(_, v *yaml.Node) {
			if c.Interval = r.Duration(v, "interval"); c.Interval <= 0 {
				r.Errorf(v, "config/range", "self_monitor interval must be longer than 0")
			}
		},
		"labels": func(_, v *yaml.Node) { c.Labels = r.StringMap(v, "labels") },
	})
}

func (r reader) remoteWrites(n *yaml.Node) []RemoteWrite {
	var out []RemoteWrite
	names := map[string]bool{}
	r.List(n, "remote_write", func(n *yaml.Node) {
		w := RemoteWrite{Protocol: "2.0", MaxBytes: 256 << 20}
		client := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		pass := func(k, v *yaml.Node) { client.Content = append(client.Content, k, v) }
		ok := r.Object(n, "remote_write", map[string]diag.Field{
			"name": func(_, v *yaml.Node) { w.Name = r.String(v, "name") },
			"url": func(_, v *yaml.Node) {
				w.URL = r.String(v, "url")
				if u, err := url.Parse(w.URL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
					r.Errorf(v, "config/url", "url must be a full http or https address, not %q", w.URL)
				}
			},
			"protocol": func(_, v *yaml.Node) {
				if w.Protocol = v.Value; v.Value != "1.0" && v.Value != "2.0" {
					r.Errorf(v, "config/protocol", "protocol must be \"2.0\" or \"1.0\", not %q", v.Value)
				}
			},
			"remote_timeout": func(_, v *yaml.Node) { w.Timeout = r.Duration(v, "remote_timeout") },
			"queue_size":     func(_, v *yaml.Node) { w.MaxBytes = r.size(v, "queue_size") },
			"headers":        pass, "basic_auth": pass, "authorization": pass, "oauth2": pass, "tls_config": pass,
			"proxy_url": pass, "no_proxy": pass, "proxy_from_environment": pass, "follow_redirects": pass, "enable_http2": pass,
		})
		if !ok {
			return
		}
		if w.URL == "" {
			r.Errorf(n, "config/required", "remote_write needs a url")
		}
		if w.Name == "" {
			w.Name = strconv.Itoa(len(out))
		}
		if names[w.Name] || strings.ContainsAny(w.Name, "/\\") || strings.HasPrefix(w.Name, ".") {
			r.Errorf(n, "config/name", "remote_write name %q must be unique and fit to name a folder", w.Name)
		}
		names[w.Name] = true
		if len(client.Content) > 0 {
			w.YAML = r.raw(client, "remote_write")
		}
		out = append(out, w)
	})
	return out
}

func (r reader) remediation(n *yaml.Node, c *Remediation) {
	r.Object(n, "remediation", map[string]diag.Field{
		"policy_files": func(_, v *yaml.Node) { c.PolicyFiles = r.Strings(v, "policy_files") },
		"kubernetes": func(_, v *yaml.Node) {
			k := &c.Kubernetes
			r.Object(v, "kubernetes", map[string]diag.Field{
				"kubeconfig": func(_, v *yaml.Node) { k.Kubeconfig = r.String(v, "kubeconfig") },
				"context":    func(_, v *yaml.Node) { k.Context = r.String(v, "context") },
				"in_cluster": func(_, v *yaml.Node) { k.InCluster = r.Bool(v, "in_cluster") },
			})
			if k.Kubeconfig != "" && k.InCluster {
				r.Errorf(v, "config/kubernetes", "kubernetes: give kubeconfig or in_cluster, not both")
			}
		},
		"webhook": func(_, v *yaml.Node) {
			r.Object(v, "webhook", map[string]diag.Field{
				"bearer_tokens":      func(_, v *yaml.Node) { c.Webhook.BearerTokens = r.Strings(v, "bearer_tokens") },
				"bearer_token_files": func(_, v *yaml.Node) { c.Webhook.BearerTokenFiles = r.Strings(v, "bearer_token_files") },
			})
			for _, t := range c.Webhook.BearerTokens {
				if len(t) < 8 {
					r.Errorf(v, "config/token", "webhook: a bearer token needs at least 8 characters")
				}
			}
		},
	})
}

func (r reader) count(n *yaml.Node, what string) int {
	i := r.Int(n, what)
	if i < 0 {
		r.Errorf(n, "config/range", "%s must not be negative", what)
	}
	return i
}

// size reads bytes such as 64MiB, 1GB or 1048576.
func (r reader) size(n *yaml.Node, what string) int64 {
	b, err := ParseBytes(n.Value)
	if err != nil {
		r.Errorf(n, "yaml/type", "%s must be a size such as 64MiB, not %q", what, n.Value)
	}
	return b
}

// ParseBytes reads a positive number of bytes; MiB and MB both mean 2^20, as
// in Prometheus.
func ParseBytes(s string) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
		return n, nil
	}
	b, err := units.ParseBase2Bytes(s)
	if err != nil {
		b, err = units.ParseBase2Bytes(strings.Replace(s, "B", "iB", 1))
	}
	if err != nil || b <= 0 {
		return 0, fmt.Errorf("%q is not a size such as 512MiB or 2GiB", s)
	}
	return int64(b), nil
}
