package replicas

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
)

// LanguagesChanged brings what came from above up to the managed languages, after they changed: documents that do not
// matter any more go, cursors forget languages that are managed no more, and policies pin what matters now. It is done
// in steps and may be repeated.
func (r *Room) LanguagesChanged(ctx context.Context, below []string) (removed int, err error) {
	if err := r.forgetLanguages(ctx); err != nil {
		return 0, err
	}
	if err := r.repinAll(ctx); err != nil {
		return 0, err
	}
	for _, t := range dataset.Types(dataset.Down) {
		n, err := r.removeForeign(ctx, Neighbour{Direction: dataset.Down, Below: below}, t)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// forgetLanguages takes languages that are not managed out of the cursors, and what has only such languages out of
// quarantine. A complete run under way starts over.
func (r *Room) forgetLanguages(ctx context.Context) error {
	aside, err := r.Quarantine(ctx)
	if err != nil {
		return err
	}
	var statements []store.Statement
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		statements = statements[:0]
		tags, err := managed(ctx, tx)
		if err != nil {
			return err
		}
		for _, q := range aside {
			head := document.Head{Languages: q.Languages}
			if q.Direction == dataset.Down && !head.Matters(tags) {
				statements = append(statements, release(Neighbour{ID: q.Neighbour, Direction: q.Direction}, q.Key))
			}
		}
		type row struct{ neighbour, t string }
		var rows []row
		err = each(ctx, tx, `SELECT neighbour, type FROM cursor WHERE direction = 'down' ORDER BY neighbour, type`, nil, func(found *sql.Rows) error {
			var one row
			err := found.Scan(&one.neighbour, &one.t)
			rows = append(rows, one)
			return err
		})
		if err != nil {
			return err
		}
		for _, one := range rows {
			stored, err := readCursor(ctx, tx, Neighbour{ID: one.neighbour, Direction: dataset.Down}, dataset.Type(one.t))
			if err != nil {
				return err
			}
			gone := slices.DeleteFunc(stored.cursor.Languages(), func(tag string) bool { return slices.Contains(tags, tag) })
			if len(gone) == 0 && !stored.progress.Running() {
				continue
			}
			state, err := encode(stored.cursor.Without(gone))
			if err != nil {
				return err
			}
			if stored.cursor.Zero() {
				state = ""
			}
			statements = append(statements, store.Statement{
				SQL:  `UPDATE cursor SET state = ?, progress = '', idx = ? WHERE neighbour = ? AND direction = 'down' AND type = ? AND state = ?`,
				Args: []any{state, store.Index{}, one.neighbour, one.t, stored.state}, Want: 1,
			})
		}
		return nil
	})
	if err != nil || len(statements) == 0 {
		return err
	}
	return r.write(ctx, "forget languages that are managed no more", statements)
}

// repinAll has policies of other sites pin what matters now.
func (r *Room) repinAll(ctx context.Context) error {
	const page = 20
	for after := ""; ; {
		var policies []store.Current
		var tags []string
		err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) (err error) {
			if tags, err = managed(ctx, tx); err != nil {
				return err
			}
			policies, err = store.Documents(ctx, tx, document.Policy, after, page)
			return err
		})
		if err != nil {
			return err
		}
		for _, p := range policies {
			after = p.ID
			if p.Origin == r.cfg.Site {
				continue
			}
			digests, err := pinsThatMatter(p.Body, tags)
			if err != nil {
				return fmt.Errorf("policy %s: %w", p.ID, err)
			}
			if err := r.write(ctx, "pin what matters now", store.Repin(p.ID, digests)); err != nil {
				return err
			}
		}
		if len(policies) < page {
			return nil
		}
	}
}

// removeForeign removes what came from above and does not matter here.
func (r *Room) removeForeign(ctx context.Context, from Neighbour, t dataset.Type) (removed int, err error) {
	w := &work{room: r, from: from, t: t}
	for after := (dataset.Key{}); ; {
		var gone []dataset.Key
		more := false
		err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) (err error) {
			gone, after, more, err = w.speechless(ctx, tx, after)
			return err
		})
		if err != nil {
			return removed, err
		}
		w.came = w.came[:0]
		for _, key := range gone {
			w.came = append(w.came, dataset.Entry{Head: document.Head{Kind: key.Kind, ID: key.ID}, Removed: true})
		}
		if len(w.came) > 0 {
			outcome, err := r.take(ctx, w)
			removed += outcome.Removed
			if err != nil {
				return removed, err
			}
		}
		if !more {
			return removed, nil
		}
	}
}

// speechless are the next documents of a type that came from above and share no language with this site.
func (w *work) speechless(ctx context.Context, tx *sql.Tx, after dataset.Key) (gone []dataset.Key, next dataset.Key, more bool, err error) {
	const most = 500
	tags, err := managed(ctx, tx)
	if err != nil {
		return nil, after, false, err
	}
	kinds, err := dataset.AllKinds(ctx, tx, w.t, dataset.Down)
	if err != nil {
		return nil, after, false, err
	}
	for _, kind := range kinds {
		if after.Kind != "" && dataset.CompareKinds(kind, after.Kind) < 0 {
			continue
		}
		id := ""
		if kind == after.Kind {
			id = after.ID
		}
		err := dataset.Heads(ctx, tx, kind, id, func(e dataset.Entry) bool {
			if !e.Matters(tags) && e.Origin != w.room.cfg.Site && !slices.Contains(w.from.Below, e.Origin) {
				gone = append(gone, e.Key())
			}
			after, more = e.Key(), len(gone) == most
			return !more
		})
		if err != nil || more {
			return gone, after, more, err
		}
	}
	return gone, after, false, nil
}
