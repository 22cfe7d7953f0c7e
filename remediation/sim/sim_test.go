package sim_test

import (
	"testing"

	"github.com/chironhq/chiron/remediation/action"
	"github.com/chironhq/chiron/remediation/clustertest"
	"github.com/chironhq/chiron/remediation/sim"
)

type lab struct{ c *sim.Cluster }

func (l lab) Cluster() action.Cluster                { return l.c }
func (l lab) Namespace() string                      { return "shop" }
func (l lab) Workload(kind, name string, n int)      { l.c.AddWorkload(kind, "shop", name, n) }
func (l lab) HPA(kind, name string, least, most int) { l.c.AddHPA(kind, "shop", name, least, most) }
func (l lab) Budget(kind, name string, ready int)    { l.c.SetBudget(kind, "shop", name, ready) }
func (l lab) Pod(_, name string) string              { return name + "-0" }
func (l lab) Touch(o action.Object)                  { l.c.Touch(o) }
func (l lab) Settle(_, _ string)                     { l.c.Settle() }

func TestBehaviour(t *testing.T) {
	clustertest.Run(t, func(*testing.T) clustertest.Lab { return lab{sim.New()} })
}
