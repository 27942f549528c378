package sites

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/store"
	"thatch/node/store/sqlite"
)

// maxSites bounds the tree.
const maxSites = 100_000

// Tree is the tree as this site knows it at one moment: what sites above and below said of themselves, and its own
// tables of neighbours, which rule.
type Tree = federation.Tree

// Tree reads the tree.
func (r *Room) Tree(ctx context.Context) (*Tree, error) {
	var t *Tree
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) (err error) {
		t, err = r.tree(ctx, tx)
		return err
	})
	return t, err
}

func (r *Room) tree(ctx context.Context, tx *sql.Tx) (*Tree, error) {
	sites, parent := map[string]federation.Site{}, map[string]string{}
	all, err := store.Documents(ctx, tx, document.Site, "", maxSites)
	if err != nil {
		return nil, fmt.Errorf("read the sites: %w", err)
	}
	for i := range all {
		site, err := federation.Decode[federation.Site](all[i].Body)
		if err != nil {
			continue // the site that made it is another version, or lies: it is as if it said nothing
		}
		sites[all[i].ID] = site
		parent[all[i].ID] = site.Parent
	}
	if err := r.takeNeighbours(ctx, tx, parent); err != nil {
		return nil, err
	}
	t := federation.NewTree(r.cfg.Site, sites, parent)
	shut, err := sqlite.Texts(ctx, tx, `SELECT id FROM child WHERE revoked <> ''`)
	if err != nil {
		return nil, fmt.Errorf("read which children are shut out: %w", err)
	}
	t.Shut = make(map[string]bool, len(shut))
	for _, child := range shut {
		t.Shut[child] = true
	}
	return t, nil
}

// takeNeighbours has the site's own tables overrule what sites say: a child that left may not have heard of it yet.
func (r *Room) takeNeighbours(ctx context.Context, tx *sql.Tx, parent map[string]string) error {
	children, err := sqlite.Texts(ctx, tx, `SELECT id FROM child`)
	if err != nil {
		return fmt.Errorf("read the children: %w", err)
	}
	for site, above := range parent {
		if above == r.cfg.Site && !slices.Contains(children, site) {
			parent[site] = ""
		}
	}
	for _, child := range children {
		parent[child] = r.cfg.Site
	}
	var above string
	err = tx.QueryRowContext(ctx, `SELECT id FROM parent`).Scan(&above)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read the parent: %w", err)
	}
	parent[r.cfg.Site] = above
	return nil
}

// DescendantsOf are the ids of all sites below one, without itself.
func (r *Room) DescendantsOf(ctx context.Context, site string) ([]string, error) {
	t, err := r.Tree(ctx)
	if err != nil {
		return nil, err
	}
	return t.Below(site), nil
}

// Ancestors are the ids of the sites above this one, nearest first.
func (r *Room) Ancestors(ctx context.Context) ([]string, error) {
	t, err := r.Tree(ctx)
	if err != nil {
		return nil, err
	}
	return t.Above(t.Self), nil
}

// ErrNoAlert says that a site has not told which languages it needs.
var ErrNoAlert = errors.New("the site's language alert has not arrived")

// Alert is what a site last told of its languages. The error wraps ErrNoAlert where it never did.
func (r *Room) Alert(ctx context.Context, site string) (alert federation.Alert, err error) {
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		doc, err := store.Document(ctx, tx, document.LanguageAlert, site)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("site %s: %w", site, ErrNoAlert)
		}
		if err == nil {
			alert, err = federation.Decode[federation.Alert](doc.Body)
		}
		return err
	})
	return alert, err
}
