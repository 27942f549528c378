package operators

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"thatch/node/identity"
	"thatch/node/operators/guard"
	"thatch/node/operators/password"
	"thatch/node/operators/totp"
	"thatch/node/settings"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// freeByAddress is how many wrong answers from one address are free: many people may sit behind it.
const freeByAddress = 20

// ErrRefused is the one answer to an unknown name, a wrong password and an operator who is kept out: they are not to be
// told apart.
var ErrRefused = fmt.Errorf("the name or the password is not right, or there were too many attempts: wait a while before the next: %w", identity.ErrUnauthorised)

// ErrCode is the answer to a second factor that is not right.
var ErrCode = fmt.Errorf("the code is not right, or was used before: wait for the next one: %w", identity.ErrUnauthorised)

// ErrLink is the answer to a link that is not known, was used, or has ended.
var ErrLink = fmt.Errorf("the link is not known, was used, or has ended: ask for another one: %w", identity.ErrUnauthorised)

// TooMany says that too many wrong answers came from an address.
type TooMany struct{ Wait time.Duration }

func (e TooMany) Error() string {
	return fmt.Sprintf("too many attempts from this address: try again in %d seconds", int(math.Ceil(e.Wait.Seconds())))
}

func (TooMany) Unwrap() error { return identity.ErrUnauthorised }

// Origin is where somebody signs in from.
type Origin struct {
	From  string // address, with or without a port
	Agent string // the browser's name for itself
}

// Entry is what a step of signing in leads to.
type Entry struct {
	Cookie  string
	Pending bool // the cookie is good for SecondFactor alone, within ten minutes
}

// SignIn opens a session for who knows a name and its password.
func (r *Room) SignIn(ctx context.Context, name, plain string, from Origin) (Entry, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	if checkName(name) != nil || len(plain) > password.MaxBytes {
		return Entry{}, ErrRefused // what strangers write stands in no log
	}
	found, err := r.find(ctx, `o.name = ?`, name)
	if err != nil {
		return Entry{}, err
	}
	attempt, err := r.attempt(ctx, &r.names, name, from)
	if err != nil {
		return Entry{}, err
	}
	hash := ""
	if found != nil {
		hash = found.password
	}
	right, old, err := r.hasher.Verify(ctx, plain, hash)
	if err != nil {
		return Entry{}, err
	}
	if !right {
		return Entry{}, errors.Join(ErrRefused, attempt.wrong(ctx, "wrong password"))
	}
	if found.Disabled || found.Locked.After(r.cfg.Now()) {
		return Entry{}, ErrRefused
	}
	attempt.right()
	if old {
		if hash, err = r.hasher.Hash(ctx, plain); err != nil {
			return Entry{}, err
		}
	}
	// A password that was changed while this one was judged lets nobody in any more.
	entry, err := r.enter(ctx, found, ByPassword, from, store.Statement{
		SQL: `UPDATE operator SET password = ? WHERE id = ? AND password = ?`, Args: []any{hash, found.ID, found.password}, Want: 1,
	})
	if errors.Is(err, store.ErrConflict) {
		return Entry{}, ErrRefused
	}
	return entry, err
}

// attempt is an answer that is being judged.
type attempt struct {
	room    *Room
	guard   *guard.Guard
	name    string
	address string
}

// attempt counts an answer for a name from an address, and refuses those that must wait.
func (r *Room) attempt(ctx context.Context, g *guard.Guard, name string, from Origin) (attempt, error) {
	values, err := r.cfg.Settings.All(ctx)
	if err != nil {
		return attempt{}, err
	}
	a := attempt{r, g, name, guard.Address(from.From)}
	now := r.cfg.Now()
	if wait := r.addresses.Begin(a.address, freeByAddress, now); wait > 0 {
		return a, TooMany{wait}
	}
	if wait := g.Begin(name, settings.SignInAttempts.In(values), now); wait > 0 {
		return a, ErrRefused
	}
	return a, nil
}

// wrong keeps in the database that an operator is locked, so that other nodes and the next start know it. For a name that
// nobody has the same is done, to no row: nothing tells the two apart.
func (a attempt) wrong(ctx context.Context, what string) error {
	until := a.guard.Until(a.name, a.room.cfg.Now())
	if until.IsZero() {
		return nil
	}
	return a.room.writeAs(ctx, "system", "lock the sign-in of "+a.name+" until "+rows.Stamp(until)+": "+what+", the last from "+a.address,
		store.Statement{SQL: `UPDATE operator SET locked = ? WHERE name = ?`, Args: []any{rows.Stamp(until), a.name}})
}

// right has the answers before count no more.
func (a attempt) right() {
	a.guard.Clear(a.name)
	a.room.addresses.Back(a.address)
}

// enter opens a session, which lacks the second factor where the operator has one.
func (r *Room) enter(ctx context.Context, o *record, method string, from Origin, more ...store.Statement) (Entry, error) {
	now := r.cfg.Now()
	h := held{created: now, seen: now, from: guard.Address(from.From), agent: from.Agent, method: method, pending: o.totp != nil, operator: o}
	cookie, statement, err := r.opening(h)
	if err != nil {
		return Entry{}, err
	}
	entry := Entry{Cookie: cookie, Pending: h.pending}
	actor, reason := "operator "+o.Name, "sign in by "+method+" from "+h.from
	if h.pending {
		actor = "task sessions" // it is audited when it is whole
	} else {
		more = append(more, r.signedIn(o))
	}
	return entry, r.writeAs(ctx, actor, reason, append(more, statement)...)
}

func (r *Room) signedIn(o *record) store.Statement {
	return store.Statement{
		SQL:  `UPDATE operator SET locked = '', signed_in = ? WHERE id = ? AND disabled = 0`,
		Args: []any{rows.Stamp(r.cfg.Now()), o.ID}, Want: 1,
	}
}

// SecondFactor completes a pending session with a code of the authenticator, or a recovery code, which is used up. The
// session gets another cookie.
func (r *Room) SecondFactor(ctx context.Context, cookie, code string, from Origin) (Entry, error) {
	h, err := r.held(ctx, cookie)
	if err != nil {
		return Entry{}, err
	}
	if !h.pending {
		return Entry{}, ErrNoSession
	}
	o := h.operator
	attempt, err := r.attempt(ctx, &r.codes, o.Name, from)
	if err != nil {
		return Entry{}, err
	}
	if o.Locked.After(r.cfg.Now()) {
		return Entry{}, ErrRefused
	}
	used, err := r.useCode(o, code)
	if err != nil {
		return Entry{}, err
	}
	if used == nil {
		return Entry{}, errors.Join(ErrCode, attempt.wrong(ctx, "wrong second factor"))
	}
	now := r.cfg.Now()
	next := held{created: now, seen: now, from: guard.Address(from.From), agent: from.Agent, method: h.method, shown: true, operator: o}
	fresh, statement, err := r.opening(next)
	if err != nil {
		return Entry{}, err
	}
	err = r.writeAs(ctx, "operator "+o.Name, "sign in by "+h.method+" and second factor from "+next.from, *used, end(cookie), statement, r.signedIn(o))
	if errors.Is(err, store.ErrConflict) { // the same code was taken in the same moment
		return Entry{}, ErrCode
	}
	attempt.right()
	return Entry{Cookie: fresh}, err
}

// useCode is the statement that uses a code up, nil if it is none.
func (r *Room) useCode(o *record, code string) (*store.Statement, error) {
	secret, err := r.cfg.Sealer.Unseal(totpPurpose(o.ID), o.totp)
	if err != nil {
		return nil, fmt.Errorf("second factor of operator %s: %w: reset it", o.Name, err)
	}
	if step, ok := totp.Match(secret, code, r.cfg.Now(), o.step); ok {
		return &store.Statement{
			SQL: `UPDATE operator SET totp_step = ? WHERE id = ? AND totp_step < ?`, Args: []any{step, o.ID, step}, Want: 1,
		}, nil
	}
	hash := recoveryHash(code)
	left := make([]string, 0, len(o.recovery))
	for _, known := range o.recovery {
		if known != hash {
			left = append(left, known)
		}
	}
	if len(left) == len(o.recovery) {
		return nil, nil
	}
	text, err := json.Marshal(left)
	if err != nil {
		return nil, fmt.Errorf("recovery codes: %w", err)
	}
	return &store.Statement{
		SQL: `UPDATE operator SET recovery = ? WHERE id = ? AND recovery = ?`, Args: []any{string(text), o.ID, o.kept}, Want: 1,
	}, nil
}

// Invited is who a link is for.
type Invited struct {
	Name  string // of the operator; "" whoever chooses one, and becomes an administrator
	Until time.Time
}

// Invitation tells who a link is for. It is ErrLink where it is good for nothing.
func (r *Room) Invitation(ctx context.Context, code string) (Invited, error) {
	o, until, err := r.invited(ctx, code)
	if err != nil {
		return Invited{}, err
	}
	if o == nil {
		return Invited{Until: until}, nil
	}
	return Invited{Name: o.Name, Until: until}, nil
}

// Chosen is what somebody chose who came by a link.
type Chosen struct {
	Code     string
	Name     string // of the first administrator; of others their name stays
	Password string
}

// Accept uses a link up: the operator has the password from then on, other sessions end, and one is opened. A link that is
// for nobody yet makes an administrator of the whole site.
func (r *Room) Accept(ctx context.Context, c Chosen, from Origin) (Entry, error) {
	address := guard.Address(from.From)
	if wait := r.addresses.Begin(address, freeByAddress, r.cfg.Now()); wait > 0 {
		return Entry{}, TooMany{wait}
	}
	o, _, err := r.invited(ctx, c.Code)
	if err != nil {
		return Entry{}, err
	}
	r.addresses.Back(address)
	statements := []store.Statement{{
		SQL: `DELETE FROM operator_link WHERE hash = ? AND expires > ? AND enters = 0`, Args: []any{hashOf(c.Code), rows.Stamp(r.cfg.Now())}, Want: 1,
	}}
	if o == nil {
		if o, err = r.draft(ctx, Draft{Name: c.Name, Scope: identity.Administrator}, "operator "+identity.Local.Name); err != nil {
			return Entry{}, err
		}
		if err := r.free(ctx, o.Name, ""); err != nil {
			return Entry{}, err
		}
		statements = append(statements, r.insert(o))
	}
	if problem := password.Check(c.Password, o.Name); problem != "" {
		return Entry{}, store.Invalid("%s", problem)
	}
	hash, err := r.hasher.Hash(ctx, c.Password)
	if err != nil {
		return Entry{}, err
	}
	statements = append(statements, endAll(o.ID),
		store.Statement{SQL: `UPDATE operator SET password = ?, locked = '' WHERE id = ?`, Args: []any{hash, o.ID}, Want: 1})
	r.names.Clear(o.Name)
	entry, err := r.enter(ctx, o, ByLink, from, statements...)
	if errors.Is(err, store.ErrConflict) {
		return Entry{}, ErrLink
	}
	return entry, err
}

// invited finds whom a link is for, nil for whoever comes first.
func (r *Room) invited(ctx context.Context, code string) (*record, time.Time, error) {
	operator, expires, err := r.link(ctx, code, false)
	if err != nil {
		return nil, time.Time{}, err
	}
	until := rows.Unstamp(expires)
	if !until.After(r.cfg.Now()) {
		return nil, until, ErrLink
	}
	if operator == "" {
		return nil, until, nil
	}
	o, err := r.find(ctx, `o.id = ?`, operator)
	if err == nil && (o == nil || o.Disabled) {
		err = ErrLink
	}
	return o, until, err
}

func (r *Room) link(ctx context.Context, code string, enters bool) (operator, expires string, err error) {
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT operator, expires FROM operator_link WHERE hash = ? AND enters = ?`, hashOf(code), enters).Scan(&operator, &expires)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", ErrLink
	}
	if err != nil {
		return "", "", fmt.Errorf("look up a link: %w", err)
	}
	return operator, expires, nil
}

// Claims are what the provider of OpenID Connect says of who signs in.
type Claims struct {
	Issuer, Subject string
	Name            string         // that they are called by
	Display         string         // for people
	Scope           identity.Scope // that the site's settings give for the claims, "" none
}

// SignInBy opens a session for whom the provider vouches for. Somebody unknown whose claims give a role becomes an operator;
// of those the role stays what their claims give, and without one they are refused.
func (r *Room) SignInBy(ctx context.Context, c Claims, from Origin) (Entry, error) {
	issuer, err := r.issuer(ctx, c.Subject)
	if err != nil {
		return Entry{}, err
	}
	if issuer != c.Issuer {
		return Entry{}, identity.Unauthorised("the site has another provider now: begin again")
	}
	o, err := r.find(ctx, `o.issuer = ? AND o.subject = ?`, issuer, c.Subject)
	if err != nil {
		return Entry{}, err
	}
	var statements []store.Statement
	mapped := o == nil || o.By == mappedBy
	switch {
	case o != nil && o.Disabled:
		return Entry{}, ErrRefused
	case mapped && c.Scope == "":
		return Entry{}, identity.Unauthorised("the provider knows you, but gives you no role at this site: ask its administrator")
	case o == nil:
		made, err := r.draft(ctx, Draft{Name: c.Name, Display: c.Display, Scope: c.Scope, Subject: c.Subject}, mappedBy)
		if err != nil {
			return Entry{}, err
		}
		if err := r.free(ctx, made.Name, ""); err != nil {
			return Entry{}, identity.Unauthorised("%v, who signs in otherwise: ask the site's administrator to name the provider's subject %q for them", err, c.Subject)
		}
		o, statements = made, append(statements, r.insert(made))
	case mapped && o.Scope != c.Scope:
		less := c.Scope != identity.Administrator || !o.Part.Whole()
		last, err := r.last(ctx, o)
		if err != nil {
			return Entry{}, err
		}
		if last && less {
			break // nobody else can do everything: the role stays
		}
		statements = append(statements, endAll(o.ID), r.guarded(o, 0, less, `scope = ?`, string(c.Scope)))
	}
	return r.enter(ctx, o, ByProvider, from, statements...)
}
