package replicas

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
)

// Limits of what is inherited at once.
const (
	inheritRows  = 500
	inheritBytes = 4 << 20 // of bodies
)

// Inherit makes this site's own, by sign, what former parents left of the catalog: where there is no parent, nobody else
// follows the vendors. It is the mirror of joining, and takes the same kinds; revisions that policies pin change hands
// too. A document that is not as its maker signed it is left as it is, and counted. With a parent it does nothing. It is
// done in portions and may be repeated.
func (r *Room) Inherit(ctx context.Context, sign func(*document.Document)) (taken, left int, err error) {
	for h := (heritage{}); ; {
		err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error { return h.next(ctx, tx, r.cfg.Site) })
		if err != nil || len(h.found) == 0 {
			return taken, left, inheriting(err)
		}
		builder := store.NewBuilder(store.Batch{
			Actor: store.ActorOf(ctx), Reason: "make what former parents left this site's own", At: r.cfg.Now().UTC(),
			Topics: []string{store.TopicDocuments},
		})
		for i := range h.found {
			doc := &h.found[i].Document
			if h.keys.Verify(doc) != nil {
				left++
				continue
			}
			sign(doc)
			if err := builder.Add(h.found[i].statements()...); err != nil {
				return taken, left, inheriting(err)
			}
			taken++
		}
		for _, b := range builder.Batches() {
			applied, err := r.cfg.Writer.Write(ctx, b)
			if err != nil {
				return taken, left, inheriting(err)
			}
			taken -= len(applied.Conflicts) // changed meanwhile, or the site has a parent again
		}
	}
}

func inheriting(err error) error {
	if err != nil {
		return fmt.Errorf("make what former parents left this site's own: %w", err)
	}
	return nil
}

// heritage is what former parents left, some of it at a time.
type heritage struct {
	found []legacy // in the order of digests
	keys  document.Keyring
}

// legacy is a revision that another site made.
type legacy struct {
	document.Document
	current bool
}

// statements give the revision to this site, as a group of their own: what changed meanwhile stays as it is.
func (l *legacy) statements() []store.Statement {
	if l.current {
		return append([]store.Statement{store.NoParent()}, store.Receive(l.Document, true, store.Former{Digest: l.Digest})...)
	}
	return []store.Statement{store.NoParent(), store.Rehead(l.Document)}
}

// next reads the next portion, which is empty at the end, and where the site has a parent.
func (h *heritage) next(ctx context.Context, tx *sql.Tx, site string) error {
	var after document.Digest
	if len(h.found) > 0 {
		after = h.found[len(h.found)-1].Digest
	}
	h.found, h.keys = nil, document.Keyring{}
	if child, err := store.HasParent(ctx, tx); err != nil || child {
		return err
	}
	kinds := append(dataset.Kinds(dataset.Data, dataset.Down), document.Assignment)
	query := `SELECT r.digest, r.kind, r.id, r.languages, r.origin, r.signature, r.body, d.id IS NOT NULL
FROM revision r LEFT JOIN document d ON d.kind = r.kind AND d.id = r.id AND d.digest = r.digest
WHERE r.digest > ? AND r.origin <> ? AND r.kind IN (?` + strings.Repeat(",?", len(kinds)-1) + `) ORDER BY r.digest LIMIT ?`
	args := []any{after[:], site}
	for _, kind := range kinds {
		args = append(args, string(kind))
	}
	size := 0
	err := each(ctx, tx, query, append(args, inheritRows), func(rows *sql.Rows) error {
		if size > inheritBytes {
			return nil
		}
		one, err := scanLegacy(rows)
		size += len(one.Body)
		h.found = append(h.found, one)
		return err
	})
	for i := range h.found {
		origin := h.found[i].Origin
		if _, known := h.keys[origin]; known || err != nil {
			continue
		}
		h.keys[origin], err = keyOf(ctx, tx, origin)
	}
	return err
}

func scanLegacy(rows *sql.Rows) (one legacy, err error) {
	var digest []byte
	var languages string
	err = rows.Scan(&digest, &one.Kind, &one.ID, &languages, &one.Origin, &one.Signature, &one.Body, &one.current)
	if languages != "" {
		one.Languages = strings.Split(languages, ",")
	}
	copy(one.Digest[:], digest)
	return one, err
}
