package stock_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/content"
	"thatch/catalog/document"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/holdings"
	"thatch/node/bulletins/staging"
	"thatch/node/bulletins/stock"
	"thatch/node/store"
)

type bench struct {
	*stock.Stock
	content   *content.Store
	staging   *staging.Stager
	standings map[string]holdings.Standing
	dir       string
}

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

// newBench makes the stock of a node whose catalog names three files of two languages.
func newBench(t *testing.T) *bench {
	room, db := bulletinstest.Room(t)
	b := &bench{dir: t.TempDir()}
	var err error
	if b.content, err = content.Open(b.dir, content.Options{Attempts: 1}); err != nil {
		t.Fatal(err)
	}
	b.staging = staging.New(staging.Config{
		Node: "n", Site: bulletinstest.Site, Reader: db, Writer: db, Signer: bulletinstest.Signer{}, Catalog: room.Catalog(), Content: b.content,
		Log:      slog.New(slog.DiscardHandler),
		Settings: func(context.Context) (staging.Settings, error) { return staging.Settings{AllowUnsafe: true}, nil },
	})
	b.Stock = stock.New(b.content, b.staging, func(context.Context) (map[string]holdings.Standing, error) { return b.standings, nil })
	docs := []document.Document{
		bulletinstest.Doc(t, document.Bulletin, "B", nil, catalog.Bulletin{Name: "B", Source: "sdp"}),
		bulletinstest.Doc(t, document.Update, "U", nil, catalog.Update{Name: "U", Bulletin: "B", Source: "sdp"}),
	}
	for _, p := range []struct{ name, language string }{{"one", "de"}, {"two", "en"}, {"three", ""}} {
		var languages []string
		if p.language != "" {
			languages = []string{p.language}
		}
		docs = append(docs, bulletinstest.Doc(t, document.Package, "P-"+p.name, languages, catalog.Package{
			Update: "U", Name: p.name, Files: []catalog.File{{Name: p.name, SHA256: sum(p.name), Size: int64(len(p.name)), URL: "http://127.0.0.1:1/" + p.name}},
		}))
	}
	bulletinstest.Save(t, room, "sdp", "f", docs...)
	return b
}

func nobody(int64, int64, string) {}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPreSeeding takes from a disk what a document names, whatever its file is called, and staging then asks nobody for it.
func TestPreSeeding(t *testing.T) {
	b, disk := newBench(t), t.TempDir()
	write(t, filepath.Join(disk, "renamed.bin"), "one")
	write(t, filepath.Join(disk, "deep", "er", "two"), "two")
	write(t, filepath.Join(disk, "stranger.exe"), "of nobody")
	write(t, filepath.Join(disk, sum("three")), "not three, though it is called so")
	if err := os.Symlink("/etc", filepath.Join(disk, "link")); err != nil {
		t.Log("no links here:", err)
	}
	got, err := b.Import(t.Context(), disk, false, nobody)
	if err != nil || got.Taken != 2 || got.Unknown != 2 || got.Held != 0 || got.Bytes != 6 || len(got.Failed) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	if again, err := b.Import(t.Context(), disk, true, nobody); err != nil || again.Taken != 2 || again.Held != 2 {
		t.Errorf("once more, and all: %+v, %v", again, err)
	}
	if b.content.Has(sum("three")) {
		t.Error("a file was believed by its name")
	}
	if err := b.staging.Stage(t.Context(), "B"); err != nil {
		t.Fatal(err)
	}
	result, err := b.staging.Run(t.Context(), nil)
	if err != nil || result.Staged != 2 || len(result.Failed) != 1 || result.Failed[0].Package != "P-three" {
		t.Errorf("%+v, %v", result, err)
	}
	rows, total, err := b.List(t.Context(), store.Query{Filter: map[string]string{"needed": "true"}})
	if err != nil || total != 2 || rows[0].Name != "one" || rows[0].State != stock.Held || rows[1].Name != "two" {
		t.Errorf("%d needed: %+v, %v", total, rows, err)
	}

	out := filepath.Join(t.TempDir(), "out")
	exported, err := b.Export(t.Context(), out, []string{"de"}, nobody)
	if err != nil || exported.Files != 1 || exported.Bytes != 3 {
		t.Errorf("for a German child: %+v, %v", exported, err)
	}
	if raw, err := os.ReadFile(filepath.Join(out, sum("one"))); err != nil || string(raw) != "one" {
		t.Errorf("%q, %v", raw, err)
	}
	other := newBench(t)
	if got, err := other.Import(t.Context(), out, false, nobody); err != nil || got.Taken != 1 || !other.content.Has(sum("one")) {
		t.Errorf("at the other side: %+v, %v", got, err)
	}
}

func TestImportRefuses(t *testing.T) {
	b := newBench(t)
	for _, folder := range []string{"", "relative/folder", filepath.Join(t.TempDir(), "missing")} {
		if got, err := b.Import(t.Context(), folder, true, nobody); err == nil {
			t.Errorf("folder %q: %+v", folder, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	disk := t.TempDir()
	write(t, filepath.Join(disk, "f"), "one")
	if got, err := b.Import(ctx, disk, true, nobody); err == nil || got.Taken != 0 {
		t.Errorf("cancelled: %+v, %v", got, err)
	}
}

// TestExportOfWhatVanishes counts no file that went while others were copied.
func TestExportOfWhatVanishes(t *testing.T) {
	b := newBench(t)
	for _, text := range []string{"one", "two", "three"} {
		if _, err := b.content.Put(t.Context(), "", bytes.NewReader([]byte(text))); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.staging.Stage(t.Context(), "B"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.staging.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	done, err := b.Export(t.Context(), t.TempDir(), nil, func(bytes, of int64, name string) {
		if name == "two" {
			if err := b.content.Remove(sum("two")); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil || done.Files != 2 || done.Bytes != int64(len("one")+len("three")) {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestVerify finds one altered byte, and only that file.
func TestVerify(t *testing.T) {
	b := newBench(t)
	for _, text := range []string{"one", "two"} {
		if _, err := b.content.Put(t.Context(), "", bytes.NewReader([]byte(text))); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := b.Verify(t.Context(), nobody); err != nil || got.Payloads != 2 || got.Bytes != 6 || len(got.Altered) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	write(t, filepath.Join(b.dir, "payloads", sum("one")[:2], sum("one")), "onE")
	got, err := b.Verify(t.Context(), nobody)
	if err != nil || got.Payloads != 1 || got.Bytes != 3 || len(got.Altered) != 1 || got.Altered[0] != sum("one") || b.content.Has(sum("one")) || !b.content.Has(sum("two")) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestElsewhere lists what other nodes of the site hold, with the copies that there are, and finds a file by the beginning of its SHA-256.
func TestElsewhere(t *testing.T) {
	b := newBench(t)
	for _, text := range []string{"one", "two"} {
		if _, err := b.content.Put(t.Context(), "", strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	b.standings = map[string]holdings.Standing{
		sum("one"): {Copies: 2, Of: 2, Nodes: []string{"n", "m"}}, sum("three"): {Copies: 1, Of: 2, Nodes: []string{"m"}, Size: 5},
		sum("nobody's"): {Of: 2, Nodes: []string{}},
	}
	rows, total, err := b.List(t.Context(), store.Query{Limit: 10})
	if err != nil || total != 3 {
		t.Fatalf("%d, %v", total, err)
	}
	for i, want := range []string{"one held 3 [n m] 2/2", "three elsewhere 5 [m] 1/2", "two held 3 [] 0/0"} {
		if r := rows[i]; fmt.Sprintf("%s %s %d %v %d/%d", r.Name, r.State, r.Size, r.Nodes, r.Copies, r.Of) != want {
			t.Errorf("%+v, want %s", r, want)
		}
	}
	short, _, err := b.List(t.Context(), store.Query{Limit: 10, Filter: map[string]string{"short": "true"}})
	if err != nil || len(short) != 1 || short[0].Name != "three" {
		t.Errorf("%v, %v", short, err)
	}
	if row, err := b.Show(t.Context(), strings.ToUpper(sum("three")[:8])); err != nil || row.Name != "three" {
		t.Errorf("%+v, %v", row, err)
	}
	for _, none := range []string{"", sum("three")[:7], sum("four")} {
		if _, err := b.Show(t.Context(), none); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", none, err)
		}
	}
}
