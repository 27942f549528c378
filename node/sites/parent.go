package sites

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/google/uuid"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/identity"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// MaxURLs is how many addresses of a parent are kept.
const MaxURLs = 8

// Parent is the site above. The error wraps store.ErrNotFound where there is none.
func (r *Room) Parent(ctx context.Context) (Parent, error) {
	var p Parent
	var urls, joined, link, told string
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT id, name, urls, authority, joined, link, told, version FROM parent`).
			Scan(&p.ID, &p.Name, &urls, &p.Authority, &joined, &link, &told, &p.Version)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return p, fmt.Errorf("this site has no parent: %w", store.ErrNotFound)
	}
	if err == nil {
		err = json.Unmarshal([]byte(urls), &p.URLs)
	}
	if err != nil {
		return p, fmt.Errorf("read the parent: %w", err)
	}
	p.Joined, p.Told = rows.Unstamp(joined), rows.Unstamp(told)
	if link != "" {
		p.Link = json.RawMessage(link)
	}
	return p, nil
}

// Attempt is an attempt to join a parent. While it goes on, this site takes no child.
type Attempt struct {
	ID    string
	URL   string
	Asked Asked // to be sent; its token is still to be filled in
}

// BeginJoin begins to join a parent at an address. Where the site has a parent already, move must say so. End the attempt
// with Joined or EndJoin.
func (r *Room) BeginJoin(ctx context.Context, address string, move bool) (Attempt, error) {
	former, err := r.Parent(ctx)
	switch {
	case err == nil && !move:
		return Attempt{}, store.Conflicting("the site has a parent, %s; leave it first (thatch child leave), or move: thatch child move", former.Name)
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return Attempt{}, err
	case err != nil && move:
		return Attempt{}, store.Conflicting("the site has no parent to move from; join one: thatch child join")
	}
	if err := r.Tell(ctx); err != nil { // the parent is to hear what is true now
		return Attempt{}, err
	}
	now := r.cfg.Now()
	a := Attempt{ID: uuid.NewString(), URL: address}
	err = r.write(ctx, "begin to join the parent at "+address, store.Statement{
		SQL: `INSERT INTO joining (one, attempt, url, since) VALUES (1, ?, ?, ?) ON CONFLICT (one) DO UPDATE
			SET attempt = excluded.attempt, url = excluded.url, since = excluded.since WHERE joining.since <= ?`,
		Args: []any{a.ID, address, rows.Stamp(now), rows.Stamp(now.Add(-joinTime))}, Want: 1,
	})
	if errors.Is(err, store.ErrConflict) {
		return a, store.Conflicting("this site is joining a parent already; wait until that ends")
	}
	if err == nil {
		a.Asked, err = r.asked(ctx)
	}
	if err != nil {
		return a, errors.Join(err, r.EndJoin(context.WithoutCancel(ctx), a))
	}
	return a, nil
}

// asked gathers what the parent is told.
func (r *Room) asked(ctx context.Context) (Asked, error) {
	a := Asked{Site: r.cfg.Site, Authority: r.cfg.Authority}
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		tree, err := r.tree(ctx, tx)
		if err != nil {
			return err
		}
		a.Below, a.Documents = tree.Below(r.cfg.Site), nil
		for _, kind := range []document.Kind{document.SigningKey, document.Site, document.LanguageAlert} {
			doc, err := store.Document(ctx, tx, kind, r.cfg.Site)
			if err != nil {
				return err
			}
			a.Documents = append(a.Documents, doc.Document)
		}
		return nil
	})
	if err != nil {
		return a, fmt.Errorf("gather what the parent is told: %w", err)
	}
	return a, nil
}

// EndJoin gives an attempt up.
func (r *Room) EndJoin(ctx context.Context, a Attempt) error {
	return r.write(ctx, "end an attempt to join a parent", store.Statement{
		SQL: `DELETE FROM joining WHERE attempt = ?`, Args: []any{a.ID},
	})
}

// Joined applies a parent's answer in one batch: the parent, the keys and sites above it, and this site's own document,
// which names its parent. Site and authority are those that the connection proved. Documents of a former parent stay; how
// far they were followed is forgotten.
func (r *Room) Joined(ctx context.Context, a Attempt, w Welcome) (Parent, error) {
	var statements []store.Statement
	var former string
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) (err error) {
		statements, former, err = r.joined(ctx, tx, a, w)
		return err
	})
	if err == nil {
		err = r.write(ctx, "join parent "+w.Name+" ("+w.Site+")", statements...)
	}
	if err != nil {
		return Parent{}, fmt.Errorf("apply what the parent answered: %w", err)
	}
	r.Seen(w.Site)
	if former != "" {
		r.cfg.Log.Info("the site has another parent", "former", former, "parent", w.Name, "id", w.Site)
	} else {
		r.cfg.Log.Info("the site has joined a parent", "parent", w.Name, "id", w.Site)
	}
	return r.Parent(ctx)
}

func (r *Room) joined(ctx context.Context, tx *sql.Tx, a Attempt, w Welcome) (statements []store.Statement, former string, err error) {
	if err := r.checkWelcome(ctx, tx, w); err != nil {
		return nil, "", err
	}
	urls, err := json.Marshal([]string{a.URL})
	if err != nil {
		return nil, "", err
	}
	err = tx.QueryRowContext(ctx, `SELECT id FROM parent`).Scan(&former)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, "", err
	}
	statements = []store.Statement{
		{SQL: `DELETE FROM joining WHERE attempt = ?`, Args: []any{a.ID}, Want: 1},
		{
			SQL: `INSERT INTO parent (one, id, name, urls, authority, joined, link, told, version) VALUES (1, ?, ?, ?, ?, ?, '', '', 1)
				ON CONFLICT (one) DO UPDATE SET id = excluded.id, name = excluded.name, urls = excluded.urls, authority = excluded.authority,
				joined = excluded.joined, link = '', told = '', version = version + 1`,
			Args: []any{w.Site, w.Name, string(urls), w.Authority, rows.Stamp(r.cfg.Now())}, Want: 1,
		},
	}
	if r.cfg.Forget != nil {
		if former != "" && former != w.Site {
			statements = append(statements, r.cfg.Forget(former)...)
		}
		statements = append(statements, r.cfg.Forget(w.Site)...)
	}
	documents, err := welcomed(ctx, tx, w)
	if err != nil {
		return nil, "", err
	}
	statements = append(statements, documents...)
	own, err := r.siteStatements(ctx, tx, w.Site)
	return append(statements, own...), former, err
}

// checkWelcome refuses a parent that stands below this site, or is it.
func (r *Room) checkWelcome(ctx context.Context, tx *sql.Tx, w Welcome) error {
	switch {
	case !federation.IsSiteID(w.Site) || w.Name == "" || len(w.Name) > maxName:
		return store.Invalid("the parent says that it is site %.80q, called %.80q", w.Site, w.Name)
	case len(w.Above) > maxSites || len(w.Documents) > 2*(len(w.Above)+1):
		return store.Invalid("the parent names %d sites above it and sends %d documents", len(w.Above), len(w.Documents))
	}
	if _, err := identity.ParseAuthority(w.Site, w.Authority, r.cfg.Now()); err != nil {
		return err
	}
	tree, err := r.tree(ctx, tx)
	if err != nil {
		return err
	}
	below := append([]string{r.cfg.Site}, tree.Below(r.cfg.Site)...)
	for _, id := range append([]string{w.Site}, w.Above...) {
		if slices.Contains(below, id) {
			return store.Conflicting("site %s, at or above the parent, is this site or stands below it: a site cannot be below itself", tree.Name(id))
		}
	}
	return nil
}

// welcomed verifies the documents of a parent's answer and makes the statements that keep them. The parent vouches for the
// keys that this site sees for the first time; a key that differs from the known one must be signed by that.
func welcomed(ctx context.Context, tx *sql.Tx, w Welcome) ([]store.Statement, error) {
	ring, err := keyring(ctx, tx)
	if err != nil {
		return nil, err
	}
	docs := slices.Clone(w.Documents)
	slices.SortStableFunc(docs, keysFirst)
	sites := append([]string{w.Site}, w.Above...)
	var statements []store.Statement
	seen := map[string]bool{}
	for i := range docs {
		doc := &docs[i]
		name := string(doc.Kind) + "/" + doc.ID
		if !slices.Contains(sites, doc.ID) || doc.Origin != doc.ID || len(doc.Languages) > 0 || seen[name] {
			return nil, store.Invalid("the parent's answer: %s %.80q of site %.80q does not belong there", doc.Kind, doc.ID, doc.Origin)
		}
		seen[name] = true
		switch doc.Kind {
		case document.SigningKey:
			_, err = ring.Learn(*doc)
		case document.Site:
			var site federation.Site
			if err = ring.Verify(doc); err == nil {
				site, err = federation.Decode[federation.Site](doc.Body)
			}
			if err == nil && doc.ID == w.Site && !bytes.Equal(site.Authority, w.Authority) {
				err = fmt.Errorf("site %s shows one authority and tells of another", w.Site)
			}
		default:
			err = fmt.Errorf("a document of kind %.60q has nothing to do with joining", doc.Kind)
		}
		if err != nil {
			return nil, store.Invalid("the parent's answer: %v", err)
		}
		put, err := putChanged(ctx, tx, *doc)
		if err != nil {
			return nil, err
		}
		statements = append(statements, put...)
	}
	if !seen[string(document.SigningKey)+"/"+w.Site] {
		return nil, store.Invalid("the parent's answer holds no signing key of its own")
	}
	return statements, nil
}

// Leave ends this site's being a child, at this site. What came from above stays, and is its own to change from then
// on (store.Own).
func (r *Room) Leave(ctx context.Context) error {
	p, err := r.Parent(ctx)
	if err != nil {
		return err
	}
	statements := []store.Statement{{SQL: `DELETE FROM parent WHERE id = ?`, Args: []any{p.ID}, Want: 1}}
	if r.cfg.Forget != nil {
		statements = append(statements, r.cfg.Forget(p.ID)...)
	}
	if r.cfg.Left != nil {
		statements = append(statements, r.cfg.Left()...)
	}
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		own, err := r.siteStatements(ctx, tx, "")
		statements = append(statements, own...)
		return err
	})
	if err != nil {
		return fmt.Errorf("leave parent %s: %w", p.Name, err)
	}
	return r.write(ctx, "leave parent "+p.Name, statements...)
}

// SetAddresses changes where the parent is called, the first address first.
func (r *Room) SetAddresses(ctx context.Context, addresses []string) (Parent, error) {
	if len(addresses) == 0 || len(addresses) > MaxURLs {
		return Parent{}, store.Invalid("give 1 to %d addresses of the parent", MaxURLs)
	}
	for _, a := range addresses {
		if u, err := url.Parse(a); err != nil || u.Scheme != "https" || u.Host == "" || len(a) > 500 {
			return Parent{}, store.Invalid("address of the parent %.100q: want https://HOST:PORT", a)
		}
	}
	p, err := r.Parent(ctx)
	if err != nil {
		return p, err
	}
	raw, err := json.Marshal(addresses)
	if err != nil {
		return p, fmt.Errorf("encode the addresses: %w", err)
	}
	p.URLs = addresses
	p.Version++
	return p, r.write(ctx, "give the parent's address "+addresses[0], store.Statement{
		SQL: `UPDATE parent SET urls = ?, version = version + 1 WHERE version = ?`, Args: []any{string(raw), p.Version - 1}, Want: 1,
	})
}

// KeepLink keeps what the parent says of the link, where it is another than before.
func (r *Room) KeepLink(ctx context.Context, parent string, link json.RawMessage) error {
	now, err := r.Parent(ctx)
	if err != nil || now.ID != parent || bytes.Equal(now.Link, link) {
		return err
	}
	applied, err := r.cfg.Writer.Write(ctx, store.Batch{
		Actor: "task sites", Reason: "keep what the parent says of the link", Topics: []string{TopicLink},
		Statements: []store.Statement{{
			SQL: `UPDATE parent SET link = ?, told = ? WHERE id = ?`, Args: []any{string(link), rows.Stamp(r.cfg.Now()), parent}, Want: 1,
		}},
	})
	if err = errors.Join(err, applied.Err()); err != nil {
		return fmt.Errorf("keep what the parent says of the link: %w", err)
	}
	return nil
}
