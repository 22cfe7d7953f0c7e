package machine

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

const total = "MemTotal:       4096 kB\nMemFree:        1024 kB\n"

// files makes a file system of pairs of names and texts.
func files(pairs ...string) fstest.MapFS {
	root := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		root[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return root
}

func TestMemory(t *testing.T) {
	f := func(want int64, source string, pairs ...string) {
		t.Helper()
		got, from, err := Memory(files(append([]string{"proc/meminfo", total}, pairs...)...))
		if err != nil || got != want || from != source {
			t.Errorf("%d from %s, %v; want %d from %s", got, from, err, want, source)
		}
	}
	const machine = 4096 << 10
	f(machine, "/proc/meminfo")
	f(machine, "/proc/meminfo", "proc/self/cgroup", "")

	// Version 2: the own group, one above it, or none.
	const v2 = "0::/a.slice/b.service\n"
	f(machine, "/proc/meminfo", "proc/self/cgroup", v2)
	f(1000, "/sys/fs/cgroup/a.slice/b.service/memory.max", "proc/self/cgroup", v2, "sys/fs/cgroup/a.slice/b.service/memory.max", "1000\n")
	f(1000, "/sys/fs/cgroup/a.slice/memory.max", "proc/self/cgroup", v2,
		"sys/fs/cgroup/a.slice/b.service/memory.max", "max\n", "sys/fs/cgroup/a.slice/memory.max", "1000\n")
	f(900, "/sys/fs/cgroup/a.slice/memory.max", "proc/self/cgroup", v2,
		"sys/fs/cgroup/a.slice/b.service/memory.max", "1000\n", "sys/fs/cgroup/a.slice/memory.max", "900\n")
	f(machine, "/proc/meminfo", "proc/self/cgroup", v2, "sys/fs/cgroup/a.slice/b.service/memory.max", "max\n")
	f(machine, "/proc/meminfo", "proc/self/cgroup", v2, "sys/fs/cgroup/a.slice/b.service/memory.max", "8388608\n")
	// In a container the group is the root of what is mounted, or lies outside.
	f(77, "/sys/fs/cgroup/memory.max", "proc/self/cgroup", "0::/\n", "sys/fs/cgroup/memory.max", "77\n")
	f(77, "/sys/fs/cgroup/memory.max", "proc/self/cgroup", "0::/../../kubepods/pod1\n", "sys/fs/cgroup/memory.max", "77\n")
	f(77, "/sys/fs/cgroup/memory.max", "proc/self/cgroup", "0::/docker/1234\n", "sys/fs/cgroup/memory.max", "77\n")

	// Version 1, alone and beside version 2.
	const v1 = "10:cpu,cpuacct:/x\n9:hugetlb,memory:/docker/4f1e\n1:name=systemd:/y\n0::/z\n"
	f(500, "/sys/fs/cgroup/memory/docker/4f1e/memory.limit_in_bytes", "proc/self/cgroup", v1,
		"sys/fs/cgroup/memory/docker/4f1e/memory.limit_in_bytes", "500\n", "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
	f(600, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "proc/self/cgroup", v1, "sys/fs/cgroup/memory/memory.limit_in_bytes", "600\n")
	f(machine, "/proc/meminfo", "proc/self/cgroup", v1, "sys/fs/cgroup/memory/docker/4f1e/memory.limit_in_bytes", "9223372036854771712\n")
	f(machine, "/proc/meminfo", "proc/self/cgroup", v1, "sys/fs/cgroup/memory/docker/4f1e/memory.limit_in_bytes", "18446744073709551615\n")
	f(400, "/sys/fs/cgroup/unified/z/memory.max", "proc/self/cgroup", v1, "sys/fs/cgroup/unified/z/memory.max", "400\n")
	f(machine, "/proc/meminfo", "proc/self/cgroup", "10:cpu:/x\n", "sys/fs/cgroup/x/memory.max", "1\n", "sys/fs/cgroup/memory.max", "1\n")
}

func TestMemoryErrors(t *testing.T) {
	f := func(want string, pairs ...string) {
		t.Helper()
		if n, _, err := Memory(files(pairs...)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d, %v; want an error that says %q", n, err, want)
		}
	}
	f("cannot tell how much memory there is: open proc/meminfo")
	f("from /proc/meminfo: there is no line MemTotal", "proc/meminfo", "MemFree: 1 kB\n")
	f(`MemTotal must be a number of kB, not "many kB"`, "proc/meminfo", "MemTotal: many kB\n")
	f("MemTotal must be", "proc/meminfo", "MemTotal: 0 kB\n")
	f("MemTotal must be", "proc/meminfo", "MemTotal: 9223372036854775807 kB\n")
	f("MemTotal must be", "proc/meminfo", "MemTotal: 5 MB\n")
	f(`from /sys/fs/cgroup/a/memory.max: a limit must be a number of bytes or max, not "lots"`,
		"proc/meminfo", total, "proc/self/cgroup", "0::/a\n", "sys/fs/cgroup/a/memory.max", "lots\n")
	f("a limit must be", "proc/meminfo", total, "proc/self/cgroup", "0::/a\n", "sys/fs/cgroup/a/memory.max", "-1\n")
}

// TestMemoryOfThisMachine reads the real files, where there are such.
func TestMemoryOfThisMachine(t *testing.T) {
	if _, err := os.Stat("/proc/meminfo"); err != nil {
		return
	}
	n, source, err := Memory(os.DirFS("/"))
	if err != nil || n < 1<<20 || source == "" {
		t.Errorf("%d from %s, %v", n, source, err)
	}
}

func FuzzMemory(f *testing.F) {
	f.Add(total, "0::/a/b\n", "100\n")
	f.Add("MemTotal: 1 kB", "9:memory,x:/../a\n0::", "max")
	f.Add("MemTotal:\t9007199254740991 kB\n", "1:memory:/\n", "18446744073709551615\n")
	f.Fuzz(func(t *testing.T, info, groups, limit string) {
		n, source, err := Memory(files("proc/meminfo", info, "proc/self/cgroup", groups,
			"sys/fs/cgroup/memory.max", limit, "sys/fs/cgroup/memory/memory.limit_in_bytes", limit))
		if err != nil {
			return
		}
		machine, err := parseMeminfo(info)
		if err != nil || n < 0 || n > machine || source == "" {
			t.Errorf("%d from %q, the machine has %d, %v", n, source, machine, err)
		}
	})
}
