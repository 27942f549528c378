package intake

import (
	"database/sql"
	"log/slog"
	"slices"

	"thatch/catalog/document"
	"thatch/node/store"
)

// lookAbove finds which of the documents that would change or go were made by a site above: these are left alone.
func (w *work) lookAbove(r reading, site string) error {
	if child, err := store.HasParent(r.ctx, r.tx); err != nil || !child {
		return err
	}
	doubtful := map[document.Kind][]string{}
	for i := range w.saved.Documents {
		doc := &w.saved.Documents[i]
		n := name{doc.Kind, doc.ID}
		if now, held := w.heads[n]; held && now != doc.Digest {
			doubtful[n.kind] = append(doubtful[n.kind], n.id)
		}
	}
	for _, names := range w.owned {
		for _, n := range names {
			if _, stays := w.claimed[n]; !stays {
				doubtful[n.kind] = append(doubtful[n.kind], n.id)
			}
		}
	}
	for kind, ids := range doubtful {
		const query = `SELECT d.id FROM document d JOIN revision r ON r.digest = d.digest WHERE r.origin <> ? AND d.kind = ? AND d.id IN `
		slices.Sort(ids)
		err := r.eachOf(query, []any{site, string(kind)}, slices.Compact(ids), func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			w.above[name{kind, id}] = true
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sayAbove tells how many documents a save left alone.
func (w *work) sayAbove(log *slog.Logger) {
	if w.left > 0 {
		log.Info("documents that come from the site above were left as they are; switch sources off that it covers",
			"source", w.saved.Source, "documents", w.left)
	}
}
