// Package alike finds documents that two sites both hold and that are likely to be much like those of a page: what is sent
// is compressed against them.
package alike

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
)

// Run names documents that two sites both hold: the last of them by the first bytes of its digest, and those before it of
// its kind, in the order of ids, Count in all.
type Run struct {
	Last  [4]byte
	Count int
}

// Limits of what a page is compressed against: more of it takes longer and saves little.
const (
	maxRuns    = 16
	runLength  = 32
	knownBytes = 256 << 10
	// Receivers take more, for senders of another version.
	mostRuns      = 64
	mostRunLength = 256
	mostKnown     = 1 << 20
)

// ErrNotKnown says that what a sender takes for known is not here, or is not the same here.
var ErrNotKnown = errors.New("what the page was compressed against is not here as it is at the sender")

// gap is between two ids of a kind, both exclusive, where documents are that did not change.
type gap struct {
	kind      document.Kind
	low, high string
}

// beyond follows every id.
const beyond = "\xff"

// Known names documents that the receiver holds by its cursor and that are likely to be much like those of a page: those
// next to them in the order of ids, and the last ones of their kinds.
func Known(ctx context.Context, reader store.Reader, scope dataset.Scope, held dataset.Cursor, entries []dataset.Entry) (runs []Run, docs []document.Document, err error) {
	err = reader.View(ctx, func(tx *sql.Tx) error {
		runs, docs = nil, nil
		gaps, err := gapsBetween(ctx, tx, entries)
		if err != nil {
			return err
		}
		step := max(1, (len(gaps)+maxRuns-1)/maxRuns)
		l := likes{scope: &scope, held: held.Least(&scope), left: knownBytes}
		for i := len(gaps) - 1; i >= 0 && l.left > 0; i -= step {
			some, err := l.in(ctx, tx, gaps[i])
			if err != nil {
				return err
			}
			if len(some) > 0 {
				runs, docs = append(runs, Run{Count: len(some), Last: [4]byte(some[0].Digest[:])}), append(docs, some...)
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: look for what is like a page: %w", scope.Type, err)
	}
	return runs, docs, nil
}

// gapsBetween are the places before and after the documents of a page where others stand.
func gapsBetween(ctx context.Context, tx *sql.Tx, entries []dataset.Entry) (gaps []gap, err error) {
	var keys []dataset.Key
	for i := range entries {
		if !entries[i].Removed {
			keys = append(keys, entries[i].Key())
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	slices.SortFunc(keys, dataset.Key.Compare)
	between, err := tx.PrepareContext(ctx, `SELECT 1 FROM document WHERE kind = ? AND id > ? AND id < ? LIMIT 1`)
	if err != nil {
		return nil, fmt.Errorf("look between documents: %w", err)
	}
	defer between.Close()
	var all []gap
	for i, key := range keys {
		low := ""
		if i > 0 && keys[i-1].Kind == key.Kind {
			low = keys[i-1].ID
		}
		all = append(all, gap{key.Kind, low, key.ID})
		if i == len(keys)-1 || keys[i+1].Kind != key.Kind {
			all = append(all, gap{key.Kind, key.ID, beyond})
		}
	}
	for _, g := range all {
		var one int
		err := between.QueryRowContext(ctx, string(g.kind), g.low, g.high).Scan(&one)
		if err == nil {
			gaps = append(gaps, g)
		} else if !errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("look between documents: %w", err)
		}
	}
	return gaps, nil
}

const query = `SELECT d.audience, r.body, d.kind, d.id, d.digest, r.languages, r.origin, r.signature, d.idx, d.pos FROM document d JOIN revision r ON r.digest = d.digest
WHERE d.kind = ? AND d.id > ? AND d.id <= ? ORDER BY d.id DESC LIMIT ?`

// likes looks for what is like a page.
type likes struct {
	scope *dataset.Scope
	held  store.Sequence // the receiver holds everything up to here
	left  int            // bytes of bodies
}

// in is the last run in a gap of what the receiver holds. What is newer than its cursor ends it, also what is not for it any
// more: it has something there still.
func (l *likes) in(ctx context.Context, tx *sql.Tx, g gap) (docs []document.Document, err error) {
	err = rowsIn(ctx, tx, g, 2*runLength, func(e *dataset.Entry, audience string) bool {
		doc := e.Document()
		switch {
		case e.ID == g.high:
			return true
		case e.Changed.Compare(l.held) > 0:
			return len(docs) == 0
		case !l.scope.Has(&e.Head, audience):
			return true
		case doc.VerifyDigest() != nil:
			return len(docs) == 0
		}
		if l.left -= len(e.Body); l.left < 0 {
			return false
		}
		docs = append(docs, doc)
		return len(docs) < runLength
	})
	return docs, err
}

// rowsIn calls take with the documents in a gap and at its upper end, the last one first, until it has enough.
func rowsIn(ctx context.Context, tx *sql.Tx, g gap, most int, take func(e *dataset.Entry, audience string) bool) error {
	rows, err := tx.QueryContext(ctx, query, string(g.kind), g.low, g.high, most)
	if err != nil {
		return fmt.Errorf("read documents of kind %s: %w", g.kind, err)
	}
	defer rows.Close()
	for rows.Next() {
		var e dataset.Entry
		var audience string
		var digest, languages sql.RawBytes
		err := rows.Scan(&audience, &e.Body, &e.Kind, &e.ID, &digest, &languages, &e.Origin, &e.Signature, &e.Changed.Index, &e.Changed.Position)
		if err != nil {
			return fmt.Errorf("read documents of kind %s: %w", g.kind, err)
		}
		copy(e.Digest[:], digest)
		if e.Size = len(e.Body); len(languages) > 0 {
			e.Languages = strings.Split(string(languages), ",")
		}
		if !take(&e, audience) {
			return nil
		}
	}
	return rows.Err()
}

// Recall reads the documents of runs where they were sent to. Error: ErrNotKnown; that nothing is missing does not say yet
// that all is the same.
func Recall(ctx context.Context, reader store.Reader, scope dataset.Scope, runs []Run) (docs []document.Document, err error) {
	err = reader.View(ctx, func(tx *sql.Tx) error {
		docs = docs[:0]
		if len(runs) > mostRuns {
			return fmt.Errorf("%w: it has %d runs", ErrNotKnown, len(runs))
		}
		left := mostKnown
		for _, run := range runs {
			some, err := recall(ctx, tx, &scope, run, &left)
			if err != nil {
				return err
			}
			docs = append(docs, some...)
		}
		return nil
	})
	return docs, err
}

func recall(ctx context.Context, tx *sql.Tx, scope *dataset.Scope, run Run, left *int) (docs []document.Document, err error) {
	if run.Count < 1 || run.Count > mostRunLength {
		return nil, fmt.Errorf("%w: a run of %d documents", ErrNotKnown, run.Count)
	}
	var from, to document.Digest
	for i := range to {
		to[i] = 0xff
	}
	copy(from[:], run.Last[:])
	copy(to[:], run.Last[:])
	var g gap
	err = tx.QueryRowContext(ctx, `SELECT d.kind, d.id FROM revision r JOIN document d ON d.kind = r.kind AND d.id = r.id AND d.digest = r.digest
WHERE r.digest BETWEEN ? AND ? ORDER BY r.digest LIMIT 1`, from[:], to[:]).Scan(&g.kind, &g.high)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: a document that it names is not here", ErrNotKnown)
	}
	if err != nil {
		return nil, err
	}
	err = rowsIn(ctx, tx, g, -1, func(e *dataset.Entry, audience string) bool {
		if !scope.Has(&e.Head, audience) {
			return true
		}
		if *left -= len(e.Body); *left < 0 {
			return false
		}
		docs = append(docs, e.Document())
		return len(docs) < run.Count
	})
	if err == nil && *left < 0 {
		err = fmt.Errorf("%w: it has more than %d bytes", ErrNotKnown, mostKnown)
	}
	if err == nil && len(docs) < run.Count {
		err = fmt.Errorf("%w: %d documents before %s %q, %d are named", ErrNotKnown, len(docs), g.kind, g.high, run.Count)
	}
	return docs, err
}
