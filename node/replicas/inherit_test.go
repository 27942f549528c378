package replicas_test

import (
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"testing"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/replicastest"
	"thatch/node/store"
)

// made are the revisions that a site holds of the catalog and of settings, pinned ones too.
func made(t *testing.T, s *replicastest.Site) (docs []document.Document) {
	t.Helper()
	var digests [][]byte
	err := s.DB.View(t.Context(), func(tx *sql.Tx) error {
		rows, err := tx.Query(`SELECT digest FROM revision WHERE kind IN ('bulletin', 'update', 'assignment', 'severity')`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var digest []byte
			if err := rows.Scan(&digest); err != nil {
				return err
			}
			digests = append(digests, digest)
		}
		for _, digest := range digests {
			doc, err := store.Revision(t.Context(), tx, document.Digest(digest))
			if err != nil {
				return err
			}
			docs = append(docs, doc)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

func inherits(t *testing.T, s *replicastest.Site, taken, left int) {
	t.Helper()
	gotTaken, gotLeft, err := s.Room.Inherit(t.Context(), func(doc *document.Document) { doc.Sign(s.ID, s.Key) })
	if err != nil || gotTaken != taken || gotLeft != left {
		t.Fatalf("taken %d, left %d, %v; want %d and %d", gotTaken, gotLeft, err, taken, left)
	}
}

const joined = `INSERT INTO parent (one, id, name, urls, authority, joined, link, told, version) VALUES (1, 'top', '', '', x'', '', '', '', 1)`

// TestWhatAFormerParentLeftChangesHands: the catalog that a site was left with becomes its own, also what policies pin of
// it, and so goes down to sites that never knew the former parent; what joins again is handed back. What else the parent
// made stays its own, and so does what is damaged.
func TestWhatAFormerParentLeftChangesHands(t *testing.T) {
	top := replicastest.New(t, "top", nil, "de")
	site := replicastest.New(t, "site", top, "de")
	const count = 700 // more than a portion
	for i := range count {
		top.Put(t, document.Bulletin, fmt.Sprint("b", i), fmt.Sprintf(`{"n":%d}`, i), "")
	}
	pinned := top.Put(t, document.Update, "u1", `{"rev":1}`, "", "de")
	top.Put(t, document.Assignment, "b1", `{}`, "")
	severity := top.Put(t, document.Severity, "severity:top:1", `{}`, "")
	for _, of := range []dataset.Type{dataset.Languages, dataset.Data, dataset.Settings} {
		site.Pull(t, of)
	}
	newer := site.Doc(t, document.Update, "u1", `{"rev":2}`, "de")
	site.Write(t, store.Pin("p", pinned.Digest, true))
	site.Write(t, store.Put(newer, "", store.Former{Digest: pinned.Digest})...)
	damaged := top.Doc(t, document.Bulletin, "b5", `{"n":5}`)
	site.Write(t, store.Statement{SQL: `UPDATE revision SET body = ? WHERE digest = ?`, Args: []any{[]byte(`{"n":6}`), damaged.Digest[:]}})

	site.Write(t, store.Statement{SQL: joined})
	inherits(t, site, 0, 0)
	site.Write(t, store.Statement{SQL: `DELETE FROM parent`})
	inherits(t, site, count-1+2, 1)
	inherits(t, site, 0, 1)
	docs := made(t, site)
	if len(docs) != count+4 {
		t.Errorf("%d revisions are held", len(docs))
	}
	for _, doc := range docs {
		maker := site
		if doc.Digest == severity.Digest || doc.Digest == damaged.Digest {
			maker = top
		}
		err := doc.Verify(maker.Key.Public().(ed25519.PublicKey))
		if doc.Origin != maker.ID || (err != nil) != (doc.Digest == damaged.Digest) {
			t.Errorf("%s %s is of %s: %v", doc.Kind, doc.ID, doc.Origin, err)
		}
	}
	site.Write(t, store.Mend(damaged))
	inherits(t, site, 1, 0)

	site.Parent = nil
	below := replicastest.New(t, "below", site, "de")
	for _, of := range []dataset.Type{dataset.Languages, dataset.Data} {
		if got := below.Pull(t, of); len(got.Quarantined) > 0 {
			t.Errorf("a site that never knew the former parent does not accept %v", got.Quarantined[0])
		}
	}
	if there, here := below.Sums(t, dataset.Data, nil); there.Digest() != here.Digest() || here.Count != count+1 {
		t.Errorf("data below: %d documents, at its parent %d", here.Count, there.Count)
	}

	site.Parent, site.Below = top, []string{"below"}
	if err := site.Room.Forget(t.Context(), "top"); err != nil {
		t.Fatal(err)
	}
	if got := site.Pull(t, dataset.Data); got.HandedOver != count || len(got.Yielded) != 1 {
		t.Errorf("joining again: %d handed over, %v yielded", got.HandedOver, got.Yielded)
	}
}

// TestInheritingGivesWayToAParent: a site that gets a parent, or whose import makes a document anew, in the moment between
// looking and writing, keeps what it has then.
func TestInheritingGivesWayToAParent(t *testing.T) {
	for _, meanwhile := range []string{joined, `DELETE FROM document WHERE id = 'b1'`} {
		top := replicastest.New(t, "top", nil, "de")
		site := replicastest.New(t, "site", top, "de")
		top.Put(t, document.Bulletin, "b1", `{}`, "")
		site.Pull(t, dataset.Languages)
		site.Pull(t, dataset.Data)
		_, _, err := site.Room.Inherit(t.Context(), func(doc *document.Document) {
			doc.Sign(site.ID, site.Key)
			site.Write(t, store.Statement{SQL: meanwhile})
		})
		if err != nil {
			t.Fatal(err)
		}
		if docs := made(t, site); len(docs) != 1 || docs[0].Origin != "top" {
			t.Errorf("%s: %+v", meanwhile, docs)
		}
	}
}
