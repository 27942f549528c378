// Package bulletinstest makes rooms of bulletins for tests: on a database of their own, with a signing key of their
// own, and with catalogs written down in a few lines.
package bulletinstest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"path/filepath"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/importer"
	"thatch/node/bulletins"
	"thatch/node/store"
)

// Site is the id of the sites that are made here.
const Site = "site-test"

// At is where their clocks stand.
var At = time.Date(2019, 3, 6, 12, 0, 0, 0, time.UTC)

// Key signs for Site; it is always the same one.
var Key = func() ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("a key for tests"))
	return ed25519.NewKeyFromSeed(seed[:])
}()

// Signer signs with Key.
type Signer struct{}

// Sign implements bulletins.Signer.
func (Signer) Sign(doc *document.Document) { doc.Sign(Site, Key) }

// SignAll implements bulletins.Signer.
func (Signer) SignAll(docs []*document.Document) { document.SignAll(Site, Key, docs) }

// Room makes a room on an empty database that manages English and German. It is closed with the test.
func Room(t testing.TB) (*bulletins.Bulletins, *store.DB) {
	t.Helper()
	room, db := Open(t)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return room, db
}

// Open is Room for whoever closes the database before the test ends.
func Open(t testing.TB) (*bulletins.Bulletins, *store.DB) {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	Write(t, db, store.Statement{SQL: `INSERT INTO site (one, id, name, epoch, created) VALUES (1, ?, 'Test', 'e1', '')`, Args: []any{Site}},
		store.Statement{SQL: `INSERT INTO language (tag, since) VALUES ('de', ''), ('en', '')`})
	return On(db, db), db
}

// On makes a room that reads from one half and writes to the other.
func On(reader store.Reader, writer store.Writer) *bulletins.Bulletins {
	return bulletins.New(bulletins.Config{
		Site: Site, Reader: reader, Writer: writer, Signer: Signer{}, Now: func() time.Time { return At },
	})
}

// Write applies statements.
func Write(t testing.TB, w store.Writer, statements ...store.Statement) {
	t.Helper()
	applied, err := w.Write(context.Background(), store.Batch{Actor: "test", Reason: "test", At: At, Statements: statements})
	if err == nil {
		err = applied.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Doc makes a document of a body.
func Doc(t testing.TB, kind document.Kind, id string, languages []string, body any) document.Document {
	t.Helper()
	raw, err := catalog.Encode(body)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := document.New(kind, id, languages, raw)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// Save hands documents of one source to a room's sink as one vendor file; the key of each is its id.
func Save(t testing.TB, b *bulletins.Bulletins, source, file string, docs ...document.Document) (changed int) {
	t.Helper()
	saved := importer.Saved{Source: source, Files: []importer.FileState{{Name: file, Fingerprint: file + "|1"}}, At: At}
	before, err := b.Sink().FileKeys(t.Context(), source, file)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, doc := range docs {
		seen[doc.ID] = true
		saved.Keys = append(saved.Keys, doc.ID)
		saved.Parts = append(saved.Parts, importer.Part{Source: source, File: file, Key: doc.ID, Body: doc.Body})
		saved.Documents = append(saved.Documents, importer.Keyed{Key: doc.ID, Document: doc})
	}
	for _, key := range before {
		if !seen[key] {
			saved.Keys = append(saved.Keys, key)
			saved.Gone = append(saved.Gone, importer.Part{Source: source, File: file, Key: key})
		}
	}
	changed, err = b.Sink().Save(t.Context(), saved)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// Public is the other half of Key.
func Public() ed25519.PublicKey { return Key.Public().(ed25519.PublicKey) }
