package sites

import (
	"encoding/json"
	"time"

	"thatch/node/sites/alarms"
	"thatch/node/sites/history"
	"thatch/node/sites/invites"
	"thatch/node/sites/rules"
	"thatch/schedule"
)

// Parent is the site above.
type Parent struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	URLs      []string        `json:"urls"` // the first is tried first
	Authority []byte          `json:"-"`    // certificate, DER
	Joined    time.Time       `json:"joined"`
	Link      json.RawMessage `json:"link,omitempty"` // rules and limits as the parent last told them
	Told      time.Time       `json:"told,omitzero"`
	Version   int             `json:"version"`
}

// Limits say when and how fast a link may be used. The zero value: always, and as fast as it is.
type Limits struct {
	Windows schedule.Windows `json:"windows,omitempty"`
	Rate    int64            `json:"rate,omitempty"` // bytes per second
}

// Child is a site directly below.
type Child struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"` // what it is called here
	Authority []byte    `json:"-"`    // certificate, DER
	Token     string    `json:"token"`
	Joined    time.Time `json:"joined"`
	Seen      time.Time `json:"seen,omitzero"`
	Revoked   time.Time `json:"revoked,omitzero"`
	Reason    string    `json:"reason,omitempty"` // of the revocation
	Limits    Limits    `json:"limits"`
	Version   int       `json:"version"`
}

// What is kept in rooms of their own, with the names under which this room's callers know it.
type (
	Rule    = rules.Rule
	Mode    = rules.Mode
	Alarm   = alarms.Alarm
	LinkRun = history.Run
	Token   = invites.Token
	Refusal = invites.Refusal
)

// See node/sites/rules.
const (
	Differential         = rules.Differential
	Complete             = rules.Complete
	StandardDifferential = rules.StandardDifferential
	StandardComplete     = rules.StandardComplete
)

// Columns of lists, for doors.
var (
	RuleColumns  = rules.Columns
	AlarmColumns = alarms.Columns
	RunColumns   = history.Columns
	TokenColumns = invites.Columns
)
