package bulletins

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/node/store"
)

// lookAbove finds which of the documents that would change or go were made by another site: these are left alone.
func (w *work) lookAbove(r reading, site string) error {
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

// readOnly refuses edits of documents that another site made.
func (b *Bulletins) readOnly(ctx context.Context, edits []edit) error {
	heads := make([]document.Head, 0, len(edits))
	for _, e := range edits {
		heads = append(heads, e.doc.Head)
	}
	return store.AllOwn(ctx, b.cfg.Reader, b.cfg.Site, heads...)
}

// Received implements replicas.Hook for the documents of this room: one that nobody here could read is refused.
func (b *Bulletins) Received(_ context.Context, doc document.Document) ([]store.Statement, error) {
	var err error
	switch doc.Kind {
	case document.Bulletin:
		_, err = catalog.Decode[catalog.Bulletin](doc.Body)
	case document.Update:
		_, err = catalog.Decode[catalog.Update](doc.Body)
	case document.Package:
		_, err = catalog.Decode[catalog.Package](doc.Body)
	case document.Payload:
		_, err = catalog.Decode[catalog.Payload](doc.Body)
	case document.Severity:
		_, err = catalog.Decode[catalog.CustomSeverity](doc.Body)
	case document.Assignment:
		_, err = catalog.Decode[catalog.Assignment](doc.Body)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", doc.Kind, doc.ID, err)
	}
	return Index(doc), nil
}

// Gone implements replicas.Hook: an update keeps its number.
func (b *Bulletins) Gone(context.Context, document.Kind, string) ([]store.Statement, error) {
	return nil, nil
}
