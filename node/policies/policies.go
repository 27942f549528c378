// Package policies holds what a site orders: software update policies, which pin the documents they mean, the
// maintenance windows beside them, and who is asked to install what now.
package policies

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/bulletins"
	"thatch/node/computers"
	"thatch/node/policies/authoring"
	"thatch/node/store"
	"thatch/schedule"
)

// Config is what the room needs.
type Config struct {
	authoring.Author
	Reader    store.Reader
	Bulletins *bulletins.Bulletins
	Computers *computers.Room
	// Selected is the audience of a document that is about to be made (see rules.Selected). Nil: nobody in particular.
	Selected func(ctx context.Context, tx *sql.Tx, kind document.Kind, id string) (string, error)
	// Approval says whether what those below the scope approver make stays off until an approver enables it. Nil: no.
	Approval func(ctx context.Context) (bool, error)
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

// Row is what sites decide about a policy beside its document. Enabled and Paused are what is in force here.
type Row struct {
	ID        string    `json:"id"`
	Name      string    `json:"policy"`
	Enabled   bool      `json:"enabled"`
	Paused    bool      `json:"paused"`
	Origin    string    `json:"origin"`          // id of the site that made it
	Site      string    `json:"site,omitempty"`  // its name
	Above     *Switch   `json:"above,omitempty"` // as that site says; absent: this site made it
	Here      Switch    `json:"here"`            // as this site says; for a policy from above it counts where Local allows
	Local     bool      `json:"local"`           // sites below may pause it and switch it off for themselves
	Version   int64     `json:"version"`         // changes say which version they were made from
	Created   time.Time `json:"created"`
	By        string    `json:"created_by"`
	Changed   time.Time `json:"changed"`
	Bulletins []string  `json:"bulletins"` // document ids
	// Unapproved is who made or changed what no approver has switched on since.
	Unapproved string `json:"unapproved,omitempty"`
}

// Switch is what a site says of a policy.
type Switch struct {
	Enabled bool `json:"enabled"`
	Paused  bool `json:"paused"`
}

// settle finds what is in force: what this site says of its own policies; of one from above what the site that made it
// says, and this site's word beside it where that one allows.
func (row *Row) settle(own bool) {
	if own {
		row.Above = nil
		row.Enabled, row.Paused = row.Here.Enabled, row.Here.Paused
		return
	}
	row.Enabled, row.Paused = row.Above.Enabled, row.Above.Paused
	if row.Local {
		row.Enabled, row.Paused = row.Enabled && row.Here.Enabled, row.Paused || row.Here.Paused
	}
}

// planOf is a policy's plan in the words of package schedule.
func planOf(p policy.Plan) schedule.Plan {
	return schedule.Plan{When: schedule.When(p.When), At: p.At, Spread: p.SpreadMinutes}
}
