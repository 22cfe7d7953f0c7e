package config

import (
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

// Models bounds what the models of anomaly rules take.
type Models struct {
	Memory             int64 // bytes of heap of all models; 0: DefaultModelMemory
	SaveBytesPerMinute int64 // most that saving learned state writes in a minute
}

// leastModelMemory is what models get on the smallest machine.
const leastModelMemory = 64 << 20

// DefaultModelMemory is how much models may take where the file is silent:
// half of what the process may take, less the ring's, and at least 64 MiB.
func DefaultModelMemory(machine, cache int64) int64 {
	return max((machine-cache)/2, leastModelMemory)
}

func (r reader) models(n *yaml.Node, c *Models) {
	r.Object(n, "models", map[string]diag.Field{
		"memory":                func(_, v *yaml.Node) { c.Memory = r.size(v, "memory") },
		"save_bytes_per_minute": func(_, v *yaml.Node) { c.SaveBytesPerMinute = r.size(v, "save_bytes_per_minute") },
	})
}
