package sites

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/identity"
	"thatch/node/sites/invites"
	"thatch/node/sites/rules"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Limits of what a site may say that wants to join.
const (
	MaxBelow     = 10_000
	MaxDocuments = 16
)

// Asked is what a site says that wants to become a child. That whoever asks holds the key of the authority was proved
// before (see identity.VerifyVouch).
type Asked struct {
	Token     federation.Token
	Site      string // id
	Authority []byte // DER
	Below     []string
	Documents []document.Document // its own signing key, site and language alert
}

// Welcome is what a parent answers, and what the child then knows it by.
type Welcome struct {
	Site      string // id
	Name      string
	Authority []byte              // DER
	Above     []string            // ids of the parent's ancestors
	Documents []document.Document // signing keys and sites of the parent and its ancestors
}

// Admit takes a site as a child, once for each token; the same site that asks again with the same token is answered again.
// An error that is the caller's is a *Refusal.
func (r *Room) Admit(ctx context.Context, a Asked) (Welcome, error) {
	if err := r.LetIn(ctx, a.Token, a.Site, a.Authority); err != nil {
		return Welcome{}, err
	}
	if err := r.checkAsked(a); err != nil {
		return Welcome{}, err
	}
	if err := r.Tell(ctx); err != nil { // the child is to hear what is true now
		return Welcome{}, err
	}
	if err := r.unseat(ctx, a); err != nil {
		return Welcome{}, err
	}
	for try := 1; ; try++ {
		statements, name, err := r.admission(ctx, a, nil)
		if err != nil {
			return Welcome{}, err
		}
		err = r.write(ctx, "take site "+a.Site+" ("+name+") as a child", statements...)
		switch {
		case err == nil:
			r.Seen(a.Site)
			return r.welcome(ctx)
		case !errors.Is(err, store.ErrConflict):
			return Welcome{}, err
		case try == admitTries:
			return Welcome{}, &Refusal{Code: invites.CodeBusy, Text: "others changed the same things at the same moment; try again", After: busyFor}
		}
	}
}

// checkAsked judges what needs no database.
func (r *Room) checkAsked(a Asked) error {
	switch {
	case !federation.IsSiteID(a.Site):
		return invites.Refuse(invites.CodeInvalid, "%.80q is no id of a site", a.Site)
	case a.Site == r.cfg.Site:
		return invites.Refuse(invites.CodeLoop, "a site cannot be its own parent")
	case len(a.Below) > MaxBelow || len(a.Documents) > MaxDocuments:
		return invites.Refuse(invites.CodeInvalid, "%d descendants and %d documents: at most %d and %d are taken", len(a.Below), len(a.Documents), MaxBelow, MaxDocuments)
	}
	if _, err := identity.ParseAuthority(a.Site, a.Authority, r.cfg.Now()); err != nil {
		return invites.Refuse(invites.CodeInvalid, "%v", err)
	}
	return nil
}

// admission reads what stands against a site's joining, and makes the statements by which it joins. The keys of some sites
// may be taken as unknown.
func (r *Room) admission(ctx context.Context, a Asked, unknown []string) (statements []store.Statement, name string, err error) {
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		statements = nil
		token, err := invites.Find(ctx, tx, a.Token)
		if err != nil {
			return err
		}
		again, err := token.Check(a.Site, a.Authority, r.cfg.Now())
		if err != nil {
			return err
		}
		former, err := r.formerChild(ctx, tx, a)
		if err != nil {
			return err
		}
		if again && !former {
			return invites.Refuse(invites.CodeTokenUsed, "this site joined with the token before and was removed since; it needs a new one (thatch children tokens create)")
		}
		if err := r.checkLoop(ctx, tx, a); err != nil {
			return err
		}
		documents, site, err := r.checkDocuments(ctx, tx, a, unknown)
		if err != nil {
			return err
		}
		name = site.Name
		statements, err = r.takeChild(ctx, tx, a, name, token.ID)
		if err != nil {
			return err
		}
		if !again {
			statements = append(statements, token.Use(a.Site, a.Authority, r.cfg.Now()))
		}
		statements = append(statements, documents...)
		return nil
	})
	return statements, name, err
}

// formerChild says whether the site is a child already.
func (r *Room) formerChild(ctx context.Context, tx *sql.Tx, a Asked) (bool, error) {
	var authority []byte
	var revoked string
	err := tx.QueryRowContext(ctx, `SELECT authority, revoked FROM child WHERE id = ?`, a.Site).Scan(&authority, &revoked)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read child %s: %w", a.Site, err)
	case fingerprint(authority) != fingerprint(a.Authority):
		return false, invites.Refuse(invites.CodeTaken, "site %s is a child already, by another authority; if it was made anew, remove the former one first: thatch children remove", a.Site)
	case revoked != "":
		return false, invites.Refuse(invites.CodeRevoked, "site %s was shut out at %s; remove it first: thatch children remove", a.Site, revoked)
	}
	return true, nil
}

// checkLoop refuses a child that is this site's ancestor, or has one below it. While this site joins a parent of its own,
// nobody knows yet what that makes of the tree.
func (r *Room) checkLoop(ctx context.Context, tx *sql.Tx, a Asked) error {
	var since string
	err := tx.QueryRowContext(ctx, `SELECT since FROM joining`).Scan(&since)
	switch {
	case err == nil && r.cfg.Now().Sub(rows.Unstamp(since)) < joinTime:
		return &Refusal{Code: invites.CodeBusy, Text: "this site is joining a parent itself at this moment; try again", After: busyFor}
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("read whether the site is joining a parent: %w", err)
	}
	tree, err := r.tree(ctx, tx)
	if err != nil {
		return err
	}
	above := append([]string{r.cfg.Site}, tree.Above(r.cfg.Site)...)
	for _, id := range above {
		switch {
		case id == a.Site:
			return invites.Refuse(invites.CodeLoop, "site %s stands above this site (%s): a site cannot be below itself", tree.Name(a.Site), tree.Name(r.cfg.Site))
		case slices.Contains(a.Below, id):
			return invites.Refuse(invites.CodeLoop, "%s stands below the site that wants to join: a site cannot be below itself", tree.Name(id))
		}
	}
	return nil
}

// checkDocuments verifies what the site tells of itself, and makes the statements that keep it.
func (r *Room) checkDocuments(ctx context.Context, tx *sql.Tx, a Asked, unknown []string) ([]store.Statement, federation.Site, error) {
	var site federation.Site
	ring, err := keyring(ctx, tx)
	if err != nil {
		return nil, site, err
	}
	for _, id := range unknown {
		delete(ring, id)
	}
	var statements []store.Statement
	slices.SortStableFunc(a.Documents, keysFirst)
	told := map[document.Kind]bool{}
	for i := range a.Documents {
		doc := &a.Documents[i]
		if err := checkOwn(doc, a, ring); err != nil {
			return nil, site, invites.Refuse(invites.CodeInvalid, "what site %s tells of itself: %v", a.Site, err)
		}
		if told[doc.Kind] {
			return nil, site, invites.Refuse(invites.CodeInvalid, "site %s sent two documents of kind %s", a.Site, doc.Kind)
		}
		told[doc.Kind] = true
		if doc.Kind == document.Site {
			if site, err = federation.Decode[federation.Site](doc.Body); err != nil {
				return nil, site, invites.Refuse(invites.CodeInvalid, "what site %s tells of itself: %v", a.Site, err)
			}
		}
		put, err := putChanged(ctx, tx, *doc)
		if err != nil {
			return nil, site, err
		}
		statements = append(statements, put...)
	}
	if !told[document.SigningKey] || !told[document.Site] {
		return nil, site, invites.Refuse(invites.CodeInvalid, "site %s sent no signing key, or did not tell who it is", a.Site)
	}
	if fingerprint(site.Authority) != fingerprint(a.Authority) {
		return nil, site, invites.Refuse(invites.CodeInvalid, "site %s shows one authority and tells of another", a.Site)
	}
	return statements, site, nil
}

// keysFirst sorts signing keys before what they sign.
func keysFirst(a, b document.Document) int {
	switch aKey, bKey := a.Kind == document.SigningKey, b.Kind == document.SigningKey; {
	case aKey && !bKey:
		return -1
	case bKey && !aKey:
		return 1
	}
	return 0
}

// checkOwn lets documents through that are about the site itself and signed by it.
func checkOwn(doc *document.Document, a Asked, ring document.Keyring) error {
	if doc.ID != a.Site || doc.Origin != a.Site {
		return fmt.Errorf("%s %.80q of site %.80q is not its own", doc.Kind, doc.ID, doc.Origin)
	}
	if len(doc.Languages) > 0 {
		return fmt.Errorf("%s %.80q has languages, and such a document has none", doc.Kind, doc.ID)
	}
	switch doc.Kind {
	case document.SigningKey:
		_, err := ring.Learn(*doc)
		return err
	case document.Site:
		return ring.Verify(doc)
	case document.LanguageAlert:
		if err := ring.Verify(doc); err != nil {
			return err
		}
		_, err := federation.Decode[federation.Alert](doc.Body)
		return err
	}
	return fmt.Errorf("a document of kind %.60q has nothing to do with joining", doc.Kind)
}

// keyring holds the keys of the sites that this one knows.
func keyring(ctx context.Context, tx *sql.Tx) (document.Keyring, error) {
	keys, err := store.Documents(ctx, tx, document.SigningKey, "", maxSites)
	if err != nil {
		return nil, err
	}
	ring := document.Keyring{}
	for i := range keys {
		if key, err := keys[i].Key(); err == nil {
			ring[keys[i].ID] = key
		}
	}
	return ring, nil
}

// putChanged makes the statements that keep a document, none where it is held as it is.
func putChanged(ctx context.Context, tx *sql.Tx, doc document.Document) ([]store.Statement, error) {
	now, err := store.Document(ctx, tx, doc.Kind, doc.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Put(doc, "", store.Former{Absent: true}), nil
	case err != nil:
		return nil, err
	case now.Digest == doc.Digest && now.Origin == doc.Origin:
		return nil, nil
	}
	return store.Put(doc, now.Audience, store.Former{Digest: now.Digest}), nil
}

// takeChild makes the statements that make the site a child. They conflict when this site begins to join a parent, or gets
// another one, meanwhile.
func (r *Room) takeChild(ctx context.Context, tx *sql.Tx, a Asked, name, token string) ([]store.Statement, error) {
	var parent int64
	if err := tx.QueryRowContext(ctx, `SELECT coalesce((SELECT version FROM parent), 0)`).Scan(&parent); err != nil {
		return nil, fmt.Errorf("read the parent: %w", err)
	}
	now := rows.Stamp(r.cfg.Now())
	statements := []store.Statement{
		{
			SQL: `UPDATE site SET name = name WHERE coalesce((SELECT version FROM parent), 0) = ?
				AND NOT EXISTS (SELECT 1 FROM joining WHERE since > ?)`,
			Args: []any{parent, rows.Stamp(r.cfg.Now().Add(-joinTime))}, Want: 1,
		},
		{
			SQL: `INSERT INTO child (id, name, authority, token, joined, seen, link, version, idx)
				VALUES (?1, ?2, ?3, ?4, ?5, ?5, '{}', 1, ?6)
				ON CONFLICT (id) DO UPDATE SET token = excluded.token, version = version + 1, idx = excluded.idx
				WHERE child.authority = excluded.authority AND child.revoked = ''`,
			Args: []any{a.Site, name, a.Authority, token, now, store.Index{}}, Want: 1,
		},
	}
	first, err := rules.First(ctx, tx)
	return append(statements, first...), err
}

// welcome gathers what a child needs to know of this site and those above it.
func (r *Room) welcome(ctx context.Context) (Welcome, error) {
	w := Welcome{Site: r.cfg.Site, Authority: r.cfg.Authority}
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT name FROM site`).Scan(&w.Name); err != nil {
			return err
		}
		tree, err := r.tree(ctx, tx)
		if err != nil {
			return err
		}
		w.Above, w.Documents = tree.Above(r.cfg.Site), nil
		for _, site := range append([]string{r.cfg.Site}, w.Above...) {
			for _, kind := range []document.Kind{document.SigningKey, document.Site} {
				doc, err := store.Document(ctx, tx, kind, site)
				if errors.Is(err, store.ErrNotFound) {
					continue // what has not come down yet comes later
				}
				if err != nil {
					return err
				}
				w.Documents = append(w.Documents, doc.Document)
			}
		}
		return nil
	})
	if err != nil {
		return w, fmt.Errorf("gather what a child is told: %w", err)
	}
	return w, nil
}
