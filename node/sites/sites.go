// Package sites keeps the tree that a site stands in: its parent, its children, what is replicated to them, what they
// tell of themselves, and what of all that calls for a person.
package sites

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/sites/alarms"
	"thatch/node/sites/history"
	"thatch/node/sites/invites"
	"thatch/node/sites/rules"
	"thatch/node/store"
)

// Topic is that of every batch that changes what this room knows: whoever holds a stream of a child open asks again
// then whether it is still one.
const Topic = "sites"

// TopicLink is that of batches that keep what the parent says of the link.
const TopicLink = "link"

// Signer makes documents the site's own.
type Signer interface {
	Sign(doc *document.Document)
}

// Config is what the room needs.
type Config struct {
	Site      string // id
	Version   string // of the program
	Authority []byte // of the site, DER
	Reader    store.Reader
	Writer    store.Writer
	Signer    Signer
	Now       func() time.Time
	Log       *slog.Logger
	// Also finds alarms of other rooms, of the kinds Quarantine, Untrusted and Backup, whenever alarms are judged; may be nil.
	Also func(ctx context.Context) ([]Alarm, error)
	// Forget makes the statements that end what is kept of a neighbour elsewhere, such as how far it is; ForgetKey those that
	// end what is remembered of the signing key of a site whose document goes. Both may be nil.
	Forget, ForgetKey func(site string) []store.Statement
	// Left makes the statements that are written elsewhere when the site has no parent any more; may be nil.
	Left func() []store.Statement
}

const (
	maxName    = federation.MaxName
	admitTries = 5
	busyFor    = 3 * time.Second
	joinTime   = 10 * time.Minute // an attempt to join that is older was broken off
)

// Room is safe for use by several goroutines.
type Room struct {
	*ruleRoom
	*alarmRoom
	*historyRoom
	*inviteRoom
	cfg  Config
	seen contacts
}

// The rooms whose verbs are this one's too.
type (
	ruleRoom    = rules.Room
	alarmRoom   = alarms.Room
	historyRoom = history.Room
	inviteRoom  = invites.Room
)

// New makes the room.
func New(cfg Config) *Room {
	return &Room{
		ruleRoom:    rules.New(cfg.Reader, cfg.Writer, Topic, store.TopicDocuments),
		alarmRoom:   alarms.New(cfg.Reader, cfg.Writer, cfg.Now, cfg.Log),
		historyRoom: history.New(cfg.Reader, cfg.Writer, cfg.Now, TopicLink),
		inviteRoom:  invites.New(cfg.Authority, cfg.Reader, cfg.Writer, cfg.Now, Topic),
		cfg:         cfg, seen: contacts{at: map[string]time.Time{}},
	}
}

// write writes one group of statements.
func (r *Room) write(ctx context.Context, reason string, statements ...store.Statement) error {
	applied, err := r.cfg.Writer.Write(ctx, store.Batch{
		Reason: reason, Topics: []string{Topic, store.TopicDocuments}, Statements: statements,
	})
	if err = errors.Join(err, applied.Err()); err != nil {
		return fmt.Errorf("%s: %w", reason, err)
	}
	return nil
}
