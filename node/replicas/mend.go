package replicas

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
)

// Mend puts good copies that a neighbour gives in the place of documents with their digests that are damaged here, or
// missing although current or pinned. Only what is wrong is touched: a document that is fine here stays as it is, whoever
// offers another head of it. Each copy is checked like one that is received, and must be of the site that made what is held;
// those that fail are named in the error, the others are mended.
func (r *Room) Mend(ctx context.Context, from Neighbour, docs []document.Document) (mended int, err error) {
	var statements []store.Statement
	var problems []error
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		statements, problems = statements[:0], problems[:0]
		for i := range docs {
			problem, err := r.mendable(ctx, tx, from, &docs[i])
			switch {
			case err != nil:
				return err
			case errors.Is(problem, errSound): // nothing is to be done
			case problem != nil:
				problems = append(problems, fmt.Errorf("%s %.80q: %w", docs[i].Kind, docs[i].ID, problem))
			default:
				statements = append(statements, store.Mend(docs[i]))
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("mend documents: %w", err)
	}
	for _, s := range statements {
		if err := r.write(ctx, "mend a damaged document", []store.Statement{s}, store.TopicDocuments); err != nil {
			return mended, err
		}
		mended++
	}
	return mended, errors.Join(problems...)
}

var errSound = errors.New("it is not damaged here")

// mendable says what stands against a copy's taking the place of what is held.
func (r *Room) mendable(ctx context.Context, tx *sql.Tx, from Neighbour, doc *document.Document) (problem, err error) {
	if problem := doc.VerifyDigest(); problem != nil {
		return problem, nil
	}
	if problem := r.mayHaveMade(from, doc); problem != nil {
		return problem, nil
	}
	held, err := store.Revision(ctx, tx, doc.Digest)
	switch {
	case errors.Is(err, store.ErrNotFound):
		problem, err = wanted(ctx, tx, doc)
	case err == nil:
		problem, err = damagedHere(ctx, tx, &held, doc)
	}
	if problem != nil || err != nil {
		return problem, err
	}
	if doc.Kind == document.SigningKey {
		return keyVouches(&held, doc), nil
	}
	key, err := keyOf(ctx, tx, doc.Origin)
	if err != nil {
		return nil, err
	}
	return doc.Verify(key), nil
}

// wanted is nil when a document that is not held is current or pinned here all the same.
func wanted(ctx context.Context, tx *sql.Tx, doc *document.Document) (problem, err error) {
	var one int
	err = tx.QueryRowContext(ctx, `SELECT 1 FROM document WHERE kind = ?1 AND id = ?2 AND digest = ?3
UNION ALL SELECT 1 FROM pin WHERE digest = ?3`, string(doc.Kind), doc.ID, doc.Digest[:]).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return store.NotFound(string(doc.Kind)+" with digest "+doc.Digest.String(), doc.ID), nil
	}
	return nil, err
}

// mayHaveMade refuses copies of sites that make no such documents: this site and those below make for others what goes up,
// under their own names. The parent, to whom it went, gives a good copy back.
func (r *Room) mayHaveMade(from Neighbour, doc *document.Document) error {
	below := doc.Origin == from.ID && from.Direction == dataset.Up || slices.Contains(from.Below, doc.Origin)
	below = below || doc.Origin == r.cfg.Site && from.Direction == dataset.Down
	t, _ := dataset.TypeOf(doc.Kind, dataset.Up)
	if below && (t == "" || dataset.OriginOf(doc.ID) != doc.Origin) {
		return fmt.Errorf("%w: site %.80q makes no such documents for this site", ErrRefused, doc.Origin)
	}
	return nil
}

// damagedHere is nil when what is held really is damaged, and the copy is of the site that made it.
func damagedHere(ctx context.Context, tx *sql.Tx, held, doc *document.Document) (problem, err error) {
	key, err := keyOf(ctx, tx, held.Origin)
	if err != nil {
		return nil, err
	}
	// By the signature that is held too, it is the name of its maker that was altered here.
	if key != nil && held.Origin != doc.Origin && !bytes.Equal(held.Signature, doc.Signature) {
		return fmt.Errorf("%w: it is of site %.80q here, not of %.80q", ErrRefused, held.Origin, doc.Origin), nil
	}
	sound := held.VerifyDigest() == nil
	if doc.Kind == document.SigningKey {
		own, problem := held.Key()
		sound = sound && problem == nil && ed25519.Verify(own, held.Digest[:], held.Signature)
	} else {
		sound = sound && key != nil && ed25519.Verify(key, held.Digest[:], held.Signature)
	}
	if sound {
		return errSound, nil
	}
	return nil, nil
}

// keyVouches checks the copy of a signing key: it is signed by itself, or as what is held was.
func keyVouches(held, doc *document.Document) error {
	own, err := doc.Key()
	if err != nil {
		return err
	}
	if ed25519.Verify(own, doc.Digest[:], doc.Signature) || len(held.Signature) > 0 && bytes.Equal(held.Signature, doc.Signature) {
		return nil
	}
	return fmt.Errorf("%s %q of site %q: %w", doc.Kind, doc.ID, doc.Origin, document.ErrSignature)
}
