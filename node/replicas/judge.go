package replicas

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
)

// keyOf is the signing key of a site, nil where none is known.
func keyOf(ctx context.Context, tx *sql.Tx, site string) (ed25519.PublicKey, error) {
	doc, err := store.Document(ctx, tx, document.SigningKey, site)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	key, err := doc.Key()
	if err != nil {
		return nil, nil //nolint:nilerr // a damaged key is none: what it signed waits until it is mended
	}
	return key, nil
}

func ignoreNone(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// verdict is what becomes of an entry.
type verdict int

const (
	same       verdict = iota // nothing changes
	take                      // it becomes the current document
	handOver                  // so it does, in the place of an equal one that this site made
	yield                     // so it does, in the place of another one that this site made
	hold                      // it is kept beside, for a policy that pins it
	remove                    // there is none any more
	quarantine                // it cannot be accepted
)

// judge says what becomes of an entry that may be sent, and why it cannot be accepted.
func (in *intake) judge(e *dataset.Entry) (verdict, error) {
	now, have := in.current[e.Key()]
	own := have && now.origin == in.site
	if e.Removed {
		if t, known := dataset.TypeOf(e.Kind, in.from.Direction); known && t != in.t {
			return same, nil // each type has rules and a cursor of its own: by another nothing is taken away
		}
		if !have || own || in.below[now.origin] != (in.from.Direction == dataset.Up) {
			return same, nil // what is not of the sender it cannot take away
		}
		return remove, nil
	}
	if e.Damaged() || in.from.Direction == dataset.Down && !e.Matters(in.managed) {
		return same, nil // damaged there, not asked for, or of a language that was managed when it was
	}
	if e.Held {
		return in.judgeHeld(e)
	}
	if have && now.is(e) && in.held[e.Digest] {
		return same, nil
	}
	if err := in.claims(e); err != nil {
		return quarantine, err
	}
	if err := in.verify(e); err != nil {
		return quarantine, err
	}
	switch {
	case !own:
		return take, nil
	case !dataset.Yields(e.Kind):
		return quarantine, fmt.Errorf("this site has made %s %q itself", e.Kind, e.ID)
	case now.digest == e.Digest:
		return handOver, nil
	}
	return yield, nil
}

// judgeHeld judges a revision that a policy pins.
func (in *intake) judgeHeld(e *dataset.Entry) (verdict, error) {
	if in.held[e.Digest] || e.Body == nil {
		return same, nil
	}
	if err := in.verify(e); err != nil {
		return quarantine, err
	}
	return hold, nil
}

// claims checks what an entry says of its kind and its maker.
func (in *intake) claims(e *dataset.Entry) error {
	if in.from.Direction == dataset.Down {
		t, known := dataset.TypeOf(e.Kind, dataset.Down)
		if known && t != in.t {
			return fmt.Errorf("documents of kind %s do not come by %s", e.Kind, in.t)
		}
		if in.below[e.Origin] {
			return fmt.Errorf("it is of site %s, which is below this site", e.Origin)
		}
	}
	if in.from.Direction == dataset.Up && !in.below[e.Origin] { // a key pins its site: it comes with the site
		return fmt.Errorf("site %.80q is not known yet to be below site %s: %w", e.Origin, in.from.ID, document.ErrNoKey)
	}
	if e.Origin == in.site {
		return errors.New("it claims to be made by this site, which does not have it so")
	}
	if e.Kind == document.SigningKey && e.Origin != e.ID {
		return fmt.Errorf("a signing key of site %q made by site %q", e.ID, e.Origin)
	}
	return nil
}

// notSent says that the sender held a body back.
var errNotSent = errors.New("the sender did not send it: it is damaged there")

// verify checks digest and signature of an entry; a revision that is here had its digest checked when it came.
func (in *intake) verify(e *dataset.Entry) error {
	doc := e.Document()
	if e.Body == nil && !in.held[e.Digest] {
		return errNotSent
	}
	// A head alone may not borrow the digest of another document.
	if e.Body == nil && in.heldAs[e.Digest] != headOf(string(e.Kind), e.ID, strings.Join(e.Languages, ",")) {
		return fmt.Errorf("%s %.80q: %w: the document with that digest here is another", e.Kind, e.ID, document.ErrDigest)
	}
	if len(e.Body) > document.MaxSize {
		return fmt.Errorf("%w: its body has %d bytes, at most %d are allowed", store.ErrTooLarge, len(e.Body), document.MaxSize)
	}
	if e.Body != nil {
		if err := doc.VerifyDigest(); err != nil {
			return err
		}
	}
	if e.Kind == document.SigningKey {
		return in.verifyKey(&doc)
	}
	key, known := in.keys[e.Origin]
	if !known {
		return fmt.Errorf("%s %q of site %q: %w", e.Kind, e.ID, e.Origin, document.ErrNoKey)
	}
	if !ed25519.Verify(key, e.Digest[:], e.Signature) {
		return fmt.Errorf("%s %q of site %q: %w", e.Kind, e.ID, e.Origin, document.ErrSignature)
	}
	return nil
}

// rememberedKeys begins the name under which the key of a site stays pinned that is told of no more.
const rememberedKeys = "signing-key/"

// rememberKey keeps the key of a site whose document goes.
func rememberKey(site string) store.Statement {
	return store.Statement{SQL: `INSERT INTO pin (policy, digest) SELECT ?, digest FROM document WHERE kind = 'signing-key' AND id = ? ORDER BY digest
ON CONFLICT DO NOTHING`, Args: []any{rememberedKeys + site, site}}
}

// ForgetKey is the statement after which nothing is remembered of a site's key whose document went.
func ForgetKey(site string) []store.Statement {
	return []store.Statement{{SQL: `DELETE FROM pin WHERE policy = ?`, Args: []any{rememberedKeys + site}}}
}

// rememberedKey is the key of a site whose document went, nil where none was ever known.
func rememberedKey(ctx context.Context, tx *sql.Tx, site string) (ed25519.PublicKey, error) {
	var raw []byte
	err := tx.QueryRowContext(ctx, `SELECT digest FROM pin WHERE policy = ? ORDER BY digest LIMIT 1`, rememberedKeys+site).Scan(&raw)
	if err != nil || len(raw) != len(document.Digest{}) {
		return nil, ignoreNone(err)
	}
	doc, err := store.Revision(ctx, tx, document.Digest(raw))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	key, err := doc.Key()
	if err != nil {
		return nil, nil //nolint:nilerr // a damaged key is none
	}
	return key, nil
}

// verifyKey checks a signing key: the first of a site is believed, another must be vouched for by the one before.
func (in *intake) verifyKey(doc *document.Document) error {
	if doc.Body == nil {
		return nil // a former key of the site again, which was checked when it came
	}
	_, err := in.keys.Learn(*doc)
	return err
}
