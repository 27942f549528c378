// Package counting counts what the catalog holds of a source. An import ends with it, so what an import brings is looked
// into while it is on its way, and of what is held only digests are read.
package counting

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"thatch/catalog/document"
)

// Counts are what the catalog holds of one source.
type Counts struct {
	Bulletins  int `json:"bulletins"`
	Updates    int `json:"updates"`
	Packages   int `json:"packages"`
	KBs        int `json:"kbs"`                // distinct KB articles
	KBProducts int `json:"kb_products"`        // distinct pairs of KB article and product
	Edges      int `json:"supersedence_edges"` // distinct pairs of KB articles (without KBs: updates) of which one supersedes the other
	ByProduct  int `json:"supersedence_edges_by_product"`
	NoRule     int `json:"updates_without_rule"`
}

// Counter counts. The zero value is ready; it is safe for use by several goroutines.
type Counter struct {
	mu      sync.Mutex
	learned map[document.Digest]update
	last    map[string]counted
}

// maxLearned bounds the updates that are remembered until the next count; the bodies of others are read again.
const maxLearned = 20_000

// counted is a count with the state of the catalog that it holds for.
type counted struct {
	state
	counts Counts
}

// state is the same where the documents of a source and who owns them are: the end of the journal, and how many
// documents the source's keys own.
type state struct{ index, position, owned int64 }

// Learn looks into an update that is about to be written.
func (c *Counter) Learn(doc *document.Document) {
	if doc.Kind != document.Update {
		return
	}
	u := readUpdate(doc.ID, doc.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.learned == nil {
		c.learned = make(map[document.Digest]update)
	}
	if len(c.learned) < maxLearned {
		c.learned[doc.Digest] = u
	}
}

// Count counts what a source has in a read transaction. Bodies are not decoded; those that were not learned are read.
func (c *Counter) Count(ctx context.Context, tx *sql.Tx, source string) (Counts, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var now state
	err := tx.QueryRowContext(ctx, `SELECT idx, pos, (SELECT count(*) FROM import_document WHERE source = ?)
FROM journal ORDER BY idx DESC, pos DESC LIMIT 1`, source).Scan(&now.index, &now.position, &now.owned)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Counts{}, fmt.Errorf("count what source %s has: %w", source, err)
	}
	if last, known := c.last[source]; known && last.state == now {
		return last.counts, nil
	}
	counts, err := c.count(ctx, tx, source)
	if err != nil {
		return Counts{}, fmt.Errorf("count what source %s has: %w", source, err)
	}
	if c.last == nil {
		c.last = make(map[string]counted)
	}
	c.last[source], c.learned = counted{now, counts}, nil
	return counts, nil
}

// count reads which documents there are, then the bodies of updates that were not learned.
func (c *Counter) count(ctx context.Context, tx *sql.Tx, source string) (Counts, error) {
	s := newSum()
	var updates []byte // digests: thousands of rows would cost more than one
	const documents = `SELECT count(*) FILTER (WHERE i.kind = 'bulletin'), count(*) FILTER (WHERE i.kind = 'package'),
CAST(group_concat(CASE i.kind WHEN 'update' THEN d.digest END, '') AS BLOB)
FROM import_document i JOIN document d ON d.kind = i.kind AND d.id = i.id WHERE i.source = ?`
	if err := tx.QueryRowContext(ctx, documents, source).Scan(&s.Bulletins, &s.Packages, &updates); err != nil {
		return Counts{}, err
	}
	var unread []any
	for digest := range slices.Chunk(updates, len(document.Digest{})) {
		if u, learned := c.learned[document.Digest(digest)]; learned {
			s.add(&u)
		} else {
			unread = append(unread, digest)
		}
	}
	for some := range slices.Chunk(unread, 400) {
		query := `SELECT id, body FROM revision WHERE digest IN (?` + strings.Repeat(",?", len(some)-1) + `)`
		err := each(ctx, tx, query, some, func(rows *sql.Rows) error {
			var id string
			var body sql.RawBytes
			err := rows.Scan(&id, &body)
			u := readUpdate(id, body)
			s.add(&u)
			return err
		})
		if err != nil {
			return Counts{}, err
		}
	}
	return s.total(), nil
}

func each(ctx context.Context, tx *sql.Tx, query string, args []any, take func(*sql.Rows) error) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := take(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// sum adds up updates.
type sum struct {
	Counts
	kbs          map[string]bool
	pairs, edges map[pair]bool
}

type pair struct{ from, to string }

func newSum() *sum {
	return &sum{kbs: map[string]bool{}, pairs: map[pair]bool{}, edges: map[pair]bool{}}
}

func (s *sum) add(u *update) {
	s.Updates++
	if !u.ruled {
		s.NoRule++
	}
	if u.kb != "" {
		s.kbs[u.kb] = true
		s.pairs[pair{u.kb, u.product}] = true
	}
	for _, former := range u.supersedes {
		s.ByProduct++
		s.edges[pair{u.article, former}] = true
	}
}

func (s *sum) total() Counts {
	s.KBs, s.KBProducts, s.Edges = len(s.kbs), len(s.pairs), len(s.edges)
	return s.Counts
}
