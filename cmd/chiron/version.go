package main

import (
	"context"
	"fmt"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"
)

func versionCommand(app *kingpin.Application) (string, command) {
	cmd := app.Command("version", "Print the version and what it was built with.")
	return cmd.FullCommand(), func(_ context.Context, e env) error {
		_, err := fmt.Fprintln(e.stdout, version.Print("chiron"))
		return err
	}
}
