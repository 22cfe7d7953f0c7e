package auto

import (
	"math"
	"math/rand"
	"testing"
	"time"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Civil seconds are what the clock on the wall shows, through both changes, in
// whatever order and distance they are asked.
func TestCivilTimeIsWhatTheClockShows(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"} {
		where, r := zone(t, name), rand.New(rand.NewSource(1))
		var c civil
		check := func(at time.Time) {
			t.Helper()
			in := at.In(where)
			want := time.Date(in.Year(), in.Month(), in.Day(), in.Hour(), in.Minute(), in.Second(), 0, time.UTC).Unix()
			if got := c.seconds(at.UnixMilli(), where); got != want {
				t.Fatalf("%s: %v is %v", name, in, time.Unix(got, 0).UTC())
			}
		}
		for _, change := range []string{"2026-03-29", "2026-10-25", "2026-04-04", "2026-10-03", "1969-06-01"} {
			at, _ := time.Parse(time.DateOnly, change)
			for range 3 * 1440 {
				check(at)
				at = at.Add(time.Minute)
			}
		}
		for range 1000 {
			check(time.Unix(r.Int63n(2e9), 0))
		}
	}
}

// A clock that is set back or forward neither loses nor repeats what was
// expected: a day at civil times leads on through the change.
func TestADayLeadsThroughAChangeOfTheClocks(t *testing.T) {
	f := func(zoneName, from string, step time.Duration) {
		t.Helper()
		where, r := zone(t, zoneName), rand.New(rand.NewSource(2))
		start, _ := time.Parse(time.DateOnly, from)
		m, worst := New(Config{Location: where}), 0.0
		for at := start; at.Before(start.AddDate(0, 0, 24)); at = at.Add(step) {
			in := at.In(where)
			hour := float64(in.Hour()) + float64(in.Minute())/60
			v := 100 + 40*math.Sin(2*math.Pi*hour/24) + r.NormFloat64()
			j := m.Judge(at.UnixMilli(), v)
			if at.After(start.AddDate(0, 0, 18)) {
				worst = max(worst, j.Evidence)
			}
			m.Learn(at.UnixMilli(), v, false)
		}
		if worst > 1.2 {
			t.Errorf("%s from %s every %v: evidence of %v", zoneName, from, step, worst)
		}
	}
	for _, step := range []time.Duration{time.Minute, 5 * time.Minute, 7 * time.Minute, time.Hour} {
		f("Europe/Berlin", "2026-03-10", step)
		f("Europe/Berlin", "2026-10-06", step)
		if step > 30*time.Minute { // the change there is half an hour, less than a step
			continue
		}
		f("Australia/Lord_Howe", "2026-03-17", step)
		f("Australia/Lord_Howe", "2026-09-15", step)
	}
}

// grow feeds n points of a counter with a rate a second, restarts where told.
func grow(m *Model, n int, step time.Duration, rate float64, restart func(i int) bool) (at int64, total float64) {
	r := rand.New(rand.NewSource(3))
	for i := range n {
		total += rate * step.Seconds() * (1 + 0.05*r.NormFloat64())
		if restart(i) {
			total = rate
		}
		at += step.Milliseconds()
		m.Learn(at, total, false)
	}
	return at, total
}

func TestACounterIsJudgedByItsIncrease(t *testing.T) {
	never := func(int) bool { return false }
	f := func(name string, restart func(int) bool, dt time.Duration, times, low, high float64) {
		t.Helper()
		m := New(Config{})
		at, total := grow(m, 4000, time.Minute, 7, restart)
		if !m.Counter() {
			t.Fatalf("%s: not taken for a counter", name)
		}
		v := m.Judge(at+dt.Milliseconds(), total+times*7*dt.Seconds())
		if !(v.Evidence >= low && v.Evidence <= high) {
			t.Errorf("%s: evidence of %v, want %v to %v", name, v.Evidence, low, high)
		}
		if usual := total + 7*dt.Seconds(); dt <= 3*time.Minute && !(v.Lower < usual && usual < v.Upper && v.Lower >= total-1e-6) {
			t.Errorf("%s: a band of %v to %v around %v", name, v.Lower, v.Upper, usual)
		}
	}
	f("the usual increase", never, time.Minute, 1, 0, 0.8)
	f("twice of it", never, time.Minute, 2, 1, 1000)
	f("none", never, time.Minute, 0, 1, 1000)
	f("two steps at once", never, 2*time.Minute, 1, 0, 0.8)
	f("after a gap", never, 5*time.Hour, 1, 0, 0)
	f("after restarts", func(i int) bool { return i%500 == 499 }, time.Minute, 1, 0, 0.8)

	m := New(Config{})
	at, _ := grow(m, 4000, time.Minute, 7, never)
	if v := m.Judge(at+60_000, 3); v.Evidence != 0 || v.Expected != 3 {
		t.Errorf("a restart: %+v", v)
	}
}

// What only rose at first is found out to be no counter.
func TestWhatFallsIsNoCounter(t *testing.T) {
	m := New(Config{})
	at, total := grow(m, 300, time.Minute, 7, func(int) bool { return false })
	if !m.Counter() {
		t.Fatal("not taken for a counter while it only rises")
	}
	for i := range 200 {
		m.Learn(at+int64(i+1)*60_000, total+100*math.Sin(float64(i)), false)
	}
	if m.Counter() {
		t.Error("what falls as often as it rises is taken for a counter")
	}
}
