package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
)

// lifecycle owns the goroutines of a process: parts start in order and stop in
// the opposite order, each only after the part that uses it has gone.
type lifecycle struct {
	logger *slog.Logger
	failed chan error // first part that ended on its own
	parts  []*part
}

type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func newLifecycle(logger *slog.Logger) *lifecycle {
	return &lifecycle{logger: logger, failed: make(chan error, 1)}
}

// start runs a part until stop; a part that ends before is a failure of the
// whole process.
func (l *lifecycle) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{name: name, cancel: cancel, done: make(chan struct{})}
	l.parts = append(l.parts, p)
	go func() {
		defer close(p.done)
		err := run(ctx)
		if ctx.Err() != nil {
			if !errors.Is(err, context.Canceled) {
				p.err = err
			}
			return
		}
		if err == nil {
			err = errors.New("ended on its own")
		}
		select {
		case l.failed <- fmt.Errorf("%s: %w", name, err):
		default:
		}
	}()
}

// stop ends all parts, last started first, and returns what they could not
// finish.
func (l *lifecycle) stop() error {
	var errs []error
	for _, p := range slices.Backward(l.parts) {

		p.cancel()
		<-p.done
		l.logger.Debug("part stopped", "part", p.name)
		if p.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, p.err))
		}
	}
	l.parts = nil
	return errors.Join(errs...)
}
