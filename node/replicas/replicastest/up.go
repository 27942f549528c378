package replicastest

import (
	"context"
	"database/sql"
	"errors"

	"thatch/catalog/document"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
)

// UpScope is what of a type this site sends up, with that of the sites below it.
func (s *Site) UpScope(of dataset.Type) dataset.Scope {
	return dataset.Scope{
		Type: of, Direction: dataset.Up, Audience: dataset.Audience{All: true}, Origins: append([]string{s.ID}, s.Below...),
	}
}

// Push brings the parent up to date with one type from this site and those below it.
func (s *Site) Push(t T, of dataset.Type) (report Report) {
	t.Helper()
	from := replicas.Neighbour{ID: s.ID, Direction: dataset.Up, Below: s.Below}
	for more := true; more; {
		page, err := s.upPage(from, of, &report)
		if err != nil {
			t.Fatalf("site %s pushes %s: %v", s.ID, of, err)
		}
		outcome, err := s.Parent.Room.Apply(context.Background(), from, page)
		if err != nil {
			t.Fatalf("site %s takes %s: %v", s.Parent.ID, of, err)
		}
		report.add(outcome)
		report.Pages++
		more = page.More || page.Complete
	}
	s.again(t, from, of, &report)
	return report
}

// again sends what the parent could not judge before.
func (s *Site) again(t T, from replicas.Neighbour, of dataset.Type, report *Report) {
	ctx := context.Background()
	due, err := s.Parent.Room.Due(ctx, from, of)
	if err == nil && len(due) > 0 {
		var docs []document.Document
		if docs, _, err = s.Sender.Bodies(ctx, s.UpScope(of), due); err == nil {
			var entries []dataset.Entry
			for _, doc := range docs {
				entries = append(entries, dataset.Entry{Head: doc.Head, Body: doc.Body})
			}
			var outcome replicas.Outcome
			outcome, err = s.Parent.Room.Repair(ctx, from, of, entries)
			report.add(outcome)
		}
	}
	if err != nil {
		t.Fatalf("site %s pushes %s again: %v", s.ID, of, err)
	}
}

func (s *Site) upPage(from replicas.Neighbour, of dataset.Type, report *Report) (page dataset.Page, err error) {
	ctx, scope := context.Background(), s.UpScope(of)
	cursor, progress, err := s.Parent.Room.Cursor(ctx, from, of)
	if err != nil {
		return page, err
	}
	if !progress.Running() {
		page, err = s.Sender.Page(ctx, scope, cursor, s.Limits)
	}
	if progress.Running() || NeedsComplete(err) {
		report.Complete = errors.Join(err, report.Complete)
		page, err = s.Sender.Complete(ctx, scope, progress.From, progress.After, s.Limits)
	}
	if err != nil {
		return page, err
	}
	digests, err := s.Parent.Room.Lacking(ctx, from, page.Entries)
	if err != nil {
		return page, err
	}
	docs, _, err := s.Sender.Bodies(ctx, scope, digests)
	for i := range page.Entries {
		for _, doc := range docs {
			if doc.Digest == page.Entries[i].Digest {
				page.Entries[i].Body = doc.Body
			}
		}
	}
	return page, err
}

// UpSums are what this site sends up of a type, and what its parent holds of it, each from its own file.
func (s *Site) UpSums(t T, of dataset.Type) (here, there dataset.Sum) {
	t.Helper()
	scope := s.UpScope(of)
	here, err := s.Sender.Buckets(context.Background(), scope, nil)
	if err == nil {
		there, err = s.Parent.Sender.Buckets(context.Background(), scope, nil)
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	return here, there
}

// Docs are the site's current documents of a kind with some ids, or all, with their bodies.
func (s *Site) Docs(t T, kind document.Kind, ids ...string) (docs []document.Document) {
	t.Helper()
	err := s.DB.View(context.Background(), func(tx *sql.Tx) error {
		for _, h := range s.headsIn(tx, kind, ids) {
			doc, err := store.Revision(context.Background(), tx, h.Digest)
			if err != nil {
				return err
			}
			docs = append(docs, doc)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return docs
}

func (s *Site) headsIn(tx *sql.Tx, kind document.Kind, ids []string) (heads []document.Head) {
	all, err := store.Heads(context.Background(), tx, kind, "", 1<<20)
	if err != nil {
		return nil
	}
	for _, c := range all {
		wanted := len(ids) == 0
		for _, id := range ids {
			wanted = wanted || id == c.ID
		}
		if wanted {
			heads = append(heads, c.Head)
		}
	}
	return heads
}

// Setting is the value of a row that a test's hook wrote, "" for none.
func (s *Site) Setting(t T, name string) (value string) {
	t.Helper()
	err := s.DB.View(context.Background(), func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT coalesce((SELECT value FROM setting WHERE name = ?), '')`, name).Scan(&value)
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return value
}

// Keeps says whether a revision is there, current or pinned.
func (s *Site) Keeps(t T, digest document.Digest) (kept bool) {
	t.Helper()
	err := s.DB.View(context.Background(), func(tx *sql.Tx) error {
		_, err := store.Revision(context.Background(), tx, digest)
		kept = err == nil
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return kept
}
