package receiver

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chironhq/chiron/receiver/ha"
	"github.com/chironhq/chiron/receiver/remotewrite"
)

// HAOptions turn on deduplication of senders that scrape the same targets.
type HAOptions struct {
	// ClusterLabel and ReplicaLabel name the labels by which senders say which
	// pair they belong to and which of it they are. Empty: "cluster" and
	// "__replica__".
	ClusterLabel, ReplicaLabel string
	ha.Options
}

var (
	errNotElected      = errors.New("another replica is elected")
	errTooManyClusters = errors.New("too many clusters")
)

// haPairs decides which requests of HA pairs are stored.
type haPairs struct {
	tracker          *ha.Tracker
	cluster, replica string // names of labels
	max              int    // bytes of a value
	unlabelled       prometheus.Counter
}

func newHAPairs(o *HAOptions, limits Limits, reg prometheus.Registerer) (*haPairs, error) {
	if o == nil {
		return nil, nil
	}
	p := &haPairs{cluster: o.ClusterLabel, replica: o.ReplicaLabel, max: limits.LabelValueBytes}
	if p.cluster == "" {
		p.cluster = "cluster"
	}
	if p.replica == "" {
		p.replica = "__replica__"
	}
	if p.cluster == p.replica {
		return nil, fmt.Errorf("cannot tell clusters and replicas apart: both labels are %q", p.cluster)
	}
	var err error
	if p.tracker, err = ha.New(o.Options); err != nil {
		return nil, err
	}
	p.unlabelled = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "chiron_receiver_ha_unlabelled_requests_total", Help: "Requests stored without an election: their first series lacks the labels of HA pairs.",
	})
	if reg != nil {
		for _, c := range []prometheus.Collector{p.tracker, p.unlabelled} {
			if err := reg.Register(c); err != nil {
				return nil, fmt.Errorf("cannot register metrics of HA pairs: %w", err)
			}
		}
	}
	return p, nil
}

// values finds the cluster and the replica of a series; both nil unless it has
// both.
func (p *haPairs) values(ls []remotewrite.Label) (cluster, replica []byte) {
	for _, l := range ls {
		switch string(l.Name) {
		case p.cluster:
			cluster = l.Value
		case p.replica:
			replica = l.Value
		}
	}
	if len(cluster) == 0 || len(replica) == 0 || len(cluster) > p.max || len(replica) > p.max || !utf8.Valid(cluster) || !utf8.Valid(replica) {
		return nil, nil
	}
	return cluster, replica
}

// strip takes the replica label out of a checked set that also has the cluster
// label. It depends on the set alone, so that a key of the wire means the same
// series in every request.
func (p *haPairs) strip(ls *remotewrite.LabelSet) {
	if _, replica := p.values(ls.Labels); replica == nil {
		return
	}
	ls.Labels = slices.DeleteFunc(ls.Labels, func(l remotewrite.Label) bool { return string(l.Name) == p.replica })
}

// elect decides by the first series of the request whether it is stored: a
// sender sends for one replica only.
func (r *request) elect() error {
	if err := r.dec.ReadLabels(&r.series); err != nil {
		return r.dec.Err() // a bad series is refused later
	}
	p := r.h.ha
	cluster, replica := p.values(r.series.Labels)
	if cluster == nil {
		p.unlabelled.Inc()
		return nil
	}
	switch p.tracker.Check(r.h.now(), cluster, replica) {
	case ha.Drop:
		r.cluster = append(r.cluster[:0], cluster...)
		return errNotElected
	case ha.Full:
		return errTooManyClusters
	case ha.Accept:
	}
	return nil
}

// duplicate answers a request of a replica that is not elected. What it
// brought counts as written, for the elected replica brings the same; a sender
// would report it as lost otherwise.
func (r *request) duplicate() int {
	samples, histograms, exemplars := 0, 0, 0
	for ok := true; ok; ok = r.dec.Next() { // the first is there already
		s := r.dec.Series()
		samples, histograms, exemplars = samples+s.Samples, histograms+s.Histograms, exemplars+s.Exemplars
	}
	if err := r.dec.Err(); err != nil {
		return r.fail(http.StatusBadRequest, "%v", err)
	}
	r.h.ha.tracker.Dropped(r.cluster, samples+histograms)
	r.counts(samples, histograms, exemplars)
	r.w.WriteHeader(http.StatusAccepted)
	return http.StatusAccepted
}
