package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/internal/config"
	"github.com/chironhq/chiron/remediation"
	"github.com/chironhq/chiron/remediation/action"
	"github.com/chironhq/chiron/remediation/kube"
	"github.com/chironhq/chiron/remediation/policy"
)

// loadPolicies reads all policy files of a configuration; nil without any.
func (s *server) loadPolicies(cfg *config.Config) (*policy.Set, error) {
	if !cfg.Remediation.Enabled() {
		return nil, nil
	}
	var names []string
	for _, pattern := range cfg.Remediation.PolicyFiles {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("cannot use policy file pattern %q: %w", pattern, err)
		}
		if len(found) == 0 && !strings.ContainsAny(pattern, "*?[") {
			return nil, fmt.Errorf("cannot read policy file %s: no such file", pattern)
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	var files []policy.File
	for _, name := range slices.Compact(names) {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("cannot read policy file: %w", err)
		}
		files = append(files, policy.File{Name: name, Content: text})
	}
	set, problems := policy.Options{Parser: s.parser}.LoadAll(files...)
	s.warn(problems)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return set, nil
}

// buildRemediation starts the acting half when policies are configured. Its
// webhook refuses to exist without authentication unless only this machine can
// connect.
func (s *server) buildRemediation(cfg *config.Config, life *lifecycle) error {
	policies, err := s.loadPolicies(cfg)
	if err != nil || policies == nil {
		return err
	}
	hook := cfg.Remediation.Webhook
	if !hook.Authenticates() && !s.guarded() {
		return errors.New("the remediation webhook needs authentication: give remediation.webhook.bearer_token_files, web.bearer_token_files, or " +
			"--web.config.file with basic_auth_users or client certificates, or listen on a loopback address only")
	}
	var cluster action.Cluster
	if k := cfg.Remediation.Kubernetes; k.Configured() {
		if cluster, err = kube.New(kube.Options{Kubeconfig: k.Kubeconfig, Context: k.Context}); err != nil {
			return fmt.Errorf("cannot use the Kubernetes cluster: %w", err)
		}
	}
	s.remediation, err = remediation.Open(remediation.Options{
		Dir: filepath.Join(s.o.StoragePath, "remediation"), Policies: policies, Cluster: cluster, Query: s.sampleQuery,
		Tokens: hook.BearerTokens, TokenFiles: hook.BearerTokenFiles, AllowUnauthenticated: !hook.Authenticates(), Logger: s.logger.With("part", "remediation"), Registerer: s.reg,
	})
	if err != nil {
		return fmt.Errorf("cannot open the remediation: %w", err)
	}
	life.start("remediation", s.remediation.Run)
	return nil
}

// sampleQuery answers the remediation's PromQL from the ring.
func (s *server) sampleQuery(ctx context.Context, expr string, t time.Time) ([]remediation.Sample, error) {
	q, err := s.engine.NewInstantQuery(ctx, s.db, nil, expr, t)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	result := q.Exec(ctx)
	if result.Err != nil {
		return nil, result.Err
	}
	if scalar, err := result.Scalar(); err == nil {
		return []remediation.Sample{{Value: policy.Value(scalar.V)}}, nil
	}
	vector, err := result.Vector()
	if err != nil {
		return nil, err
	}
	var out []remediation.Sample
	for _, v := range vector {
		if v.H != nil {
			return nil, fmt.Errorf("%s is a histogram, not a number", v.Metric)
		}
		ls := map[string]string{}
		v.Metric.Range(func(l labels.Label) { ls[l.Name] = l.Value })
		out = append(out, remediation.Sample{Labels: ls, Value: policy.Value(v.F)})
	}
	return out, nil
}
