package operators

import (
	"context"
	"errors"
	"time"

	"thatch/node/operators/guard"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// enterLasts is how long a link lasts that opens a session.
const enterLasts = 10 * time.Minute

// EnterLink makes a link that opens a session of an operator, once, without a password; a second factor is still asked for.
// It takes the place of the operator's link before. It is for those who may read the data folder, and could choose another
// password too: for them it is the shorter way.
func (r *Room) EnterLink(ctx context.Context, which string) (Link, error) {
	o, err := r.named(ctx, which)
	if err != nil {
		return Link{}, err
	}
	if o.Disabled {
		return Link{}, store.Invalid("operator %s is kept out; let them in again first (thatch operators unlock)", o.Name)
	}
	code, hash, err := newSecret()
	if err != nil {
		return Link{}, err
	}
	link := Link{Code: code, Expires: r.cfg.Now().Add(enterLasts).UTC()}
	return link, r.write(ctx, "make a link that opens a session of operator "+o.Name, store.Statement{
		SQL: `INSERT INTO operator_link (hash, operator, expires, enters) VALUES (?, ?, ?, 1)
			ON CONFLICT (operator) DO UPDATE SET hash = excluded.hash, expires = excluded.expires, enters = 1`,
		Args: []any{hash, o.ID, rows.Stamp(link.Expires)}, Want: 1,
	})
}

// Enter uses up a link of EnterLink and opens the session. It is ErrLink for what is none, and TooMany for whoever guesses.
func (r *Room) Enter(ctx context.Context, code string, from Origin) (Entry, error) {
	address := guard.Address(from.From)
	if wait := r.addresses.Begin(address, freeByAddress, r.cfg.Now()); wait > 0 {
		return Entry{}, TooMany{wait}
	}
	operator, expires, err := r.link(ctx, code, true)
	if err != nil {
		return Entry{}, err
	}
	if !rows.Unstamp(expires).After(r.cfg.Now()) {
		return Entry{}, ErrLink
	}
	o, err := r.find(ctx, `o.id = ?`, operator)
	if err != nil {
		return Entry{}, err
	}
	if o == nil || o.Disabled {
		return Entry{}, ErrLink
	}
	r.addresses.Back(address)
	entry, err := r.enter(ctx, o, ByLink, from, store.Statement{
		SQL: `DELETE FROM operator_link WHERE hash = ? AND enters = 1`, Args: []any{hashOf(code)}, Want: 1,
	})
	if errors.Is(err, store.ErrConflict) { // used by another request
		return Entry{}, ErrLink
	}
	return entry, err
}
