package main

import (
	"context"
	"fmt"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"

	"github.com/chironhq/chiron/internal/config"
	"github.com/chironhq/chiron/internal/server"
)

func serveCommand(app *kingpin.Application) (string, command) {
	cmd := app.Command("serve", "Receive remote write, answer PromQL, run rules, alert, and act on alerts.\n\n"+
		"Without flags: listens on :9095, keeps the last day within 1 GiB, has no rules and touches no cluster. "+
		"Everything else stands in --config.file, which is read again on SIGHUP, when it changes, and on POST /-/reload.")
	var o server.Options
	cmd.Flag("config.file", "Configuration: rules, Alertmanagers, remote write, remediation.").PlaceHolder("FILE").StringVar(&o.ConfigFile)
	cmd.Flag("web.listen-address", "Address to listen on.").Default(":9095").StringVar(&o.ListenAddress)
	cmd.Flag("web.config.file", "TLS, client certificates and basic auth, in the exporter-toolkit's form.").PlaceHolder("FILE").StringVar(&o.WebConfigFile)
	cmd.Flag("web.external-url", "Address under which users reach Chiron; stands in alerts as their source.").PlaceHolder("URL").StringVar(&o.ExternalURL)
	cmd.Flag("storage.path", "Folder for everything that survives a restart.").Default("./chiron-data").StringVar(&o.StoragePath)
	memory := cmd.Flag("cache.memory", "Size of the ring: fixed, taken from the machine once, outside Go's heap.").Default("1GiB").String()
	retention := cmd.Flag("cache.retention", "Samples older than this go even when there is room; 0 keeps what fits.").Default("24h").String()
	level := promslog.NewLevel()
	format := promslog.NewFormat()
	cmd.Flag("log.level", "Least severe messages to print: debug, info, warn, error.").Default("info").SetValue(level)
	cmd.Flag("log.format", "logfmt or json.").Default("logfmt").SetValue(format)

	return cmd.FullCommand(), func(ctx context.Context, e env) error {
		var err error
		if o.CacheMemory, err = config.ParseBytes(*memory); err != nil {
			return fmt.Errorf("--cache.memory: %w", err)
		}
		d, err := model.ParseDuration(*retention)
		if err != nil {
			return fmt.Errorf("--cache.retention: %q is no duration such as 12h or 7d: %w", *retention, err)
		}
		o.CacheRetention = time.Duration(d)
		o.Logger = promslog.New(&promslog.Config{Level: level, Format: format, Writer: e.stderr})
		o.Banner = e.stdout
		return server.Run(ctx, o)
	}
}
