package sites

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"thatch/node/identity"
	"thatch/node/sites/invites"
	"thatch/node/sites/rules"
	"thatch/node/store"
	"thatch/node/store/rows"
)

var childColumns = rows.Columns{
	From: `id, name, authority, token, joined, seen, revoked, reason, link, version FROM child`,
	Names: map[string]string{
		"id": "id", "name": "name", "joined": "joined", "seen": "seen", "revoked": "revoked", "token": "token",
	},
	Kinds:  map[string]store.Kind{"joined": store.Time, "seen": store.Time},
	Search: []string{"name", "id"}, Order: "name, id",
}

// ChildColumns are those of Children, for doors.
var ChildColumns = childColumns.Known()

func fingerprint(der []byte) string { return identity.Fingerprint(der) }

func (r *Room) scanChild(scan func(...any) error) (c Child, err error) {
	var joined, seen, revoked, limits string
	err = scan(&c.ID, &c.Name, &c.Authority, &c.Token, &joined, &seen, &revoked, &c.Reason, &limits, &c.Version)
	if err != nil {
		return c, err
	}
	c.Joined, c.Revoked = rows.Unstamp(joined), rows.Unstamp(revoked)
	c.Seen = r.LastContact(c.ID, rows.Unstamp(seen))
	if err := json.Unmarshal([]byte(limits), &c.Limits); err != nil {
		return c, fmt.Errorf("limits of child %s: %w", c.ID, err)
	}
	return c, nil
}

// Children is a page of the children, by name, and the number of all that match.
func (r *Room) Children(ctx context.Context, q store.Query) ([]Child, int, error) {
	return rows.List(ctx, r.cfg.Reader, q, childColumns, func(row *sql.Rows) (Child, error) { return r.scanChild(row.Scan) })
}

// Child is a child by its id, or by its name where no other has it. A revoked one is one still.
func (r *Room) Child(ctx context.Context, which string) (Child, error) {
	var found []Child
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		found = found[:0]
		list, err := tx.QueryContext(ctx, `SELECT `+childColumns.From+` WHERE id = ?1 OR name = ?1 ORDER BY id = ?1 DESC`, which)
		if err != nil {
			return err
		}
		defer list.Close()
		for list.Next() {
			c, err := r.scanChild(list.Scan)
			if err != nil {
				return err
			}
			found = append(found, c)
		}
		return list.Err()
	})
	switch {
	case err != nil:
		return Child{}, fmt.Errorf("read child %q: %w", which, err)
	case len(found) == 0:
		return Child{}, store.NotFound("child", which)
	case len(found) > 1 && found[0].ID != which:
		return Child{}, store.Conflicting("%d children are called %q; say which by its id", len(found), which)
	}
	return found[0], nil
}

// ChildAuthority implements identity.Neighbours. The error is a *Refusal where the site may not call.
func (r *Room) ChildAuthority(ctx context.Context, site string) (authority []byte, err error) {
	var revoked, reason string
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT authority, revoked, reason FROM child WHERE id = ?`, site).Scan(&authority, &revoked, &reason)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, invites.Refuse(invites.CodeUnknown, "site %s is no child of this site: it never joined, or it left or was removed since", site)
	case err != nil:
		return nil, fmt.Errorf("read child %s: %w", site, err)
	case revoked != "":
		return nil, invites.Refuse(invites.CodeRevoked, "site %s was shut out at %s%s; an administrator of the parent can remove it, then it may join again with a new token",
			site, revoked, because(reason))
	}
	return authority, nil
}

// because is a reason in brackets, where there is one.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

const (
	changeChild = ` version = version + 1, idx = ? WHERE id = ? AND version = ?`
	bumpChild   = `UPDATE child SET `
)

// Rename changes what a child is called here.
func (r *Room) Rename(ctx context.Context, which, name string) (Child, error) {
	if name == "" || len(name) > maxName {
		return Child{}, store.Invalid("a child's name has 1 to %d bytes, this one has %d", maxName, len(name))
	}
	c, err := r.Child(ctx, which)
	if err != nil {
		return c, err
	}
	was := c.Name
	c.Name = name
	c.Version++
	return c, r.write(ctx, "rename child "+was+" to "+name, store.Statement{
		SQL: bumpChild + `name = ?,` + changeChild, Args: []any{name, store.Index{}, c.ID, c.Version - 1}, Want: 1,
	})
}

// Limit changes when and how fast a child's link may be used. Version is that of the child which the change was made from,
// -1 any.
func (r *Room) Limit(ctx context.Context, which string, limits Limits, version int) (Child, error) {
	if limits.Rate < 0 {
		return Child{}, store.Invalid("a link's rate is 0 for no limit, or bytes per second, not %d", limits.Rate)
	}
	if err := limits.Windows.Validate(); err != nil {
		return Child{}, store.Invalid("windows of the link: %v", err)
	}
	raw, err := json.Marshal(limits)
	if err != nil {
		return Child{}, fmt.Errorf("encode the limits of a link: %w", err)
	}
	c, err := r.Child(ctx, which)
	if err != nil {
		return c, err
	}
	if version < 0 {
		version = c.Version
	}
	c.Limits, c.Version = limits, version+1
	return c, r.write(ctx, "limit the link of child "+c.Name, store.Statement{
		SQL: bumpChild + `link = ?,` + changeChild, Args: []any{string(raw), store.Index{}, c.ID, version}, Want: 1,
	})
}

// Revoke shuts a child out at once: its certificates are good for nothing here, and it cannot join again before it is
// removed.
func (r *Room) Revoke(ctx context.Context, which, reason string) (Child, error) {
	if len(reason) > maxName {
		return Child{}, store.Invalid("a reason has at most %d bytes, this one has %d", maxName, len(reason))
	}
	c, err := r.Child(ctx, which)
	if err != nil {
		return c, err
	}
	if !c.Revoked.IsZero() {
		return c, nil
	}
	c.Revoked, c.Reason = r.cfg.Now().UTC().Truncate(time.Millisecond), reason
	c.Version++
	return c, r.write(ctx, "revoke child "+c.Name+": "+reason, store.Statement{
		SQL:  bumpChild + `revoked = ?, reason = ?,` + changeChild,
		Args: []any{rows.Stamp(c.Revoked), reason, store.Index{}, c.ID, c.Version - 1}, Want: 1,
	})
}

// Remove ends a child: it is shut out, and what it and its descendants told of themselves is forgotten. It may join again
// with a new token.
func (r *Room) Remove(ctx context.Context, which, why string) error {
	c, err := r.Child(ctx, which)
	if err != nil {
		return err
	}
	batch := store.NewBuilder(store.Batch{Reason: why + " " + c.Name, Topics: []string{Topic, store.TopicDocuments}})
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		batch = store.NewBuilder(store.Batch{Reason: why + " " + c.Name, Topics: []string{Topic, store.TopicDocuments}})
		return r.forget(ctx, tx, c.ID, batch)
	})
	if err != nil {
		return fmt.Errorf("%s %s: %w", why, c.Name, err)
	}
	for _, b := range batch.Batches() {
		applied, err := r.cfg.Writer.Write(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", b.Reason, err)
		}
		// A document that went meanwhile is no harm; a child that did is told.
		if err := applied.Err(); err != nil && slices.ContainsFunc(applied.Conflicts, func(c store.Conflict) bool { return c.Statement == 0 }) {
			return fmt.Errorf("%s: %w", b.Reason, err)
		}
	}
	return nil
}

// forget gathers what ends with a child, its row first.
func (r *Room) forget(ctx context.Context, tx *sql.Tx, child string, batch *store.Builder) error {
	tree, err := r.tree(ctx, tx)
	if err != nil {
		return err
	}
	statements := []store.Statement{{SQL: `DELETE FROM child WHERE id = ?`, Args: []any{child}, Want: 1}}
	more, err := rules.Without(ctx, tx, child)
	if err != nil {
		return err
	}
	if r.cfg.Forget != nil {
		more = append(more, r.cfg.Forget(child)...)
	}
	if err := batch.Add(append(statements, more...)...); err != nil {
		return err
	}
	gone := map[string]bool{child: true}
	for _, site := range tree.Below(child) {
		gone[site] = true
	}
	return r.forgetTold(ctx, tx, gone, batch)
}
