package agent

import (
	"context"
	"fmt"

	"thatch/agent/rulebook"
	"thatch/agent/scan"
	"thatch/agentapi"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
)

// read asks the source, and adds what the agent itself knows.
func (a *Agent) read(ctx context.Context) (*rule.Facts, error) {
	read, err := a.cfg.Source.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	own := *read
	own.History = history(a.orders)
	return &own, nil
}

// history is what this agent installed: rule.History.
type history map[string]*progress

// Once implements rule.History. Rules name updates by their documents' ids.
func (h history) Once(update string) (bool, error) {
	p := h[update]
	return p != nil && p.LastApplied != nil, nil
}

// look judges every update of the catalog by what was read of the computer.
func (a *Agent) look(ctx context.Context, read *rule.Facts) (*scan.Scan, error) {
	machine, err := a.machine(ctx)
	if err != nil {
		return nil, err
	}
	all, err := a.decoded.read(a.rules)
	if err != nil {
		return nil, err
	}
	s, err := scan.New(ctx, machine, read, all)
	if err != nil {
		return nil, err
	}
	s.Refused = a.rules.Refused
	return s, nil
}

// decoded holds the updates of a book as they were decoded, so that a round decodes only what is new.
type decoded struct {
	book    *rulebook.Book
	edition int
	digests []document.Digest // of all, in the same order
	all     []scan.Update
}

// read returns the book's updates, in the order of its log. They must not be changed.
func (d *decoded) read(book *rulebook.Book) ([]scan.Update, error) {
	if d.book == book && d.edition == book.Edition() {
		return d.all, nil
	}
	known := make(map[document.Digest]*catalog.Update, len(d.all))
	for i, digest := range d.digests {
		known[digest] = &d.all[i].Body
	}
	next := decoded{book: book, edition: book.Edition()}
	err := book.Each(func(update *agentapi.NumberedUpdate) error {
		one := scan.Update{Number: update.Number, ID: update.Document.ID, Month: update.Month}
		if body := known[update.Document.Digest]; body != nil {
			one.Body = *body
		} else if body, err := catalog.Decode[catalog.Update](update.Document.Body); err != nil {
			one.Body = catalog.Update{NoRule: err.Error()}
		} else {
			one.Body = body
		}
		next.all, next.digests = append(next.all, one), append(next.digests, update.Document.Digest)
		return nil
	})
	if err != nil {
		return nil, err
	}
	*d = next
	return d.all, nil
}
