package dataset

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"thatch/catalog/document"
	"thatch/node/store"
)

// Bounds of lists of heads: so many are given at once, and so many are read and checked before other readers and writers of the
// file have their turn.
const (
	MostHeads   = 4096
	headsAtOnce = 256
)

// ErrManyHeads says that some buckets hold more than MostHeads documents: ask for fewer of them.
var ErrManyHeads = errors.New("these buckets hold more documents than are listed at once")

// BucketHeads lists what a scope holds in some buckets, in the order of keys, and what of these buckets is damaged,
// whatever its languages: here signatures are checked too, so that it can be told which of two sides is right. What is
// damaged is named among the entries as well (Entry.Damaged), so that nobody takes it for removed. Each is as it was in one moment
// of the reading. The error may wrap ErrManyHeads.
func (s *Sender) BucketHeads(ctx context.Context, scope Scope, buckets ...int) (entries []Entry, damaged []Damaged, err error) {
	m := newMeasure(&scope, append([]int{}, buckets...))
	m.name = true
	err = s.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		m.items, m.names = m.items[:0], m.names[:0]
		return m.list(ctx, tx)
	})
	signed := signatures{}
	for from := 0; err == nil && from < len(m.items); from += headsAtOnce {
		var some []Entry
		var bad []Damaged
		err = s.cfg.Reader.View(ctx, func(tx *sql.Tx) (err error) {
			some, bad, err = m.heads(ctx, tx, signed, from)
			return err
		})
		entries, damaged = append(entries, some...), append(damaged, bad...)
		if len(entries) > MostHeads {
			err = ErrManyHeads
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", scope.Type, err)
	}
	slices.SortFunc(entries, func(a, b Entry) int { return a.Key().Compare(b.Key()) })
	return entries, damaged, nil
}

// heads reads some of the items.
func (m *measure) heads(ctx context.Context, tx *sql.Tx, signed signatures, from int) (entries []Entry, damaged []Damaged, err error) {
	for i := from; i < min(from+headsAtOnce, len(m.items)); i++ {
		e, sound, err := m.entry(ctx, tx, signed, i)
		if err == nil && !sound {
			var there bool
			if there, err = m.again(ctx, tx, i); err == nil && there {
				e, sound, err = m.entry(ctx, tx, signed, i)
			} else if err == nil {
				continue
			}
		}
		if err != nil {
			return nil, nil, err
		}
		if !sound {
			damaged = append(damaged, Damaged{e.Key(), m.items[i].digest})
		}
		if !sound || m.items[i].held || m.scope.speaks(e.Languages) && m.scope.by(e.Origin) {
			entries = append(entries, e)
		}
	}
	return entries, damaged, nil
}

// again looks for an item as it is now: it may have changed, or gone, since it was listed.
func (m *measure) again(ctx context.Context, tx *sql.Tx, i int) (there bool, err error) {
	it, name, raw := &m.items[i], m.names[i], []byte{}
	if it.held {
		err = tx.QueryRowContext(ctx, `SELECT digest FROM pin WHERE digest = ?`, it.digest[:]).Scan(&raw)
	} else {
		err = tx.QueryRowContext(ctx, `SELECT digest FROM document WHERE kind = ? AND id = ?`, string(name.Kind), name.ID).Scan(&raw)
	}
	if notFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up %s %q: %w", name.Kind, name.ID, err)
	}
	copy(it.digest[:], raw)
	return true, nil
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
