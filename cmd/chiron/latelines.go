package main

import (
	"fmt"
	"io"
	"time"

	"github.com/prometheus/common/model"
)

// lateLines tells of lines that are not newer than the lines before them. Nothing
// in the answers shows that they were not learned, or that all was forgotten. The
// first one of each kind is told of in full, the others are counted.
type lateLines struct {
	to            io.Writer
	newest        int64 // milliseconds
	newestLine    int   // 0: none
	late, restart int   // lines so far
}

// line takes in line n, of time t in milliseconds; startedOver says that the
// model has forgotten everything before it.
func (l *lateLines) line(n int, t int64, startedOver bool) {
	switch {
	case startedOver:
		if l.restart++; l.restart == 1 {
			fmt.Fprintf(l.to, "line %d: its time %s is %s, so the model starts over: all it has learned is forgotten\n", n, stamp(t), l.against(t))
		}
	case l.newestLine != 0 && t <= l.newest:
		if l.late++; l.late == 1 {
			fmt.Fprintf(l.to, "line %d: its time %s is %s: it is scored and not learned, and nothing begins with it\n", n, stamp(t), l.against(t))
		}
		return
	}
	l.newest, l.newestLine = t, n
}

// against says where t lies before the newest time.
func (l *lateLines) against(t int64) string {
	if t == l.newest {
		return fmt.Sprintf("that of line %d as well", l.newestLine)
	}
	return fmt.Sprintf("%s before the newest one, %s of line %d", span(l.newest-t), stamp(l.newest), l.newestLine)
}

// sum says how many there were in all, where that has not been said.
func (l *lateLines) sum() {
	if l.late > 1 {
		fmt.Fprintf(l.to, "%d lines in all were not newer than the newest one, and were not learned\n", l.late)
	}
	if l.restart > 1 {
		fmt.Fprintf(l.to, "%d lines in all were more than an hour before the newest one, and the model started over at each\n", l.restart)
	}
}

// stamp is a time as it is read, and as a date.
func stamp(ms int64) string {
	return fmt.Sprintf("%.15g (%s)", float64(ms)/1000, time.UnixMilli(ms).UTC().Format(time.DateTime+" MST"))
}

// span is a length of time, to the day where it is one of days.
func span(ms int64) string {
	const day, year = 86_400_000, 365 * 86_400_000
	switch {
	case ms > 2*year: // time.Duration holds 292
		return fmt.Sprintf("%d years", ms/year)
	case ms > 3*day:
		ms -= ms % day
	}
	return model.Duration(time.Duration(ms) * time.Millisecond).String()
}
