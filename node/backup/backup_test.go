package backup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"thatch/node/backup"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

// written is a backup of a site with two payloads.
func written(t testing.TB) backup.File {
	t.Helper()
	db := storetest.Open(t)
	applied, err := db.Write(t.Context(), store.Batch{Actor: "test", Reason: "test", At: time.Unix(1_700_000_000, 0), Statements: []store.Statement{
		{SQL: `INSERT INTO site (one, id, name, epoch, created) VALUES (1, '01234567-89', 'Zürich / Nord', 'e1', '')`},
		{SQL: `INSERT INTO language (tag, since) VALUES ('de', '')`},
		{SQL: `INSERT INTO holding (sha256, node, size) VALUES (?, 'n1', 10), (?, 'n2', 10), (?, 'n1', 7)`, Args: []any{[]byte{2}, []byte{2}, []byte{1}}},
		{SQL: `INSERT INTO node (id, name, addresses, votes, tls_key, seal_key, version, schema, added) VALUES ('n1', 'one', '["a:1"]', 1, ?, ?, '', 4, '')`, Args: []any{[]byte{0}, []byte{0}}},
	}})
	if err = errors.Join(err, applied.Err()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := db.Snapshot(t.Context(), filepath.Join(dir, "copy")); err != nil {
		t.Fatal(err)
	}
	m := backup.Manifest{Made: time.Date(2026, 3, 1, 2, 41, 0, 0, time.UTC), Version: "1.2", Settings: backup.Settings{Node: "n1", Listen: ":8743"}}
	f, err := backup.Write(t.Context(), &m, filepath.Join(dir, "copy"), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestAnySystemCanLookInside reads a backup with nothing but zstd and tar.
func TestAnySystemCanLookInside(t *testing.T) {
	f := written(t)
	if name := filepath.Base(f.Path); name != "thatch-z-rich-nord-01234567-20260301T024100Z-1.tar.zst" {
		t.Errorf("it is called %s", name)
	}
	in, err := os.Open(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	unpacked, err := zstd.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	defer unpacked.Close()
	parts := map[string]string{}
	for r := tar.NewReader(unpacked); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		parts[head.Name] = string(text)
	}
	if want := `{"sha256":"01","size":7}` + "\n" + `{"sha256":"02","size":10}` + "\n"; parts["payloads.jsonl"] != want {
		t.Errorf("payloads: %s", parts["payloads.jsonl"])
	}
	if !strings.HasPrefix(parts["site.db"], "SQLite format 3") || !strings.Contains(parts["manifest.json"], `"epoch": "e1"`) || len(parts) != 3 {
		t.Errorf("%d parts, manifest %s", len(parts), parts["manifest.json"])
	}
}

func TestVerifyTellsWhatABackupIs(t *testing.T) {
	f := written(t)
	scratch := t.TempDir()
	got, err := backup.Verify(t.Context(), f.Path, scratch, nil)
	m := got.Manifest
	if err != nil || got.SHA256 != f.SHA256 || got.Size != f.Size || m.Site != "Zürich / Nord" || m.Index != 1 || m.Schema != store.SchemaVersion ||
		m.Payloads.Count != 2 || m.Payloads.Bytes != 17 || m.Recovery != "" || len(m.Nodes) != 1 || m.Nodes[0].Addresses[0] != "a:1" {
		t.Errorf("%+v, %v", got, err)
	}
	if info, err := os.Stat(f.Path); err != nil || info.Size() != f.Size || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("%v, %v", info, err)
	}
	left, err := os.ReadDir(scratch)
	if err != nil || len(left) != 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

// TestEveryByteCounts alters one byte in each part of a backup, and cuts it everywhere.
func TestEveryByteCounts(t *testing.T) {
	f := written(t)
	whole, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "thatch-x.tar.zst")
	refused := func(what string, at int, content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		database := filepath.Join(t.TempDir(), "db")
		if _, err := backup.Extract(t.Context(), path, database, nil); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%s at %d of %d: %v", what, at, len(whole), err)
		}
		if _, err := os.Stat(database); err == nil {
			t.Errorf("%s at %d: the database of a bad backup stays", what, at)
		}
	}
	step := len(whole)/60 + 1
	for at := 0; at < len(whole); at += step {
		altered := bytes.Clone(whole)
		altered[at] ^= 0x10
		refused("altered", at, altered)
		refused("cut", at, whole[:at])
	}
	refused("altered", len(whole)-1, append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^1))
	refused("with more behind it", len(whole), append(bytes.Clone(whole), 0))
}

func TestWriteThatFailsLeavesNothing(t *testing.T) {
	f := written(t)
	dir := filepath.Dir(f.Path)
	before, _ := os.ReadDir(dir)
	ctx, cancel := context.WithCancel(t.Context())
	m := backup.Manifest{Made: time.Now(), Version: "1.2"}
	if _, err := backup.Write(ctx, &m, filepath.Join(dir, "copy"), dir, func(int64, int64) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := backup.Write(t.Context(), &m, filepath.Join(dir, "copy"), filepath.Join(dir, "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := backup.Write(t.Context(), &m, f.Path, dir, nil); err == nil {
		t.Error("a backup is made of what is no database")
	}
	if after, _ := os.ReadDir(dir); len(after) != len(before) {
		t.Errorf("the folder held %v, and holds %v", before, after)
	}
}

// FuzzLook reads what claims to be a backup.
func FuzzLook(f *testing.F) {
	whole, err := os.ReadFile(written(f).Path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(append(bytes.Clone(whole[:200]), whole[len(whole)-56:]...))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(dir, "thatch-fuzz.tar.zst")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		database := filepath.Join(t.TempDir(), "db")
		if got, err := backup.Extract(context.Background(), path, database, nil); err == nil && !bytes.Equal(content, whole) {
			t.Errorf("another file passes for a backup: %+v", got)
		}
	})
}
