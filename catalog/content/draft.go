package content

import (
	"context"
	"crypto/sha1" // #nosec G505 -- vendors publish SHA-1 alone; it is checked beside our own SHA-256, never instead
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
)

// chunk is how much is read and written at once, in bytes.
const chunk = 64 << 10

// draft is a file on its way to a final name, hashed as it is written.
type draft struct {
	file   *os.File
	limit  int64 // bytes it may have
	size   int64
	sha256 hash.Hash
	sha1   hash.Hash
}

// openDraft opens or makes the file and hashes what it already holds.
func openDraft(ctx context.Context, path string, limit int64) (*draft, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, diskError(err)
	}
	d := &draft{file: file, limit: limit, sha256: sha256.New(), sha1: sha1.New()}
	if d.size, err = copyContext(ctx, io.MultiWriter(d.sha256, d.sha1), file); err != nil {
		file.Close()
		return nil, fmt.Errorf("read cut download: %w", err)
	}
	return d, nil
}

// Write appends; a draft that outgrows its limit is ErrTooLarge.
func (d *draft) Write(p []byte) (int, error) {
	if d.size+int64(len(p)) > d.limit {
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, d.limit)
	}
	n, err := d.file.Write(p)
	d.sha256.Write(p[:n])
	d.sha1.Write(p[:n])
	d.size += int64(n)
	return n, diskError(err)
}

// restart forgets all that was written.
func (d *draft) restart() error {
	if err := d.file.Truncate(0); err != nil {
		return fmt.Errorf("start download again: %w", err)
	}
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("start download again: %w", err)
	}
	d.size = 0
	d.sha256.Reset()
	d.sha1.Reset()
	return nil
}

func (d *draft) digest() string     { return hex.EncodeToString(d.sha256.Sum(nil)) }
func (d *draft) digestSHA1() string { return hex.EncodeToString(d.sha1.Sum(nil)) }

func (d *draft) discard() {
	d.file.Close()
	os.Remove(d.file.Name())
}

// commit makes a draft durable and gives it its final name. The draft is closed whatever happens.
func (s *Store) commit(d *draft) (Info, error) {
	s.step("written")
	digest, draftPath := d.digest(), d.file.Name()
	err := d.file.Sync()
	if closed := d.file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return Info{}, fmt.Errorf("write payload %s: %w", digest, diskError(err))
	}
	s.step("synced")
	final := s.path(digest)
	if err := s.makeShard(filepath.Dir(final)); err != nil {
		return Info{}, fmt.Errorf("write payload %s: %w", digest, diskError(err))
	}
	s.mu.Lock()
	if err = os.Rename(draftPath, final); err == nil {
		delete(s.bad, digest)
	}
	s.mu.Unlock()
	if err != nil {
		return Info{}, fmt.Errorf("write payload %s: %w", digest, diskError(err))
	}
	s.step("renamed")
	if err := syncFolder(filepath.Dir(final)); err != nil {
		return Info{}, fmt.Errorf("write payload %s: %w", digest, err)
	}
	return stat(final, digest)
}

// makeShard makes a folder and makes its making durable.
func (s *Store) makeShard(folder string) error {
	err := os.Mkdir(folder, 0o750)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(folder))
}

// Put writes a payload from a stream. want is its SHA-256; empty: whatever it is. Nothing stays of a stream that ends
// early, is longer than the limit, or has another digest (ErrDigest).
func (s *Store) Put(ctx context.Context, want string, from io.Reader) (Info, error) {
	if want != "" {
		var err error
		if want, err = normal(want, 64); err != nil {
			return Info{}, err
		}
		if info, err := s.verified(want); err == nil {
			return info, s.touch(want)
		}
	}
	file, err := os.CreateTemp(filepath.Join(s.dir, draftFolder), "put-*")
	if err != nil {
		return Info{}, fmt.Errorf("put payload: %w", diskError(err))
	}
	file.Close()
	d, err := openDraft(ctx, file.Name(), s.opts.MaxSize)
	if err != nil {
		os.Remove(file.Name())
		return Info{}, fmt.Errorf("put payload: %w", err)
	}
	defer d.discard() // after a commit there is nothing left to discard
	if _, err := copyContext(ctx, d, from); err != nil {
		return Info{}, fmt.Errorf("put payload: %w", err)
	}
	if got := d.digest(); want != "" && got != want {
		return Info{}, fmt.Errorf("put payload: %w: want SHA-256 %s, got %s in %d bytes", ErrDigest, want, got, d.size)
	}
	return s.settle(d)
}

// settle commits a draft, or finds that the payload came by another way meanwhile and cannot be replaced (on Windows,
// while somebody reads it).
func (s *Store) settle(d *draft) (Info, error) {
	digest := d.digest()
	info, err := s.commit(d)
	if err == nil {
		return info, nil
	}
	if held, other := s.verified(digest); other == nil {
		return held, nil
	}
	return Info{}, err
}

// touch renews the time that Prune goes by.
func (s *Store) touch(digest string) error {
	now := s.opts.Now()
	if err := os.Chtimes(s.path(digest), now, now); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("payload %s: %w", digest, err)
	}
	s.touched(digest)
	return nil
}

func copyContext(ctx context.Context, to io.Writer, from io.Reader) (int64, error) {
	var total int64
	buffer := make([]byte, chunk)
	for {
		if err := ctx.Err(); err != nil {
			return total, context.Cause(ctx)
		}
		n, err := from.Read(buffer)
		if n > 0 {
			written, failed := to.Write(buffer[:n])
			total += int64(written)
			if failed != nil {
				return total, failed
			}
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// diskError names the one I/O error that a person can mend.
func diskError(err error) error {
	if err != nil && isDiskFull(err) {
		return fmt.Errorf("%w: free some space, then try again: %w", ErrDiskFull, err)
	}
	return err
}
