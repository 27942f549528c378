package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"

	"thatch/node/store/sqlite"
)

// Names within a backup, in their order.
const (
	manifestName = "manifest.json"
	payloadsName = "payloads.jsonl"
	databaseName = "site.db"
)

// The last bytes of a backup: a frame that zstd skips, see RFC 8878, 3.1.2.
const (
	skippable   = 0x184D2A5B
	endMagic    = "thatch: sha-256\n"
	endSize     = len(endMagic) + sha256.Size
	trailerSize = 8 + endSize
)

// Progress is told how much of the database was written, in bytes.
type Progress func(done, total int64)

// Write makes a backup of a copy of a database, a file that nobody has open, in a folder. It is whole or not there: what a
// crash leaves ends in ".partial". The manifest's parts and content are filled in. It returns the file's path, size, and
// the SHA-256 that stands at its end, in hexadecimal.
func Write(ctx context.Context, m *Manifest, database, folder string, progress Progress) (File, error) {
	m.Format = format
	var err error
	if m.Content, err = contentOf(ctx, database); err != nil {
		return File{}, fmt.Errorf("read the copy of the database: %w", err)
	}
	var payloads bytes.Buffer
	if m.Payloads, err = writePayloads(ctx, database, &payloads); err != nil {
		return File{}, fmt.Errorf("list the payloads: %w", err)
	}
	m.Payloads.Size, m.Payloads.SHA256 = int64(payloads.Len()), sumOf(payloads.Bytes())
	if m.Database, err = partOf(database); err != nil {
		return File{}, err
	}
	path := filepath.Join(folder, m.fileName())
	draft := path + partial
	w := writing{m: m, payloads: payloads.Bytes(), database: database, progress: progress}
	sum, size, err := w.write(ctx, draft)
	if err == nil {
		err = os.Rename(draft, path)
	}
	if err == nil {
		err = sqlite.SyncFolder(folder)
	}
	if err != nil {
		return File{}, fmt.Errorf("write backup %s: %w", path, errors.Join(err, removeIfThere(draft)))
	}
	return File{Path: path, Size: size, SHA256: sum, Manifest: *m}, nil
}

// partial ends the name of a backup that is being written, or was cut.
const partial = ".partial"

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// writing is what goes into a backup.
type writing struct {
	m        *Manifest
	payloads []byte
	database string // path
	progress Progress
}

func (w *writing) write(ctx context.Context, draft string) (sum string, size int64, err error) {
	file, err := os.OpenFile(draft, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", 0, err
	}
	out := &counted{to: file, sum: sha256.New()}
	err = w.stream(ctx, out)
	if err == nil {
		_, err = file.Write(trailer(out.sum.Sum(nil)))
	}
	err = errors.Join(err, file.Sync(), file.Close())
	return hex.EncodeToString(out.sum.Sum(nil)), out.size + int64(trailerSize), err
}

func (w *writing) stream(ctx context.Context, out io.Writer) error {
	packed, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	t := tar.NewWriter(packed)
	head, err := json.MarshalIndent(w.m, "", "  ")
	if err != nil {
		return err
	}
	err = entry(t, manifestName, int64(len(head)), w.m.Made, bytes.NewReader(head))
	if err == nil {
		err = entry(t, payloadsName, int64(len(w.payloads)), w.m.Made, bytes.NewReader(w.payloads))
	}
	if err == nil {
		err = w.databaseEntry(ctx, t)
	}
	if err != nil {
		packed.Close()
		return err // which closing would only say once more
	}
	return errors.Join(t.Close(), packed.Close())
}

func (w *writing) databaseEntry(ctx context.Context, t *tar.Writer) error {
	in, err := os.Open(w.database)
	if err != nil {
		return err
	}
	defer in.Close()
	return entry(t, databaseName, w.m.Database.Size, w.m.Made, &told{ctx: ctx, in: in, total: w.m.Database.Size, progress: w.progress})
}

func entry(t *tar.Writer, name string, size int64, at time.Time, content io.Reader) error {
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: at, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{t}, struct{ io.Reader }{content}, make([]byte, 1<<20))
	return err
}

func trailer(sum []byte) []byte {
	out := binary.LittleEndian.AppendUint32(nil, skippable)
	out = binary.LittleEndian.AppendUint32(out, uint32(endSize))
	return append(append(out, endMagic...), sum...)
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func partOf(path string) (Part, error) {
	in, err := os.Open(path)
	if err != nil {
		return Part{}, err
	}
	defer in.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, in)
	return Part{Size: size, SHA256: hex.EncodeToString(sum.Sum(nil))}, err
}

// counted hashes and counts what passes.
type counted struct {
	to   io.Writer
	sum  hash.Hash
	size int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.sum.Write(p[:n])
	c.size += int64(n)
	return n, err
}

// told says how far reading is, and ends with its context.
type told struct {
	ctx         context.Context
	in          io.Reader
	done, total int64
	progress    Progress
}

func (r *told) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.in.Read(p)
	r.done += int64(n)
	if r.progress != nil {
		r.progress(r.done, r.total)
	}
	return n, err
}
