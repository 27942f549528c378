package content

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	blockSize = 128 << 10 // bytes that are read and checked together
	sumSize   = 16        // bytes kept of each block's SHA-256
)

// sums are the checksums of the blocks of a file, taken while the whole file hashed to its digest. With them every
// later read is checked, ranges included, at 128 bytes of memory for each megabyte of payload.
type sums struct {
	size    int64
	changed time.Time // the file's own time
	read    time.Time // when the whole was read
	blocks  [][sumSize]byte
}

// Reader reads a payload and checks every byte it gives out. Its methods may be called at once, but Read and Seek
// share one offset.
type Reader struct {
	store  *Store
	digest string
	file   *os.File
	sums   *sums

	mu     sync.Mutex
	at     int64
	block  []byte // the block in number, checked
	number int64  // -1: none
}

// Open opens a payload. The first time the file is read whole and held against its digest; from then on, over restarts
// where there is a Memory, each block is checked as it is read. A file that was altered is quarantined, reported and ErrAltered; one that is
// not here is ErrNotHeld.
func (s *Store) Open(digest string) (*Reader, error) {
	digest, err := normal(digest, 64)
	if err != nil {
		return nil, err
	}
	known, err := s.knownSums(digest)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(s.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("payload %s: %w", digest, ErrNotHeld)
	}
	if err != nil {
		return nil, fmt.Errorf("open payload: %w", err)
	}
	return &Reader{store: s, digest: digest, file: file, sums: known, number: -1}, nil
}

// Size is the payload's size in bytes.
func (r *Reader) Size() int64 { return r.sums.size }

// SHA256 is the payload's digest.
func (r *Reader) SHA256() string { return r.digest }

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.readAt(p, r.at)
	r.at += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt.
func (r *Reader) ReadAt(p []byte, at int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	total := 0
	for {
		n, err := r.readAt(p[total:], at+int64(total))
		total += n
		if err != nil || total == len(p) {
			return total, err
		}
	}
}

// Seek implements io.Seeker.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.sums.size
	}
	if offset < 0 {
		return r.at, fmt.Errorf("seek payload %s: offset %d is before its start", r.digest, offset)
	}
	r.at = offset
	return offset, nil
}

// readAt gives what one block has at an offset.
func (r *Reader) readAt(p []byte, at int64) (int, error) {
	if at < 0 {
		return 0, fmt.Errorf("read payload %s: negative offset %d", r.digest, at)
	}
	if at >= r.sums.size {
		return 0, io.EOF
	}
	if number := at / blockSize; number != r.number {
		if err := r.load(number); err != nil {
			return 0, err
		}
	}
	return copy(p, r.block[at%blockSize:]), nil
}

func (r *Reader) load(number int64) error {
	r.number = -1
	size := min(blockSize, r.sums.size-number*blockSize)
	if cap(r.block) < int(size) {
		r.block = make([]byte, min(blockSize, r.sums.size))
	}
	r.block = r.block[:size]
	if _, err := r.file.ReadAt(r.block, number*blockSize); err != nil {
		if !errors.Is(err, io.EOF) {
			return fmt.Errorf("read payload %s: %w", r.digest, err)
		}
		r.file.Close()
		return r.store.quarantine(r.digest, "the file was cut short")
	}
	sum := sha256.Sum256(r.block)
	if !bytes.Equal(sum[:sumSize], r.sums.blocks[number][:]) {
		r.file.Close() // Windows moves no open file
		return r.store.quarantine(r.digest, fmt.Sprintf("bytes from %d changed", number*blockSize))
	}
	r.number = number
	return nil
}

// verified is Stat of a payload whose bytes were held against the digest, since the start or (see Memory) before it.
func (s *Store) verified(digest string) (Info, error) {
	if _, err := s.knownSums(digest); err != nil {
		return Info{}, err
	}
	return s.Stat(digest)
}

func (s *Store) knownSums(digest string) (*sums, error) {
	info, err := s.Stat(digest)
	if err != nil {
		return nil, err
	}
	if known := s.known(info); known != nil {
		return known, nil
	}
	taken, err, _ := s.verify.Do(digest, func() (any, error) { // once for all who ask at the same time
		return s.takeSums(context.Background(), digest, nil)
	})
	if err != nil {
		return nil, err
	}
	return taken.(*sums), nil
}

// takeSums reads the whole file, as fast as pace lets it (nil: as fast as it can).
func (s *Store) takeSums(ctx context.Context, digest string, pace *rate.Limiter) (*sums, error) {
	fresh, got, err := readSums(ctx, s.path(digest), pace)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("payload %s: %w", digest, ErrNotHeld)
	}
	if err != nil {
		return nil, fmt.Errorf("verify payload %s: %w", digest, err)
	}
	if got != digest {
		return nil, s.quarantine(digest, fmt.Sprintf("its SHA-256 is %s, its size %d bytes", got, fresh.size))
	}
	fresh.read = s.opts.Now()
	s.remember(digest, fresh)
	return fresh, nil
}

func readSums(ctx context.Context, path string, pace *rate.Limiter) (*sums, string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, "", err
	}
	whole, fresh, block := sha256.New(), &sums{changed: info.ModTime()}, make([]byte, blockSize)
	for {
		if err := ctx.Err(); err != nil {
			return nil, "", err
		}
		n, err := io.ReadFull(file, block)
		if n > 0 {
			whole.Write(block[:n])
			sum := sha256.Sum256(block[:n])
			fresh.blocks = append(fresh.blocks, [sumSize]byte(sum[:sumSize]))
			fresh.size += int64(n)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fresh, hex.EncodeToString(whole.Sum(nil)), nil
		}
		if err != nil {
			return nil, "", err
		}
		if pace != nil {
			if err := pace.WaitN(ctx, n); err != nil {
				return nil, "", err
			}
		}
	}
}

// quarantine takes an altered file out of the store, reports it, and returns the error for whoever wanted it.
func (s *Store) quarantine(digest, found string) error {
	s.forget(digest)
	s.mu.Lock()
	away := filepath.Join(s.dir, quarantineFolder, fmt.Sprintf("%s-%d", digest, s.opts.Now().UnixNano()))
	err := os.Rename(s.path(digest), away)
	moved := err == nil
	if !moved {
		away = ""
		s.bad[digest] = !errors.Is(err, fs.ErrNotExist)
	}
	s.mu.Unlock()
	if s.opts.Altered != nil && (moved || !errors.Is(err, fs.ErrNotExist)) {
		s.opts.Altered(Altered{SHA256: digest, At: s.opts.Now(), Found: found, Quarantine: away})
	}
	return fmt.Errorf("payload %s: %w: %s", digest, ErrAltered, found)
}

// CopyTo writes a payload to a path of its own, for a program to run, and verifies it as a whole on the way. The copy
// is there whole or not at all.
func (s *Store) CopyTo(ctx context.Context, digest, path string) error {
	reader, err := s.Open(digest)
	if err != nil {
		return err
	}
	defer reader.Close()
	file, err := os.CreateTemp(filepath.Dir(path), ".payload-*")
	if err != nil {
		return fmt.Errorf("copy payload: %w", diskError(err))
	}
	defer os.Remove(file.Name()) // after the rename there is nothing left to remove
	defer file.Close()
	hash := sha256.New()
	if _, err := copyContext(ctx, io.MultiWriter(file, hash), reader); err != nil {
		return fmt.Errorf("copy payload: %w", diskError(err))
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != reader.digest {
		return s.quarantine(reader.digest, "a copy of it hashed to "+got)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("copy payload: %w", diskError(err))
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return fmt.Errorf("copy payload: %w", err)
	}
	return nil
}

// Due are the payloads that were not read whole since a time, those first that were not for the longest.
func (s *Store) Due(since time.Time) ([]Info, error) {
	held, err := s.List()
	if err != nil {
		return nil, err
	}
	read := make(map[string]time.Time, len(held))
	held = slices.DeleteFunc(held, func(info Info) bool {
		if known := s.known(info); known != nil {
			read[info.SHA256] = known.read
		}
		return !read[info.SHA256].Before(since)
	})
	slices.SortStableFunc(held, func(a, b Info) int { return read[a.SHA256].Compare(read[b.SHA256]) })
	return held, nil
}

// Pace makes what Check reads at most with, in bytes per second; 0: as fast as it can.
func Pace(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytesPerSecond), blockSize)
}

// Check reads a payload whole and holds it against its digest. One that was altered is quarantined, reported and
// ErrAltered; one that is gone is ErrNotHeld.
func (s *Store) Check(ctx context.Context, digest string, pace *rate.Limiter) error {
	digest, err := normal(digest, 64)
	if err != nil {
		return err
	}
	_, err = s.takeSums(ctx, digest, pace)
	return err
}
