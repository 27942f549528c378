package bulletins

import (
	"context"
	"fmt"

	"thatch/catalog/document"
	"thatch/node/bulletins/intake"
	"thatch/node/store"
)

// absent as edit.was says that there must be no such document yet.
const absent = "absent"

// edit is a change of one document that a person makes.
type edit struct {
	doc    document.Document
	remove bool
	was    string // digest of the document it was made from, in hexadecimal, or absent
}

func removal(kind document.Kind, id, was string) edit {
	return edit{doc: document.Document{Head: document.Head{Kind: kind, ID: id}}, remove: true, was: was}
}

// write makes all edits, or none; one that was made from another version than the present one is a conflict.
func (b *Bulletins) write(ctx context.Context, reason string, edits ...edit) error {
	return b.writeWith(ctx, reason, nil, edits...)
}

// writeWith makes edits together with other statements.
func (b *Bulletins) writeWith(ctx context.Context, reason string, more []store.Statement, edits ...edit) error {
	if err := b.readOnly(ctx, edits); err != nil {
		return err
	}
	var statements []store.Statement
	for _, e := range edits {
		made, err := b.statements(e)
		if err != nil {
			return err
		}
		statements = append(statements, made...)
	}
	statements = append(statements, more...)
	if len(statements) == 0 {
		return nil
	}
	applied, err := b.cfg.Writer.Write(ctx, store.Batch{
		Actor: store.ActorOf(ctx), Reason: reason, At: b.cfg.Now().UTC(), Topics: []string{store.TopicDocuments},
		Statements: statements,
	})
	if err == nil {
		err = applied.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", reason, err)
	}
	return nil
}

func (b *Bulletins) statements(e edit) ([]store.Statement, error) {
	var former store.Former
	if e.was == absent {
		former.Absent = true
	} else {
		digest, err := document.ParseDigest(e.was)
		if err != nil || digest == (document.Digest{}) { // no document has the zero digest
			return nil, store.Invalid("version %.80q is that of no document", e.was)
		}
		former.Digest = digest
	}
	if e.remove {
		return store.Remove(e.doc.Kind, e.doc.ID, former), nil
	}
	b.cfg.Signer.Sign(&e.doc)
	return put(e.doc, former), nil
}

// put makes a document current together with its rows in the tables of this room.
func put(doc document.Document, former store.Former) []store.Statement {
	return append(store.Receive(doc, false, former), Index(doc)...)
}

// Index returns the statements that bring this room's tables up to a document that becomes current: whoever writes a
// document writes these with it.
func Index(doc document.Document) []store.Statement {
	if doc.Kind != document.Update {
		return nil
	}
	return []store.Statement{intake.Number([]any{doc.ID})}
}
