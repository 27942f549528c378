package members

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"thatch/catalog/token"
	"thatch/node/store"
	"thatch/node/store/rows"
	"thatch/node/store/sweep"
)

const tokenKind = "tn1"

// Token lets one node join the site.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"` // what it is for
	Expires time.Time `json:"expires"`
	Created time.Time `json:"created"`
	By      string    `json:"by"`
	Revoked bool      `json:"revoked"`
	Used    time.Time `json:"used,omitzero"`
	Node    string    `json:"node,omitempty"`  // id of the node that used it
	Token   string    `json:"token,omitempty"` // only in the answer that made it
}

// ParseToken reads the text of a node token, tn1-SECRET-FINGERPRINT. The error wraps store.ErrInvalid and does not repeat the
// text, which is a secret.
func ParseToken(text string) (token.Token, error) {
	t, err := token.Parse(tokenKind, text)
	if err != nil {
		return t, store.Invalid("not a node token: %v (have one made at the site with: thatch node token create)", err)
	}
	return t, nil
}

var tokenColumns = rows.Columns{
	From: `id, name, expires, created, created_by, revoked, used, node FROM node_token`,
	Names: map[string]string{
		"id": "id", "name": "name", "expires": "expires", "created": "created", "by": "created_by", "revoked": "revoked",
		"used": "used", "node": "node",
	},
	Kinds:  map[string]store.Kind{"revoked": store.Flag, "expires": store.Time, "created": store.Time},
	Search: []string{"name", "created_by"}, Order: "created DESC, id",
}

// TokenColumns are those of Tokens, for doors.
var TokenColumns = tokenColumns.Known()

// NewToken makes a token with which one node may join, from name and expiry. Its text is in the answer and nowhere else.
func (r *Room) NewToken(ctx context.Context, t Token) (Token, error) {
	now := r.now().UTC()
	switch {
	case t.Name == "" || len(t.Name) > maxName:
		return t, store.Invalid("say in 1 to %d bytes what the token is for, such as the name of the node that will join with it", maxName)
	case !t.Expires.After(now):
		return t, store.Invalid("the token would end at %s, which is past", t.Expires.UTC().Format(time.RFC3339))
	}
	var secret [token.SecretSize]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return t, fmt.Errorf("make a secret: %w", err)
	}
	text := token.New(tokenKind, secret, r.authority)
	made := Token{ID: uuid.NewString(), Name: t.Name, Expires: t.Expires.UTC(), Created: now, By: store.ActorOf(ctx), Token: text.String()}
	err := r.write(ctx, "create node token "+made.Name, store.Statement{
		SQL:  `INSERT INTO node_token (id, name, hash, expires, created, created_by) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		Args: []any{made.ID, made.Name, text.Hash(), rows.Stamp(made.Expires), rows.Stamp(made.Created), made.By}, Want: 1,
	})
	if err != nil {
		return Token{}, err
	}
	return made, nil
}

// Tokens is a page of the node tokens, newest first, without their secrets.
func (r *Room) Tokens(ctx context.Context, q store.Query) ([]Token, int, error) {
	return rows.List(ctx, r.reader, q, tokenColumns, func(row *sql.Rows) (t Token, err error) {
		var expires, created, used string
		err = row.Scan(&t.ID, &t.Name, &expires, &created, &t.By, &t.Revoked, &used, &t.Node)
		t.Expires, t.Created, t.Used = rows.Unstamp(expires), rows.Unstamp(created), rows.Unstamp(used)
		return t, err
	})
}

// RevokeToken ends a token that nobody used. A node that joined with a used one stays.
func (r *Room) RevokeToken(ctx context.Context, id string) error {
	err := r.write(ctx, "revoke node token "+id, store.Statement{
		SQL: `UPDATE node_token SET revoked = 1 WHERE id = ? AND used = ''`, Args: []any{id}, Want: 1,
	})
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	var node string
	missing := r.reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT node FROM node_token WHERE id = ?`, id).Scan(&node)
	})
	if errors.Is(missing, sql.ErrNoRows) {
		return store.NotFound("node token", id)
	}
	return errors.Join(missing, store.Conflicting("node %s joined with the token; shut it out with: thatch site remove", node))
}

// Admit makes a node that brings a token one of the site's: the use of the token and its row are one batch. A join that was
// cut short is admitted again, with the same token for the same node by the same keys. What else comes with it stands or falls
// with it. Refusals are *Refusal.
func (r *Room) Admit(ctx context.Context, brought token.Token, n Node, also ...store.Statement) error {
	if err := n.Check(); err != nil {
		return err
	}
	again, id, err := r.invited(ctx, brought, n)
	if err != nil || again {
		return err
	}
	n.Added = r.now()
	now := rows.Stamp(n.Added)
	err = r.write(ctx, "node "+n.Name+" joins with token "+id, append([]store.Statement{{
		SQL:  `UPDATE node_token SET used = ?, node = ? WHERE id = ? AND used = '' AND revoked = 0 AND expires > ?`,
		Args: []any{now, n.ID, id, now}, Want: 1,
	}, Insert(n)}, also...)...)
	if errors.Is(err, store.ErrConflict) { // somebody came first: it may have been the same node
		if again, _, err := r.invited(ctx, brought, n); again || err != nil {
			return err
		}
	}
	return err
}

// Invited says whether a node may join with a token, before anything else of what it sends is read.
func (r *Room) Invited(ctx context.Context, brought token.Token) error {
	_, err := r.find(ctx, brought)
	return err
}

// held is a token as it is kept.
type held struct {
	id, used, node, expires string
	revoked                 bool
}

func (r *Room) find(ctx context.Context, brought token.Token) (held, error) {
	var h held
	err := r.reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT id, used, node, expires, revoked FROM node_token WHERE hash = ?`, brought.Hash()).
			Scan(&h.id, &h.used, &h.node, &h.expires, &h.revoked)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return h, Refuse(CodeTokenUnknown, "the node token is not known here; have one made with: thatch node token create")
	case err != nil:
		return h, fmt.Errorf("look up a node token: %w", err)
	case h.revoked:
		return h, Refuse(CodeTokenUnknown, "the node token was revoked; have one made with: thatch node token create")
	case h.used == "" && h.expires <= rows.Stamp(r.now()):
		return h, Refuse(CodeTokenExpired, "the node token ended at %s; have one made with: thatch node token create", h.expires)
	}
	return h, nil
}

// invited says whether a node may join with a token, and whether it did so before.
func (r *Room) invited(ctx context.Context, brought token.Token, n Node) (again bool, id string, err error) {
	h, err := r.find(ctx, brought)
	if err != nil {
		return false, "", err
	}
	var before Node
	err = r.reader.View(ctx, func(tx *sql.Tx) (err error) {
		before, err = scan(tx.QueryRowContext(ctx, `SELECT `+columnsOfNode+` FROM node WHERE id = ?`, n.ID))
		return err
	})
	switch {
	case errors.Is(err, sql.ErrNoRows) && h.used == "":
		return false, h.id, nil
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return false, "", fmt.Errorf("look up node %s: %w", n.ID, err)
	case err == nil && !before.Removed.IsZero():
		return false, "", Removed(before)
	case err == nil && h.node == n.ID && string(before.TLSKey) == string(n.TLSKey) && string(before.SealKey) == string(n.SealKey):
		return true, h.id, nil
	case h.used != "":
		return false, "", Refuse(CodeTokenUsed, "a node joined with the token at %s; each is good for one: thatch node token create", h.used)
	}
	return false, "", Refuse(CodeTaken, "there is a node %s already, which is another one: join from an empty data folder", n.ID)
}

// Old are the tokens that ended before a time.
func Old(before time.Time) sweep.Rows {
	return sweep.Rows{Table: "node_token", Key: []string{"id"}, Old: `expires < ?`, Args: []any{rows.Stamp(before)}}
}
