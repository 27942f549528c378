package operators

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"thatch/node/identity"
	"thatch/node/operators/password"
	"thatch/node/operators/totp"
	"thatch/node/store"
)

const (
	recoveryCodes = 10
	recoveryBytes = 10 // 80 random bits: a plain hash is enough
	issuer        = "Thatch"
	maxHome       = 30
	maxViews      = 200
	maxPage       = 100
	maxViewName   = 100
	maxQuery      = 4 << 10
)

// Preferences are what an operator set for themselves. What is absent is as the browser or the site has it.
type Preferences struct {
	Language string   `json:"language,omitempty"`  // en, de
	Theme    string   `json:"theme,omitempty"`     // light, dark
	TimeZone string   `json:"time_zone,omitempty"` // IANA, such as Europe/Berlin
	Home     []string `json:"home,omitempty"`      // parts of the home page, in their order
}

func (p Preferences) check() error {
	if !slices.Contains([]string{"", "en", "de"}, p.Language) {
		return store.Invalid("language %.20q: there are en and de", p.Language)
	}
	if !slices.Contains([]string{"", "light", "dark"}, p.Theme) {
		return store.Invalid("theme %.20q: there are light and dark", p.Theme)
	}
	if _, err := time.LoadLocation(p.TimeZone); err != nil || p.TimeZone == "Local" {
		return store.Invalid("time zone %.60q: want a name such as Europe/Berlin", p.TimeZone)
	}
	if len(p.Home) > maxHome {
		return store.Invalid("the home page has at most %d parts", maxHome)
	}
	for i, part := range p.Home {
		if part == "" || len(part) > 60 || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || slices.Contains(p.Home[:i], part) {
			return store.Invalid("part %.60q of the home page is no name, or is named twice", part)
		}
	}
	return nil
}

// preferencesOf reads what the table has; what cannot be read is as if it was never set.
func preferencesOf(text string) Preferences {
	var p Preferences
	if text != "" && json.Unmarshal([]byte(text), &p) != nil {
		return Preferences{}
	}
	return p
}

// View is a list as an operator saved it.
type View struct {
	ID    string `json:"id"`
	Page  string `json:"page"`  // path of the list's page
	Name  string `json:"name"`  // for people
	Query string `json:"query"` // of the page's address
}

func (v View) check() error {
	switch {
	case v.Page == "" || len(v.Page) > maxPage:
		return store.Invalid("a view's page has 1 to %d bytes", maxPage)
	case strings.TrimSpace(v.Name) == "" || len(v.Name) > maxViewName:
		return store.Invalid("a view's name has 1 to %d bytes", maxViewName)
	case len(v.Query) > maxQuery:
		return store.Invalid("a view's query has at most %d bytes", maxQuery)
	}
	return nil
}

// ErrNobody is the answer to callers who are no operators.
var ErrNobody = store.Invalid("whoever calls is no operator with an account of their own: sign in, or use a token that is an operator's own")

// Caller is an operator who calls, and the session that they call from, "" without one.
type Caller struct{ ID, Session string }

// self finds the operator who calls, by id.
func (r *Room) self(ctx context.Context, id string) (*record, error) {
	if id == "" {
		return nil, ErrNobody
	}
	found, err := r.find(ctx, `o.id = ?`, id)
	if err == nil && found == nil {
		err = store.NotFound("operator", id)
	}
	return found, err
}

// own changes a row that was read before.
func (r *Room) own(o *record, columns string, args ...any) store.Statement {
	return store.Statement{SQL: `UPDATE operator SET ` + columns + ` WHERE id = ?`, Args: append(args, o.ID), Want: 1}
}

// prove is nil when an operator knows their own password. Who has none signed in otherwise, a moment ago or not.
func (r *Room) prove(ctx context.Context, o *record, plain string) error {
	if o.password == "" {
		return nil
	}
	attempt, err := r.attempt(ctx, &r.names, o.Name, Origin{From: "session of " + o.Name})
	if err != nil {
		return err
	}
	right, _, err := r.hasher.Verify(ctx, plain, o.password)
	if err != nil {
		return err
	}
	if !right {
		// It is asked for once more, of somebody who is let in: that is no reason to send them away.
		return errors.Join(store.Invalid("the present password is not right"), attempt.wrong(ctx, "wrong password"))
	}
	attempt.right()
	return nil
}

// ChangePassword has an operator choose another password. Their other sessions end.
func (r *Room) ChangePassword(ctx context.Context, c Caller, former, next string) error {
	o, err := r.self(ctx, c.ID)
	if err != nil {
		return err
	}
	if problem := password.Check(next, o.Name); problem != "" {
		return store.Invalid("%s", problem)
	}
	if err := r.prove(ctx, o, former); err != nil {
		return err
	}
	hash, err := r.hasher.Hash(ctx, next)
	if err != nil {
		return err
	}
	return r.write(ctx, "choose another password", r.own(o, `password = ?`, hash), endLinks(o.ID),
		store.Statement{SQL: `DELETE FROM session WHERE operator = ? AND id <> ?`, Args: []any{o.ID, c.Session}})
}

// Authenticator is what an app needs to make codes.
type Authenticator struct {
	URI    string `json:"uri"`
	Secret string `json:"secret"` // in groups of four
}

// BeginSecondFactor makes a secret for an authenticator app, which counts from ConfirmSecondFactor on.
func (r *Room) BeginSecondFactor(ctx context.Context, id, plain string) (Authenticator, error) {
	o, err := r.self(ctx, id)
	if err != nil {
		return Authenticator{}, err
	}
	if err := r.prove(ctx, o, plain); err != nil {
		return Authenticator{}, err
	}
	secret, err := totp.NewSecret()
	if err != nil {
		return Authenticator{}, err
	}
	sealed, err := r.cfg.Sealer.Seal(totpPurpose(o.ID), secret)
	if err != nil {
		return Authenticator{}, err
	}
	a := Authenticator{URI: totp.URI(secret, issuer, o.Name), Secret: totp.Grouped(secret)}
	return a, r.write(ctx, "begin with a second factor", r.own(o, `totp_next = ?`, sealed))
}

func totpPurpose(operator string) string { return "second factor of operator " + operator }

// ConfirmSecondFactor has the second factor asked for from now on, and answers with recovery codes, which are shown once.
// Other sessions than the caller's end: they showed none.
func (r *Room) ConfirmSecondFactor(ctx context.Context, c Caller, code string) ([]string, error) {
	o, err := r.self(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	if o.next == nil {
		return nil, store.Conflicting("there is no second factor to be confirmed: begin with one")
	}
	secret, err := r.cfg.Sealer.Unseal(totpPurpose(o.ID), o.next)
	if err != nil {
		return nil, err
	}
	step, ok := totp.Match(secret, code, r.cfg.Now(), 0)
	if !ok {
		return nil, store.Invalid("the code is not right: is the clock of the device with the app right?")
	}
	codes, kept, err := newRecovery()
	if err != nil {
		return nil, err
	}
	return codes, r.write(ctx, "ask for a second factor at sign-in",
		r.own(o, `totp = ?, totp_next = NULL, totp_step = ?, recovery = ?`, o.next, step, kept), // the secret that was proved, whatever was begun since
		store.Statement{SQL: `DELETE FROM session WHERE operator = ? AND id <> ?`, Args: []any{o.ID, c.Session}},
		store.Statement{SQL: `UPDATE session SET second = 1 WHERE operator = ?`, Args: []any{o.ID}})
}

// RemoveSecondFactor has sign-in ask for the password alone again.
func (r *Room) RemoveSecondFactor(ctx context.Context, id, plain string) error {
	o, err := r.self(ctx, id)
	if err != nil {
		return err
	}
	if err := r.prove(ctx, o, plain); err != nil {
		return err
	}
	if l, err := r.limits(ctx); err != nil || l.second {
		return errors.Join(err, store.Invalid("this site asks for a second factor (operators.second_factor); an administrator takes a lost one away: thatch operators reset %s --second-factor", o.Name))
	}
	return r.write(ctx, "ask for no second factor at sign-in", r.own(o, `totp = NULL, totp_next = NULL, recovery = ''`))
}

// newRecovery makes recovery codes, and the text that the table keeps of them.
func newRecovery() (codes []string, kept string, err error) {
	hashes := make([]string, recoveryCodes)
	for i := range hashes {
		raw := make([]byte, recoveryBytes)
		if _, err := rand.Read(raw); err != nil {
			return nil, "", fmt.Errorf("make a recovery code: %w", err)
		}
		text := strings.ToLower(base32.StdEncoding.EncodeToString(raw)) // 16 letters
		codes = append(codes, text[:4]+"-"+text[4:8]+"-"+text[8:12]+"-"+text[12:])
		hashes[i] = recoveryHash(text)
	}
	text, err := json.Marshal(hashes)
	return codes, string(text), err
}

// recoveryHash takes a code in whatever way it is typed.
func recoveryHash(code string) string {
	plain := strings.Map(func(c rune) rune {
		if c == '-' || c == ' ' {
			return -1
		}
		return c
	}, strings.ToLower(code))
	return hex.EncodeToString(hashOf(plain))
}

// Preferences are what an operator set.
func (r *Room) Preferences(ctx context.Context, id string) (Preferences, error) {
	o, err := r.self(ctx, id)
	if err != nil {
		return Preferences{}, err
	}
	return preferencesOf(o.preferences), nil
}

// SetPreferences replaces them.
func (r *Room) SetPreferences(ctx context.Context, id string, p Preferences) error {
	if err := p.check(); err != nil {
		return err
	}
	o, err := r.self(ctx, id)
	if err != nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("preferences: %w", err)
	}
	return r.write(ctx, "set preferences", r.own(o, `preferences = ?`, string(text)))
}

// Views are what an operator saved of a page's lists, "" of all, by name.
func (r *Room) Views(ctx context.Context, id, page string) ([]View, error) {
	if id == "" {
		return nil, ErrNobody
	}
	list := []View{}
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		list = list[:0]
		rows, err := tx.QueryContext(ctx, `SELECT id, page, name, query FROM operator_view WHERE operator = ? AND (? = '' OR page = ?)
			ORDER BY page, name`, id, page, page)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var v View
			if err := rows.Scan(&v.ID, &v.Page, &v.Name, &v.Query); err != nil {
				return err
			}
			list = append(list, v)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read saved views: %w", err)
	}
	return list, nil
}

// SaveView keeps a view, in place of one of that page and name.
func (r *Room) SaveView(ctx context.Context, id string, v View) (View, error) {
	v.Name = strings.TrimSpace(v.Name)
	if err := v.check(); err != nil {
		return v, err
	}
	if _, err := r.self(ctx, id); err != nil {
		return v, err
	}
	former, err := r.Views(ctx, id, "")
	if err != nil {
		return v, err
	}
	at := slices.IndexFunc(former, func(o View) bool { return o.Page == v.Page && o.Name == v.Name })
	switch {
	case at >= 0:
		v.ID = former[at].ID
	case len(former) >= maxViews:
		return v, store.Conflicting("%d views are saved already, which is the most: delete one", maxViews)
	default:
		v.ID = uuid.NewString()
	}
	return v, r.write(ctx, "save view "+v.Name, store.Statement{
		SQL: `INSERT INTO operator_view (operator, id, page, name, query) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (operator, page, name) DO UPDATE SET query = excluded.query`,
		Args: []any{id, v.ID, v.Page, v.Name, v.Query}, Want: 1,
	})
}

// RenameView calls a view otherwise.
func (r *Room) RenameView(ctx context.Context, id, view, name string) (View, error) {
	all, err := r.Views(ctx, id, "")
	if err != nil {
		return View{}, err
	}
	at := slices.IndexFunc(all, func(o View) bool { return o.ID == view })
	if at < 0 {
		return View{}, store.NotFound("view", view)
	}
	v := all[at]
	v.Name = strings.TrimSpace(name)
	if err := v.check(); err != nil {
		return v, err
	}
	if slices.ContainsFunc(all, func(o View) bool { return o.ID != view && o.Page == v.Page && o.Name == v.Name }) {
		return v, store.Conflicting("there is a view %q of that page already", v.Name)
	}
	return v, r.write(ctx, "rename view "+all[at].Name+" to "+v.Name, store.Statement{
		SQL: `UPDATE operator_view SET name = ? WHERE operator = ? AND id = ?`, Args: []any{v.Name, id, view}, Want: 1,
	})
}

// DeleteView forgets a view.
func (r *Room) DeleteView(ctx context.Context, id, view string) error {
	if id == "" {
		return ErrNobody
	}
	err := r.write(ctx, "delete view "+view, store.Statement{
		SQL: `DELETE FROM operator_view WHERE operator = ? AND id = ?`, Args: []any{id, view}, Want: 1,
	})
	if errors.Is(err, store.ErrConflict) {
		return store.NotFound("view", view)
	}
	return err
}

// Permissions are the scopes that somebody's scope holds, from the smallest.
func Permissions(who identity.Operator) []identity.Scope {
	var held []identity.Scope
	for _, s := range identity.Scopes() {
		if who.Holds(s) {
			held = append(held, s)
		}
	}
	return held
}
