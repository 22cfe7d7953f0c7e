package tsdbcache

import (
	"io"
	"log/slog"

	"github.com/prometheus/prometheus/storage"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func seriesRef(r uint64) storage.SeriesRef { return storage.SeriesRef(r) }
