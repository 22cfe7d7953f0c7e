package server

import (
	"os"
	"path/filepath"

	"github.com/chironhq/chiron/internal/config"
	"github.com/chironhq/chiron/internal/machine"
	"github.com/chironhq/chiron/internal/promapi"
	"github.com/chironhq/chiron/rules"
)

// buildRules makes the rule manager and loads the files of the configuration.
func (s *server) buildRules(cfg *config.Config) (err error) {
	s.rules, err = rules.NewManager(rules.Options{
		ModelMemory: s.modelMemory(cfg), SaveBytesPerMinute: cfg.Models.SaveBytesPerMinute, Retention: s.o.CacheRetention,
		Engine: s.engine, Parser: s.parser, Queryable: s.db, Appendable: s.output, Notify: s.notifier.Notify, DB: s.db,
		StateDir: filepath.Join(s.o.StoragePath, "rules"), ExternalURL: s.externalURL, Lookback: cfg.Query.Lookback,
		Logger: s.logger.With("part", "rules"), Registerer: s.reg,
	})
	if err != nil {
		return err
	}
	return s.updateRules(cfg)
}

// modelMemory is how many bytes the models of all rules may hold.
func (s *server) modelMemory(cfg *config.Config) int64 {
	if cfg.Models.Memory > 0 {
		return cfg.Models.Memory
	}
	all, source, err := machine.Memory(os.DirFS("/"))
	if err != nil {
		s.logger.Warn("cannot tell how much memory there is; models take the least, set models.memory", "err", err)
	}
	limit := config.DefaultModelMemory(all, s.o.CacheMemory)
	s.logger.Info("memory of models is limited; models.memory sets another limit", "bytes", limit, "half_of_what_the_ring_leaves_of", all, "according_to", source)
	return limit
}

func (s *server) updateRules(cfg *config.Config) error {
	problems, err := s.rules.Update(cfg.RuleFiles, rules.Settings{
		Interval: cfg.Global.EvaluationInterval, QueryOffset: cfg.Global.QueryOffset, ExternalLabels: cfg.Global.ExternalLabels,
	})
	s.warn(problems)
	return err
}

// ruleGroups shows the manager's groups through the query API.
func (s *server) ruleGroups() []promapi.Group {
	kinds := map[rules.Kind]promapi.Kind{
		rules.KindRecording: promapi.KindRecording, rules.KindAlerting: promapi.KindAlerting, rules.KindAnomaly: promapi.KindAnomaly,
	}
	var out []promapi.Group
	for _, g := range s.rules.Groups() {
		group := promapi.Group{
			Name: g.Name, File: g.File, Interval: g.Interval, Limit: g.Limit, EvaluationTime: g.EvaluationTime, LastEvaluation: g.LastEvaluation,
		}
		for _, r := range g.Rules {
			rule := promapi.Rule{
				Kind: kinds[r.Kind], Name: r.Name, Query: r.Query, Labels: r.Labels, Annotations: r.Annotations,
				Duration: r.For, KeepFiringFor: r.KeepFiringFor, State: r.State, Model: r.Model, Models: r.Models, Strategy: r.Strategy,
				Health: r.Health, LastError: r.LastError, EvaluationTime: r.EvaluationTime, LastEvaluation: r.LastEvaluation,
			}
			rule.Warnings, rule.Budget, rule.ModelBytes, rule.CatchingUp = r.Warnings, r.Budget, r.Bytes, r.CatchingUp
			for _, c := range r.Choices {
				rule.Choices = append(rule.Choices, promapi.Choice{Labels: c.Labels, Choice: c.Text})
			}
			for _, a := range r.Alerts {
				rule.Alerts = append(rule.Alerts, promapi.Alert{
					Labels: a.Labels, Annotations: a.Annotations, State: a.State.String(), ActiveAt: a.ActiveAt,
					KeepFiringSince: a.KeepFiringSince, Value: a.Value,
				})
			}
			group.Rules = append(group.Rules, rule)
		}
		out = append(out, group)
	}
	return out
}
