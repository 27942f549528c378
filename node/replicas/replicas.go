// Package replicas takes what neighbours send: it checks every document, keeps it with the cursor that says how far, and
// sets aside what cannot be accepted. What is sent is read by package dataset.
package replicas

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
)

// Hook keeps the tables of a room true to the documents of a kind that come from another site. What it returns is
// written with the document.
type Hook interface {
	// Received is called with a document that becomes the current one. An error refuses it: it goes into quarantine.
	Received(ctx context.Context, doc document.Document) ([]store.Statement, error)
	// Gone is called when there is no such document any more.
	Gone(ctx context.Context, kind document.Kind, id string) ([]store.Statement, error)
}

// Pinning is implemented by the hook of policies too, where it wants to know that revisions arrived which policies of
// other sites pin. What it returns is written with them.
type Pinning interface {
	PinsArrived(policies []string) []store.Statement
}

// Holding is implemented by a hook that has something to keep of a revision that is held for a policy and may never have
// been current here.
type Holding interface {
	Held(doc document.Document) []store.Statement
}

// Yielding is implemented by a hook that has something to keep of a document to which one of this site's own gives way,
// equal or not. What it returns is written with it.
type Yielding interface {
	Yielded(to document.Document) []store.Statement
}

// Stating is implemented by the hook of policies too: it is told how far the settings of the sender stood when it sent
// policies or their states. What it returns is written with them.
type Stating interface {
	Stated(from string, settings dataset.Stand, policies []string) ([]store.Statement, error)
}

// Config is what the room needs.
type Config struct {
	Site   string // id
	Reader store.Reader
	Writer store.Writer
	Now    func() time.Time
	Log    *slog.Logger
}

// Room is safe for use by several goroutines.
type Room struct {
	cfg   Config
	hooks map[document.Kind]Hook
}

// New makes the room.
func New(cfg Config) *Room {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Room{cfg: cfg, hooks: map[document.Kind]Hook{}}
}

// Register sets the hook of a kind, before anything is received.
func (r *Room) Register(kind document.Kind, hook Hook) { r.hooks[kind] = hook }

// Neighbour is the site that sends, as its certificate says.
type Neighbour struct {
	ID        string
	Direction dataset.Direction // in which its documents go: Down comes from the parent
	// Below are sites whose documents come from below. Down: the descendants of this site; what the parent says of them is
	// refused. Up: the sender's descendants as far as they are known; those that it tells of by the way are added.
	Below []string
	// Joined is when this site joined the parent that is meant: nothing moves its cursor after that parent was left. Zero: whenever.
	Joined time.Time
}

// ErrRefused says that a neighbour sent a document that it must not send.
var ErrRefused = errors.New("refused")

// ErrCursor says that a page does not continue from where this site is: it was taken already, or languages changed.
// Ask again from the present cursor.
var ErrCursor = errors.New("the page continues another cursor")

// Progress is a complete run under way. The zero Progress says that there is none.
type Progress struct {
	From  dataset.Cursor `json:"from,omitzero"` // as the first page stated it
	After dataset.Key    `json:"after,omitzero"`
}

// Running says whether there is one.
func (p Progress) Running() bool { return !p.From.Zero() }

// Cursor is how far this site holds what a neighbour sends, and how far a complete run has come.
func (r *Room) Cursor(ctx context.Context, from Neighbour, t dataset.Type) (c dataset.Cursor, p Progress, err error) {
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		stored, err := readCursor(ctx, tx, from, t)
		c, p = stored.cursor, stored.progress
		return err
	})
	return c, p, err
}

// storedCursor is the row, as text and as what it means.
type storedCursor struct {
	state, running string
	cursor         dataset.Cursor
	progress       Progress
}

func readCursor(ctx context.Context, tx *sql.Tx, from Neighbour, t dataset.Type) (storedCursor, error) {
	var c storedCursor
	err := tx.QueryRowContext(ctx, `SELECT state, progress FROM cursor WHERE neighbour = ? AND direction = ? AND type = ?`,
		from.ID, string(from.Direction), string(t)).Scan(&c.state, &c.running)
	if errors.Is(err, sql.ErrNoRows) {
		return c, nil
	}
	if err == nil && c.state != "" {
		err = json.Unmarshal([]byte(c.state), &c.cursor)
	}
	if err == nil && c.running != "" {
		err = json.Unmarshal([]byte(c.running), &c.progress)
	}
	if err != nil {
		return c, fmt.Errorf("read the cursor of %s from site %s: %w", t, from.ID, err)
	}
	return c, nil
}

// Forget takes the cursors of a neighbour away, as when the site gets another parent: the next run is complete.
// Quarantine goes with them. The documents stay.
func (r *Room) Forget(ctx context.Context, neighbour string) error {
	return r.write(ctx, "forget the cursors of site "+neighbour, Forgotten(neighbour))
}

// Forgotten are the statements of Forget, for whoever ends a link in the same batch.
func Forgotten(neighbour string) []store.Statement {
	return []store.Statement{
		{SQL: `DELETE FROM cursor WHERE neighbour = ?`, Args: []any{neighbour}},
		{SQL: `DELETE FROM quarantine WHERE neighbour = ?`, Args: []any{neighbour}},
	}
}

// Lacking are the digests of a page's entries without bodies whose bodies are needed: not held here, and not in
// quarantine for what they are.
func (r *Room) Lacking(ctx context.Context, from Neighbour, entries []dataset.Entry) (digests []document.Digest, err error) {
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		digests = digests[:0]
		in, err := r.lookUp(ctx, tx, from, "", entries)
		if err != nil {
			return err
		}
		for i := range entries {
			e := &entries[i]
			if e.Removed || e.Body != nil || in.held[e.Digest] || slices.Contains(digests, e.Digest) {
				continue
			}
			if q, aside := in.aside[e.Key()]; !aside || q.Digest != e.Digest || q.Reason.passing() {
				digests = append(digests, e.Digest)
			}
		}
		return nil
	})
	return digests, err
}

// managed are the managed languages, sorted.
func managed(ctx context.Context, tx *sql.Tx) ([]string, error) {
	var tags []string
	err := each(ctx, tx, `SELECT tag FROM language ORDER BY tag`, nil, func(rows *sql.Rows) error {
		var tag string
		err := rows.Scan(&tag)
		tags = append(tags, tag)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the managed languages: %w", err)
	}
	return tags, nil
}

// each calls take with every row of a query.
func each(ctx context.Context, tx *sql.Tx, query string, args []any, take func(*sql.Rows) error) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := take(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// write writes one batch, all or nothing.
func (r *Room) write(ctx context.Context, reason string, statements []store.Statement, topics ...string) error {
	for i := range statements {
		statements[i].Group = 0
	}
	applied, err := r.cfg.Writer.Write(ctx, store.Batch{
		Actor: store.ActorOf(ctx), Reason: reason, At: r.cfg.Now().UTC(), Topics: append(topics, "replicas"), Statements: statements,
	})
	if err == nil {
		err = applied.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", reason, err)
	}
	return nil
}
