package sites

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"thatch/catalog/federation"
	"thatch/node/store"
	"thatch/node/store/rows"
)

const maxName = federation.MaxName

var tokenColumns = rows.Columns{
	From: `id, name, expires, created, created_by, revoked, used, child FROM child_token`,
	Names: map[string]string{
		"id": "id", "name": "name", "expires": "expires", "created": "created", "by": "created_by", "revoked": "revoked",
		"used": "used", "child": "child",
	},
	Kinds:  map[string]store.Kind{"revoked": store.Flag, "expires": store.Time, "created": store.Time},
	Search: []string{"name", "created_by"}, Order: "created DESC, id",
}

// TokenColumns are those of Tokens, for doors.
var TokenColumns = tokenColumns.Known()

// NewToken makes a token with which one site may join, from name and expiry. Its text is in the answer and nowhere else.
func (r *Room) NewToken(ctx context.Context, t Token) (Token, error) {
	now := r.cfg.Now().UTC()
	switch {
	case t.Name == "" || len(t.Name) > maxName:
		return t, store.Invalid("say in 1 to %d bytes what the token is for, such as the name of the site that will join with it", maxName)
	case !t.Expires.After(now):
		return t, store.Invalid("the token would end at %s, which is past", t.Expires.UTC().Format(time.RFC3339))
	}
	var secret [federation.SecretSize]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return t, fmt.Errorf("make a secret: %w", err)
	}
	token := federation.NewToken(secret, r.cfg.Authority)
	made := Token{ID: uuid.NewString(), Name: t.Name, Expires: t.Expires.UTC(), Created: now, By: store.ActorOf(ctx), Token: token.String()}
	applied, err := r.cfg.Writer.Write(ctx, store.Batch{
		Reason: "create child token " + made.Name, Topics: []string{Topic}, Statements: []store.Statement{{
			SQL:  `INSERT INTO child_token (id, name, hash, expires, created, created_by) VALUES (?, ?, ?, ?, ?, ?)`,
			Args: []any{made.ID, made.Name, token.Hash(), stamp(made.Expires), stamp(made.Created), made.By}, Want: 1,
		}},
	})
	if err == nil && applied.Repeated {
		err = fmt.Errorf("this request was carried out before, and its answer cannot be given again: %w", store.ErrConflict)
	}
	if err = errors.Join(err, applied.Err()); err != nil {
		return Token{}, fmt.Errorf("create child token %s: %w", made.Name, err)
	}
	return made, nil
}

// Tokens is a page of the child tokens, newest first, without their secrets.
func (r *Room) Tokens(ctx context.Context, q store.Query) ([]Token, int, error) {
	return rows.List(ctx, r.cfg.Reader, q, tokenColumns, func(row *sql.Rows) (t Token, err error) {
		var expires, created, used string
		err = row.Scan(&t.ID, &t.Name, &expires, &created, &t.By, &t.Revoked, &used, &t.Child)
		t.Expires, t.Created, t.Used = unstamp(expires), unstamp(created), unstamp(used)
		return t, err
	})
}

// RevokeToken ends a child token that nobody used. What joined with a used one stays.
func (r *Room) RevokeToken(ctx context.Context, id string) error {
	var used string
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT used FROM child_token WHERE id = ?`, id).Scan(&used)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.NotFound("child token", id)
	case err != nil:
		return fmt.Errorf("read child token %s: %w", id, err)
	case used != "":
		return fmt.Errorf("a site joined with the token at %s; shut that one out with: thatch children revoke: %w", used, store.ErrConflict)
	}
	return r.write(ctx, "revoke child token "+id, store.Statement{
		SQL: `UPDATE child_token SET revoked = 1 WHERE id = ? AND used = ''`, Args: []any{id}, Want: 1,
	})
}

// held is a token as it is kept.
type held struct {
	id, name, expires, used, child, authority string
	revoked                                   bool
}

func findToken(ctx context.Context, tx *sql.Tx, token federation.Token) (held, error) {
	var h held
	err := tx.QueryRowContext(ctx, `SELECT id, name, expires, used, child, authority, revoked FROM child_token WHERE hash = ?`, token.Hash()).
		Scan(&h.id, &h.name, &h.expires, &h.used, &h.child, &h.authority, &h.revoked)
	if errors.Is(err, sql.ErrNoRows) {
		return h, refuse(CodeTokenUnknown, "the child token is not known here; have one made with: thatch children tokens create")
	}
	if err != nil {
		return h, fmt.Errorf("look up a child token: %w", err)
	}
	return h, nil
}

// check says why a token lets a site in no more. Again says that this very site used it, so that its answer may be given
// once more.
func (h held) check(a Asked, now time.Time) (again bool, err error) {
	switch {
	case h.used != "" && h.child == a.Site && h.authority == fingerprint(a.Authority):
		return true, nil
	case h.used != "":
		return false, refuse(CodeTokenUsed, "the child token was used at %s by another site; have a new one made with: thatch children tokens create", h.used)
	case h.revoked:
		return false, refuse(CodeTokenUnknown, "the child token was revoked; have a new one made with: thatch children tokens create")
	case h.expires <= stamp(now):
		return false, refuse(CodeTokenExpired, "the child token ended at %s; have a new one made with: thatch children tokens create", h.expires)
	}
	return false, nil
}

// use counts the token's one use; it conflicts when somebody else was faster, or it was revoked or ended meanwhile.
func (h held) use(a Asked, now time.Time) store.Statement {
	return store.Statement{
		SQL: `UPDATE child_token SET used = ?1, child = ?2, authority = ?3
			WHERE id = ?4 AND revoked = 0 AND used = '' AND expires > ?1`,
		Args: []any{stamp(now), a.Site, fingerprint(a.Authority), h.id}, Want: 1,
	}
}
