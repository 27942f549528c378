package operators

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"thatch/node/identity"
	"thatch/node/settings"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// linkLasts is how long a link to choose a password is good.
const linkLasts = 24 * time.Hour

// mappedBy made the operators that the provider's claims gave a role.
const mappedBy = "single sign-on"

// Draft is an operator to be made.
type Draft struct {
	Name    string         `json:"name"`
	Display string         `json:"display,omitempty"`
	Scope   identity.Scope `json:"scope"`
	Part    identity.Part  `json:"part,omitzero"`
	Subject string         `json:"subject,omitempty"` // at the OpenID Connect provider
}

// Link lets an operator choose a password, once.
type Link struct {
	Code    string    `json:"code"`
	Expires time.Time `json:"expires"`
}

// Edit changes an operator; nil leaves a field as it is.
type Edit struct {
	Name    *string         `json:"name,omitempty"`
	Display *string         `json:"display,omitempty"`
	Scope   *identity.Scope `json:"scope,omitempty"`
	Part    *identity.Part  `json:"part,omitempty"`
	Subject *string         `json:"subject,omitempty"`
}

// Create makes an operator, and a link with which they choose a password.
func (r *Room) Create(ctx context.Context, d Draft) (Operator, Link, error) {
	made, err := r.draft(ctx, d, store.ActorOf(ctx))
	if err != nil {
		return Operator{}, Link{}, err
	}
	link, code, err := r.newLink(made.ID)
	if err != nil {
		return Operator{}, Link{}, err
	}
	if err := r.free(ctx, made.Name, ""); err != nil {
		return Operator{}, Link{}, err
	}
	err = r.write(ctx, "create operator "+made.Name+" as "+string(made.Scope)+" of "+made.Part.String(), r.insert(made), link)
	return made.Operator, code, err
}

// draft checks what a person asked for, and makes a record of it.
func (r *Room) draft(ctx context.Context, d Draft, by string) (*record, error) {
	made := &record{Operator: Operator{
		ID: uuid.NewString(), Name: strings.ToLower(strings.TrimSpace(d.Name)), Display: strings.TrimSpace(d.Display), Scope: d.Scope, Part: d.Part,
		Subject: d.Subject, Created: r.cfg.Now().UTC(), By: by, Version: 1,
	}}
	if err := made.check(); err != nil {
		return nil, err
	}
	var err error
	made.issuer, err = r.issuer(ctx, d.Subject)
	return made, err
}

// issuer is the provider that knows a subject: that of the settings of now. "" knows none.
func (r *Room) issuer(ctx context.Context, subject string) (string, error) {
	if subject == "" {
		return "", nil
	}
	values, err := r.cfg.Settings.All(ctx)
	if err != nil {
		return "", err
	}
	issuer := settings.OIDCIssuer.In(values)
	if issuer == "" {
		return "", store.Invalid("there is no OpenID Connect provider that knows the subject: set oidc.issuer first")
	}
	return issuer, nil
}

func (o *record) check() error {
	if err := checkName(o.Name); err != nil {
		return err
	}
	if len(o.Display) > maxDisplay || !utf8.ValidString(o.Display) || strings.ContainsFunc(o.Display, unicode.IsControl) {
		return store.Invalid("what people read for an operator's name has at most %d bytes on one line", maxDisplay)
	}
	if len(o.Subject) > 255 { // OpenID Connect Core, section 2
		return store.Invalid("a subject has at most 255 bytes")
	}
	if _, err := identity.ParseScope(string(o.Scope)); err != nil {
		return err
	}
	return o.Part.Check()
}

func checkName(name string) error {
	odd := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune("._-@+", c))
	}
	switch {
	case name == "" || len(name) > maxName || strings.ContainsFunc(name, odd):
		return store.Invalid("an operator's name has 1 to %d of the characters a-z, 0-9 and ._-@+; %.80q has others", maxName, name)
	case uuid.Validate(name) == nil:
		return store.Invalid("%q looks like an operator's id: choose another name", name)
	case name == identity.Local.Name:
		return store.Invalid("%q is whoever comes through the door in the data folder: choose another name", name)
	}
	return nil
}

// free says that a name is taken, before the database does in its own words.
func (r *Room) free(ctx context.Context, name, by string) error {
	other, err := r.find(ctx, `o.name = ? AND o.id <> ?`, name, by)
	if err == nil && other != nil {
		err = store.Conflicting("there is an operator %q already", name)
	}
	return err
}

func (r *Room) insert(o *record) store.Statement {
	return store.Statement{
		SQL: `INSERT INTO operator (id, name, display, scope, part, password, totp_step, recovery, issuer, subject, locked, disabled,
			preferences, signed_in, created, created_by, version) VALUES (?, ?, ?, ?, ?, ?, 0, '', ?, ?, '', 0, '', '', ?, ?, 1)`,
		Args: []any{
			o.ID, o.Name, o.Display, string(o.Scope), o.Part.Text(), o.password, o.issuer, o.Subject, rows.Stamp(o.Created), o.By,
		}, Want: 1,
	}
}

// newLink makes the link of an operator, "" whoever comes first, in place of the one before.
func (r *Room) newLink(operator string) (store.Statement, Link, error) {
	code, hash, err := newSecret()
	if err != nil {
		return store.Statement{}, Link{}, err
	}
	until := r.cfg.Now().Add(linkLasts).UTC()
	return store.Statement{
		SQL: `INSERT INTO operator_link (hash, operator, expires, enters) VALUES (?, ?, ?, 0)
			ON CONFLICT (operator) DO UPDATE SET hash = excluded.hash, expires = excluded.expires, enters = 0`,
		Args: []any{hash, operator, rows.Stamp(until)}, Want: 1,
	}, Link{Code: code, Expires: until}, nil
}

// FirstLink makes the link with which somebody becomes an administrator of the whole site. It is for those who may read the
// data folder: at the first start, and where nobody can sign in any more.
func (r *Room) FirstLink(ctx context.Context) (Link, error) {
	statement, link, err := r.newLink("")
	if err != nil {
		return link, err
	}
	return link, r.write(ctx, "make a link for an administrator", statement)
}

// Change edits an operator. Version is the one that was seen; 0 takes the present one. Whoever has another role or part than
// before signs in again.
func (r *Room) Change(ctx context.Context, which string, version int, e Edit) (Operator, error) {
	found, err := r.named(ctx, which)
	if err != nil {
		return Operator{}, err
	}
	next := *found
	set(&next.Name, e.Name)
	set(&next.Display, e.Display)
	set(&next.Scope, e.Scope)
	set(&next.Part, e.Part)
	set(&next.Subject, e.Subject)
	next.Name, next.Display = strings.ToLower(strings.TrimSpace(next.Name)), strings.TrimSpace(next.Display)
	if err := next.check(); err != nil {
		return Operator{}, err
	}
	if next.Subject != found.Subject {
		if next.issuer, err = r.issuer(ctx, next.Subject); err != nil {
			return Operator{}, err
		}
	}
	if err := r.free(ctx, next.Name, found.ID); err != nil {
		return Operator{}, err
	}
	statements := []store.Statement{r.guarded(found, version, !administers(&next), `name = ?, display = ?, scope = ?, part = ?, issuer = ?, subject = ?`,
		next.Name, next.Display, string(next.Scope), next.Part.Text(), next.issuer, next.Subject)}
	reason := "change operator " + found.Name
	if next.Scope != found.Scope || next.Part.Text() != found.Part.Text() {
		reason += ": " + string(next.Scope) + " of " + next.Part.String() + ", formerly " + string(found.Scope) + " of " + found.Part.String()
		statements = append(statements, endAll(found.ID))
	}
	if err := r.write(ctx, reason, statements...); err != nil {
		return Operator{}, r.lastOne(found, err, !administers(&next))
	}
	return r.Show(fresh(ctx), found.ID)
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// fresh is a context whose reads see what its caller wrote.
func fresh(ctx context.Context) context.Context {
	if c := store.CallerOf(ctx); c != nil {
		return store.AtLeast(ctx, c.Index())
	}
	return ctx
}

// administers says whether somebody can do everything.
func administers(o *record) bool {
	return o.Scope == identity.Administrator && o.Part.Whole() && !o.Disabled
}

// another is true of a row as long as somebody beside it can do everything.
const another = `EXISTS (SELECT 1 FROM operator a WHERE a.id <> operator.id AND a.scope = 'administrator' AND a.part = '' AND a.disabled = 0)`

// guarded changes an operator from a version. Less says that they can do less than everything then, which is a conflict for
// the last who can.
func (r *Room) guarded(o *record, version int, less bool, columns string, args ...any) store.Statement {
	if version == 0 {
		version = o.Version
	}
	s := store.Statement{
		SQL:  `UPDATE operator SET ` + columns + `, version = version + 1 WHERE id = ? AND version = ?`,
		Args: append(args, o.ID, version), Want: 1,
	}
	if less && administers(o) {
		s.SQL += ` AND ` + another
	}
	return s
}

// last says whether nobody but an operator can do everything.
func (r *Room) last(ctx context.Context, o *record) (bool, error) {
	if !administers(o) {
		return false, nil
	}
	other, err := r.find(ctx, `o.id <> ? AND o.scope = 'administrator' AND o.part = '' AND o.disabled = 0`, o.ID)
	return other == nil, err
}

// lastOne says in its own words that somebody is the last who can do everything, where that may be why a change was undone.
func (r *Room) lastOne(o *record, err error, less bool) error {
	if !errors.Is(err, store.ErrConflict) || !less || !administers(o) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if last, failed := r.last(ctx, o); failed == nil && last {
		return store.Conflicting("%s is the only administrator of the whole site: make another one first", o.Name)
	}
	return err
}

// Delete removes an operator with sessions, views and own API tokens.
func (r *Room) Delete(ctx context.Context, which string) error {
	found, err := r.named(ctx, which)
	if err != nil {
		return err
	}
	s := store.Statement{SQL: `DELETE FROM operator WHERE id = ?`, Args: []any{found.ID}, Want: 1}
	if administers(found) {
		s.SQL += ` AND ` + another
	}
	err = r.write(ctx, "delete operator "+found.Name, s, endAll(found.ID), identity.RevokeOwn(found.ID),
		endLinks(found.ID),
		store.Statement{SQL: `DELETE FROM operator_view WHERE operator = ?`, Args: []any{found.ID}})
	return r.lastOne(found, err, true)
}

// Lock keeps an operator out: sessions end, and nobody signs in so until Unlock.
func (r *Room) Lock(ctx context.Context, which string) (Operator, error) {
	found, err := r.named(ctx, which)
	if err != nil {
		return Operator{}, err
	}
	err = r.write(ctx, "lock operator "+found.Name, r.guarded(found, 0, true, `disabled = 1`), endAll(found.ID), endLinks(found.ID))
	if err != nil {
		return Operator{}, r.lastOne(found, err, true)
	}
	return r.Show(fresh(ctx), found.ID)
}

// Unlock lets an operator in again, whether an administrator or wrong answers kept them out.
func (r *Room) Unlock(ctx context.Context, which string) (Operator, error) {
	found, err := r.named(ctx, which)
	if err != nil {
		return Operator{}, err
	}
	if err := r.write(ctx, "unlock operator "+found.Name, r.guarded(found, 0, false, `disabled = 0, locked = ''`)); err != nil {
		return Operator{}, err
	}
	r.names.Clear(found.Name)
	r.codes.Clear(found.Name)
	return r.Show(fresh(ctx), found.ID)
}

// Reset makes a link with which an operator chooses another password. Until it is used the present one is good. Second
// says that the second factor is taken away at once, for who has lost it.
func (r *Room) Reset(ctx context.Context, which string, second bool) (Link, error) {
	found, err := r.named(ctx, which)
	if err != nil {
		return Link{}, err
	}
	statement, link, err := r.newLink(found.ID)
	if err != nil {
		return link, err
	}
	reason, statements := "make a link to choose a password for operator "+found.Name, []store.Statement{statement}
	if second {
		reason += ", and take the second factor away"
		statements = append(statements, r.guarded(found, 0, false, `totp = NULL, totp_next = NULL, recovery = ''`), endAll(found.ID))
	}
	return link, r.write(ctx, reason, statements...)
}
