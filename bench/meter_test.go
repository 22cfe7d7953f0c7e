package bench

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// meter adds up wall time and the CPU time of the whole process, collector and
// background included, over the parts of a benchmark that count. On a shared
// machine only the CPU time can be compared.
type meter struct {
	b         *testing.B
	wall, cpu time.Duration
	wall0     time.Time
	cpu0      time.Duration
}

func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err) // the arguments are right
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func newMeter(b *testing.B) *meter {
	b.Helper()
	b.ReportAllocs()
	m := &meter{b: b}
	m.start()
	return m
}

func (m *meter) start() {
	m.b.StartTimer()
	m.wall0, m.cpu0 = time.Now(), cpuTime()
}

func (m *meter) stop() {
	m.wall += time.Since(m.wall0)
	m.cpu += cpuTime() - m.cpu0
	m.b.StopTimer()
}

// report ends the measurement of n units, each a "sample" or a "series".
func (m *meter) report(n int, unit string) {
	m.stop()
	if n == 0 {
		return
	}
	plural := map[string]string{"sample": "samples", "series": "series"}[unit]
	m.b.ReportMetric(float64(n)/m.cpu.Seconds(), plural+"/cpu-s")
	m.b.ReportMetric(float64(m.cpu.Nanoseconds())/float64(n), "cpu-ns/"+unit)
	m.b.ReportMetric(float64(m.wall.Nanoseconds())/float64(n), "wall-ns/"+unit)
	m.b.ReportMetric(0, "ns/op") // of a request; the figures above say it better
}
