package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"thatch/node/store"
	"thatch/node/store/rows"
)

const (
	enrolPrefix     = "tt1-"
	apiPrefix       = "ta1-"
	localPrefix     = "tl1-"
	secretBytes     = 20
	fingerprintHead = 16 // bytes of the authority's fingerprint in an enrolment token
	maxTokenName    = 200
)

var base32Plain = base32.StdEncoding.WithPadding(base32.NoPadding)

// EnrolmentToken lets computers become computers of the site.
type EnrolmentToken struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Group   string    `json:"group,omitempty"` // computers enrolled with it belong to
	Limit   int       `json:"limit"`           // uses; 0: any number
	Used    int       `json:"used"`
	Expires time.Time `json:"expires"`
	Created time.Time `json:"created"`
	By      string    `json:"by"`
	Revoked bool      `json:"revoked"`
	Token   string    `json:"token,omitempty"` // only in the answer that made it
}

// APIToken lets a person or tool call /api/v1.
type APIToken struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Scope   Scope     `json:"scope"`
	Part    Part      `json:"part,omitzero"`   // of the site; absent: the whole
	Owner   string    `json:"owner,omitempty"` // id of the operator whose own it is
	Expires time.Time `json:"expires"`
	Created time.Time `json:"created"`
	By      string    `json:"by"`
	Revoked bool      `json:"revoked"`
	Token   string    `json:"token,omitempty"` // only in the answer that made it
}

func newSecret() (secret string, hash []byte, err error) {
	raw := make([]byte, secretBytes)
	if _, err := rand.Read(raw); err != nil {
		return "", nil, fmt.Errorf("make a secret: %w", err)
	}
	secret = strings.ToLower(base32Plain.EncodeToString(raw))
	return secret, hashSecret(secret), nil
}

// hashSecret is what the database keeps. Secrets have 160 random bits, so a plain hash is enough.
func hashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(strings.ToLower(secret)))
	return sum[:]
}

func (id *Identity) checkToken(name string, expires time.Time) error {
	switch {
	case name == "" || len(name) > maxTokenName:
		return store.Invalid("a token's name has 1 to %d bytes, this one has %d", maxTokenName, len(name))
	case !expires.After(id.cfg.Now()):
		return store.Invalid("the token would end at %s, which is past", expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// NewEnrolmentToken makes a token from name, group, limit and expiry. Its text is in the answer and nowhere else.
func (id *Identity) NewEnrolmentToken(ctx context.Context, t EnrolmentToken) (EnrolmentToken, error) {
	if err := id.checkToken(t.Name, t.Expires); err != nil {
		return t, err
	}
	if t.Limit < 0 {
		return t, store.Invalid("a token's limit is 0 for any number of computers, or positive, not %d", t.Limit)
	}
	secret, hash, err := newSecret()
	if err != nil {
		return t, err
	}
	t.ID, t.Used, t.Revoked = uuid.NewString(), 0, false
	t.Created, t.By, t.Expires = id.cfg.Now().UTC(), store.ActorOf(ctx), t.Expires.UTC()
	t.Token = enrolPrefix + secret + "-" + Fingerprint(id.Authority())[:2*fingerprintHead]
	return t, id.write(ctx, "create enrolment token "+t.Name, store.Statement{
		SQL: `INSERT INTO enrolment_token (id, name, hash, computer_group, use_limit, used, expires, created, created_by)
			VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?)`,
		Args: []any{t.ID, t.Name, hash, t.Group, t.Limit, rows.Stamp(t.Expires), rows.Stamp(t.Created), t.By}, Want: 1,
	})
}

// Enrolment is an admitted use of an enrolment token.
type Enrolment struct {
	Token string // id
	Group string
	// Use are the statements that count the use; they conflict when the token was used up, revoked or ended meanwhile,
	// so they belong to the group of statements that makes the computer.
	Use []store.Statement
}

// Enrol checks an enrolment token. It is used up only by the batch that holds Enrolment.Use.
func (id *Identity) Enrol(ctx context.Context, text string) (Enrolment, error) {
	secret, _, ok := strings.Cut(strings.TrimPrefix(text, enrolPrefix), "-")
	if !ok || !strings.HasPrefix(text, enrolPrefix) {
		return Enrolment{}, Unauthorised("this is no enrolment token; one begins with %s (make one with: thatch tokens create)", enrolPrefix)
	}
	var e Enrolment
	var limit, used int
	var expires string
	var revoked bool
	err := id.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT id, computer_group, use_limit, used, expires, revoked FROM enrolment_token WHERE hash = ?`,
			hashSecret(secret)).Scan(&e.Token, &e.Group, &limit, &used, &expires, &revoked)
	})
	now := rows.Stamp(id.cfg.Now())
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return e, Unauthorised("the enrolment token is not known here; make one with: thatch tokens create")
	case err != nil:
		return e, fmt.Errorf("look up an enrolment token: %w", err)
	case revoked:
		return e, Unauthorised("the enrolment token was revoked")
	case expires <= now:
		return e, refusal{ErrTokenEnded, Unauthorised("the enrolment token ended at %s", expires)}
	case limit > 0 && used >= limit:
		return e, refusal{ErrTokenUsed, Unauthorised("the enrolment token was made for %d computers and is used up", limit)}
	}
	e.Use = []store.Statement{{
		SQL: `UPDATE enrolment_token SET used = used + 1
			WHERE id = ? AND revoked = 0 AND expires > ? AND (use_limit = 0 OR used < use_limit)`,
		Args: []any{e.Token, now}, Want: 1,
	}}
	return e, nil
}

// NewAPIToken makes a token from name, scope and expiry. Its text is in the answer and nowhere else.
func (id *Identity) NewAPIToken(ctx context.Context, t APIToken) (APIToken, error) {
	if err := id.checkToken(t.Name, t.Expires); err != nil {
		return t, err
	}
	if _, err := ParseScope(string(t.Scope)); err != nil {
		return t, err
	}
	if err := t.Part.Check(); err != nil {
		return t, err
	}
	secret, hash, err := newSecret()
	if err != nil {
		return t, err
	}
	t.ID, t.Revoked, t.Token = uuid.NewString(), false, apiPrefix+secret
	t.Created, t.By, t.Expires = id.cfg.Now().UTC(), store.ActorOf(ctx), t.Expires.UTC()
	return t, id.write(ctx, "create API token "+t.Name+" with scope "+string(t.Scope), store.Statement{
		SQL: `INSERT INTO api_token (id, name, hash, scope, expires, created, created_by, part, operator) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		Args: []any{
			t.ID, t.Name, hash, string(t.Scope), rows.Stamp(t.Expires), rows.Stamp(t.Created), t.By, t.Part.Text(), t.Owner,
		}, Want: 1,
	})
}

// Operator admits the bearer of an API token. One with an ID has the token for their own: what they may do is still to be
// held against what they may do now.
func (id *Identity) Operator(ctx context.Context, text string) (Operator, error) {
	if hash := id.local.Load(); hash != nil && strings.HasPrefix(text, localPrefix) && subtle.ConstantTimeCompare(hashSecret(text), *hash) == 1 {
		return Local, nil
	}
	secret, ok := strings.CutPrefix(text, apiPrefix)
	if !ok {
		return Operator{}, Unauthorised("this is no API token; one begins with %s (make one with: thatch tokens create --api)", apiPrefix)
	}
	var o Operator
	var scope, part, expires string
	var revoked bool
	err := id.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT id, name, scope, part, operator, expires, revoked FROM api_token WHERE hash = ?`,
			hashSecret(secret)).Scan(&o.Token, &o.Name, &scope, &part, &o.ID, &expires, &revoked)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Operator{}, Unauthorised("the API token is not known here")
	case err != nil:
		return Operator{}, fmt.Errorf("look up an API token: %w", err)
	case revoked:
		return Operator{}, Unauthorised("the API token %q was revoked", o.Name)
	case expires <= rows.Stamp(id.cfg.Now()):
		return Operator{}, Unauthorised("the API token %q ended at %s", o.Name, expires)
	}
	o.Scope, o.Part = Scope(scope), ParsePart(part)
	return o, nil
}

// RevokeToken ends a token of either kind by its id.
func (id *Identity) RevokeToken(ctx context.Context, tokenID string) error {
	for _, table := range []string{"enrolment_token", "api_token"} {
		err := id.write(ctx, "revoke token "+tokenID, store.Statement{
			SQL: `UPDATE ` + table + ` SET revoked = 1 WHERE id = ?`, Args: []any{tokenID}, Want: 1,
		})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return store.NotFound("token", tokenID)
}

// RevokeOwn is the statement that ends the API tokens that are an operator's own.
func RevokeOwn(operator string) store.Statement {
	return store.Statement{SQL: `UPDATE api_token SET revoked = 1 WHERE operator = ?`, Args: []any{operator}}
}

// RevokeOwnToken ends an API token that is an operator's own.
func (id *Identity) RevokeOwnToken(ctx context.Context, operator, token string) error {
	err := id.write(ctx, "revoke token "+token, store.Statement{
		SQL: `UPDATE api_token SET revoked = 1 WHERE id = ? AND operator = ? AND operator <> ''`, Args: []any{token, operator}, Want: 1,
	})
	if errors.Is(err, store.ErrConflict) {
		return store.NotFound("token", token)
	}
	return err
}

func (id *Identity) write(ctx context.Context, reason string, statements ...store.Statement) error {
	applied, err := id.cfg.Writer.Write(ctx, store.Batch{
		Reason: reason, Topics: []string{"identity"}, Statements: statements,
	})
	if err == nil && applied.Repeated {
		return store.Conflicting("%s: this request was carried out before, and its answer cannot be given again", reason)
	}
	return errors.Join(err, applied.Err())
}

// LocalToken makes the secret of the local door of a node without sockets. It is an administrator's, is kept in memory
// alone, and replaces the one before.
func (id *Identity) LocalToken() (string, error) {
	secret := make([]byte, secretBytes)
	if _, err := rand.Read(secret); err != nil {
		return "", fmt.Errorf("make a secret: %w", err)
	}
	token := localPrefix + hex.EncodeToString(secret)
	hash := hashSecret(token)
	id.local.Store(&hash)
	return token, nil
}
