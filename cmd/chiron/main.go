// Command chiron receives Prometheus remote write, scores every series as it
// arrives, alerts through Alertmanager and heals Kubernetes through
// Alertmanager's webhook.
//
// Each file here is one subcommand: flags and wiring only.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // seasonal(tz=…) on images without a zone database

	"github.com/alecthomas/kingpin/v2"
)

// errFailed ends the process with status 1 after a command has said itself
// what is wrong.
var errFailed = errors.New("failed")

// env is what a subcommand may touch of the process.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// command runs a subcommand once its flags are read.
type command func(ctx context.Context, e env) error

func main() { os.Exit(run()) }

func run() int {
	app := kingpin.New("chiron", "Prometheus remote write in, anomalies scored as they arrive, Kubernetes healed with care.\n\n"+
		"  chiron serve                     receive, detect, alert, heal\n"+
		"  chiron check FILE...             say what is wrong in configuration, rules and policies\n"+
		"  chiron score --model auto        score lines of numbers from standard input\n"+
		"  chiron runs                      what the remediation decided and did\n\n"+
		"Point Prometheus at it:  remote_write: [{ url: http://HOST:9095/api/v1/write }]")
	app.HelpFlag.Short('h')
	app.UsageWriter(os.Stdout)
	app.ErrorWriter(os.Stderr)

	commands := map[string]command{}
	for _, register := range []func(*kingpin.Application) (string, command){
		serveCommand, checkCommand, modelsCommand, scoreCommand, runsCommand, versionCommand,
	} {
		name, c := register(app)
		commands[name] = c
	}
	name, err := app.Parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "chiron: %v; see chiron --help\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := commands[name](ctx, env{os.Stdin, os.Stdout, os.Stderr}); {
	case err == nil:
		return 0
	case errors.Is(err, errFailed):
		return 1
	default:
		fmt.Fprintf(os.Stderr, "chiron %s: %v\n", name, err)
		return 1
	}
}
