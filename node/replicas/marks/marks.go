// Package marks keeps marks of a site's journal: a running digest up to every place at which somebody stands, by which it is
// seen that a site went back in time.
package marks

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"time"

	"thatch/catalog/document"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Mark is a running digest of the journal up to a place in it. Marks of two sites never mean the same.
type Mark struct {
	store.Sequence
	Digest document.Digest `json:"digest"`
}

// At is the digest of the mark at a place, zero where there is none.
func At(ctx context.Context, tx *sql.Tx, at store.Sequence) (digest document.Digest, err error) {
	var raw []byte
	err = tx.QueryRowContext(ctx, `SELECT digest FROM journal_mark WHERE idx = ? AND pos = ?`, int64(at.Index), at.Position).Scan(&raw)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return digest, fmt.Errorf("read the mark of the journal at %d.%d: %w", at.Index, at.Position, err)
	}
	copy(digest[:], raw)
	return digest, nil
}

// ErrGone says that the journal does not reach back to a place any more.
var ErrGone = errors.New("the journal does not reach back that far any more")

// Start is up to where the journal may lack what it does not need any more, zero where everything is there. A place before it is
// of no use to whoever goes on from there.
func Start(ctx context.Context, tx *sql.Tx) (at store.Sequence, err error) {
	err = tx.QueryRowContext(ctx, `SELECT idx, pos FROM journal_start`).Scan(&at.Index, &at.Position)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return at, fmt.Errorf("read where the journal starts: %w", err)
	}
	return at, nil
}

// Keeper makes marks.
type Keeper struct {
	Reader store.Reader
	Writer store.Writer
	Now    func() time.Time
}

// Mark returns the mark at a place, and makes it where there is none: a write for every place at which somebody stands,
// whatever the number of neighbours.
func (k Keeper) Mark(ctx context.Context, at store.Sequence) (Mark, error) {
	m := Mark{Sequence: at}
	if at == (store.Sequence{}) {
		return m, nil
	}
	found, err := k.look(ctx, at, true)
	if err != nil || found.kept {
		m.Digest = found.digest
		return m, err
	}
	applied, err := k.Writer.Write(ctx, store.Batch{
		Actor: "node", Reason: "mark the journal", At: k.Now().UTC(), Statements: []store.Statement{{
			SQL: `INSERT INTO journal_mark (idx, pos, digest, at) SELECT ?1, ?2, ?3, ?4
WHERE NOT EXISTS (SELECT 1 FROM journal_start WHERE (idx, pos) > (?1, ?2)) ORDER BY 1 ON CONFLICT DO NOTHING`,
			Args: []any{int64(at.Index), at.Position, found.digest[:], rows.Stamp(k.Now())},
		}},
	})
	if err == nil {
		err = applied.Err()
	}
	if err != nil {
		return m, fmt.Errorf("mark the journal at %d.%d: %w", at.Index, at.Position, err)
	}
	// Another node may have been first, from another mark before it.
	found, err = k.look(store.AtLeast(ctx, applied.Index), at, false)
	if err == nil && !found.kept {
		err = fmt.Errorf("the mark of the journal at %d.%d: %w", at.Index, at.Position, ErrGone)
	}
	m.Digest = found.digest
	return m, err
}

type looked struct {
	digest document.Digest
	kept   bool
}

// look reads the mark at a place, or computes what it would be.
func (k Keeper) look(ctx context.Context, at store.Sequence, compute bool) (found looked, err error) {
	err = k.Reader.View(ctx, func(tx *sql.Tx) error {
		digest, err := At(ctx, tx, at)
		found = looked{digest, digest != document.Digest{}}
		if err != nil || found.kept || !compute {
			return err
		}
		start, err := Start(ctx, tx)
		if err != nil {
			return err
		}
		if at.Compare(start) < 0 {
			return fmt.Errorf("the mark of the journal at %d.%d: %w", at.Index, at.Position, ErrGone)
		}
		found.digest, err = runningDigest(ctx, tx, at)
		return err
	})
	return found, err
}

// runningDigest is SHA-256 over the last mark before a place and the entries of the journal after it up to there.
func runningDigest(ctx context.Context, tx *sql.Tx, at store.Sequence) (digest document.Digest, err error) {
	var base store.Sequence
	var former []byte
	const before = `SELECT idx, pos, digest FROM journal_mark WHERE (idx, pos) < (?, ?) ORDER BY idx DESC, pos DESC LIMIT 1`
	err = tx.QueryRowContext(ctx, before, int64(at.Index), at.Position).Scan(&base.Index, &base.Position, &former)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return digest, fmt.Errorf("read the marks of the journal: %w", err)
	}
	entries, err := tx.QueryContext(ctx, `SELECT idx, pos, kind, id, digest, languages, audience FROM journal
WHERE (idx, pos) > (?, ?) AND (idx, pos) <= (?, ?) ORDER BY idx, pos`, int64(base.Index), base.Position, int64(at.Index), at.Position)
	if err != nil {
		return digest, fmt.Errorf("read the journal: %w", err)
	}
	defer entries.Close()
	sum := sha256.New()
	field(sum, former)
	for entries.Next() {
		var place store.Sequence
		var kind, id, entry, languages, audience sql.RawBytes
		if err := entries.Scan(&place.Index, &place.Position, &kind, &id, &entry, &languages, &audience); err != nil {
			return digest, fmt.Errorf("read the journal: %w", err)
		}
		number(sum, place.Index)
		number(sum, uint64(place.Position))
		for _, text := range [][]byte{kind, id, entry, languages, audience} {
			field(sum, text)
		}
	}
	sum.Sum(digest[:0])
	return digest, entries.Err()
}

func number(sum hash.Hash, n uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	sum.Write(b[:])
}

func field(sum hash.Hash, text []byte) {
	number(sum, uint64(len(text)))
	sum.Write(text)
}
