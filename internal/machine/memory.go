// Package machine says what there is to use: how much memory the process may
// take. It knows Linux's files, by the root of a file system, and nobody of
// ours.
package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Memory is how many bytes the process may take at most: what the machine has,
// or the least limit of the cgroups that the process is in, version 2 or 1,
// when that is less. Source is the file that says so. Root is the root of the
// file system, as os.DirFS("/") gives it.
func Memory(root fs.FS) (bytes int64, source string, err error) {
	text, err := fs.ReadFile(root, meminfo)
	if err != nil {
		return 0, "", fmt.Errorf("cannot tell how much memory there is: %w", err)
	}
	if bytes, err = parseMeminfo(string(text)); err != nil {
		return 0, "", fmt.Errorf("cannot tell how much memory there is from /%s: %w", meminfo, err)
	}
	source = "/" + meminfo
	text, err = fs.ReadFile(root, "proc/self/cgroup")
	if errors.Is(err, fs.ErrNotExist) { // a kernel without cgroups
		return bytes, source, nil
	}
	if err != nil {
		return 0, "", fmt.Errorf("cannot tell the memory limit of the cgroup: %w", err)
	}
	for _, file := range limitFiles(string(text)) {
		text, err := fs.ReadFile(root, file)
		if errors.Is(err, fs.ErrNotExist) { // the root, or a group outside what is mounted
			continue
		}
		if err != nil {
			return 0, "", fmt.Errorf("cannot tell the memory limit of the cgroup: %w", err)
		}
		limit, err := parseLimit(string(text))
		if err != nil {
			return 0, "", fmt.Errorf("cannot tell the memory limit of the cgroup from /%s: %w", file, err)
		}
		if limit < bytes {
			bytes, source = limit, "/"+file
		}
	}
	return bytes, source, nil
}

const meminfo = "proc/meminfo"

// parseMeminfo reads the line of all memory:
//
//	MemTotal:       16316412 kB
func parseMeminfo(text string) (int64, error) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, "MemTotal:")
		if !ok {
			continue
		}
		number, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB")
		kib, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if !ok || err != nil || kib <= 0 || kib > math.MaxInt64>>10 {
			return 0, fmt.Errorf("MemTotal must be a number of kB, not %q", strings.TrimSpace(rest))
		}
		return kib << 10, nil
	}
	return 0, errors.New("there is no line MemTotal")
}

// limitFiles lists the files of limits from the process's groups up to the
// roots of their mounts. A group is a line of
//
//	0::/system.slice/chiron.service     version 2
//	9:memory:/docker/4f1e               version 1, by controllers
func limitFiles(cgroups string) (out []string) {
	add := func(mount, group, name string) {
		for group = path.Clean("/" + group); ; group = path.Dir(group) {
			out = append(out, path.Join(mount, group, name))
			if group == "/" {
				return
			}
		}
	}
	for line := range strings.Lines(cgroups) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		switch {
		case len(parts) < 3 || !fs.ValidPath(path.Join("sys", path.Clean("/"+parts[2]))):
		case parts[0] == "0" && parts[1] == "":
			add("sys/fs/cgroup", parts[2], "memory.max")
			add("sys/fs/cgroup/unified", parts[2], "memory.max") // beside version 1
		case slices.Contains(strings.Split(parts[1], ","), "memory"):
			add("sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes")
		}
	}
	return out
}

// parseLimit reads a limit in bytes. None, the word max or the largest number
// of pages that version 1 has, is more than any machine has.
func parseLimit(text string) (int64, error) {
	text = strings.TrimSpace(text)
	if text == "max" {
		return math.MaxInt64, nil
	}
	limit, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("a limit must be a number of bytes or max, not %q", text)
	}
	return int64(min(limit, math.MaxInt64)), nil //nolint:gosec // it fits
}
