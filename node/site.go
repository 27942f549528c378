package node

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/identity"
	"thatch/node/settings"
	"thatch/node/store"
)

// Site is what never or seldom changes.
type Site struct {
	ID      string    `json:"id"`    // never changes
	Name    string    `json:"name"`  // what people call it
	Epoch   string    `json:"epoch"` // changes when the site is restored from a backup
	Created time.Time `json:"created"`
}

// Status is the site and this node of it, for people.
type Status struct {
	Site        string    `json:"site"`
	SiteID      string    `json:"site_id"`
	Epoch       string    `json:"epoch"`
	Created     time.Time `json:"created"`
	Languages   []string  `json:"languages"`
	Node        string    `json:"node"` // id
	Version     string    `json:"version"`
	Started     time.Time `json:"started"`
	Address     string    `json:"address"` // HOST:PORT of the TLS listener, "" before it listens
	Index       uint64    `json:"index"`   // of the last batch in this node's database
	Fingerprint string    `json:"authority_fingerprint"`
}

// seed reads the site, or makes it at the first start.
func (n *Node) seed(ctx context.Context) (Site, error) {
	site, languages, err := n.readSite(ctx)
	switch {
	case err == nil:
		n.sayDifferences(site, languages)
		return site, nil
	case !errors.Is(err, sql.ErrNoRows):
		return site, fmt.Errorf("read the site: %w", err)
	}
	if len(n.cfg.Languages) == 0 {
		n.cfg.Log.Warn("the site manages no language, so only neutral packages can be staged; give them with: thatch site languages")
	}
	site = Site{ID: uuid.NewString(), Name: n.cfg.Site, Epoch: uuid.NewString(), Created: n.cfg.Now().UTC()}
	if site.Name == "" {
		site.Name = defaultSite
	}
	batch := store.Batch{Reason: "first start of site " + site.Name, Topics: []string{topicSite}, Statements: []store.Statement{{
		SQL:  `INSERT INTO site (one, id, name, epoch, created) VALUES (1, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		Args: []any{site.ID, site.Name, site.Epoch, site.Created.Format(time.RFC3339)}, Want: 1,
	}}}
	for _, tag := range n.cfg.Languages {
		batch.Statements = append(batch.Statements, addLanguage(tag, site.Created))
	}
	applied, err := n.writer.Write(ctx, batch)
	if err = errors.Join(err, applied.Err()); err != nil {
		return site, fmt.Errorf("make the site: %w", err)
	}
	n.cfg.Log.Info("first start: the site is made", "site", site.Name, "id", site.ID, "languages", n.cfg.Languages)
	return site, nil
}

func addLanguage(tag string, at time.Time) store.Statement {
	return store.Statement{
		SQL:  `INSERT INTO language (tag, since) VALUES (?, ?) ON CONFLICT DO NOTHING`,
		Args: []any{tag, at.UTC().Format(time.RFC3339)},
	}
}

// sayDifferences tells whoever starts the node that a flag has no effect any more.
func (n *Node) sayDifferences(site Site, languages []string) {
	if n.cfg.Site != "" && n.cfg.Site != site.Name {
		n.cfg.Log.Warn("the site was made under another name, which stays: --site has an effect at the first start only",
			"site", site.Name, "given", n.cfg.Site)
	}
	if len(n.cfg.Languages) > 0 && !slices.Equal(n.cfg.Languages, languages) {
		n.cfg.Log.Warn("the site manages other languages, which stay: --languages has an effect at the first start only; change them with: thatch site languages",
			"languages", languages, "given", n.cfg.Languages)
	}
}

func (n *Node) readSite(ctx context.Context) (Site, []string, error) {
	var site Site
	var created string
	languages := []string{}
	err := n.db.View(ctx, func(tx *sql.Tx) error {
		languages = languages[:0]
		err := tx.QueryRowContext(ctx, `SELECT id, name, epoch, created FROM site`).Scan(&site.ID, &site.Name, &site.Epoch, &created)
		if err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT tag FROM language ORDER BY tag`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var tag string
			if err := rows.Scan(&tag); err != nil {
				return err
			}
			languages = append(languages, tag)
		}
		return rows.Err()
	})
	if err == nil {
		site.Created, err = time.Parse(time.RFC3339, created)
	}
	return site, languages, err
}

// Site names the site.
func (n *Node) Site() Site {
	site := n.site
	if name := n.shown.name.Load(); name != nil {
		site.Name = *name
	}
	return site
}

// Languages are the managed languages, lower-case BCP 47, sorted.
func (n *Node) Languages(ctx context.Context) ([]string, error) {
	_, languages, err := n.readSite(ctx)
	return languages, err
}

// SetLanguages replaces the managed languages. It asks nobody below, see sites.CheckDrop.
func (n *Node) SetLanguages(ctx context.Context, languages []string) error {
	tags, err := document.NormalLanguages(languages)
	if err != nil {
		return store.Invalid("%v", err)
	}
	former, err := n.Languages(ctx)
	if err != nil {
		return fmt.Errorf("read the managed languages: %w", err)
	}
	return n.replaceLanguages(ctx, former, tags)
}

// ChangeLanguages manages some languages more and others no more, and answers with all of them. One that sites below
// manage is dropped only by force; else the error wraps store.ErrConflict and names the sites.
func (n *Node) ChangeLanguages(ctx context.Context, add, remove []string, force bool) ([]string, error) {
	plus, err := document.NormalLanguages(add)
	if err != nil {
		return nil, store.Invalid("%v", err)
	}
	minus, err := document.NormalLanguages(remove)
	if err != nil {
		return nil, store.Invalid("%v", err)
	}
	former, err := n.Languages(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the managed languages: %w", err)
	}
	tags := slices.DeleteFunc(append(slices.Clone(former), plus...), func(tag string) bool { return slices.Contains(minus, tag) })
	slices.Sort(tags)
	tags = slices.Compact(tags)
	dropped := slices.DeleteFunc(slices.Clone(former), func(tag string) bool { return slices.Contains(tags, tag) })
	if !force {
		if err := n.Sites.CheckDrop(ctx, dropped); err != nil {
			return nil, err
		}
	}
	return tags, n.replaceLanguages(ctx, former, tags)
}

// Rename changes what the site is called.
func (n *Node) Rename(ctx context.Context, name string) error {
	if name == "" || len(name) > federation.MaxName || strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name) {
		return store.Invalid("a site's name has 1 to %d bytes on one line", federation.MaxName)
	}
	applied, err := n.writer.Write(ctx, store.Batch{
		Reason: "rename the site to " + name, Topics: []string{topicSite},
		Statements: []store.Statement{{SQL: `UPDATE site SET name = ?`, Args: []any{name}, Want: 1}},
	})
	if err = errors.Join(err, applied.Err()); err != nil {
		return fmt.Errorf("rename the site: %w", err)
	}
	n.shown.name.Store(&name)
	return nil
}

func (n *Node) replaceLanguages(ctx context.Context, former, tags []string) error {
	batch := store.Batch{Reason: "set the managed languages", Topics: []string{topicSite, topicLanguages}}
	for _, tag := range former {
		if !slices.Contains(tags, tag) {
			batch.Statements = append(batch.Statements, store.Statement{SQL: `DELETE FROM language WHERE tag = ?`, Args: []any{tag}, Want: 1})
		}
	}
	for _, tag := range tags {
		batch.Statements = append(batch.Statements, addLanguage(tag, n.cfg.Now()))
	}
	if len(batch.Statements) == 0 {
		return nil
	}
	applied, err := n.writer.Write(ctx, batch)
	return errors.Join(err, applied.Err())
}

// Status reads the site and this node.
func (n *Node) Status(ctx context.Context) (Status, error) {
	site, languages, err := n.readSite(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("read the site: %w", err)
	}
	return Status{
		Site: site.Name, SiteID: site.ID, Epoch: site.Epoch, Created: site.Created, Languages: languages,
		Node: n.folder.ID, Version: n.cfg.Version, Started: n.started, Address: n.Address(), Index: n.Index(),
		Fingerprint: identity.Fingerprint(n.Identity.Authority()),
	}, nil
}

// Ready is nil when the node can serve: its database answers, and the site's quorum takes writes.
func (n *Node) Ready(ctx context.Context) error {
	if _, _, err := n.readSite(ctx); err != nil {
		return fmt.Errorf("the node cannot read its database: %w", err)
	}
	if err := n.quorum.Err(); err != nil {
		return err
	}
	return n.quorum.Ready(ctx)
}

// asksApproval says whether policies that somebody below the scope approver made stay off until an approver enables them.
func (n *Node) asksApproval(ctx context.Context) (bool, error) {
	values, err := n.Settings.All(ctx)
	return settings.PolicyApproval.In(values), err
}
