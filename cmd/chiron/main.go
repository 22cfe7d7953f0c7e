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
	"strconv"
	"strings"
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
	err := wrongFlag(app, os.Args[1:])
	name := ""
	if err == nil {
		name, err = app.Parse(os.Args[1:])
	}
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

// wrongFlag says which flag has a value that it cannot take, and what it takes:
// the parser's own message names neither.
func wrongFlag(app *kingpin.Application, args []string) error {
	parsed, err := app.ParseContext(args)
	if parsed == nil || err != nil {
		return nil // the parser says what is wrong
	}
	for _, e := range parsed.Elements {
		clause, ok := e.Clause.(*kingpin.FlagClause)
		if !ok || e.Value == nil {
			continue
		}
		flag := clause.Model()
		err := flag.Value.Set(*e.Value)
		if err == nil {
			continue
		}
		takes := strings.TrimSuffix(flag.Help, ".")
		if n, ok := errors.AsType[*strconv.NumError](err); ok {
			switch n.Func {
			case "ParseBool":
				takes = "true or false"
			case "ParseFloat":
				takes = "a number"
			default:
				takes = "a whole number"
			}
		}
		return fmt.Errorf("--%s: %q cannot be used; want: %s", flag.Name, *e.Value, takes)
	}
	return nil
}
