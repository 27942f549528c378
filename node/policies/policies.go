// Package policies holds what a site orders: software update policies, which pin the documents they mean, the
// maintenance windows beside them, and who is asked to install what now.
package policies

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/bulletins"
	"thatch/node/computers"
	"thatch/node/store"
	"thatch/schedule"
)

// Topic is watched for changes of what is ordered.
const Topic = "policies"

// Signer makes a document the site's own (see node/identity).
type Signer interface {
	Sign(doc *document.Document)
}

// Config is what the room needs.
type Config struct {
	Site      string // id
	Reader    store.Reader
	Writer    store.Writer
	Signer    Signer
	Bulletins *bulletins.Bulletins
	Computers *computers.Room
	Now       func() time.Time
}

// Room is safe for use by several goroutines.
type Room struct {
	cfg     Config
	loading sync.Mutex
	mu      sync.RWMutex
	orders  *orders
}

// New makes the room.
func New(cfg Config) *Room { return &Room{cfg: cfg} }

// Row is what a site decides about a policy beside its document.
type Row struct {
	ID        string    `json:"id"`
	Name      string    `json:"policy"`
	Enabled   bool      `json:"enabled"`
	Paused    bool      `json:"paused"`
	Version   int64     `json:"version"` // changes say which version they were made from
	Created   time.Time `json:"created"`
	By        string    `json:"created_by"`
	Changed   time.Time `json:"changed"`
	Bulletins []string  `json:"bulletins"` // document ids
}

// asked makes every error about what a person asked for one that wraps store.ErrInvalid.
func asked(err error) error {
	if err == nil || errors.Is(err, store.ErrInvalid) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrInvalid, err)
}

// planOf is a policy's plan in the words of package schedule.
func planOf(p policy.Plan) schedule.Plan {
	return schedule.Plan{When: schedule.When(p.When), At: p.At, Spread: p.SpreadMinutes}
}

func (r *Room) newID(kind string) string { return kind + ":" + r.cfg.Site + ":" + uuid.NewString() }

// signed makes a document of a body and signs it.
func (r *Room) signed(kind document.Kind, id string, languages []string, body any) (document.Document, error) {
	raw, err := catalog.Encode(body)
	if err != nil {
		return document.Document{}, err
	}
	doc, err := document.New(kind, id, languages, raw)
	if err != nil {
		return doc, asked(err)
	}
	r.cfg.Signer.Sign(&doc)
	return doc, nil
}

// write applies statements together; what was made from another version than the present one is a conflict.
func (r *Room) write(ctx context.Context, reason string, statements ...store.Statement) error {
	applied, err := r.cfg.Writer.Write(ctx, store.Batch{
		Actor: store.ActorOf(ctx), Reason: reason, At: r.cfg.Now().UTC(), Topics: []string{Topic, store.TopicDocuments},
		Statements: statements,
	})
	if err == nil {
		err = applied.Err()
	}
	switch {
	case errors.Is(err, store.ErrConflict):
		return fmt.Errorf("%s: somebody changed it meanwhile; look at it again: %w", reason, err)
	case errors.Is(err, store.ErrTooLarge):
		return fmt.Errorf("%s: make several policies of fewer bulletins: %w", reason, asked(err))
	case err != nil:
		return fmt.Errorf("%s: %w", reason, err)
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func unstamp(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t
}
