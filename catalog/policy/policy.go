// Package policy holds the body of a software update policy: what a person ordered, for which computers and when.
// Both sides of the wire read it: a node to decide who is asked, the agent to install nothing but what is pinned here.
//
// The body is JSON as catalog.Encode writes it, in a document of kind policy. The plan is text and numbers that package
// schedule interprets; nothing here knows a clock.
package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"thatch/catalog/document"
)

// Limits of a policy's body.
const (
	MaxUpdates  = 2_000
	MaxPackages = 200 // of one update
	MaxName     = 200 // bytes
)

// ErrInvalid is wrapped by every error about a policy that says something impossible.
var ErrInvalid = errors.New("policy is not valid")

// Policy is the body of a policy document.
type Policy struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Updates     []Update `json:"updates"`
	Target      Target   `json:"target"`
	Plan        Plan     `json:"plan"`
	// OverrideWindows lets installs start outside maintenance windows.
	OverrideWindows bool `json:"override_windows,omitempty"`
	// Attempts is how often an install is tried before it counts as failed; 0: as the site's settings say.
	Attempts int `json:"attempts,omitempty"`
}

// Update pins one update and the packages that may install it.
type Update struct {
	Update  string          `json:"update"` // document id
	Digest  document.Digest `json:"digest"` // of the update document that was ordered
	Enabled bool            `json:"enabled"`
	// CommandLine replaces the arguments of the packages' installers; empty: their own.
	CommandLine string `json:"command_line,omitempty"`
	Packages    []Pin  `json:"packages,omitempty"`
}

// Pin fixes a package and its payload by the digests of their documents. A payload document has its package's id.
type Pin struct {
	ID            string          `json:"id"`
	Digest        document.Digest `json:"digest"`
	PayloadDigest document.Digest `json:"payload_digest"`
	// Languages are the package's, so that a site knows which pins matter to it without asking for what they name.
	Languages []string `json:"languages,omitempty"`
}

// Equal says whether two pins name the same.
func (p Pin) Equal(other Pin) bool {
	return p.ID == other.ID && p.Digest == other.Digest && p.PayloadDigest == other.PayloadDigest && slices.Equal(p.Languages, other.Languages)
}

// Starts of a plan, with the words of package schedule.
const (
	StartASAP    = "asap"
	StartAt      = "at"
	StartDefault = "agent" // the schedule that the site's settings give agents; without one, as soon as possible
)

// Plan says when a policy's installs may begin. Maintenance windows are asked beside it. The first three fields read
// and write as schedule.Plan does, which interprets and validates them.
type Plan struct {
	When          string `json:"when"`
	At            string `json:"at,omitempty"`
	SpreadMinutes int    `json:"spread_minutes,omitempty"`
	// Simultaneous is how many computers may be installing at once; 0: no limit. The node grants the turns (see
	// agentapi.AssignedPolicy.Wait).
	Simultaneous int `json:"simultaneous,omitempty"`
}

// Validate says what is wrong with a policy, or nil.
func (p *Policy) Validate() error {
	switch {
	case p.Name == "" || len(p.Name) > MaxName:
		return fmt.Errorf("%w: name %.40q must have 1 to %d bytes", ErrInvalid, p.Name, MaxName)
	case len(p.Updates) == 0 || len(p.Updates) > MaxUpdates:
		return fmt.Errorf("%w: it names %d updates, want 1 to %d", ErrInvalid, len(p.Updates), MaxUpdates)
	case p.Attempts < 0:
		return fmt.Errorf("%w: attempts is %d, want 0 or more", ErrInvalid, p.Attempts)
	}
	seen := make(map[string]bool, len(p.Updates))
	for _, update := range p.Updates {
		if update.Update == "" || seen[update.Update] {
			return fmt.Errorf("%w: update %q is empty or named twice", ErrInvalid, update.Update)
		}
		seen[update.Update] = true
		if len(update.Packages) > MaxPackages {
			return fmt.Errorf("%w: update %q has %d packages, at most %d are allowed", ErrInvalid, update.Update, len(update.Packages), MaxPackages)
		}
	}
	return errors.Join(p.Target.Validate(), p.Plan.Validate())
}

// Validate says what is wrong with a plan, or nil. What At may say is judged by package schedule.
func (p Plan) Validate() error {
	switch p.When {
	case StartASAP, StartDefault:
	case StartAt:
		if p.At == "" {
			return fmt.Errorf("%w: plan starts at a time and names none", ErrInvalid)
		}
	default:
		return fmt.Errorf("%w: plan starts %.20q, want %s, %s or %s", ErrInvalid, p.When, StartASAP, StartAt, StartDefault)
	}
	if p.SpreadMinutes < 0 || p.Simultaneous < 0 {
		return fmt.Errorf("%w: spread of %d minutes, %d computers at once: neither is less than 0", ErrInvalid, p.SpreadMinutes, p.Simultaneous)
	}
	return nil
}

// Find returns the pinned update with that document id, or nil.
func (p *Policy) Find(update string) *Update {
	for i := range p.Updates {
		if p.Updates[i].Update == update {
			return &p.Updates[i]
		}
	}
	return nil
}

// SamePins says whether two pins of one update name the same revisions.
func (u *Update) SamePins(other *Update) bool {
	return u.Digest == other.Digest && slices.EqualFunc(u.Packages, other.Packages, Pin.Equal)
}

// Pinned says whether a package document and its payload document are among the pins of the update.
func (u *Update) Pinned(pack, payload document.Digest) bool {
	for _, pin := range u.Packages {
		if pin.Digest == pack && pin.PayloadDigest == payload {
			return true
		}
	}
	return false
}

// Decode reads and validates the body of a policy document. Unknown fields are ignored, but for those of the target,
// which make it match nobody.
func Decode(body []byte) (*Policy, error) {
	var p Policy
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return &p, nil
}
