package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// gallery is the pictures of docs/models.md: a model, and a part of a series
// that shows what it is for.
var gallery = []struct {
	model, name, file string
	column            int
	from, to          float64
}{
	{model: "auto", file: "nab-dev/data/realAWSCloudwatch/rds_cpu_utilization_e47b3b.csv", to: 1},
	{model: "zscore(window=1d, threshold=4)", name: "zscore", file: "nab-dev/data/realAWSCloudwatch/ec2_cpu_utilization_825cc2.csv", to: 1},
	{model: "mad(window=1d, threshold=6)", name: "mad", file: "nab-dev/data/realKnownCause/ec2_request_latency_system_failure.csv", to: 1},
	{model: "seasonal(1d, 1w)", name: "seasonal", file: "nab-dev/data/realKnownCause/nyc_taxi.csv", from: 0.5, to: 1},
	{model: "holtwinters(season=1d, threshold=5)", name: "holtwinters", file: "nab-dev/data/artificialWithAnomaly/art_daily_flatmiddle.csv", to: 1},
	{model: "prophet(seasons=[1d, 1w])", name: "prophet", file: "nab-dev/data/realKnownCause/nyc_taxi.csv", from: 0.5, to: 1},
	{model: "quantile(window=2d)", name: "quantile", file: "nab-dev/data/realAWSCloudwatch/elb_request_count_8c0756.csv", to: 1},
	{model: "trend(window=12h)", name: "trend", file: "nab-dev/data/realAWSCloudwatch/grok_asg_anomaly.csv", to: 1},
	{model: "changepoint", file: "nab-dev/data/realAWSCloudwatch/ec2_cpu_utilization_77c1ca.csv", to: 1},
	{model: "count(window=1d)", name: "count", file: "nab-dev/data/realTweets/Twitter_volume_CVS.csv", from: 0.4, to: 0.7},
	{model: "spectral", file: "nab-dev/data/realTraffic/speed_6005.csv", to: 1},
	{model: "discord(m=288)", name: "discord", file: "nab-dev/data/artificialWithAnomaly/art_daily_nojump.csv", to: 1},
	{model: "iforest", file: "nab-dev/data/realAWSCloudwatch/ec2_network_in_5abac7.csv", to: 1},
	{model: "lstm", file: "nab-dev/data/artificialWithAnomaly/art_daily_nojump.csv", to: 1},
	{model: "auto", name: "inputs", file: "smd-dev/test/machine-2-8.csv", to: 1},
}

// galleryCommand draws all of them.
func galleryCommand(args []string) error {
	fs := flag.NewFlagSet("detection gallery", flag.ContinueOnError)
	data := fs.String("data", "", "directory of the data sets")
	out := fs.String("out", "docs/img", "directory to write the pictures to")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *data == "" {
		fs.Usage()
		return fmt.Errorf("want -data")
	}
	if err := os.MkdirAll(*out, 0o755); err != nil { //nolint:gosec // pictures for everybody
		return err
	}
	for _, g := range gallery {
		if g.name == "" {
			g.name = g.model
		}
		o := plotOptions{data: *data, file: g.file, model: g.model, column: g.column, from: g.from, to: g.to, out: filepath.Join(*out, "model-"+g.name+".svg")}
		if err := plot(o); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	return nil
}
