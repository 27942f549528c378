package operators

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"thatch/node/identity"
	"thatch/node/settings"
	"thatch/node/store"
	"thatch/node/store/rows"
	"thatch/node/store/sweep"
)

const (
	// seenEvery is the coarse step in which a session says that it was seen.
	seenEvery = 5 * time.Minute
	// touchTakes is how long a request waits for that: what cannot be written now is written later.
	touchTakes = time.Second
	// pendingLasts is how long somebody may take to show the second factor.
	pendingLasts = 10 * time.Minute
	maxOrigin    = 100
	maxAgent     = 300
)

// Ways by which sessions were opened.
const (
	ByPassword = "password"
	ByLink     = "link"
	ByProvider = "oidc"
)

// Session is an operator at a browser.
type Session struct {
	ID           string
	Operator     identity.Operator
	CSRF         string // what forms of this session bear
	Created      time.Time
	Method       string // ByPassword, ByLink, ByProvider
	SecondFactor bool   // was shown
	Lacks        bool   // the site asks for a second factor, and the operator has none: it is set up before anything else
	Preferences  Preferences
}

// Opened is a session for lists.
type Opened struct {
	ID       string    `json:"id"`
	Created  time.Time `json:"created"`
	Seen     time.Time `json:"seen"` // within some minutes
	From     string    `json:"from"` // address
	Agent    string    `json:"agent"`
	Method   string    `json:"method"`        // password, link, oidc
	Second   bool      `json:"second_factor"` // was shown
	Operator string    `json:"operator"`      // name
}

// limits are how long sessions last, and whether they take a second factor.
type limits struct {
	idle, lasts time.Duration
	second      bool
}

func (r *Room) limits(ctx context.Context) (limits, error) {
	values, err := r.cfg.Settings.All(ctx)
	return limits{
		time.Duration(settings.SessionIdle.In(values)) * time.Second, time.Duration(settings.SessionLasts.In(values)) * time.Second,
		settings.SecondFactor.In(values),
	}, err
}

// over says whether a session has ended.
func (l limits) over(created, seen, now time.Time) bool {
	return now.Sub(created) >= l.lasts || now.Sub(seen) >= l.idle+seenEvery
}

// held is a session as the table has it.
type held struct {
	id             string
	created, seen  time.Time
	from, agent    string
	method         string
	pending, shown bool
	required       bool // the site asks for a second factor
	operator       *record
}

const heldColumns = `s.id, s.created, s.seen, s.origin, s.agent, s.method, s.pending, s.second`

func scanHeld(scan func(into ...any) error) (*held, error) {
	var h held
	var created, seen string
	operator, err := scanRecord(scan, &h.id, &created, &seen, &h.from, &h.agent, &h.method, &h.pending, &h.shown)
	if err != nil {
		return nil, err
	}
	h.operator, h.created, h.seen = operator, rows.Unstamp(created), rows.Unstamp(seen)
	return &h, nil
}

// ErrNoSession says that a cookie is no session's, or of one that has ended.
var ErrNoSession = fmt.Errorf("there is no session, or it has ended: sign in: %w", identity.ErrUnauthorised)

// Session finds the session of a cookie. It is ErrNoSession when there is none, when it has ended, and while the second
// factor lacks.
func (r *Room) Session(ctx context.Context, cookie string) (Session, error) {
	s, h, err := r.look(ctx, cookie)
	if err == nil {
		r.touch(ctx, cookie, h)
	}
	return s, err
}

// Look finds a session as Session does, and does not keep it from ending: a page that asks again by itself is nobody's doing.
func (r *Room) Look(ctx context.Context, cookie string) (Session, error) {
	s, _, err := r.look(ctx, cookie)
	return s, err
}

func (r *Room) look(ctx context.Context, cookie string) (Session, *held, error) {
	h, err := r.held(ctx, cookie)
	if err != nil {
		return Session{}, nil, err
	}
	if h.pending {
		return Session{}, nil, ErrNoSession
	}
	who := h.operator.Acts()
	who.Session = h.id
	return Session{
		ID: h.id, Operator: who, CSRF: FormToken(cookie), Created: h.created, Method: h.method, SecondFactor: h.shown,
		Lacks: h.required && h.operator.totp == nil && h.method != ByProvider, Preferences: preferencesOf(h.operator.preferences),
	}, h, nil
}

// FormToken is what forms of a session bear, derived from its cookie, so that only who has that knows it.
func FormToken(cookie string) string {
	mac := hmac.New(sha256.New, []byte(cookie))
	mac.Write([]byte("thatch: forms of a session"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (r *Room) held(ctx context.Context, cookie string) (*held, error) {
	if len(cookie) != base64.RawURLEncoding.EncodedLen(secretBytes) {
		return nil, ErrNoSession
	}
	l, err := r.limits(ctx)
	if err != nil {
		return nil, err
	}
	var h *held
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) (err error) {
		h, err = scanHeld(tx.QueryRowContext(ctx, `SELECT `+recordColumns+`, `+heldColumns+`
			FROM session s JOIN operator o ON o.id = s.operator WHERE s.hash = ?`, hashOf(cookie)).Scan)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoSession
	}
	if err != nil {
		return nil, fmt.Errorf("read a session: %w", err)
	}
	if h.pending {
		l.idle, l.lasts = pendingLasts, pendingLasts
	}
	if h.operator.Disabled || l.over(h.created, h.seen, r.cfg.Now()) {
		return nil, ErrNoSession
	}
	h.required = l.second
	return h, nil
}

// touch says that a session was seen, once in a while. A site that can write nothing now serves all the same.
func (r *Room) touch(ctx context.Context, cookie string, h *held) {
	now := r.cfg.Now()
	if now.Sub(h.seen) < seenEvery || !r.due(h.id, now) {
		return
	}
	writing, cancel := context.WithTimeout(ctx, touchTakes)
	defer cancel()
	_, err := r.cfg.Writer.Write(writing, store.Batch{
		Actor: "task sessions", Reason: "a session was seen", At: now,
		Statements: []store.Statement{{SQL: `UPDATE session SET seen = ? WHERE hash = ?`, Args: []any{rows.Stamp(now), hashOf(cookie)}}},
	})
	if err != nil && ctx.Err() == nil {
		r.cfg.Log.Warn("it could not be kept that a session was seen", "error", err)
	}
}

// due keeps requests side by side from writing the same.
func (r *Room) due(session string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.touched[session]) < seenEvery {
		return false
	}
	for id, at := range r.touched {
		if now.Sub(at) >= seenEvery {
			delete(r.touched, id)
		}
	}
	r.touched[session] = now
	return true
}

// opening are the cookie of a new session and the statement that opens it.
func (r *Room) opening(h held) (string, store.Statement, error) {
	cookie, hash, err := newSecret()
	if err != nil {
		return "", store.Statement{}, err
	}
	return cookie, store.Statement{
		SQL: `INSERT INTO session (hash, id, operator, created, seen, origin, agent, method, pending, second) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		Args: []any{
			hash, uuid.NewString(), h.operator.ID, rows.Stamp(h.created), rows.Stamp(h.seen), clip(h.from, maxOrigin), clip(h.agent, maxAgent),
			h.method, h.pending, h.shown,
		}, Want: 1,
	}, nil
}

// Renew gives a session another cookie, and ends the former one: after every change of what it may do.
func (r *Room) Renew(ctx context.Context, cookie string) (string, error) {
	h, err := r.held(ctx, cookie)
	if err != nil {
		return "", err
	}
	next, statement, err := r.opening(*h)
	if err != nil {
		return "", err
	}
	return next, r.writeAs(ctx, "task sessions", "renew a session", end(cookie), statement)
}

func end(cookie string) store.Statement {
	return store.Statement{SQL: `DELETE FROM session WHERE hash = ?`, Args: []any{hashOf(cookie)}, Want: 1}
}

// endLinks has the links of an operator be good for nothing any more.
func endLinks(operator string) store.Statement {
	return store.Statement{SQL: `DELETE FROM operator_link WHERE operator = ?`, Args: []any{operator}}
}

func endAll(operator string) store.Statement {
	return store.Statement{SQL: `DELETE FROM session WHERE operator = ?`, Args: []any{operator}}
}

// SignOut ends the session of a cookie. That there is none is no error.
func (r *Room) SignOut(ctx context.Context, cookie string) error {
	h, err := r.held(ctx, cookie)
	if errors.Is(err, ErrNoSession) {
		return nil
	}
	if err != nil {
		return err
	}
	err = r.writeAs(ctx, "operator "+h.operator.Name, "sign out", end(cookie))
	if errors.Is(err, store.ErrConflict) { // ended meanwhile
		return nil
	}
	return err
}

// Sessions are the open sessions of an operator, newest first.
func (r *Room) Sessions(ctx context.Context, which string) ([]Opened, error) {
	found, err := r.named(ctx, which)
	if err != nil {
		return nil, err
	}
	l, err := r.limits(ctx)
	if err != nil {
		return nil, err
	}
	now, list := r.cfg.Now(), []Opened{}
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		list = list[:0]
		rows, err := tx.QueryContext(ctx, `SELECT `+recordColumns+`, `+heldColumns+` FROM session s JOIN operator o ON o.id = s.operator
			WHERE s.operator = ? AND s.pending = 0 ORDER BY s.created DESC, s.id`, found.ID)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			h, err := scanHeld(rows.Scan)
			if err != nil {
				return err
			}
			if !l.over(h.created, h.seen, now) {
				list = append(list, Opened{h.id, h.created, h.seen, h.from, h.agent, h.method, h.shown, found.Name})
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read the sessions of operator %s: %w", found.Name, err)
	}
	return list, nil
}

// EndSession ends one session of an operator, by its id.
func (r *Room) EndSession(ctx context.Context, which, session string) error {
	found, err := r.named(ctx, which)
	if err != nil {
		return err
	}
	err = r.write(ctx, "end a session of operator "+found.Name, store.Statement{
		SQL: `DELETE FROM session WHERE operator = ? AND id = ?`, Args: []any{found.ID, session}, Want: 1,
	})
	if errors.Is(err, store.ErrConflict) {
		return store.NotFound("session", session)
	}
	return err
}

// EndSessions ends all sessions of an operator but one, "" all.
func (r *Room) EndSessions(ctx context.Context, which, but string) error {
	found, err := r.named(ctx, which)
	if err != nil {
		return err
	}
	return r.write(ctx, "end the sessions of operator "+found.Name, store.Statement{
		SQL: `DELETE FROM session WHERE operator = ? AND id <> ?`, Args: []any{found.ID, but},
	})
}

// Prune forgets sessions and links that have ended.
func (r *Room) Prune(ctx context.Context, sweeper *sweep.Sweeper) error {
	l, err := r.limits(ctx)
	if err != nil {
		return err
	}
	now := r.cfg.Now()
	err = sweeper.Sweep(ctx, sweep.Rows{
		Table: "session", Key: []string{"hash"}, Old: `created < ? OR seen < ? OR pending = 1 AND created < ?`,
		Args: []any{rows.Stamp(now.Add(-l.lasts)), rows.Stamp(now.Add(-l.idle - seenEvery)), rows.Stamp(now.Add(-pendingLasts))},
	}, Topic)
	if err != nil {
		return err
	}
	return sweeper.Sweep(ctx, sweep.Rows{Table: "operator_link", Key: []string{"hash"}, Old: `expires < ?`, Args: []any{rows.Stamp(now)}}, Topic)
}

func clip(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "")
}
