// Package operators knows the people who work at the console: how they sign in, with what role and for which part of the
// site, their sessions, and what each of them set for themselves.
package operators

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"thatch/node/identity"
	"thatch/node/operators/guard"
	"thatch/node/operators/password"
	"thatch/node/settings"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Topic is what Watch is told when operators change.
const Topic = "operators"

const (
	secretBytes = 32
	maxName     = 64
	maxDisplay  = 200
)

// Config is what the room needs.
type Config struct {
	Site     string // id; a part that names it means all computers of this site
	Reader   store.Reader
	Writer   store.Writer
	Settings *settings.Room
	Sealer   settings.Sealer
	Cost     password.Cost // of passwords; the zero one is password.Standard
	Now      func() time.Time
	Log      *slog.Logger
}

// Room is safe for use by several goroutines.
type Room struct {
	cfg       Config
	hasher    *password.Hasher
	names     guard.Guard // wrong passwords, by name
	codes     guard.Guard // wrong second factors, by name
	addresses guard.Guard // wrong anything, by address
	mu        sync.Mutex
	touched   map[string]time.Time // session -> when it was last tried to say that it was seen
}

// New makes the room.
func New(cfg Config) *Room {
	if cfg.Cost == (password.Cost{}) {
		cfg.Cost = password.Standard
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Room{
		cfg: cfg, hasher: password.New(cfg.Cost), touched: map[string]time.Time{},
		names:     guard.Guard{First: time.Minute, Longest: 15 * time.Minute},
		codes:     guard.Guard{First: time.Minute, Longest: 15 * time.Minute},
		addresses: guard.Guard{First: time.Second, Longest: 15 * time.Minute},
	}
}

// Operator is a person who works at the console.
type Operator struct {
	ID           string         `json:"id"`
	Name         string         `json:"name"`              // to sign in with
	Display      string         `json:"display,omitempty"` // for people
	Scope        identity.Scope `json:"scope"`
	Part         identity.Part  `json:"part,omitzero"` // of the site; absent: the whole
	Password     bool           `json:"password"`      // has one
	SecondFactor bool           `json:"second_factor"` // is asked for one
	Recovery     int            `json:"recovery_codes"`
	Subject      string         `json:"subject,omitempty"` // at the OpenID Connect provider
	Locked       time.Time      `json:"locked,omitzero"`   // until, by wrong answers
	Disabled     bool           `json:"disabled"`          // by an administrator
	SignedIn     time.Time      `json:"signed_in,omitzero"`
	Created      time.Time      `json:"created"`
	By           string         `json:"created_by"`
	Version      int            `json:"version"`
}

// Acts is the operator as what calls.
func (o Operator) Acts() identity.Operator {
	return identity.Operator{ID: o.ID, Name: o.Name, Display: o.Display, Scope: o.Scope, Part: o.Part}
}

// record is an operator with what is nobody's business.
type record struct {
	Operator
	issuer      string
	password    string
	totp, next  []byte // sealed
	step        int64
	recovery    []string
	kept        string // recovery, as the table has it
	preferences string
}

const recordColumns = `o.id, o.name, o.display, o.scope, o.part, o.password, o.totp, o.totp_next, o.totp_step, o.recovery, o.issuer,
	o.subject, o.locked, o.disabled, o.preferences, o.signed_in, o.created, o.created_by, o.version`

func scanRecord(scan func(into ...any) error, more ...any) (*record, error) {
	var r record
	var part, locked, signedIn, created string
	into := append([]any{
		&r.ID, &r.Name, &r.Display, &r.Scope, &part, &r.password, &r.totp, &r.next, &r.step, &r.kept, &r.issuer,
		&r.Subject, &locked, &r.Disabled, &r.preferences, &signedIn, &created, &r.By, &r.Version,
	}, more...)
	if err := scan(into...); err != nil {
		return nil, err
	}
	if r.kept != "" {
		if err := json.Unmarshal([]byte(r.kept), &r.recovery); err != nil {
			return nil, fmt.Errorf("recovery codes of operator %s: %w", r.Name, err)
		}
	}
	r.Part, r.Locked, r.SignedIn, r.Created = identity.ParsePart(part), rows.Unstamp(locked), rows.Unstamp(signedIn), rows.Unstamp(created)
	r.Password, r.SecondFactor, r.Recovery = r.password != "", r.totp != nil, len(r.recovery)
	return &r, nil
}

// find reads the one operator that a condition fits, nil if there is none.
func (r *Room) find(ctx context.Context, where string, args ...any) (found *record, err error) {
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) (err error) {
		found, err = scanRecord(tx.QueryRowContext(ctx, `SELECT `+recordColumns+` FROM operator o WHERE `+where, args...).Scan)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read an operator: %w", err)
	}
	return found, nil
}

// named finds an operator by id or name.
func (r *Room) named(ctx context.Context, which string) (*record, error) {
	if which == "" {
		return nil, ErrNobody
	}
	found, err := r.find(ctx, `o.id = ? OR o.name = ?`, which, strings.ToLower(which))
	if err == nil && found == nil {
		err = store.NotFound("operator", which)
	}
	return found, err
}

var columns = rows.Columns{
	From: recordColumns + ` FROM operator o`,
	Names: map[string]string{
		"id": "id", "name": "name", "display": "display", "scope": "scope", "disabled": "disabled", "locked": "locked",
		"subject": "subject", "second_factor": "totp IS NOT NULL", "signed_in": "signed_in", "created": "created", "created_by": "created_by",
	},
	Kinds: map[string]store.Kind{
		"disabled": store.Flag, "second_factor": store.Flag, "locked": store.Time, "signed_in": store.Time, "created": store.Time,
	},
	Search: []string{"name", "display"}, Order: "name",
}

// Columns are what the list of operators can be filtered and sorted by.
var Columns = columns.Known()

// List is a page of the operators, by name, and the number of all that match.
func (r *Room) List(ctx context.Context, q store.Query) ([]Operator, int, error) {
	return rows.List(ctx, r.cfg.Reader, q, columns, func(row *sql.Rows) (Operator, error) {
		found, err := scanRecord(row.Scan)
		if err != nil {
			return Operator{}, err
		}
		return r.shown(found), nil
	})
}

// Show is one operator, by id or name.
func (r *Room) Show(ctx context.Context, which string) (Operator, error) {
	found, err := r.named(ctx, which)
	if err != nil {
		return Operator{}, err
	}
	return r.shown(found), nil
}

func (r *Room) shown(found *record) Operator {
	o := found.Operator
	if !o.Locked.After(r.cfg.Now()) {
		o.Locked = time.Time{}
	}
	return o
}

// Any says whether the site has an operator yet.
func (r *Room) Any(ctx context.Context) (any bool, err error) {
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM operator)`).Scan(&any)
	})
	if err != nil {
		err = fmt.Errorf("look for operators: %w", err)
	}
	return any, err
}

// Owner is who has an API token for their own: with the token's role, but no more than the operator's of now, for the
// operator's part.
func (r *Room) Owner(ctx context.Context, token identity.Operator) (identity.Operator, error) {
	found, err := r.find(ctx, `o.id = ?`, token.ID)
	if err != nil {
		return token, err
	}
	if found == nil || found.Disabled {
		return token, identity.Unauthorised("the operator whose API token this is may not call any more")
	}
	who := found.Acts()
	who.Token, who.Scope = token.Token, identity.Least(token.Scope, who.Scope)
	return who, nil
}

func (r *Room) write(ctx context.Context, reason string, statements ...store.Statement) error {
	return r.writeAs(ctx, "", reason, statements...)
}

func (r *Room) writeAs(ctx context.Context, actor, reason string, statements ...store.Statement) error {
	applied, err := r.cfg.Writer.Write(ctx, store.Batch{Actor: actor, Reason: reason, Topics: []string{Topic}, Statements: statements})
	if err == nil && applied.Repeated {
		return store.Conflicting("%s: this request was carried out before, and its answer cannot be given again", reason)
	}
	if err = errors.Join(err, applied.Err()); err != nil {
		return fmt.Errorf("%s: %w", reason, err)
	}
	// The browser's next request comes to this node, as like as not, and is to find its session.
	return store.Await(store.AtLeast(ctx, applied.Index), r.cfg.Reader)
}

// newSecret makes what a browser or a link bears, and what the database keeps of it. A plain hash is enough for 256
// random bits.
func newSecret() (secret string, hash []byte, err error) {
	raw := make([]byte, secretBytes)
	if _, err := rand.Read(raw); err != nil {
		return "", nil, fmt.Errorf("make a secret: %w", err)
	}
	secret = base64.RawURLEncoding.EncodeToString(raw)
	return secret, hashOf(secret), nil
}

func hashOf(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
