package main

import (
	"context"

	"github.com/alecthomas/kingpin/v2"

	"github.com/chironhq/chiron/rules/lang"
)

func modelsCommand(app *kingpin.Application) (string, command) {
	cmd := app.Command("models", "List every model with its parameters, their types, ranges and defaults.")
	return cmd.FullCommand(), func(_ context.Context, e env) error {
		return lang.RenderModels(e.stdout)
	}
}
