package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// ErrDamaged says that a file is no backup, or not a whole one.
var ErrDamaged = errors.New("it is no backup, or was cut or altered")

const (
	maxManifest = 4 << 20
	maxWindow   = 128 << 20 // of memory that a stream may ask for
)

// File is a backup on disk.
type File struct {
	Path     string   `json:"path"`
	Size     int64    `json:"size"`
	SHA256   string   `json:"sha256"`
	Manifest Manifest `json:"manifest"`
}

// Look reads what a backup says of itself. It reads its first and last bytes alone; Verify reads all.
func Look(path string) (File, error) {
	f := File{Path: path}
	in, err := os.Open(path)
	if err != nil {
		return f, err
	}
	defer in.Close()
	if f.SHA256, f.Size, err = readTrailer(in); err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	unpacked, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return f, err
	}
	defer unpacked.Close()
	if f.Manifest, err = readManifest(tar.NewReader(unpacked)); err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// readTrailer reads the digest at the end of a file, and leaves it at its beginning.
func readTrailer(in *os.File) (sum string, size int64, err error) {
	size, err = in.Seek(0, io.SeekEnd)
	if err != nil {
		return "", 0, err
	}
	if size < int64(trailerSize) {
		return "", size, fmt.Errorf("%w: it has %d bytes", ErrDamaged, size)
	}
	end := make([]byte, trailerSize)
	if _, err := in.ReadAt(end, size-int64(trailerSize)); err != nil {
		return "", size, err
	}
	digest := end[trailerSize-sha256.Size:]
	if !bytes.Equal(end, trailer(digest)) {
		return "", size, fmt.Errorf("%w: its end is missing", ErrDamaged)
	}
	_, err = in.Seek(0, io.SeekStart)
	return hex.EncodeToString(digest), size, err
}

func readManifest(t *tar.Reader) (m Manifest, err error) {
	head, err := t.Next()
	if err != nil || head.Name != manifestName || head.Size > maxManifest {
		return m, errors.Join(fmt.Errorf("%w: it does not begin with %s", ErrDamaged, manifestName), err)
	}
	text, err := io.ReadAll(t)
	if err != nil {
		return m, fmt.Errorf("%w: %s: %w", ErrDamaged, manifestName, err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%w: %s: %w", ErrDamaged, manifestName, err)
	}
	if m.Format != format {
		return m, fmt.Errorf("it is a backup of format %d, this program knows %d: use the version of the program that made it (%s), or a newer one",
			m.Format, format, m.Version)
	}
	return m, nil
}

// Extract reads all of a backup, holds every digest in it against what it reads, and writes its database to a path where
// nothing is yet, synced. What it wrote of a backup that is not good is removed.
func Extract(ctx context.Context, path, database string, progress Progress) (File, error) {
	f, err := Look(path)
	if err != nil {
		return f, err
	}
	out, err := os.OpenFile(database, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return f, err
	}
	err = f.extract(ctx, out, progress)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return f, fmt.Errorf("%s: %w", path, errors.Join(err, os.Remove(database)))
	}
	return f, nil
}

func (f *File) extract(ctx context.Context, out io.Writer, progress Progress) error {
	in, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	body := f.Size - int64(trailerSize)
	raw := &summed{in: &told{ctx: ctx, in: io.LimitReader(in, body), total: body, progress: progress}, sum: sha256.New()}
	unpacked, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return err
	}
	defer unpacked.Close()
	t := tar.NewReader(unpacked)
	if _, err := readManifest(t); err != nil {
		return err
	}
	if err := part(t, payloadsName, f.Manifest.Payloads, io.Discard); err != nil {
		return err
	}
	if err := part(t, databaseName, f.Manifest.Database, out); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, unpacked); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if _, err := io.Copy(io.Discard, raw); err != nil {
		return err
	}
	if got := hex.EncodeToString(raw.sum.Sum(nil)); got != f.SHA256 {
		return fmt.Errorf("%w: its bytes have SHA-256 %s, its end says %s", ErrDamaged, got, f.SHA256)
	}
	return nil
}

// part reads one file within a backup and holds it against its size and digest in the manifest.
func part(t *tar.Reader, name string, want Part, out io.Writer) error {
	head, err := t.Next()
	if err != nil || head.Name != name || head.Size != want.Size {
		return errors.Join(fmt.Errorf("%w: %s with %d bytes is wanted", ErrDamaged, name, want.Size), err)
	}
	sum := sha256.New()
	in := &summed{in: t, sum: sum}
	if _, err := io.CopyBuffer(struct{ io.Writer }{out}, in, make([]byte, 1<<20)); err != nil {
		if errors.Is(err, context.Canceled) || in.failed == nil {
			return err // of who writes, or asked for
		}
		return fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want.SHA256 {
		return fmt.Errorf("%w: %s has SHA-256 %s, the manifest says %s", ErrDamaged, name, got, want.SHA256)
	}
	return nil
}

// summed hashes what is read, and remembers why reading failed.
type summed struct {
	in     io.Reader
	sum    hash.Hash
	failed error
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	s.sum.Write(p[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed = err
	}
	return n, err
}

// Verify reads all of a backup without any key: every digest, and whether its database is whole and says what the manifest
// says. It needs room for the database in a folder for a while.
func Verify(ctx context.Context, path, scratch string, progress Progress) (File, error) {
	dir, err := os.MkdirTemp(scratch, "thatch-verify-")
	if err != nil {
		return File{}, err
	}
	defer os.RemoveAll(dir)
	database := filepath.Join(dir, databaseName)
	f, err := Extract(ctx, path, database, progress)
	if err != nil {
		return f, err
	}
	if err := f.Manifest.fits(ctx, database); err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// fits says whether a database is whole and what the manifest says.
func (m *Manifest) fits(ctx context.Context, database string) error {
	var problems []string
	err := look(ctx, database, func(tx *sql.Tx) (err error) {
		problems, err = texts(ctx, tx, `PRAGMA quick_check(10)`)
		return err
	})
	if err != nil {
		return fmt.Errorf("%w: read its database: %w", ErrDamaged, err)
	}
	if !slices.Equal(problems, []string{"ok"}) {
		return fmt.Errorf("%w: its database is damaged: %s", ErrDamaged, strings.Join(problems, "; "))
	}
	content, err := contentOf(ctx, database)
	if err != nil {
		return fmt.Errorf("%w: read its database: %w", ErrDamaged, err)
	}
	if content.SiteID != m.SiteID || content.Index != m.Index || content.Epoch != m.Epoch || content.Schema != m.Schema || content.Recovery != m.Recovery {
		return fmt.Errorf("%w: its database holds index %d of site %s, its manifest says index %d of site %s",
			ErrDamaged, content.Index, content.SiteID, m.Index, m.SiteID)
	}
	return nil
}

// In lists the backups in a folder, the newest first; and the names of those that are none, with why.
func In(folder string) (found []File, bad map[string]error, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, nil, err
	}
	found, bad = []File{}, map[string]error{}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "thatch-") || !strings.HasSuffix(e.Name(), Extension) {
			continue
		}
		f, err := Look(filepath.Join(folder, e.Name()))
		if err != nil {
			bad[e.Name()] = err
			continue
		}
		found = append(found, f)
	}
	slices.SortFunc(found, func(a, b File) int { return b.Manifest.Made.Compare(a.Manifest.Made) })
	return found, bad, nil
}
