// Package invites keeps the tokens with which sites become children, and says why one is not let in.
package invites

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"thatch/catalog/federation"
	"thatch/node/identity"
	"thatch/node/store"
	"thatch/node/store/rows"
	"thatch/node/store/sweep"
)

const maxName = federation.MaxName

// Token lets one site become a child.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"` // what it is for
	Expires time.Time `json:"expires"`
	Created time.Time `json:"created"`
	By      string    `json:"by"`
	Revoked bool      `json:"revoked"`
	Used    time.Time `json:"used,omitzero"`
	Child   string    `json:"child,omitempty"` // id of the site that used it
	Token   string    `json:"token,omitempty"` // only in the answer that made it
}

// Room is safe for use by several goroutines.
type Room struct {
	authority []byte // of the site, DER
	reader    store.Reader
	writer    store.Writer
	now       func() time.Time
	topic     string
}

// New makes the room of a site with an authority (DER). Its batches name the topic.
func New(authority []byte, reader store.Reader, writer store.Writer, now func() time.Time, topic string) *Room {
	return &Room{authority: authority, reader: reader, writer: writer, now: now, topic: topic}
}

var columns = rows.Columns{
	From: `id, name, expires, created, created_by, revoked, used, child FROM child_token`,
	Names: map[string]string{
		"id": "id", "name": "name", "expires": "expires", "created": "created", "by": "created_by", "revoked": "revoked",
		"used": "used", "child": "child",
	},
	Kinds:  map[string]store.Kind{"revoked": store.Flag, "expires": store.Time, "created": store.Time},
	Search: []string{"name", "created_by"}, Order: "created DESC, id",
}

// Columns are those of Tokens, for doors.
var Columns = columns.Known()

// NewToken makes a token with which one site may join, from name and expiry. Its text is in the answer and nowhere else.
func (r *Room) NewToken(ctx context.Context, t Token) (Token, error) {
	now := r.now().UTC()
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
	token := federation.NewToken(secret, r.authority)
	made := Token{ID: uuid.NewString(), Name: t.Name, Expires: t.Expires.UTC(), Created: now, By: store.ActorOf(ctx), Token: token.String()}
	applied, err := r.writer.Write(ctx, store.Batch{
		Reason: "create child token " + made.Name, Topics: []string{r.topic}, Statements: []store.Statement{{
			SQL:  `INSERT INTO child_token (id, name, hash, expires, created, created_by) VALUES (?, ?, ?, ?, ?, ?)`,
			Args: []any{made.ID, made.Name, token.Hash(), rows.Stamp(made.Expires), rows.Stamp(made.Created), made.By}, Want: 1,
		}},
	})
	if err == nil && applied.Repeated {
		err = store.Conflicting("this request was carried out before, and its answer cannot be given again")
	}
	if err = errors.Join(err, applied.Err()); err != nil {
		return Token{}, fmt.Errorf("create child token %s: %w", made.Name, err)
	}
	return made, nil
}

// Tokens is a page of the child tokens, newest first, without their secrets.
func (r *Room) Tokens(ctx context.Context, q store.Query) ([]Token, int, error) {
	return rows.List(ctx, r.reader, q, columns, func(row *sql.Rows) (t Token, err error) {
		var expires, created, used string
		err = row.Scan(&t.ID, &t.Name, &expires, &created, &t.By, &t.Revoked, &used, &t.Child)
		t.Expires, t.Created, t.Used = rows.Unstamp(expires), rows.Unstamp(created), rows.Unstamp(used)
		return t, err
	})
}

// RevokeToken ends a child token that nobody used. What joined with a used one stays.
func (r *Room) RevokeToken(ctx context.Context, id string) error {
	var used string
	err := r.reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT used FROM child_token WHERE id = ?`, id).Scan(&used)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.NotFound("child token", id)
	case err != nil:
		return fmt.Errorf("read child token %s: %w", id, err)
	case used != "":
		return store.Conflicting("a site joined with the token at %s; shut that one out with: thatch children revoke", used)
	}
	applied, err := r.writer.Write(ctx, store.Batch{
		Reason: "revoke child token " + id, Topics: []string{r.topic}, Statements: []store.Statement{{
			SQL: `UPDATE child_token SET revoked = 1 WHERE id = ? AND used = ''`, Args: []any{id}, Want: 1,
		}},
	})
	if err = errors.Join(err, applied.Err()); err != nil {
		return fmt.Errorf("revoke child token %s: %w", id, err)
	}
	return nil
}

// Held is a token as it is kept.
type Held struct {
	ID                              string
	expires, used, child, authority string
	revoked                         bool
}

// Find finds a token by its secret. The error is a *Refusal where there is none.
func Find(ctx context.Context, tx *sql.Tx, token federation.Token) (Held, error) {
	var h Held
	err := tx.QueryRowContext(ctx, `SELECT id, expires, used, child, authority, revoked FROM child_token WHERE hash = ?`, token.Hash()).
		Scan(&h.ID, &h.expires, &h.used, &h.child, &h.authority, &h.revoked)
	if errors.Is(err, sql.ErrNoRows) {
		return h, Refuse(CodeTokenUnknown, "the child token is not known here; have one made with: thatch children tokens create")
	}
	if err != nil {
		return h, fmt.Errorf("look up a child token: %w", err)
	}
	return h, nil
}

// Invited is nil for a token with which a site may join now, or joined: whoever joined may ask again. An error that is the
// caller's is a *Refusal.
func (r *Room) Invited(ctx context.Context, token federation.Token) error {
	return r.judge(ctx, token, func(h Held) error {
		if h.used != "" {
			return nil
		}
		_, err := h.Check("", nil, r.now())
		return err
	})
}

// LetIn is Invited for a site that brings the token, with its authority (DER).
func (r *Room) LetIn(ctx context.Context, token federation.Token, site string, authority []byte) error {
	return r.judge(ctx, token, func(h Held) error {
		_, err := h.Check(site, authority, r.now())
		return err
	})
}

func (r *Room) judge(ctx context.Context, token federation.Token, check func(Held) error) error {
	if token.Fingerprint != federation.Fingerprint(r.authority) {
		return Refuse(CodeTokenUnknown, "the child token is one of another site")
	}
	return r.reader.View(ctx, func(tx *sql.Tx) error {
		h, err := Find(ctx, tx, token)
		if err != nil {
			return err
		}
		return check(h)
	})
}

// Check says why a token lets a site in no more. Again says that this very site used it, so that its answer may be given
// once more.
func (h Held) Check(site string, authority []byte, now time.Time) (again bool, err error) {
	switch {
	case h.used != "" && h.child == site && h.authority == identity.Fingerprint(authority):
		return true, nil
	case h.used != "":
		return false, Refuse(CodeTokenUsed, "the child token was used at %s by another site; have a new one made with: thatch children tokens create", h.used)
	case h.revoked:
		return false, Refuse(CodeTokenUnknown, "the child token was revoked; have a new one made with: thatch children tokens create")
	case h.expires <= rows.Stamp(now):
		return false, Refuse(CodeTokenExpired, "the child token ended at %s; have a new one made with: thatch children tokens create", h.expires)
	}
	return false, nil
}

// Use counts the token's one use; it conflicts when somebody else was faster, or it was revoked or ended meanwhile.
func (h Held) Use(site string, authority []byte, now time.Time) store.Statement {
	return store.Statement{
		SQL: `UPDATE child_token SET used = ?1, child = ?2, authority = ?3
			WHERE id = ?4 AND revoked = 0 AND used = '' AND expires > ?1`,
		Args: []any{rows.Stamp(now), site, identity.Fingerprint(authority), h.ID}, Want: 1,
	}
}

// Confirmed says whether a site ever joined here itself, so that what is known of it is its own word.
func Confirmed(ctx context.Context, tx *sql.Tx, site string) (yes bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM child_token WHERE child = ?)`, site).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("look whether site %s ever joined: %w", site, err)
	}
	return yes, nil
}

// Old are the tokens that ended before a time, but those with which children joined.
func Old(before time.Time) sweep.Rows {
	return sweep.Rows{
		Table: "child_token", Key: []string{"id"}, Old: `expires < ? AND NOT EXISTS (SELECT 1 FROM child c WHERE c.token = child_token.id)`,
		Args: []any{rows.Stamp(before)},
	}
}
