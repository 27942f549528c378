// Package live keeps the catalog in memory, current by the journal's sequence: what changed is read and decoded once,
// and nothing else is touched. Lists, rules pages, evaluation and compliance read from it.
package live

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/node/store"
)

// Catalog is the catalog of a site as this node holds it. It is safe for use by several goroutines.
type Catalog struct {
	reader store.Reader
	log    *slog.Logger

	turn chan struct{} // held by whoever brings the view up to date; others wait for it, or until they are cancelled
	mu   sync.RWMutex
	view *View // nil: nothing read yet, or what was begun did not end

	wholeMu sync.Mutex
	whole   map[uint32]*Whole // decoded with their rules, by number
}

// New makes a catalog that reads from a store; nothing is read before it is first asked.
func New(reader store.Reader, log *slog.Logger) *Catalog {
	if log == nil {
		log = slog.Default()
	}
	return &Catalog{reader: reader, log: log, turn: make(chan struct{}, 1), whole: map[uint32]*Whole{}}
}

// Read calls read with the catalog as it is now, or at least at the index of the context (store.AtLeast). Reading must
// be short: changes wait for it.
func (c *Catalog) Read(ctx context.Context, read func(v *View) error) error {
	for {
		if err := c.refresh(ctx); err != nil {
			return err
		}
		if err, done := c.look(read); done {
			return err
		}
		// Somebody else's refresh failed meanwhile, and took the view away.
	}
}

func (c *Catalog) look(read func(v *View) error) (err error, done bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.view == nil {
		return nil, false
	}
	return read(c.view), true
}

const kinds = `('update','bulletin','package','payload','severity','assignment')`

// refresh brings the view up to the journal's end. One does it and the others wait, so that the work of the first read
// after a start is done once.
func (c *Catalog) refresh(ctx context.Context) error {
	if current, err := c.current(ctx); current || err != nil {
		return err
	}
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.turn }()
	if current, err := c.current(ctx); current || err != nil {
		return err
	}
	if c.begun() {
		ctx = context.WithoutCancel(ctx) // short, and a caller that goes away would take the view from everybody
	}
	return c.reader.View(ctx, func(tx *sql.Tx) error { return c.catchUp(ctx, tx) })
}

func (c *Catalog) begun() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.view != nil
}

// current says whether the view is at the journal's end.
func (c *Catalog) current(ctx context.Context) (bool, error) {
	var end mark
	if err := c.reader.View(ctx, func(tx *sql.Tx) error { return end.read(ctx, tx) }); err != nil {
		return false, fmt.Errorf("read the end of the journal: %w", err)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.view != nil && c.view.Epoch == end.epoch && !before(c.view.At, end.at), nil
}

// catchUp reads what changed since the view's sequence, or everything when there is no view of this epoch.
func (c *Catalog) catchUp(ctx context.Context, tx *sql.Tx) error {
	var end mark
	if err := end.read(ctx, tx); err != nil {
		return fmt.Errorf("read the end of the journal: %w", err)
	}
	c.mu.RLock()
	held := c.view
	c.mu.RUnlock()
	if held == nil || held.Epoch != end.epoch || before(end.at, held.At) || before(held.At, end.start) {
		// Nobody sees the new view before it is whole.
		view := newView()
		if _, err := c.take(ctx, tx, view, selectAll); err != nil {
			return err
		}
		view.Epoch, view.At, view.Changed = end.epoch, end.at, end.at
		c.mu.Lock()
		defer c.mu.Unlock()
		c.view = view
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// What is taken into a view that others read is whole, or the view goes: an error or a panic on the way leaves none,
	// and the next read begins anew.
	c.view = nil
	taken, err := c.take(ctx, tx, held, selectSince, int64(held.At.Index), held.At.Position)
	if err != nil {
		return err
	}
	held.Epoch, held.At = end.epoch, end.at
	if taken > 0 {
		held.Changed = end.at
	}
	c.view = held
	return nil
}

// take brings a view up to what a query reads, and says how many documents that were.
func (c *Catalog) take(ctx context.Context, tx *sql.Tx, view *View, query string, args ...any) (taken int, err error) {
	changed, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return taken, fmt.Errorf("read changed documents: %w", err)
	}
	defer changed.Close()
	for ; changed.Next(); taken++ {
		ch, err := scanChange(changed)
		if err != nil {
			return taken, err
		}
		if err := view.apply(ch); err != nil {
			c.log.Error("a document of the catalog cannot be read and is left out", "error", err)
		}
	}
	if err := changed.Err(); err != nil {
		return taken, fmt.Errorf("read changed documents: %w", err)
	}
	view.trail.settle(view)
	return taken, nil
}

func before(a, b store.Sequence) bool {
	return a.Index < b.Index || a.Index == b.Index && a.Position < b.Position
}

// mark is where the journal ends, and from where on it is whole.
type mark struct {
	epoch     string
	at, start store.Sequence
}

func (m *mark) read(ctx context.Context, tx *sql.Tx) error {
	const query = `SELECT coalesce((SELECT epoch FROM site), ''), coalesce((SELECT idx FROM journal_start), 0), coalesce((SELECT pos FROM journal_start), 0), idx, pos
FROM journal ORDER BY idx DESC, pos DESC LIMIT 1`
	err := tx.QueryRowContext(ctx, query).Scan(&m.epoch, &m.start.Index, &m.start.Position, &m.at.Index, &m.at.Position)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

const columns = ` coalesce(r.languages, ''), d.digest, coalesce(r.origin, ''), r.body, s.number `

// selectAll reads every current document, and when updates that are no more were withdrawn: where the journal does not reach back
// to that any more, as if that had been at its start, so that whoever was not told yet is.
const selectAll = `
SELECT d.kind, d.id, d.idx, d.pos,` + columns + `
FROM document d JOIN revision r ON r.digest = d.digest LEFT JOIN software_update s ON d.kind = 'update' AND s.id = d.id
WHERE d.kind IN ` + kinds + `
UNION ALL
SELECT 'update', s.id, coalesce(j.idx, (SELECT idx FROM journal_start), 0), coalesce(j.pos, (SELECT pos FROM journal_start), 0), '', NULL, '', NULL, s.number
FROM software_update s LEFT JOIN (
  SELECT id, idx, max(idx * 4194304 + pos) AS newest, pos FROM journal WHERE kind = 'update' AND digest IS NULL GROUP BY id
) j ON j.id = s.id
WHERE NOT EXISTS (SELECT 1 FROM document d WHERE d.kind = 'update' AND d.id = s.id)`

// selectSince reads what changed after a sequence, each document once, as it is now.
const selectSince = `
SELECT j.kind, j.id, j.idx, j.pos,` + columns + `
FROM (
  SELECT kind, id, idx, max(idx * 4194304 + pos) AS newest, pos FROM journal
  WHERE (idx, pos) > (?, ?) AND kind IN ` + kinds + ` GROUP BY kind, id
) j
LEFT JOIN document d ON d.kind = j.kind AND d.id = j.id
LEFT JOIN revision r ON r.digest = d.digest
LEFT JOIN software_update s ON j.kind = 'update' AND s.id = j.id`

func scanChange(rows *sql.Rows) (change, error) {
	var ch change
	var index int64
	var languages string
	var digest []byte
	var number sql.NullInt64
	err := rows.Scan(&ch.kind, &ch.held.ID, &index, &ch.held.Changed.Position, &languages, &digest, &ch.held.Origin,
		&ch.body, &number)
	if err != nil {
		return ch, fmt.Errorf("read a changed document: %w", err)
	}
	ch.held.Changed.Index = uint64(index)
	ch.held.Languages = splitLanguages(languages)
	ch.gone = digest == nil
	copy(ch.held.Digest[:], digest)
	ch.number = uint32(number.Int64)
	return ch, nil
}

func splitLanguages(joined string) []string {
	if joined == "" {
		return nil
	}
	return strings.Split(joined, ",")
}

// Documents reads whole documents of the given digests, in any order; those not held are left out.
func (c *Catalog) Documents(ctx context.Context, digests []document.Digest) ([]document.Document, error) {
	var found []document.Document
	err := c.reader.View(ctx, func(tx *sql.Tx) error {
		for some := range slices.Chunk(digests, 400) {
			args := make([]any, len(some))
			for i := range some {
				args[i] = some[i][:]
			}
			query := `SELECT digest, kind, id, languages, origin, signature, body FROM revision WHERE digest IN (?` +
				strings.Repeat(",?", len(some)-1) + `)`
			if err := scanDocuments(ctx, tx, query, args, &found); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read documents: %w", err)
	}
	return found, nil
}

func scanDocuments(ctx context.Context, tx *sql.Tx, query string, args []any, found *[]document.Document) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var doc document.Document
		var digest []byte
		var languages string
		if err := rows.Scan(&digest, &doc.Kind, &doc.ID, &languages, &doc.Origin, &doc.Signature, &doc.Body); err != nil {
			return err
		}
		copy(doc.Digest[:], digest)
		doc.Languages = splitLanguages(languages)
		*found = append(*found, doc)
	}
	return rows.Err()
}

// Whole is an update with its rules.
type Whole struct {
	Number uint32
	ID     string
	Digest document.Digest
	catalog.Update
}

// Whole reads updates with their rules, in the order given; one that was replaced meanwhile is left out. Each revision
// is decoded once and kept.
func (c *Catalog) Whole(ctx context.Context, updates []*Update) ([]*Whole, error) {
	c.wholeMu.Lock()
	defer c.wholeMu.Unlock()
	var missing []document.Digest
	for _, u := range updates {
		if held := c.whole[u.Number]; held == nil || held.Digest != u.Digest {
			missing = append(missing, u.Digest)
		}
	}
	read := map[document.Digest]catalog.Update{}
	docs, err := c.Documents(ctx, missing)
	if err != nil {
		return nil, err
	}
	for i := range docs {
		body, err := catalog.Decode[catalog.Update](docs[i].Body)
		if err != nil {
			return nil, fmt.Errorf("update %q: %w", docs[i].ID, err)
		}
		read[docs[i].Digest] = body
	}
	found := make([]*Whole, 0, len(updates))
	for _, u := range updates {
		if body, ok := read[u.Digest]; ok {
			c.whole[u.Number] = &Whole{Number: u.Number, ID: u.ID, Digest: u.Digest, Update: body}
		}
		if held := c.whole[u.Number]; held != nil && held.Digest == u.Digest {
			found = append(found, held)
		}
	}
	return found, nil
}
