package server

import (
	"github.com/chironhq/chiron/internal/config"
	"github.com/chironhq/chiron/receiver"
	"github.com/chironhq/chiron/receiver/ha"
)

// receiverOptions are the part of the configuration that remote write takes.
func (s *server) receiverOptions(c config.Receiver) receiver.Options {
	o := receiver.Options{
		DB: s.db, Logger: s.logger.With("part", "receiver"), Registerer: s.reg,
		Limits: receiver.Limits{
			CompressedBytes: c.MaxBodyBytes, DecompressedBytes: c.MaxDecodedBytes, InflightBytes: c.MaxInflightBytes,
			Samples: c.MaxSamples, Concurrency: c.MaxConcurrent, QueueWait: c.QueueWait, ReadTimeout: c.ReadTimeout, RetryAfter: c.RetryAfter,
			Labels: c.MaxLabels, LabelNameBytes: c.MaxLabelNameBytes, LabelValueBytes: c.MaxLabelValueBytes,
		},
	}
	if c.HA != nil {
		o.HA = &receiver.HAOptions{ClusterLabel: c.HA.ClusterLabel, ReplicaLabel: c.HA.ReplicaLabel, Options: ha.Options{
			FailoverTimeout: c.HA.FailoverTimeout, UpdateTimeout: c.HA.UpdateTimeout, MaxClusters: c.HA.MaxClusters,
		}}
	}
	return o
}
