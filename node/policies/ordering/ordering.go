// Package ordering says how a policy stands to one update on one computer: what the policy wants, what keeps it, and when
// installing may begin there.
package ordering

import (
	"context"
	"slices"
	"time"

	"thatch/catalog/policy"
	"thatch/node/computers"
	"thatch/node/policies/pinned"
	"thatch/node/policies/turns"
	"thatch/node/policies/windows"
	"thatch/node/store"
	"thatch/schedule"
)

// Reason is why nothing is installed now.
type Reason string

// The reasons.
const (
	Off         Reason = "off"          // the policy is switched off
	Paused      Reason = "paused"       // it is paused, or its maintenance windows have not come from above
	Excluded    Reason = "excluded"     // the policy holds the update, and leaves it out
	Awaited     Reason = "awaited"      // not everything that it pins of the update has come from above
	NotTargeted Reason = "not_targeted" // its target does not mean the computer
	NotNeeded   Reason = "not_needed"   // the computer does not need the update, as far as it said
	NoPackage   Reason = "no_package"   // none in a language of the computer, nor a neutral one
	Content     Reason = "content"      // no node of the site holds the payload files
	Turn        Reason = "turn"         // as many computers as the plan allows at once are installing
	Plan        Reason = "plan"         // its start is still to come
	Window      Reason = "window"       // no maintenance window is open
)

// Package is one that would install the update on the computer.
type Package struct {
	ID        string   `json:"id"`
	Languages []string `json:"languages"` // empty: neutral
	Held      bool     `json:"held"`      // a node of the site holds its files
}

// Ordering is how one policy stands to the update on the computer.
type Ordering struct {
	ID              string        `json:"id"`
	Policy          string        `json:"policy"`
	Enabled         bool          `json:"enabled"`
	Paused          bool          `json:"paused"`
	Target          policy.Target `json:"target"`
	Targeted        bool          `json:"targeted"` // the target means the computer
	Ordered         bool          `json:"ordered"`  // the agent is told of the update
	Alone           bool          `json:"alone"`    // judged by the pinned rules, because the catalog's are others now
	Packages        []Package     `json:"packages"`
	Plan            policy.Plan   `json:"plan"`
	OverrideWindows bool          `json:"override_windows"`
	Installing      int           `json:"installing,omitempty"` // computers that have their turn, where the plan limits them
	Waits           []Reason      `json:"waits"`                // empty: nothing keeps it
	Begins          *time.Time    `json:"begins,omitempty"`     // when installing may begin, as far as plan and windows say; nil: never, or the policy orders nothing
}

// Asked is a policy, what it pins of the update, and what the computer's agent is told.
type Asked struct {
	ID, Name string
	Enabled  bool
	Held     bool // paused, or its maintenance windows have not come
	Body     *policy.Policy
	Pins     *pinned.Pins
	Pin      *policy.Update
	Told     bool // the agent is told of the update
	Alone    bool
	Packages []policy.Pin // in the computer's language, or neutral
}

// Answer is how the policy stands to the update on a computer, but for its schedule.
func (a Asked) Answer(ctx context.Context, reader store.Reader, turns *turns.Turns, m *computers.Member) (*Ordering, error) {
	o := &Ordering{
		ID: a.ID, Policy: a.Name, Enabled: a.Enabled, Paused: a.Held, Target: a.Body.Target, Plan: a.Body.Plan, Ordered: a.Told, Alone: a.Alone,
		OverrideWindows: a.Body.OverrideWindows, Packages: []Package{}, Waits: []Reason{}, Targeted: a.Body.Target.Match(pinned.Computer(m, true)),
	}
	o.wait(!a.Enabled, Off)
	o.wait(a.Held, Paused)
	o.wait(!a.Pin.Enabled, Excluded)
	o.wait(!a.Pins.Here(a.Pin), Awaited)
	o.wait(!o.Targeted, NotTargeted)
	if !a.Told {
		o.wait(len(o.Waits) == 0, NotNeeded)
		return o, nil
	}
	if err := o.hold(ctx, reader, a); err != nil {
		return nil, err
	}
	return o, o.turn(ctx, turns, m)
}

func (o *Ordering) wait(is bool, why Reason) {
	if is {
		o.Waits = append(o.Waits, why)
	}
}

// hold finds out which packages the site holds.
func (o *Ordering) hold(ctx context.Context, reader store.Reader, a Asked) error {
	var files []string
	for _, k := range a.Packages {
		files = append(files, a.Pins.Package(k).Files...)
	}
	held, err := pinned.Held(ctx, reader, files)
	if err != nil {
		return err
	}
	lacks := func(file string) bool { return !held[file] }
	for _, k := range a.Packages {
		pack := a.Pins.Package(k)
		languages := append([]string{}, pack.Languages...)
		o.Packages = append(o.Packages, Package{ID: k.ID, Languages: languages, Held: !slices.ContainsFunc(pack.Files, lacks)})
	}
	o.wait(len(a.Packages) == 0, NoPackage)
	o.wait(slices.ContainsFunc(files, lacks), Content)
	return nil
}

// turn finds out whether others are installing in place of the computer.
func (o *Ordering) turn(ctx context.Context, turns *turns.Turns, m *computers.Member) error {
	if o.Plan.Simultaneous == 0 {
		return nil
	}
	had, err := turns.Of(ctx, o.ID, m.Number)
	if err == nil {
		o.Installing, err = turns.Count(ctx, o.ID)
	}
	o.wait(o.Installing >= o.Plan.Simultaneous && !had.Until.After(turns.Now()), Turn)
	return err
}

// Schedule finds out when installing may begin from the start of the plan, and says what it waits for. What waits for
// something without a date begins at no date.
func (o *Ordering) Schedule(start, now time.Time, zone *time.Location, all windows.Set) {
	if len(o.Waits) > 0 {
		return
	}
	at := now
	if start.After(now) {
		o.Waits, at = append(o.Waits, Plan), start
	}
	times := make(schedule.Windows, 0, len(all))
	for _, w := range all {
		times = append(times, w.Body.Window)
	}
	if !o.OverrideWindows && len(times) > 0 {
		if _, open := times.Open(at, zone); !open {
			o.Waits = append(o.Waits, Window)
			if at, _ = times.Next(at, zone); at.IsZero() {
				return // no window opens any more
			}
		}
	}
	o.Begins = &at
}
