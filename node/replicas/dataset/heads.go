package dataset

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"slices"

	"thatch/catalog/document"
	"thatch/node/store"
)

// BucketHeads lists what a scope holds in some buckets, in the order of keys, and what of these buckets is damaged,
// whatever its languages: here signatures are checked too, so that it can be told which of two sides is right. What is
// damaged is named among the entries as well (Entry.Damaged), so that nobody takes it for removed.
func (s *Sender) BucketHeads(ctx context.Context, scope Scope, buckets ...int) (entries []Entry, damaged []Damaged, err error) {
	err = s.cfg.Reader.View(ctx, func(tx *sql.Tx) (err error) {
		entries, damaged, err = BucketHeads(ctx, tx, scope, buckets...)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", scope.Type, err)
	}
	return entries, damaged, nil
}

// BucketHeads is Sender.BucketHeads in a transaction.
func BucketHeads(ctx context.Context, tx *sql.Tx, scope Scope, buckets ...int) (entries []Entry, damaged []Damaged, err error) {
	m := newMeasure(&scope, append([]int{}, buckets...))
	m.name = true
	if err := m.list(ctx, tx); err != nil {
		return nil, nil, err
	}
	signed := signatures{}
	for i := range m.items {
		it := &m.items[i]
		e, sound, err := m.entry(ctx, tx, signed, i)
		switch {
		case err != nil:
			return nil, nil, err
		case !sound:
			damaged = append(damaged, Damaged{e.Key(), it.digest})
		}
		if !sound || it.held || scope.speaks(e.Languages) && scope.by(e.Origin) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return a.Key().Compare(b.Key()) })
	return entries, damaged, nil
}

// entry is that of an item: its head where it is sound, else (Entry.Damaged) no more than its name and digest.
func (m *measure) entry(ctx context.Context, tx *sql.Tx, signed signatures, i int) (e Entry, sound bool, err error) {
	it := &m.items[i]
	broken := damagedEntry(m.names[i], it.digest)
	broken.Held = it.held
	doc, err := store.Revision(ctx, tx, it.digest)
	if notFound(err) {
		return broken, false, nil
	}
	if err != nil || m.names[i] != (Key{doc.Kind, doc.ID}) {
		return broken, false, err
	}
	sound, err = signed.check(ctx, tx, &doc)
	if err != nil || !sound {
		return broken, false, err
	}
	return Entry{Head: doc.Head, Held: it.held, Size: len(doc.Body)}, true, nil
}

// signatures are the signing keys of sites, read as they are needed.
type signatures map[string]ed25519.PublicKey

// check says whether a document is as its digest says and signed by its origin, which every document was that came here.
func (s signatures) check(ctx context.Context, tx *sql.Tx, doc *document.Document) (sound bool, err error) {
	if doc.VerifyDigest() != nil {
		return false, nil
	}
	if doc.Kind == document.SigningKey {
		_, err := doc.Key() // signed by the key before it, if there was one
		return err == nil && doc.Origin == doc.ID, nil
	}
	key, known := s[doc.Origin]
	if !known {
		held, err := store.Document(ctx, tx, document.SigningKey, doc.Origin)
		switch {
		case err == nil:
			if key, err = held.Key(); err != nil {
				return true, nil // the key is the damaged one
			}
		case !notFound(err):
			return false, err
		}
		s[doc.Origin] = key
	}
	return doc.Verify(key) == nil, nil
}
