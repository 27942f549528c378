package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"thatch/catalog/document"
)

// ErrNotFound says that there is no such document.
var ErrNotFound = errors.New("not found")

// Sequence is a place in the journal: the index of a batch and a position in it.
type Sequence struct {
	Index    uint64 `json:"index"`
	Position int    `json:"position"`
}

// Compare orders places in the journal.
func (s Sequence) Compare(other Sequence) int {
	return cmp.Or(cmp.Compare(s.Index, other.Index), cmp.Compare(s.Position, other.Position))
}

// Current is a current document's head with what the site says of it. Body is empty where only heads were asked for.
type Current struct {
	document.Document
	Audience string
	Changed  Sequence
}

// Change is an entry of the journal.
type Change struct {
	Sequence
	Kind            document.Kind
	ID              string
	Removed         bool
	Created         bool            // there was none before
	Digest          document.Digest // zero where removed
	Languages       []string
	Audience        string
	FormerLanguages []string
	FormerAudience  string
}

const (
	headColumns    = `r.digest, r.kind, r.id, r.languages, r.origin, r.signature`
	currentColumns = headColumns + `, d.audience, d.idx, d.pos`
	fromCurrent    = ` FROM document d JOIN revision r ON r.digest = d.digest`
	pageOfKind     = ` WHERE d.kind = ? AND d.id > ? ORDER BY d.id LIMIT ?`
)

// Document returns the current document of a kind and id, or ErrNotFound.
func Document(ctx context.Context, tx *sql.Tx, kind document.Kind, id string) (Current, error) {
	var c Current
	row := tx.QueryRowContext(ctx, `SELECT `+currentColumns+`, r.body`+fromCurrent+` WHERE d.kind = ? AND d.id = ?`, string(kind), id)
	if err := c.scan(row.Scan, &c.Body); err != nil {
		return Current{}, named(err, "%s %q", kind, id)
	}
	return c, nil
}

// Revision returns the document of a digest, current or pinned, or ErrNotFound.
func Revision(ctx context.Context, tx *sql.Tx, digest document.Digest) (document.Document, error) {
	var doc document.Document
	row := tx.QueryRowContext(ctx, `SELECT `+headColumns+`, r.body FROM revision r WHERE r.digest = ?`, digest[:])
	if err := scanHead(&doc.Head, row.Scan, &doc.Body); err != nil {
		return document.Document{}, named(err, "document with digest %s", digest)
	}
	return doc, nil
}

// Documents returns the current documents of a kind with an id greater than after, in the order of ids, at most limit.
func Documents(ctx context.Context, tx *sql.Tx, kind document.Kind, after string, limit int) ([]Current, error) {
	return list(ctx, tx, `SELECT `+currentColumns+`, r.body`+fromCurrent+pageOfKind, string(kind), after, limit)
}

// Heads is Documents without their bodies.
func Heads(ctx context.Context, tx *sql.Tx, kind document.Kind, after string, limit int) ([]Current, error) {
	return list(ctx, tx, `SELECT `+currentColumns+`, NULL`+fromCurrent+pageOfKind, string(kind), after, limit)
}

func list(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]Current, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("documents of kind %s: %w", args[0], err)
	}
	defer rows.Close()
	var list []Current
	for rows.Next() {
		var c Current
		if err := c.scan(rows.Scan, &c.Body); err != nil {
			return nil, fmt.Errorf("documents of kind %s: %w", args[0], err)
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

// Digests returns the digests of all current documents of a kind by their ids: what an importer compares with before
// it writes.
func Digests(ctx context.Context, tx *sql.Tx, kind document.Kind) (map[string]document.Digest, error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, digest FROM document WHERE kind = ?`, string(kind))
	if err != nil {
		return nil, fmt.Errorf("digests of kind %s: %w", kind, err)
	}
	defer rows.Close()
	all := map[string]document.Digest{}
	for rows.Next() {
		var id string
		var raw sql.RawBytes
		if err := rows.Scan(&id, &raw); err != nil {
			return nil, fmt.Errorf("digests of kind %s: %w", kind, err)
		}
		var digest document.Digest
		copy(digest[:], raw)
		all[id] = digest
	}
	return all, rows.Err()
}

// Count returns the number of current documents of a kind.
func Count(ctx context.Context, tx *sql.Tx, kind document.Kind) (int, error) {
	var n int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM document WHERE kind = ?`, string(kind)).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting documents of kind %s: %w", kind, err)
	}
	return n, nil
}

// Journal returns the changes after a place, in order, at most limit.
func Journal(ctx context.Context, tx *sql.Tx, after Sequence, limit int) ([]Change, error) {
	rows, err := tx.QueryContext(ctx, `SELECT idx, pos, kind, id, digest, languages, audience,
  former_languages IS NULL, coalesce(former_languages, ''), former_audience
FROM journal WHERE (idx, pos) > (?, ?) ORDER BY idx, pos LIMIT ?`, int64(after.Index), after.Position, limit)
	if err != nil {
		return nil, fmt.Errorf("journal after %d.%d: %w", after.Index, after.Position, err)
	}
	defer rows.Close()
	var list []Change
	for rows.Next() {
		var c Change
		var digest []byte
		var languages, former string
		if err := rows.Scan(&c.Index, &c.Position, &c.Kind, &c.ID, &digest, &languages, &c.Audience, &c.Created, &former, &c.FormerAudience); err != nil {
			return nil, fmt.Errorf("journal after %d.%d: %w", after.Index, after.Position, err)
		}
		c.Removed = digest == nil
		copy(c.Digest[:], digest)
		c.Languages, c.FormerLanguages = split(languages), split(former)
		list = append(list, c)
	}
	return list, rows.Err()
}

func (c *Current) scan(scan func(...any) error, more ...any) error {
	return scanHead(&c.Head, scan, append([]any{&c.Audience, &c.Changed.Index, &c.Changed.Position}, more...)...)
}

// scanHead reads the columns of headColumns and more.
func scanHead(h *document.Head, scan func(...any) error, more ...any) error {
	var digest []byte
	var languages string
	into := append([]any{&digest, &h.Kind, &h.ID, &languages, &h.Origin, &h.Signature}, more...)
	if err := scan(into...); err != nil {
		return err
	}
	if len(digest) != len(h.Digest) {
		return fmt.Errorf("%s %q: digest has %d bytes", h.Kind, h.ID, len(digest))
	}
	copy(h.Digest[:], digest)
	h.Languages = split(languages)
	if len(h.Signature) == 0 {
		h.Signature = nil
	}
	return nil
}

func split(languages string) []string {
	if languages == "" {
		return nil
	}
	return strings.Split(languages, ",")
}

func named(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	return fmt.Errorf("%s: %w", what, err)
}
