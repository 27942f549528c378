package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog/document"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

func doc(t testing.TB, kind document.Kind, id, body string, languages ...string) document.Document {
	t.Helper()
	d, err := document.New(kind, id, languages, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	d.Origin, d.Signature = "site-1", []byte("signed "+body)
	return d
}

func view(t testing.TB, r store.Reader, read func(tx *sql.Tx) error) {
	t.Helper()
	if err := r.View(t.Context(), read); err != nil {
		t.Fatal(err)
	}
}

// bodies lists the bodies of all revisions held.
func bodies(t testing.TB, r store.Reader) string {
	t.Helper()
	return value(t, r, `SELECT coalesce(group_concat(body, ' '), '') FROM (SELECT CAST(body AS TEXT) AS body FROM revision ORDER BY body)`)
}

func TestDocumentsAreReadAsTheyWerePut(t *testing.T) {
	db := storetest.Open(t)
	want := doc(t, document.Package, "p1", "body", "de", "pt-br")
	bare := document.Document{Head: document.Head{Kind: "unheard-of", ID: "x", Digest: document.Digest{1}}}
	applied := write(t, db, batch(append(store.Put(want, "north", store.Former{Absent: true}), store.Put(bare, "", store.Former{})...)...))
	view(t, db, func(tx *sql.Tx) error {
		got, err := store.Document(t.Context(), tx, document.Package, "p1")
		if err != nil {
			return err
		}
		if fmt.Sprint(got.Document) != fmt.Sprint(want) || got.Audience != "north" || got.Changed != (store.Sequence{Index: applied.Index}) {
			t.Errorf("read %+v", got)
		}
		if err := got.VerifyDigest(); err != nil {
			t.Error(err)
		}
		again, err := store.Revision(t.Context(), tx, want.Digest)
		if err != nil || fmt.Sprint(again) != fmt.Sprint(want) {
			t.Errorf("by digest: %+v, %v", again, err)
		}
		other, err := store.Document(t.Context(), tx, "unheard-of", "x")
		if err != nil || other.Signature != nil || len(other.Body) != 0 || other.Changed != (store.Sequence{Index: applied.Index, Position: 3}) {
			t.Errorf("bare: %+v, %v", other, err)
		}
		if _, err := store.Document(t.Context(), tx, document.Package, "p2"); !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), `package "p2"`) {
			t.Errorf("one that is not there: %v", err)
		}
		if _, err := store.Revision(t.Context(), tx, document.Digest{7}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a digest that is not there: %v", err)
		}
		return nil
	})
}

func TestListsOfDocuments(t *testing.T) {
	db := storetest.Open(t)
	b := batch()
	for i, id := range []string{"b", "a", "d", "c"} {
		for _, s := range store.Put(doc(t, document.Update, id, "body "+id), "", store.Former{Absent: true}) {
			s.Group = i
			b.Statements = append(b.Statements, s)
		}
	}
	write(t, db, b)
	view(t, db, func(tx *sql.Tx) error {
		page, err := store.Documents(t.Context(), tx, document.Update, "a", 2)
		if err != nil || len(page) != 2 || page[0].ID != "b" || string(page[1].Body) != "body c" {
			t.Errorf("page %+v, %v", page, err)
		}
		heads, err := store.Heads(t.Context(), tx, document.Update, "c", 10)
		if err != nil || len(heads) != 1 || heads[0].ID != "d" || heads[0].Body != nil || heads[0].Changed.Position != 6 {
			t.Errorf("heads %+v, %v", heads, err)
		}
		digests, err := store.Digests(t.Context(), tx, document.Update)
		if err != nil || len(digests) != 4 || digests["d"] != heads[0].Digest {
			t.Errorf("digests %v, %v", digests, err)
		}
		n, err := store.Count(t.Context(), tx, document.Update)
		none, _ := store.Count(t.Context(), tx, document.Policy)
		if err != nil || n != 4 || none != 0 {
			t.Errorf("counted %d and %d, %v", n, none, err)
		}
		journal, err := store.Journal(t.Context(), tx, store.Sequence{Index: 1, Position: 3}, 1)
		if err != nil || len(journal) != 1 || journal[0].ID != "d" || journal[0].Sequence != (store.Sequence{Index: 1, Position: 6}) {
			t.Errorf("journal %+v, %v", journal, err)
		}
		return nil
	})
}

func TestWhatAChangeExpectsIsHeldAgainstWhatIsThere(t *testing.T) {
	one, two, three := doc(t, document.Policy, "p", "1"), doc(t, document.Policy, "p", "2"), doc(t, document.Policy, "p", "3")
	for name, c := range map[string]struct {
		statements []store.Statement
		fails      bool
	}{
		"put where none is, and one is":  {store.Put(two, "", store.Former{Absent: true}), true},
		"put over the current":           {store.Put(two, "", store.Former{Digest: one.Digest}), false},
		"put over another":               {store.Put(two, "", store.Former{Digest: three.Digest}), true},
		"put over anything":              {store.Put(two, "", store.Former{}), false},
		"remove the current":             {store.Remove(document.Policy, "p", store.Former{Digest: one.Digest}), false},
		"remove another":                 {store.Remove(document.Policy, "p", store.Former{Digest: two.Digest}), true},
		"remove anything":                {store.Remove(document.Policy, "p", store.Former{}), false},
		"remove what is not there":       {store.Remove(document.Policy, "q", store.Former{}), true},
		"give the current away":          {store.SetAudience(document.Policy, "p", "x", store.Former{Digest: one.Digest}), false},
		"give another away":              {store.SetAudience(document.Policy, "p", "x", store.Former{Digest: two.Digest}), true},
		"give away what is not there":    {store.SetAudience(document.Policy, "q", "x", store.Former{}), true},
		"pin what is held":               {[]store.Statement{store.Pin("p", one.Digest, true)}, false},
		"pin what is held, twice":        {[]store.Statement{store.Pin("p", one.Digest, true), store.Pin("p", one.Digest, true)}, false},
		"pin what is not held":           {[]store.Statement{store.Pin("p", two.Digest, true)}, true},
		"pin what is still to come":      {[]store.Statement{store.Pin("p", two.Digest, false)}, false},
		"unpin what nobody ever pinned":  {store.Unpin("p"), false},
		"put where none is, of the kind": {store.Put(doc(t, document.Window, "p", "1"), "", store.Former{Absent: true}), false},
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.Open(t)
			write(t, db, batch(store.Put(one, "", store.Former{Absent: true})...))
			before, err := db.Tables(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			err = write(t, db, batch(c.statements...)).Err()
			if errors.Is(err, store.ErrConflict) != c.fails || (err != nil) != c.fails {
				t.Errorf("conflict: %v", err)
			}
			after, err := db.Tables(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			changed := slices.DeleteFunc(slices.Clone(after), func(table store.Table) bool {
				return table.Name == "applied" || slices.Contains(before, table)
			})
			if c.fails && len(changed) > 0 {
				t.Errorf("a conflict changed %v", changed)
			}
		})
	}
}

func TestHeadAloneChanges(t *testing.T) {
	db := storetest.Open(t)
	d := doc(t, document.Update, "u", "1")
	write(t, db, batch(store.Put(d, "", store.Former{Absent: true})...))
	d.Origin, d.Signature = "site-2", []byte("other")
	applied := write(t, db, batch(store.Put(d, "", store.Former{Digest: d.Digest})...))
	view(t, db, func(tx *sql.Tx) error {
		got, err := store.Document(t.Context(), tx, document.Update, "u")
		if err != nil || got.Origin != "site-2" || string(got.Signature) != "other" || got.Changed.Index != applied.Index {
			t.Errorf("read %+v, %v", got, err)
		}
		return nil
	})
	if got := value(t, db, `SELECT count(*) FROM journal`); got != "2" {
		t.Errorf("journal has %s entries", got)
	}
}

func TestPinnedRevisionsStay(t *testing.T) {
	db := storetest.Open(t)
	v := make([]document.Document, 5)
	for i := range v {
		v[i] = doc(t, document.Update, "u", fmt.Sprint("v", i))
	}
	write(t, db, batch(store.Put(v[0], "", store.Former{Absent: true})...))
	write(t, db, batch(store.Pin("p1", v[0].Digest, true), store.Pin("p2", v[0].Digest, true)))
	write(t, db, batch(store.Put(v[1], "", store.Former{})...))
	write(t, db, batch(store.Put(v[2], "", store.Former{})...))
	if got := bodies(t, db); got != "v0 v2" {
		t.Errorf("v1 was not pinned, held: %s", got)
	}
	write(t, db, batch(store.Pin("p2", v[2].Digest, true)))
	write(t, db, batch(store.Hold(v[4]), store.Pin("p2", v[4].Digest, true)))
	write(t, db, batch(store.Remove(document.Update, "u", store.Former{})...))
	if got := bodies(t, db); got != "v0 v2 v4" {
		t.Errorf("removed, held: %s", got)
	}
	write(t, db, batch(store.Put(v[3], "", store.Former{Absent: true})...))
	write(t, db, batch(store.Unpin("p2")...))
	if got := bodies(t, db); got != "v0 v3" {
		t.Errorf("p1 still pins v0, held: %s", got)
	}
	write(t, db, batch(store.Unpin("p1")...))
	if got := bodies(t, db); got != "v3" || value(t, db, `SELECT count(*) FROM pin`) != "0" {
		t.Errorf("nothing is pinned, held: %s", got)
	}
	write(t, db, batch(store.Pin("p3", v[3].Digest, true)))
	write(t, db, batch(store.Unpin("p3")...))
	if got := bodies(t, db); got != "v3" {
		t.Errorf("the current one was unpinned, held: %s", got)
	}
}

func TestAudienceChangesAreJournalled(t *testing.T) {
	db := storetest.Open(t)
	write(t, db, batch(store.Put(doc(t, document.Policy, "p", "1", "de"), "north", store.Former{})...))
	write(t, db, batch(store.SetAudience(document.Policy, "p", "south", store.Former{})...))
	write(t, db, batch(store.Put(doc(t, document.Policy, "p", "2", "fr"), "east", store.Former{})...))
	write(t, db, batch(store.Remove(document.Policy, "p", store.Former{})...))
	got := value(t, db, `SELECT group_concat(languages || ' ' || audience || ' < ' || coalesce(former_languages, '-') || ' ' || former_audience || ' ' || (digest IS NULL), ', ') FROM (SELECT * FROM journal ORDER BY idx, pos)`)
	if want := "de north < -  0, de south < de north 0, fr east < de south 0, fr east < fr east 1"; got != want {
		t.Errorf("journal: %s, want %s", got, want)
	}
}

// TestJournalTellsEverything holds the journal against the table of documents after random changes: whoever follows
// the journal from any place on ends with the same documents.
func TestJournalTellsEverything(t *testing.T) {
	db := storetest.Open(t)
	rapid.Check(t, func(rt *rapid.T) {
		start := db.Applied()
		before := currentDigests(t, db)
		for range rapid.IntRange(1, 12).Draw(rt, "batches") {
			b := batch()
			for g := range rapid.IntRange(1, 3).Draw(rt, "groups") {
				id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "id")
				var group []store.Statement
				switch rapid.IntRange(0, 3).Draw(rt, "what") {
				case 0, 1:
					d := doc(t, document.Update, id, rapid.StringMatching(`[a-z]{3}`).Draw(rt, "body"))
					group = store.Put(d, rapid.SampledFrom([]string{"", "x"}).Draw(rt, "audience"), store.Former{Absent: rapid.Bool().Draw(rt, "absent")})
				case 2:
					group = store.Remove(document.Update, id, store.Former{})
				case 3:
					group = store.SetAudience(document.Update, id, "y", store.Former{})
				}
				for _, s := range group {
					s.Group = g
					b.Statements = append(b.Statements, s)
				}
			}
			write(t, db, b)
		}
		view(t, db, func(tx *sql.Tx) error {
			changes, err := store.Journal(t.Context(), tx, store.Sequence{Index: start, Position: 1 << 20}, 1<<20)
			if err != nil {
				return err
			}
			if !slices.IsSortedFunc(changes, func(a, b store.Change) int {
				return int(a.Index-b.Index)<<20 + a.Position - b.Position
			}) {
				t.Error("the journal is out of order")
			}
			for _, c := range changes {
				delete(before, c.ID)
				if !c.Removed {
					before[c.ID] = c.Digest
				}
			}
			return nil
		})
		if now := currentDigests(t, db); fmt.Sprint(now) != fmt.Sprint(before) {
			rt.Fatalf("documents %v, the journal tells %v", now, before)
		}
		if extra := value(t, db, `SELECT count(*) FROM revision WHERE digest NOT IN (SELECT digest FROM document)`); extra != "0" {
			rt.Fatalf("%s revisions are held that nobody needs", extra)
		}
		if odd := value(t, db, `SELECT count(*) FROM document d WHERE NOT EXISTS (SELECT 1 FROM journal j WHERE j.idx = d.idx AND j.pos = d.pos AND j.id = d.id AND j.digest = d.digest)`); odd != "0" {
			rt.Fatalf("%s documents name a place in the journal that is not theirs", odd)
		}
	})
}

func currentDigests(t testing.TB, r store.Reader) (all map[string]document.Digest) {
	t.Helper()
	view(t, r, func(tx *sql.Tx) (err error) {
		all, err = store.Digests(t.Context(), tx, document.Update)
		return err
	})
	return all
}

// A document that is new costs no temporary table: imports bring thousands.
func TestNewDocumentsNeedNoTemporaryTable(t *testing.T) {
	db := storetest.Open(t)
	for _, s := range store.Put(doc(t, document.Update, "msrc/KB1/2", "{}"), "", store.Former{Absent: true}) {
		args := make([]any, len(s.Args)) // EXPLAIN looks at none of them
		view(t, db, func(tx *sql.Tx) error {
			rows, err := tx.Query("EXPLAIN "+s.SQL, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var at, p1, p2, p3, p5 int
				var opcode string
				var p4, comment any
				if err := rows.Scan(&at, &opcode, &p1, &p2, &p3, &p4, &p5, &comment); err != nil {
					return err
				}
				if strings.HasPrefix(opcode, "OpenEphemeral") {
					t.Errorf("%s\nmakes a temporary table at each document", s.SQL)
				}
			}
			return rows.Err()
		})
	}
}
