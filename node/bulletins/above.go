package bulletins

import (
	"context"
	"fmt"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/node/store"
)

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

// Yielded implements replicas.Yielding: where a bulletin of an import gives way, a site above covers its source.
func (b *Bulletins) Yielded(to document.Document) []store.Statement {
	if to.Kind != document.Bulletin || b.cfg.Covered == nil {
		return nil
	}
	body, err := catalog.Decode[catalog.Bulletin](to.Body)
	if err != nil || body.Source == "" {
		return nil
	}
	return b.cfg.Covered(body.Source)
}

// Held implements replicas.Holding: an update that is kept for a policy alone has a number too, by which computers say how
// it stands on them.
func (b *Bulletins) Held(doc document.Document) []store.Statement { return Index(doc) }
