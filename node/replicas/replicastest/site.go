// Package replicastest helps tests of replication: sites in a tree, in one process, and runs between them without a
// wire.
package replicastest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/marks"
	"thatch/node/store"
	"thatch/node/store/sweep"
)

// T is what tests and properties have in common.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Site is a site with a database of its own.
type Site struct {
	ID     string
	DB     *store.DB
	Sender *dataset.Sender
	Room   *replicas.Room
	Parent *Site
	Below  []string // ids of the sites below
	Key    ed25519.PrivateKey
	Limits dataset.Limits
	// Audience is that of this site at its parent, by type.
	Audience map[dataset.Type]dataset.Audience
}

var start = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

// Now is the time of every site.
func Now() time.Time { return start }

// New makes a site below a parent, nil for the top, with its file in a folder.
func New(t testing.TB, id string, parent *Site, languages ...string) *Site {
	t.Helper()
	s := Open(t, id, parent, filepath.Join(t.TempDir(), "site.db"))
	t.Cleanup(func() { s.DB.Close() })
	s.Make(t, "epoch-"+id, languages...)
	return s
}

// Open opens the file of a site that was made or is still to be made. Close its DB.
func Open(t T, id string, parent *Site, path string) *Site {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{Path: path})
	if err != nil {
		t.Fatalf("open site %s: %v", id, err)
	}
	seed := sha256.Sum256([]byte(id))
	return Over(id, parent, db, ed25519.NewKeyFromSeed(seed[:]))
}

// Over is a site over a database that is open.
func Over(id string, parent *Site, db *store.DB, key ed25519.PrivateKey) *Site {
	return &Site{
		ID: id, DB: db, Parent: parent, Key: key, Audience: map[dataset.Type]dataset.Audience{},
		Sender: dataset.NewSender(dataset.Config{Reader: db, Writer: db, Now: Now}),
		Room:   replicas.New(replicas.Config{Site: id, Reader: db, Writer: db, Now: Now}),
	}
}

// Make writes what a site begins with: its name, epoch, languages, key and site document.
func (s *Site) Make(t T, epoch string, languages ...string) {
	t.Helper()
	s.Write(t, store.Statement{
		SQL: `INSERT INTO site (one, id, name, epoch, created) VALUES (1, ?, ?, ?, '')`, Args: []any{s.ID, s.ID, epoch},
	})
	s.SetLanguages(t, languages...)
	key, err := document.NewKey(s.ID, s.Key.Public().(ed25519.PublicKey), s.Key)
	if err != nil {
		t.Fatalf("%v", err)
	}
	s.Write(t, store.Put(key, "", store.Former{Absent: true})...)
	body := federation.Site{Name: s.ID, Authority: []byte{1}, Version: "1"}
	if s.Parent != nil {
		body.Parent = s.Parent.ID
	}
	raw, err := federation.Encode(body)
	if err != nil {
		t.Fatalf("%v", err)
	}
	s.Put(t, document.Site, s.ID, string(raw), "")
}

// Write writes one batch.
func (s *Site) Write(t T, statements ...store.Statement) {
	t.Helper()
	applied, err := s.DB.Write(context.Background(), store.Batch{Actor: "test", Reason: "test", Statements: statements})
	if err = errors.Join(err, applied.Err()); err != nil {
		t.Fatalf("write at site %s: %v", s.ID, err)
	}
}

// Doc makes a document of this site.
func (s *Site) Doc(t T, kind document.Kind, id, body string, languages ...string) document.Document {
	t.Helper()
	doc, err := document.New(kind, id, languages, []byte(body))
	if err != nil {
		t.Fatalf("%v", err)
	}
	doc.Sign(s.ID, s.Key)
	return doc
}

// Put makes a document of this site the current one.
func (s *Site) Put(t T, kind document.Kind, id, body, audience string, languages ...string) document.Document {
	t.Helper()
	doc := s.Doc(t, kind, id, body, languages...)
	s.Write(t, store.Put(doc, audience, store.Former{})...)
	return doc
}

// Shorten shortens the journal.
func (s *Site) Shorten(keep marks.Keep) error {
	keeper := marks.Keeper{Reader: s.DB, Writer: s.DB, Now: Now}
	return keeper.Shorten(context.Background(), sweep.New(s.DB, s.DB), keep)
}

// Remove takes a document away.
func (s *Site) Remove(t T, kind document.Kind, id string) {
	t.Helper()
	s.Write(t, store.Remove(kind, id, store.Former{})...)
}

// Languages are the managed ones.
func (s *Site) Languages(t T) (tags []string) {
	t.Helper()
	var joined string
	err := s.DB.View(context.Background(), func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT coalesce(group_concat(tag, ',' ORDER BY tag), '') FROM language`).Scan(&joined)
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	if joined == "" {
		return nil
	}
	return strings.Split(joined, ",")
}

// SetLanguages replaces the managed languages, and does what follows from it.
func (s *Site) SetLanguages(t T, languages ...string) {
	t.Helper()
	statements := []store.Statement{{SQL: `DELETE FROM language`}}
	for _, tag := range languages {
		statements = append(statements, store.Statement{SQL: `INSERT INTO language (tag, since) VALUES (?, '')`, Args: []any{tag}})
	}
	s.Write(t, statements...)
	if _, err := s.Room.LanguagesChanged(context.Background(), s.Below); err != nil {
		t.Fatalf("languages of site %s: %v", s.ID, err)
	}
}

// Ancestors are the ids of the sites above, the nearest first.
func (s *Site) Ancestors() (ids []string) {
	for at := s.Parent; at != nil; at = at.Parent {
		ids = append(ids, at.ID)
	}
	return ids
}

// Scopes are what of a type the parent has for this site: as the parent sees it, and as the site does.
func (s *Site) Scopes(t T, of dataset.Type) (there, here dataset.Scope) {
	t.Helper()
	audience, set := s.Audience[of]
	if !set {
		audience = dataset.Audience{All: true}
	}
	languages := s.Languages(t)
	there = dataset.Scope{Type: of, Direction: dataset.Down, Languages: languages, Audience: audience, Not: []string{s.ID}}
	here = dataset.Scope{
		Type: of, Direction: dataset.Down, Languages: languages, Audience: dataset.Audience{All: true}, Not: append([]string{s.ID}, s.Below...),
	}
	if of == dataset.Languages {
		there.Origins = s.Ancestors()
	}
	return there, here
}

// Above is the parent as the neighbour from which documents come.
func (s *Site) Above() replicas.Neighbour {
	return replicas.Neighbour{ID: s.Parent.ID, Direction: dataset.Down, Below: s.Below}
}

// Report is what a run did.
type Report struct {
	replicas.Outcome
	Pages    int
	Complete error // why the run was complete; nil: it was not
	Heads    int
	Sent     int // bodies
}

// Pull brings one type up to date from the parent, as the wire does.
func (s *Site) Pull(t T, of dataset.Type) Report {
	t.Helper()
	report, err := s.TryPull(t, of, -1)
	if err != nil {
		t.Fatalf("site %s pulls %s: %v", s.ID, of, err)
	}
	return report
}

// TryPull is Pull of at most some pages; fewer than 0: all.
func (s *Site) TryPull(t T, of dataset.Type, pages int) (report Report, err error) {
	t.Helper()
	for ; pages != 0; pages-- {
		more, err := s.turn(t, of, &report)
		if err != nil {
			return report, err
		}
		if !more {
			return report, s.fetch(t, of, &report)
		}
	}
	return report, nil
}

// turn takes one page.
func (s *Site) turn(t T, of dataset.Type, report *Report) (more bool, err error) {
	ctx := context.Background()
	there, _ := s.Scopes(t, of)
	cursor, progress, err := s.Room.Cursor(ctx, s.Above(), of)
	if err != nil {
		return false, err
	}
	var page dataset.Page
	if !progress.Running() {
		page, err = s.Parent.Sender.Page(ctx, there, cursor, s.Limits)
	}
	if progress.Running() || NeedsComplete(err) {
		if err != nil {
			report.Complete = err
		}
		page, err = s.Parent.Sender.Complete(ctx, there, progress.From, progress.After, s.Limits)
		if NeedsComplete(err) { // what was stated does not hold any more
			report.Complete = err
			page, err = s.Parent.Sender.Complete(ctx, there, dataset.Cursor{}, dataset.Key{}, s.Limits)
		}
	}
	if err != nil {
		return false, err
	}
	if err := s.fill(ctx, there, page.Entries, report); err != nil {
		return false, err
	}
	outcome, err := s.Room.Apply(ctx, s.Above(), page)
	report.add(outcome)
	report.Pages++
	report.Heads += len(page.Entries)
	return page.More || page.Complete, err // what changed during a complete run is told by the next differential page
}

// NeedsComplete says whether an error of a page calls for a complete run.
func NeedsComplete(err error) bool {
	for _, why := range []error{dataset.ErrEpoch, dataset.ErrAudience, dataset.ErrOld, dataset.ErrDiverged} {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}

// fill fetches the bodies that this site lacks.
func (s *Site) fill(ctx context.Context, there dataset.Scope, entries []dataset.Entry, report *Report) error {
	digests, err := s.Room.Lacking(ctx, s.Above(), entries)
	if err != nil || len(digests) == 0 {
		return err
	}
	docs, _, err := s.Parent.Sender.Bodies(ctx, there, digests)
	if err != nil {
		return err
	}
	report.Sent += len(docs)
	for i := range entries {
		for _, doc := range docs {
			if doc.Digest == entries[i].Digest {
				entries[i].Body = doc.Body
			}
		}
	}
	return nil
}

// fetch asks for what policies pin and what is due from quarantine.
func (s *Site) fetch(t T, of dataset.Type, report *Report) error {
	ctx := context.Background()
	there, _ := s.Scopes(t, of)
	for _, held := range []bool{true, false} {
		digests, err := s.Room.Due(ctx, s.Above(), of)
		if held {
			digests, err = s.Room.Awaited(ctx, 1000)
		}
		if err != nil || len(digests) == 0 || held && of != dataset.Policies {
			if err != nil {
				return err
			}
			continue
		}
		docs, _, err := s.Parent.Sender.Bodies(ctx, there, digests)
		if err != nil {
			return err
		}
		var entries []dataset.Entry
		for _, doc := range docs {
			entries = append(entries, dataset.Entry{Head: doc.Head, Body: doc.Body, Held: held})
		}
		outcome, err := s.Room.Repair(ctx, s.Above(), of, entries)
		report.add(outcome)
		report.Sent += len(docs)
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Report) add(o replicas.Outcome) {
	r.Changed += o.Changed
	r.Removed += o.Removed
	r.Held += o.Held
	r.HandedOver += o.HandedOver
	r.Yielded = append(r.Yielded, o.Yielded...)
	r.Quarantined = append(r.Quarantined, o.Quarantined...)
}

// PullAll brings every type up to date.
func (s *Site) PullAll(t T) (all Report) {
	t.Helper()
	for _, of := range dataset.Types(dataset.Down) {
		report := s.Pull(t, of)
		all.add(report.Outcome)
		all.Pages += report.Pages
		all.Heads += report.Heads
		all.Sent += report.Sent
		if report.Complete != nil {
			all.Complete = report.Complete
		}
	}
	return all
}

// Holds lists the site's current documents of some kinds as "kind id body languages".
func (s *Site) Holds(t T, kinds ...document.Kind) (list []string) {
	t.Helper()
	err := s.DB.View(context.Background(), func(tx *sql.Tx) error {
		for _, kind := range kinds {
			docs, err := store.Documents(context.Background(), tx, kind, "", 1<<20)
			if err != nil {
				return err
			}
			for _, d := range docs {
				list = append(list, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", d.Kind, d.ID, d.Body, strings.Join(d.Languages, ","))))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return list
}

// Sums are what the parent has for this site of a type, and what this site holds of it, each from its own file.
func (s *Site) Sums(t T, of dataset.Type, which []int) (there, here dataset.Sum) {
	t.Helper()
	above, own := s.Scopes(t, of)
	there, err := s.Parent.Sender.Buckets(context.Background(), above, which)
	if err != nil {
		t.Fatalf("%v", err)
	}
	here, err = s.Sender.Buckets(context.Background(), own, which)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return there, here
}

// Equal fails unless this site holds of every type exactly what its parent has for it.
func (s *Site) Equal(t T) {
	t.Helper()
	for _, of := range dataset.Types(dataset.Down) {
		there, here := s.Sums(t, of, nil)
		if there.Digest() != here.Digest() || len(there.Damaged)+len(here.Damaged) > 0 {
			t.Fatalf("%s at site %s: %d documents, %v; at its parent %d, %v; damaged %v and %v\n%s", of, s.ID, here.Count, here.Digest(),
				there.Count, there.Digest(), here.Damaged, there.Damaged, s.differ(t, of))
		}
	}
}

// differ says in which documents a site and its parent differ.
func (s *Site) differ(t T, of dataset.Type) string {
	above, own := s.Scopes(t, of)
	all := make([]int, dataset.BucketCount)
	for n := range all {
		all[n] = n
	}
	ctx := context.Background()
	there, _, err := s.Parent.Sender.BucketHeads(ctx, above, all...)
	here, _, err2 := s.Sender.BucketHeads(ctx, own, all...)
	if err = errors.Join(err, err2); err != nil {
		t.Fatalf("%v", err)
	}
	lines := map[string]int{}
	for i, side := range [][]dataset.Entry{there, here} {
		for _, e := range side {
			lines[fmt.Sprintf("%s %s %v %s of %s held=%v", e.Kind, e.ID, e.Languages, e.Digest.String()[:8], e.Origin, e.Held)] += 1 + i*2
		}
	}
	var text strings.Builder
	for line, sides := range lines {
		if sides != 4 {
			fmt.Fprintf(&text, "%s: %s\n", map[int]string{1: "only above", 3: "only here"}[sides%4], line)
		}
	}
	return text.String()
}

// Currents are the site's current documents of a kind, without bodies.
func (s *Site) Currents(t T, kind document.Kind) (list []store.Current) {
	t.Helper()
	err := s.DB.View(context.Background(), func(tx *sql.Tx) (err error) {
		list, err = store.Heads(context.Background(), tx, kind, "", 1<<20)
		return err
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return list
}

// Heads are those of Currents.
func (s *Site) Heads(t T, kind document.Kind) (list []document.Head) {
	t.Helper()
	for _, c := range s.Currents(t, kind) {
		list = append(list, c.Head)
	}
	return list
}

// First is the batch with which a site begins: its name, epoch and languages.
func First(id, epoch string, languages ...string) store.Batch {
	b := store.Batch{Actor: "test", Reason: "test", Statements: []store.Statement{{
		SQL: `INSERT INTO site (one, id, name, epoch, created) VALUES (1, ?, ?, ?, '')`, Args: []any{id, id, epoch},
	}}}
	for _, tag := range languages {
		b.Statements = append(b.Statements, store.Statement{SQL: `INSERT INTO language (tag, since) VALUES (?, '')`, Args: []any{tag}})
	}
	return b
}
