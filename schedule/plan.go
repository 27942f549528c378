package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// When says what starts the installs of a policy.
type When string

// The starts of a policy.
const (
	AsSoonAsPossible When = "asap"
	AtTime           When = "at"
	AgentDefault     When = "agent" // the schedule that the site's settings give agents; without one, as soon as possible
)

// MaxSpread bounds Plan.Spread, in minutes.
const MaxSpread = 7 * 24 * 60

// localTime is the form of a plan's time in every computer's own zone.
const localTime = "2006-01-02T15:04"

// Plan is when a policy starts on a computer, windows apart.
type Plan struct {
	When When `json:"when"`
	// At is, for AtTime, one moment for all computers ("2026-12-01T22:00:00Z") or a time on every computer's own clock
	// ("2026-12-01T22:00").
	At string `json:"at,omitempty"`
	// Spread lays the starts of different computers over that many minutes.
	Spread int `json:"spread_minutes,omitempty"`
}

// Validate says what is wrong with a plan.
func (p Plan) Validate() error {
	switch p.When {
	case AsSoonAsPossible, AgentDefault:
		if p.At != "" {
			return fmt.Errorf("plan: a time belongs to %q, not to %q", AtTime, p.When)
		}
	case AtTime:
		if _, err := p.at(time.UTC); err != nil {
			return err
		}
	default:
		return fmt.Errorf("plan: %q is not %s, %s or %s", p.When, AsSoonAsPossible, AtTime, AgentDefault)
	}
	if p.Spread < 0 || p.Spread > MaxSpread {
		return fmt.Errorf("plan: a spread of %d minutes is not between 0 and %d (a week)", p.Spread, MaxSpread)
	}
	return nil
}

// Start returns when a computer may start, given when the policy was ordered there. AgentDefault takes the schedule's
// first time after that. The key (see Key) spreads computers; the same key always gives the same start. A plan that
// Validate refuses answers with its error and the zero time.
func (p Plan) Start(ordered time.Time, agentDefault Recurrence, local *time.Location, key string) (time.Time, error) {
	if err := p.Validate(); err != nil {
		return time.Time{}, err
	}
	start := ordered
	switch {
	case p.When == AtTime:
		at, err := p.at(local)
		if err != nil {
			return time.Time{}, err
		}
		start = at
	case p.When == AgentDefault && !agentDefault.IsZero():
		start = agentDefault.Next(ordered, local)
	}
	return start.Add(Jitter(key, time.Duration(p.Spread)*time.Minute)), nil
}

func (p Plan) at(local *time.Location) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, p.At); err == nil {
		return t, nil
	}
	face, err := time.Parse(localTime, p.At)
	if err != nil {
		return time.Time{}, fmt.Errorf("plan: time %q: write 2026-12-01T22:00 for every computer's own clock, and with :00Z after it for one moment everywhere", p.At)
	}
	loc, _ := zoneOf("", local)
	return moment(face, loc), nil
}

// Key joins the ids of a computer and a policy into a key of Plan.Start.
func Key(computer, policy string) string {
	return fmt.Sprintf("%d:%s%s", len(computer), computer, policy)
}

// Jitter returns a delay from 0 up to, not including, spread, in whole seconds; it follows from the key alone.
func Jitter(key string, spread time.Duration) time.Duration {
	seconds := uint64(spread / time.Second)
	if spread < time.Second {
		return 0
	}
	sum := sha256.Sum256([]byte(key))
	return time.Duration(binary.BigEndian.Uint64(sum[:8])%seconds) * time.Second
}
