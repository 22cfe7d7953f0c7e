package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/chironhq/chiron/receiver/remotewrite"
)

// peer is a server that takes remote write and answers PromQL.
type peer struct {
	name      string
	binary    string
	args      func(dir, address string) []string
	extra     []string
	protocols []remotewrite.Protocol
	tolerance float64 // relative error of values that come back
	repeats   bool    // keeps twice what is sent twice
	flush     string  // to ask before new samples are sure to be seen
	stored    func(ctx context.Context, s *server, samples int64) (float64, error)
}

// known are the peers, ours first.
var known = []peer{
	{
		name: "chiron", binary: "bin/chiron", protocols: []remotewrite.Protocol{remotewrite.V1, remotewrite.V2}, stored: chironStored,
		args: func(dir, address string) []string {
			return []string{"serve", "--web.listen-address=" + address, "--storage.path=" + filepath.Join(dir, "data"), "--log.level=warn"}
		},
	},
	{
		name: "prometheus", binary: ".tools/bin/prometheus", protocols: []remotewrite.Protocol{remotewrite.V1, remotewrite.V2}, stored: prometheusStored,
		args: func(dir, address string) []string {
			return []string{
				"--config.file=" + filepath.Join(dir, "empty.yml"), "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--storage.tsdb.retention.time=15d",
				"--web.listen-address=" + address, "--web.enable-remote-write-receiver", "--web.enable-admin-api",
				"--query.max-samples=500000000", "--query.timeout=5m", "--log.level=warn",
			}
		},
	},
	{
		// Its values keep 15 to 17 digits, not every bit.
		name: "victoriametrics", binary: ".tools/bin/victoria-metrics", protocols: []remotewrite.Protocol{remotewrite.V1}, tolerance: 1e-12, repeats: true, flush: "/internal/force_flush", stored: victoriaStored,
		args: func(dir, address string) []string {
			return []string{
				"-httpListenAddr=" + address, "-storageDataPath=" + filepath.Join(dir, "data"), "-retentionPeriod=30d", "-loggerLevel=WARN",
				"-search.maxUniqueTimeseries=3000000", "-search.maxSamplesPerQuery=2000000000", "-search.maxQueryDuration=5m", "-search.latencyOffset=1s",
			}
		},
	},
}

func peerNames() []string {
	var names []string
	for _, p := range known {
		names = append(names, p.name)
	}
	return names
}

// find returns a peer by its name, with the binary that will be started.
func (o *options) find(name string) (*peer, error) {
	for _, p := range known {
		if p.name != name {
			continue
		}
		if b := o.binaries[name]; b != "" {
			p.binary = b
		}
		p.extra = strings.Fields(o.flags[name])
		path, err := exec.LookPath(p.binary)
		if err != nil {
			return nil, fmt.Errorf("%s is not there: %w; make bench-peers builds it, -%s names another binary", name, err, name)
		}
		if p.binary, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		return &p, nil
	}
	return nil, fmt.Errorf("nobody is called %q; there are %s", name, strings.Join(peerNames(), ", "))
}

// version is what Go's linker wrote into the binary: the module that holds the
// command, and the commit where that is known.
func (p *peer) version() string {
	info, err := buildinfo.ReadFile(p.binary)
	if err != nil {
		return "not built by Go: " + err.Error()
	}
	words := []string{info.Path}
	for _, m := range append(info.Deps, &info.Main) {
		if info.Path == m.Path || strings.HasPrefix(info.Path, m.Path+"/") {
			words = append(words, m.Version)
		}
	}
	for _, s := range info.Settings {
		if s.Key == "CGO_ENABLED" || s.Key == "vcs.revision" {
			words = append(words, s.Key+"="+s.Value)
		}
	}
	return strings.Join(append(words, info.GoVersion), " ")
}

// chironStored is the part of the ring that pages in use take, a sample.
func chironStored(ctx context.Context, s *server, samples int64) (float64, error) {
	m, err := s.metrics(ctx)
	if err != nil {
		return 0, err
	}
	used := m.sum(`chiron_tsdbcache_pages{state="open"}`) + m.sum(`chiron_tsdbcache_pages{state="closed"}`)
	all := used + m.sum(`chiron_tsdbcache_pages{state="free"}`)
	return m.sum("chiron_tsdbcache_bytes") * used / all / float64(samples), nil
}

// prometheusStored is the size of the chunks in a snapshot, which makes blocks
// of all that is in memory; neither index nor log is counted.
func prometheusStored(ctx context.Context, s *server, samples int64) (float64, error) {
	if err := s.ask(ctx, "POST", "/api/v1/admin/tsdb/snapshot"); err != nil {
		return 0, err
	}
	files, err := filepath.Glob(filepath.Join(s.dir, "data", "snapshots", "*", "*", "chunks", "*"))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("the snapshot has %d files of chunks: %w", len(files), err)
	}
	size := int64(0)
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			return 0, err
		}
		size += info.Size()
	}
	return float64(size) / float64(samples), nil
}

// victoriaStored is the size of its parts, without the index.
func victoriaStored(ctx context.Context, s *server, _ int64) (float64, error) {
	m, err := s.metrics(ctx)
	if err != nil {
		return 0, err
	}
	return m.sum(`vm_data_size_bytes{type="storage/`) / m.sum(`vm_rows{type="storage/`), nil
}
