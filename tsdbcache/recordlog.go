package tsdbcache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// A record log is an eight-byte magic and records:
//
//	u32 payload bytes   u32 crc32c of the payload   payload
//
// Records are appended with one write a commit, so a killed process leaves
// whole commits. It is not safe for concurrent use.
type recordLog struct {
	path  string
	magic string
	file  *os.File
	size  int64
	dirty bool
	buf   []byte
}

const (
	logHeader    = 8
	recordHeader = 8
	maxPayload   = 16 << 20
)

// damage tells what scanning a log had to leave out.
type damage struct {
	skipped  int   // records with a bad checksum between good ones
	cut      int64 // bytes at the end that are no records
	cutAt    int64
	badMagic bool
}

// scanRecords calls f with every good payload and reports the damage. Nothing
// in b is trusted.
func scanRecords(b []byte, magic string, f func(payload []byte)) (end int64, d damage) {
	if len(b) < logHeader || string(b[:logHeader]) != magic {
		if len(b) > 0 {
			d.badMagic = true
			d.cut = int64(len(b))
		}
		return 0, d
	}
	off := logHeader
	for off < len(b) {
		n, ok := recordAt(b, off)
		if n < 0 {
			break
		}
		if !ok {
			// A flipped bit costs this record only if the next one is whole.
			if m, next := recordAt(b, off+recordHeader+n); m < 0 || !next {
				break
			}
			d.skipped++
		} else {
			f(b[off+recordHeader : off+recordHeader+n])
		}
		off += recordHeader + n
	}
	d.cut, d.cutAt = int64(len(b)-off), int64(off)
	return int64(off), d
}

// recordAt is the payload length of the record at off, -1 if it cannot be one,
// and whether its checksum is right.
func recordAt(b []byte, off int) (int, bool) {
	if off+recordHeader > len(b) {
		return -1, false
	}
	n := int(binary.LittleEndian.Uint32(b[off:]))
	if n == 0 || n > maxPayload || off+recordHeader+n > len(b) {
		return -1, false
	}
	return n, crc32.Checksum(b[off+recordHeader:off+recordHeader+n], castagnoli) == binary.LittleEndian.Uint32(b[off+4:])
}

// openLog reads a log, gives every good payload to f, cuts a torn tail and
// leaves the log ready for appending.
func openLog(path, magic string, f func(payload []byte)) (*recordLog, damage, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, damage{}, fmt.Errorf("cannot open %s: %w; make the directory writable", path, err)
	}
	l := &recordLog{path: path, magic: magic, file: file}
	b, err := os.ReadFile(path)
	if err != nil {
		_ = file.Close()
		return nil, damage{}, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if len(b) >= logHeader && string(b[:4]) == magic[:4] && string(b[:logHeader]) != magic {
		_ = file.Close()
		return nil, damage{}, fmt.Errorf("cannot read %s: its version %q is not %q; start the version that wrote it, or remove the directory", path, b[4:logHeader], magic[4:])
	}
	end, d := scanRecords(b, magic, f)
	if end == 0 {
		err = file.Truncate(0)
		if err == nil {
			_, err = file.WriteAt([]byte(magic), 0)
		}
		end = logHeader
	} else if d.cut > 0 {
		err = file.Truncate(end)
	}
	if err != nil {
		_ = file.Close()
		return nil, d, fmt.Errorf("cannot write %s: %w; free disk space", path, err)
	}
	l.size = end
	return l, d, nil
}

// begin starts a record in the log's buffer and returns where.
func (l *recordLog) begin() int {
	at := len(l.buf)
	l.buf = append(l.buf, 0, 0, 0, 0, 0, 0, 0, 0)
	return at
}

// end closes the record that begin started.
func (l *recordLog) end(at int) {
	p := l.buf[at+recordHeader:]
	binary.LittleEndian.PutUint32(l.buf[at:], uint32(len(p)))
	binary.LittleEndian.PutUint32(l.buf[at+4:], crc32.Checksum(p, castagnoli))
}

// flush appends the buffer to the file. On an error the file is as before.
func (l *recordLog) flush() error {
	if len(l.buf) == 0 {
		return nil
	}
	b := l.buf
	l.buf = l.buf[:0]
	if cap(b) > 4<<20 {
		l.buf = nil
	}
	if _, err := l.file.WriteAt(b, l.size); err != nil {
		return fmt.Errorf("cannot append to %s: %w", l.path, errors.Join(err, l.file.Truncate(l.size)))
	}
	l.size += int64(len(b))
	l.dirty = true
	return nil
}

func (l *recordLog) sync() error {
	if !l.dirty {
		return nil
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("cannot sync %s: %w", l.path, err)
	}
	l.dirty = false
	return nil
}

func (l *recordLog) close() error { return l.file.Close() }

// rewrite replaces the log by what fill puts into the buffer of an empty one.
// Until the new file is whole and renamed the old one stays.
func (l *recordLog) rewrite(fill func(n *recordLog)) error {
	path := l.path + ".new"
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return fmt.Errorf("cannot compact %s: %w", l.path, err)
	}
	n := &recordLog{path: l.path, magic: l.magic, file: file, buf: []byte(l.magic)}
	fill(n)
	if err = n.flush(); err == nil {
		if err = file.Sync(); err == nil {
			err = os.Rename(path, l.path)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot compact %s: %w", l.path, errors.Join(err, file.Close(), os.Remove(path)))
	}
	old := l.file
	*l = recordLog{path: l.path, magic: l.magic, file: file, size: n.size}
	return errors.Join(old.Close(), syncDir(filepath.Dir(l.path)))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
