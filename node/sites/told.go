package sites

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"thatch/catalog/document"
	"thatch/node/identity"
	"thatch/node/sites/invites"
	"thatch/node/store"
)

// upward are the kinds that tell of a site and go when it goes.
var upward = []document.Kind{document.Site, document.LanguageAlert, document.Health, document.RollUp, document.Machines, document.Computer}

const maxUpward = 10_000_000

// forgetTold gathers what goes when some sites below are to be known no more: what they told of themselves, and their
// signing keys where only others vouched for them. The key of a site that joined here itself stays, and so does one that
// signed what may be held still.
func (r *Room) forgetTold(ctx context.Context, tx *sql.Tx, gone map[string]bool, batch *store.Builder) error {
	for _, kind := range upward {
		heads, err := store.Heads(ctx, tx, kind, "", maxUpward)
		if err != nil {
			return err
		}
		for i := range heads {
			if !gone[heads[i].Origin] {
				continue
			}
			if err := batch.Add(store.Remove(kind, heads[i].ID, store.Former{Digest: heads[i].Digest})...); err != nil {
				return err
			}
		}
	}
	for site := range gone {
		hearsay, err := hearsay(ctx, tx, site)
		if err != nil {
			return err
		}
		if !hearsay {
			continue
		}
		var statements []store.Statement
		if r.cfg.ForgetKey != nil {
			statements = r.cfg.ForgetKey(site)
		}
		key, err := store.Document(ctx, tx, document.SigningKey, site)
		if err == nil {
			statements = append(statements, store.Remove(document.SigningKey, site, store.Former{Digest: key.Digest})...)
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err := batch.Add(statements...); err != nil {
			return err
		}
	}
	return nil
}

// hearsay says whether a site is known by the word of others alone: it never joined here, and nothing that goes down is of
// its making.
func hearsay(ctx context.Context, tx *sql.Tx, site string) (bool, error) {
	confirmed, err := invites.Confirmed(ctx, tx, site)
	if err != nil || confirmed {
		return false, err
	}
	made, err := madeSomething(ctx, tx, site)
	return !made, err
}

// MadeHere says whether something that goes down, and is held here, is of a site's making.
func (r *Room) MadeHere(ctx context.Context, site string) (made bool, err error) {
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) (err error) {
		made, err = madeSomething(ctx, tx, site)
		return err
	})
	return made, err
}

func madeSomething(ctx context.Context, tx *sql.Tx, site string) (made bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM revision WHERE origin = ?
		AND kind NOT IN ('signing-key', 'site', 'language-alert', 'health', 'roll-up', 'machines', 'computer'))`, site).Scan(&made)
	if err != nil {
		return false, fmt.Errorf("look whether site %s made anything: %w", site, err)
	}
	return made, nil
}

// unseat takes away what others told of a site that now joins itself, by another signing key than they told: a token of
// this site's administrator is a better word than theirs. Whoever told it may have lied, or the joining site does, so
// that a person is to know.
func (r *Room) unseat(ctx context.Context, a Asked) error {
	var teller string
	var tree *Tree
	other := false
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) (err error) {
		other, teller = false, ""
		ring, err := keyring(ctx, tx)
		if err != nil {
			return err
		}
		pinned, known := ring[a.Site]
		if !known || slices.ContainsFunc(a.Documents, func(d document.Document) bool {
			key, err := d.Key()
			return d.Kind == document.SigningKey && err == nil && pinned.Equal(key)
		}) {
			return nil
		}
		if other, err = hearsay(ctx, tx, a.Site); err != nil || !other {
			return err
		}
		tree, err = r.tree(ctx, tx)
		if err != nil {
			return err
		}
		for _, above := range tree.Above(a.Site) {
			if tree.Parent(above) == tree.Self {
				teller = above
			}
		}
		return nil
	})
	if err != nil || !other {
		return err
	}
	if _, _, err := r.admission(ctx, a, []string{a.Site}); err != nil {
		return err // it would not be let in for another reason
	}
	return r.replaceTold(ctx, a.Site, tree.Name(a.Site), tree.Name(teller))
}

// replaceTold forgets what was told of a site, and has people know.
func (r *Room) replaceTold(ctx context.Context, site, name, teller string) error {
	reason := "forget what others told of site " + site + ", which joins itself"
	var batch *store.Builder
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		batch = store.NewBuilder(store.Batch{Reason: reason, Topics: []string{Topic, store.TopicDocuments}})
		return r.forgetTold(ctx, tx, map[string]bool{site: true}, batch)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", reason, err)
	}
	for _, b := range batch.Batches() {
		if _, err := r.cfg.Writer.Write(ctx, b); err != nil { // what went meanwhile is no harm
			return fmt.Errorf("%s: %w", reason, err)
		}
	}
	who := "another site"
	if teller != "" {
		who = "child " + teller
	}
	text := fmt.Sprintf("site %s (%s) joined by another signing key than %s had told of: one of the two is not what it says", name, site, who)
	entry := identity.AuditEntry(r.cfg.Now(), "site "+site, text)
	applied, err := r.cfg.Writer.Write(ctx, store.Batch{Actor: "task sites", Reason: reason, Statements: []store.Statement{entry}})
	return errors.Join(err, applied.Err(), r.Raise(ctx, Alarm{
		Kind: Claimed, Subject: site, Text: text,
		Advice: "find out which is the true one, and shut the other out: thatch children revoke",
	}))
}
