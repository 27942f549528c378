package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"time"
)

// Memory keeps what a store knows of its files over restarts: records by digest, which mean nothing to the memory. What
// it loses costs reading that file whole again, and nothing else. All methods may be called at once.
type Memory interface {
	Recall(digest string) []byte // nil: nothing is known
	Keep(digest string, record []byte)
	Forget(digest string)
}

// forgetful remembers nothing.
type forgetful struct{}

func (forgetful) Recall(string) []byte { return nil }
func (forgetful) Keep(string, []byte)  {}
func (forgetful) Forget(string)        {}

// A record is a version, three numbers (size; when the file was changed and when it was read, in nanoseconds since
// 1970), the sums of the blocks, and a SHA-256 over the digest and all that: what a disk damaged must not make a good
// payload look altered.
const (
	recordVersion = 1
	recordHead    = 1 + 3*8
)

func (s *sums) record(digest string) []byte {
	record := make([]byte, 1, recordHead+len(s.blocks)*sumSize+sha256.Size)
	record[0] = recordVersion
	for _, number := range []int64{s.size, s.changed.UnixNano(), s.read.UnixNano()} {
		record = binary.BigEndian.AppendUint64(record, uint64(number))
	}
	for _, block := range s.blocks {
		record = append(record, block[:]...)
	}
	return append(record, sealed(digest, record)...)
}

func sealed(digest string, record []byte) []byte {
	sum := sha256.Sum256(append([]byte(digest), record...))
	return sum[:]
}

// parseRecord is nil for what is no record of that payload.
func parseRecord(digest string, record []byte) *sums {
	end := len(record) - sha256.Size
	if end < recordHead || record[0] != recordVersion || !bytes.Equal(record[end:], sealed(digest, record[:end])) {
		return nil
	}
	number := func(i int) int64 { return int64(binary.BigEndian.Uint64(record[1+8*i:])) }
	s := &sums{size: number(0), changed: time.Unix(0, number(1)), read: time.Unix(0, number(2))}
	body := record[recordHead:end]
	if s.size < 0 || int64(len(body)) != (s.size+blockSize-1)/blockSize*sumSize {
		return nil
	}
	s.blocks = make([][sumSize]byte, len(body)/sumSize)
	for i := range s.blocks {
		s.blocks[i] = [sumSize]byte(body[i*sumSize:])
	}
	return s
}

// remember keeps the sums of a file for the next reader, and for the next start.
func (s *Store) remember(digest string, fresh *sums) {
	s.mu.Lock()
	s.sums[digest] = fresh
	s.mu.Unlock()
	s.opts.Memory.Keep(digest, fresh.record(digest))
}

// forget makes the next reader of a payload read it whole.
func (s *Store) forget(digest string) {
	s.mu.Lock()
	delete(s.sums, digest)
	s.mu.Unlock()
	s.opts.Memory.Forget(digest)
}

// known are the sums of a file that was read whole, since the start or before it. Sums of an earlier start count while
// the file has the size and the time that it had.
func (s *Store) known(info Info) *sums {
	s.mu.Lock()
	known := s.sums[info.SHA256]
	s.mu.Unlock()
	if known != nil {
		return known
	}
	known = parseRecord(info.SHA256, s.opts.Memory.Recall(info.SHA256))
	if known == nil || known.size != info.Size || !known.changed.Equal(info.At) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sums[info.SHA256] == nil {
		s.sums[info.SHA256] = known
	}
	return s.sums[info.SHA256]
}

// touched renews what is remembered of a file whose time was renewed.
func (s *Store) touched(digest string) {
	info, err := os.Stat(s.path(digest))
	s.mu.Lock()
	known := s.sums[digest]
	s.mu.Unlock()
	if err != nil || known == nil {
		return
	}
	renewed := *known
	renewed.changed = info.ModTime()
	s.remember(digest, &renewed)
}
