package ha

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"
)

var start = time.UnixMilli(1_800_000_000_000)

func tracker(t testing.TB, o Options) *Tracker {
	t.Helper()
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// TestStory: one line an event: seconds after the start, who, the verdict.
func TestStory(t *testing.T) {
	for name, story := range map[string]struct {
		o     Options
		lines []string
	}{
		"the first one heard is elected, the other takes over after 30 s": {Options{}, []string{
			"0 a accept", "1 b drop", "15 a accept", "16 b drop", "44.999 b drop", "45 b accept", "46 a drop", "60 b accept", "61 a drop",
		}},
		"the elected one comes back before anybody takes over": {Options{}, []string{"0 a accept", "120 a accept", "121 b drop"}},
		"what is noted at most every 15 s shortens the wait by as much": {Options{}, []string{
			"0 a accept", "14.999 a accept", "29.999 b drop", "30 b accept",
		}},
		"timeouts of its own": {Options{FailoverTimeout: 4 * time.Second, UpdateTimeout: time.Second}, []string{
			"0 a accept", "1 a accept", "4.999 b drop", "5 b accept", "5 a drop",
		}},
		"three replicas": {Options{}, []string{"0 a accept", "1 b drop", "1 c drop", "30 c accept", "30 b drop", "31 a drop", "60 a accept"}},
		"a clock that was put back an hour starts the silence anew": {Options{}, []string{
			"3600 a accept", "0 b drop", "29.999 b drop", "30 b accept", "31 a drop",
		}},
		"the elected one may be the first to see the clock put back": {Options{}, []string{"3600 a accept", "0 a accept", "29 b drop", "30 b accept"}},
		"a clock that jumps ahead elects whoever comes first":        {Options{}, []string{"0 a accept", "86400 b accept", "86401 a drop"}},
	} {
		t.Run(name, func(t *testing.T) {
			tr := tracker(t, story.o)
			for _, line := range story.lines {
				var seconds float64
				var who, want string
				if _, err := fmt.Sscan(line, &seconds, &who, &want); err != nil {
					t.Fatal(err)
				}
				got := tr.Check(start.Add(time.Duration(seconds*1000)*time.Millisecond), []byte("prod"), []byte(who))
				if (got == Accept) != (want == "accept") {
					t.Errorf("%s: got %d", line, got)
				}
			}
		})
	}
}

// TestAtMostOneIsElected: whatever comes when, a replica is accepted only
// while no other one was within the failover timeout less the update timeout,
// and somebody is accepted at the latest a failover timeout after that.
func TestAtMostOneIsElected(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Options{FailoverTimeout: 30 * time.Second, UpdateTimeout: 15 * time.Second}
		tr, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		now, last := start, map[string]time.Time{}
		accepted := start.Add(-time.Hour)
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20_000).Draw(t, "wait")) * time.Millisecond)
			who := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "who")
			switch tr.Check(now, []byte("prod"), []byte(who)) {
			case Accept:
				for other, at := range last {
					if other != who && now.Sub(at) < o.FailoverTimeout-o.UpdateTimeout {
						t.Fatalf("%s and %s accepted within %v", other, who, now.Sub(at))
					}
				}
				last[who], accepted = now, now
			case Drop:
				if now.Sub(accepted) >= o.FailoverTimeout {
					t.Fatalf("%s dropped after %v of silence", who, now.Sub(accepted))
				}
			case Full:
				t.Fatal("full")
			}
		}
	})
}

// TestClustersAreBounded: a new cluster gets the place of one whose replicas
// are silent, or none.
func TestClustersAreBounded(t *testing.T) {
	tr := tracker(t, Options{MaxClusters: 2})
	f := func(seconds int, cluster, replica string, want Verdict) {
		t.Helper()
		if got := tr.Check(start.Add(time.Duration(seconds)*time.Second), []byte(cluster), []byte(replica)); got != want {
			t.Errorf("%d %s/%s: %d, want %d", seconds, cluster, replica, got, want)
		}
	}
	f(0, "one", "a", Accept)
	f(0, "two", "a", Accept)
	f(1, "three", "a", Full)
	f(20, "one", "a", Accept)
	f(29, "three", "a", Full)
	f(30, "three", "a", Accept) // two is silent
	f(31, "two", "b", Full)
	f(31, "one", "b", Drop)
	if len(tr.clusters) != 2 {
		t.Errorf("%d clusters", len(tr.clusters))
	}
	for i := range 10_000 {
		f(32, fmt.Sprint("storm", i), "a", Full)
	}
}

// TestManyAtOnce: both replicas of every cluster send at once: one of each is
// accepted, always the same.
func TestManyAtOnce(t *testing.T) {
	tr := tracker(t, Options{MaxClusters: 50})
	var mu sync.Mutex
	accepted := map[string]map[string]int{}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			replica := fmt.Sprint("replica-", worker%2)
			for i := range 2000 {
				cluster := fmt.Sprint("cluster-", i%50)
				if tr.Check(start.Add(time.Duration(i)*time.Millisecond), []byte(cluster), []byte(replica)) == Drop {
					tr.Dropped([]byte(cluster), 1)
					continue
				}
				mu.Lock()
				if accepted[cluster] == nil {
					accepted[cluster] = map[string]int{}
				}
				accepted[cluster][replica]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for cluster, by := range accepted {
		if len(by) != 1 {
			t.Errorf("%s: accepted %v", cluster, by)
		}
		for replica, n := range by {
			if elected, _, ok := tr.Elected(cluster); !ok || elected != replica || n != 4*40 || tr.clusters[cluster].dropped.Load() != 4*40 {
				t.Errorf("%s: %s elected, %s accepted %d times", cluster, elected, replica, n)
			}
		}
	}
}

func TestMetrics(t *testing.T) {
	tr := tracker(t, Options{MaxClusters: 1})
	for i, replica := range []string{"a", "b", "a", "b"} {
		if tr.Check(start.Add(time.Duration(i*12)*time.Second), []byte("prod"), []byte(replica)) == Drop {
			tr.Dropped([]byte("prod"), 7)
		}
	}
	tr.Check(start.Add(80*time.Second), []byte("prod"), []byte("b"))
	tr.Check(start.Add(80*time.Second), []byte("more"), []byte("b"))
	tr.Dropped([]byte("nobody"), 1)
	want := `
# HELP chiron_receiver_ha_clusters Clusters that are tracked.
# TYPE chiron_receiver_ha_clusters gauge
chiron_receiver_ha_clusters 1
# HELP chiron_receiver_ha_deduplicated_samples_total Samples of a cluster that were dropped, because another replica is elected.
# TYPE chiron_receiver_ha_deduplicated_samples_total counter
chiron_receiver_ha_deduplicated_samples_total{cluster="prod"} 14
# HELP chiron_receiver_ha_elected_replica_changes_total How often another replica of a cluster took over.
# TYPE chiron_receiver_ha_elected_replica_changes_total counter
chiron_receiver_ha_elected_replica_changes_total{cluster="prod"} 1
# HELP chiron_receiver_ha_elected_replica_info The elected replica of a cluster; the value is 1.
# TYPE chiron_receiver_ha_elected_replica_info gauge
chiron_receiver_ha_elected_replica_info{cluster="prod",replica="b"} 1
# HELP chiron_receiver_ha_elected_replica_timestamp_seconds When the elected replica of a cluster was noted last.
# TYPE chiron_receiver_ha_elected_replica_timestamp_seconds gauge
chiron_receiver_ha_elected_replica_timestamp_seconds{cluster="prod"} 1.80000008e+09
# HELP chiron_receiver_ha_refused_requests_total Requests of clusters beyond the limit of clusters.
# TYPE chiron_receiver_ha_refused_requests_total counter
chiron_receiver_ha_refused_requests_total 1
`
	if err := testutil.CollectAndCompare(tr, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestSteadyCheckAllocatesNothing(t *testing.T) {
	tr := tracker(t, Options{})
	cluster, a, b, now := []byte("prod"), []byte("a"), []byte("b"), start
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(time.Second)
		if tr.Check(now, cluster, a) != Accept || tr.Check(now, cluster, b) != Drop {
			t.Fatal("another verdict")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	for _, o := range []Options{
		{FailoverTimeout: -1}, {UpdateTimeout: -1}, {MaxClusters: -1}, {FailoverTimeout: time.Second, UpdateTimeout: time.Second},
		{UpdateTimeout: time.Minute},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
}
