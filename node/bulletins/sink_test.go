package bulletins_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/importer"
	"thatch/node/bulletins"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/live"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

// lines is a source whose files are lines of text: "KEY product product". A key's bulletin holds what all files say.
type lines struct {
	files map[string]string // by path
	name  string            // what all files are called, where their own name is not their id
}

func (lines) Name() string { return "lines" }

func (l lines) Files(context.Context, importer.Request) ([]importer.File, error) {
	var files []importer.File
	for _, name := range slices.Sorted(maps.Keys(l.files)) {
		text := l.files[name]
		file := importer.File{Name: name, Path: name, Fingerprint: name + "|" + text}
		if l.name != "" {
			file.Name, file.Guessed, file.Revision, file.Fingerprint = l.name, true, text[:1], text[:1]+"|"+name+text
		}
		file.Open = func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(text)), nil
		}
		files = append(files, file)
	}
	return files, nil
}

func (lines) Parse(ctx context.Context, _ importer.Request, file importer.File, emit func(importer.Part) error, _ func(importer.Warning)) (string, error) {
	stream, err := file.Open(ctx)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(stream)
	if err != nil {
		return "", err
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		key, products, _ := strings.Cut(line, " ")
		if key == "" {
			continue
		}
		if err := emit(importer.Part{Key: key, Body: []byte(products)}); err != nil {
			return "", err
		}
	}
	return "", nil
}

func (lines) Merge(key string, parts []importer.Part, _ func(importer.Warning)) ([]document.Document, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	var products []string
	for _, p := range parts {
		products = append(products, strings.Fields(string(p.Body))...)
	}
	slices.Sort(products)
	products = slices.Compact(products)
	body := catalog.Bulletin{Name: key, Source: "lines", Title: strings.Join(products, " ")}
	docs := []document.Document{mustDoc(document.Bulletin, key, body)}
	for _, product := range products {
		docs = append(docs, mustDoc(document.Update, key+"/"+product, catalog.Update{
			Name: key + " " + product, Bulletin: key, Source: "lines", Product: catalog.Product{Name: product},
		}))
	}
	return docs, nil
}

func mustDoc(kind document.Kind, id string, body any) document.Document {
	raw, err := catalog.Encode(body)
	if err != nil {
		panic(err)
	}
	doc, err := document.New(kind, id, nil, raw)
	if err != nil {
		panic(err)
	}
	return doc
}

// current is every current document, verified.
func current(t testing.TB, db *store.DB) map[string]document.Digest {
	t.Helper()
	all := map[string]document.Digest{}
	err := db.View(context.Background(), func(tx *sql.Tx) error {
		for _, kind := range []document.Kind{document.Bulletin, document.Update} {
			docs, err := store.Documents(context.Background(), tx, kind, "", 1<<20)
			if err != nil {
				return err
			}
			for _, doc := range docs {
				if err := doc.Verify(bulletinstest.Key.Public().(ed25519.PublicKey)); err != nil {
					return err
				}
				all[string(kind)+" "+doc.ID] = doc.Digest
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func count(t testing.TB, db *store.DB, table string) (n int) {
	t.Helper()
	err := db.View(context.Background(), func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM ` + table).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func run(t testing.TB, b *bulletins.Bulletins, files map[string]string) importer.Result {
	t.Helper()
	return runIn(t, b, files, importer.Limits{})
}

func runIn(t testing.TB, b *bulletins.Bulletins, files map[string]string, limits importer.Limits) importer.Result {
	t.Helper()
	result, err := importer.Run(context.Background(), lines{files: files}, b.Sink(), importer.Request{Source: "lines", At: bulletinstest.At, Limits: limits}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestSinkImportsTwice(t *testing.T) {
	b, db := bulletinstest.Room(t)
	files := map[string]string{"jan": "KB1 a b\nKB2 a", "feb": "KB2 c\nKB3 a"}
	if got := run(t, b, files); got.Changed != 8 || got.Files != 2 {
		t.Errorf("first import: %d changed of %d files, want 8 of 2", got.Changed, got.Files)
	}
	index, journal := db.Applied(), count(t, db, "journal")
	if got := run(t, b, files); got.Changed != 0 || got.Skipped != 2 {
		t.Errorf("second import: %d changed, %d skipped, want 0 and 2", got.Changed, got.Skipped)
	}
	if db.Applied() != index || count(t, db, "journal") != journal {
		t.Error("the second import wrote something")
	}
}

func TestSinkFollowsFiles(t *testing.T) {
	b, db := bulletinstest.Room(t)
	run(t, b, map[string]string{"jan": "KB1 a b\nKB2 a", "feb": "KB2 c"})
	number := numbers(t, b)

	// KB1 goes, KB2 loses what feb said, KB4 is new; jan is renamed nowhere.
	got := run(t, b, map[string]string{"jan": "KB2 a\nKB4 z", "feb": ""})
	want := map[string]bool{"bulletin KB2": true, "update KB2/a": true, "bulletin KB4": true, "update KB4/z": true}
	held := current(t, db)
	for name := range want {
		if _, ok := held[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	if len(held) != len(want) {
		t.Errorf("held: %v", held)
	}
	// KB1, KB1/a, KB1/b and KB2/c went, KB2 changed, KB4 and KB4/z came.
	if got.Changed != 7 {
		t.Errorf("%d documents changed, want 7", got.Changed)
	}

	// What comes back has the number it had.
	run(t, b, map[string]string{"jan": "KB1 a b\nKB2 a", "feb": "KB2 c"})
	for id, was := range number {
		if now := numbers(t, b)[id]; now != was {
			t.Errorf("update %s had number %d, has %d", id, was, now)
		}
	}
}

func numbers(t testing.TB, b *bulletins.Bulletins) map[string]uint32 {
	t.Helper()
	all := map[string]uint32{}
	err := b.Catalog().Read(context.Background(), func(v *live.View) error {
		for _, u := range v.Updates() {
			all[u.ID] = u.Number
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Files of two vendors that bear one name stand beside one another; a later state of one takes its place.
func TestSinkNamesakes(t *testing.T) {
	b, db := bulletinstest.Room(t)
	load := func(path, text string) importer.Result {
		t.Helper()
		result, err := importer.Run(t.Context(), lines{map[string]string{path: text}, "catalog.xml"}, b.Sink(), importer.Request{At: bulletinstest.At}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	held := func() string {
		var list []string
		for name := range current(t, db) {
			if _, id, _ := strings.Cut(name, " "); !strings.Contains(id, "/") {
				list = append(list, id)
			}
		}
		slices.Sort(list)
		return strings.Join(list, " ")
	}
	// The first letter is the file's revision.
	load("/hp/catalog.xml", "2 x\nHP1 a\nHP2 a")
	load("/dell/catalog.xml", "1 x\nDELL1 a")
	if got := held(); got != "1 2 DELL1 HP1 HP2" {
		t.Errorf("held: %s", got)
	}
	if again := load("/dell/catalog.xml", "1 x\nDELL1 a"); again.Skipped != 1 || again.Changed != 0 {
		t.Errorf("the same again: %+v", again)
	}
	load("/hp/new/catalog.xml", "3 x\nHP2 a\nHP3 a")
	if got := held(); got != "1 3 DELL1 HP2 HP3" {
		t.Errorf("after a later state of the first: %s", got)
	}
	if old := load("/hp/older/catalog.xml", "1 y\nHP2 a"); old.Counts["older-revision"] != 1 || held() != "1 3 DELL1 HP2 HP3" {
		t.Errorf("an older state: %+v, held %s", old, held())
	}
	load("/dell/catalog.xml", "2 x\nDELL1 a\nDELL2 b")
	if got := held(); got != "2 3 DELL1 DELL2 HP2 HP3" {
		t.Errorf("after a later state of the second: %s", got)
	}
}

// A document that another key or source made before changes hands, and goes only when nobody makes it any more.
func TestSinkSharedDocuments(t *testing.T) {
	b, db := bulletinstest.Room(t)
	save := func(source, file string, docs ...document.Document) int {
		t.Helper()
		saved := importer.Saved{Source: source, Files: []importer.FileState{{Name: file, Fingerprint: file}}, Keys: []string{source + " " + file}, At: bulletinstest.At}
		for _, doc := range docs {
			saved.Documents = append(saved.Documents, importer.Keyed{Key: saved.Keys[0], Document: doc})
		}
		changed, err := b.Sink().Save(t.Context(), saved)
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	one, other := mustDoc(document.Bulletin, "B", catalog.Bulletin{Name: "one"}), mustDoc(document.Bulletin, "B", catalog.Bulletin{Name: "other"})
	if n := save("s1", "f", one); n != 1 {
		t.Errorf("%d changed, want 1", n)
	}
	if n := save("s2", "f", other); n != 1 {
		t.Errorf("another source: %d changed, want 1", n)
	}
	if n := save("s2", "g", other); n != 0 {
		t.Errorf("another file says the same: %d changed, want 0", n)
	}
	if held := current(t, db)["bulletin B"]; held != other.Digest {
		t.Error("the later source does not win")
	}
	for _, step := range []struct {
		source, file string
		left         int
	}{{"s2", "f", 1}, {"s1", "f", 1}, {"s2", "g", 0}} {
		save(step.source, step.file)
		if left := len(current(t, db)); left != step.left {
			t.Errorf("after %s of %s says it no more: %d documents, want %d", step.file, step.source, left, step.left)
		}
	}
	// Two keys of one file.
	saved := importer.Saved{Source: "s", Files: []importer.FileState{{Name: "f", Fingerprint: "1"}}, Keys: []string{"k1", "k2"}, At: bulletinstest.At}
	for _, key := range saved.Keys {
		saved.Documents = append(saved.Documents, importer.Keyed{Key: key, Document: one})
	}
	if n, err := b.Sink().Save(t.Context(), saved); err != nil || n != 1 {
		t.Errorf("two keys make one document: %d, %v", n, err)
	}
}

// broken is a Writer that fails, before or after the write really happened, when its fuse is burnt down.
type broken struct {
	store.Writer
	mu    sync.Mutex
	fuse  int
	after bool
}

var errBroken = errors.New("the power is gone")

func (w *broken) Write(ctx context.Context, b store.Batch) (store.Applied, error) {
	w.mu.Lock()
	w.fuse--
	whole := w.fuse >= 0
	w.mu.Unlock()
	if whole {
		return w.Writer.Write(ctx, b)
	}
	if w.after {
		if _, err := w.Writer.Write(ctx, b); err != nil {
			return store.Applied{}, err
		}
	}
	return store.Applied{}, errBroken
}

// large makes a file of several batches.
func large(keys int, salt string) string {
	var text strings.Builder
	pad := strings.Repeat("x", 300)
	for i := range keys {
		fmt.Fprintf(&text, "KB%04d p%s q", i, salt)
		for n := range 10 {
			fmt.Fprintf(&text, " %d%s%s", n, pad, salt)
		}
		text.WriteString("\n")
	}
	return text.String()
}

func BenchmarkSink(b *testing.B) {
	files := map[string]string{"a": large(250, "1")}
	for b.Loop() {
		db := open(b)
		run(b, bulletinstest.On(db, db), files)
		db.Close()
	}
	b.ReportMetric(250*13, "documents/op")
}

// An import that is cut after any batch ends in the same once it is done again; or in what was before, when it is not
// and the former files are imported again.
func TestSinkCutAnywhere(t *testing.T) {
	files := map[string]string{"a": large(60, "1"), "b": "KB0003 z\nKB9999 y"}
	next := map[string]string{"a": large(50, "2"), "b": "KB9999 y w"}
	whole, db := bulletinstest.Room(t)
	run(t, whole, files)
	former := current(t, db)
	run(t, whole, next)
	want := current(t, db)
	step := 1
	if testing.Short() {
		step = 3 // the race detector makes each of them take long
	}
	for _, c := range []struct {
		after bool
		limit importer.Limits
	}{{false, importer.Limits{}}, {true, importer.Limits{}}, {false, importer.Limits{Keys: 17}}, {true, importer.Limits{Save: 10_000, Small: -1}}} {
		for cut := 0; cut < 60; cut += step {
			db := storetest.Open(t)
			run(t, bulletinstest.On(db, db), files)
			_, err := importer.Run(context.Background(), lines{files: next}, bulletinstest.On(db, &broken{Writer: db, fuse: cut, after: c.after}).Sink(),
				importer.Request{Source: "lines", At: bulletinstest.At, Limits: c.limit}, nil)
			if err == nil {
				if cut < 2 {
					t.Fatalf("the import took %d batches only: this test cuts nothing", cut)
				}
				break
			}
			if !errors.Is(err, errBroken) {
				t.Fatal(err)
			}
			if cut%2 == 1 {
				run(t, bulletinstest.On(db, db), files)
				if got := current(t, db); !maps.Equal(got, former) {
					t.Errorf("%+v, cut after %d batches, and the former files again: %d documents, want %d", c, cut, len(got), len(former))
				}
			}
			again := run(t, bulletinstest.On(db, db), next)
			if again.Files == 0 && !c.after {
				t.Errorf("cut %d: nothing was done again", cut)
			}
			if got := current(t, db); !maps.Equal(got, want) {
				t.Errorf("%+v, cut after %d batches: %d documents, want %d", c, cut, len(got), len(want))
			}
			if third := run(t, bulletinstest.On(db, db), next); third.Changed+third.Files != 0 {
				t.Errorf("cut %d: a third run changed %d documents", cut, third.Changed)
			}
			db.Close()
		}
	}
}

// Any order of imports, with any files before, ends in the same documents, parts and owners.
func TestSinkOrder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.Custom(func(r *rapid.T) string {
			var b bytes.Buffer
			for _, key := range rapid.SliceOfNDistinct(rapid.IntRange(1, 6), 0, 5, rapid.ID).Draw(r, "keys") {
				fmt.Fprintf(&b, "KB%d %s\n", key, strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 3).Draw(r, "products"), " "))
			}
			return b.String()
		})
		end := map[string]string{}
		for _, file := range []string{"f1", "f2", "f3"} {
			end[file] = text.Draw(r, file)
		}
		reference := open(t)
		defer reference.Close()
		run(t, bulletinstest.On(reference, reference), end)

		db := open(t)
		defer db.Close()
		b := bulletinstest.On(db, db)
		for range rapid.IntRange(0, 4).Draw(r, "runs before") {
			run(t, b, map[string]string{rapid.SampledFrom([]string{"f1", "f2", "f3"}).Draw(r, "file"): text.Draw(r, "before")})
		}
		limits := importer.Limits{
			Save: rapid.IntRange(1, 20).Draw(r, "bytes"), Keys: rapid.IntRange(1, 4).Draw(r, "keys"), Small: rapid.SampledFrom([]int{-1, 5, 1000}).Draw(r, "small"),
		}
		if rapid.Bool().Draw(r, "in one run") {
			runIn(t, b, end, limits)
		}
		for _, file := range rapid.Permutation([]string{"f1", "f2", "f3"}).Draw(r, "order") {
			runIn(t, b, map[string]string{file: end[file]}, limits)
		}
		if got, want := current(t, db), current(t, reference); !maps.Equal(got, want) {
			r.Fatalf("got %v, want %v", got, want)
		}
		for _, table := range []string{"import_part", "import_document", "document", "revision"} {
			if got, want := count(t, db, table), count(t, reference, table); got != want {
				r.Fatalf("%s has %d rows, want %d", table, got, want)
			}
		}
		same(r, b, bulletinstest.On(db, db))
	})
}

func open(t testing.TB) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Path: t.TempDir() + "/site.db"})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// same holds a catalog in memory that followed every change against one that was read at once.
func same(r *rapid.T, followed, fresh *bulletins.Bulletins) {
	look := func(b *bulletins.Bulletins) string {
		var text string
		err := b.Catalog().Read(context.Background(), func(v *live.View) error {
			for _, one := range v.Bulletins() {
				text += one.ID + "=" + one.Title + one.Digest.String() + "\n"
				for _, u := range v.UpdatesOf(one.ID) {
					text += fmt.Sprintln(u.ID, u.Number, u.Digest, u.Changed)
				}
			}
			text += fmt.Sprint(v.At, len(v.Updates()))
			return nil
		})
		if err != nil {
			r.Fatal(err)
		}
		return text
	}
	if a, b := look(followed), look(fresh); a != b {
		r.Fatalf("the catalog that followed is\n%s\nthe one read at once\n%s", a, b)
	}
}
