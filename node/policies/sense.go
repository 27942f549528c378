package policies

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"thatch/catalog/policy"
	"thatch/node/store"
	"thatch/schedule"
)

// Limits of what a person may ask for; more is a slip of the keyboard.
const (
	maxSimultaneous = 100_000
	maxAttempts     = 100
	// late is how long ago a start may be that is given: people write down the present minute.
	late = 5 * time.Minute
)

// check says what is wrong with a policy that a person made, or changed from former (nil: it is new). What was there before
// is not held against a change of something else.
func (r *Room) check(p, former *policy.Policy) error {
	if len(p.Target.Unknown) > 0 {
		return store.Invalid("the target has parts that are not known here: %s", strings.Join(p.Target.Unknown, ", "))
	}
	plan := planOf(p.Plan)
	if err := errors.Join(p.Validate(), plan.Validate()); err != nil {
		return asked(err)
	}
	if former == nil {
		former = &policy.Policy{}
	}
	if n := p.Plan.Simultaneous; n > maxSimultaneous && n != former.Plan.Simultaneous {
		return store.Invalid("simultaneous is %d: give 1 to %d computers, or 0 for any number", n, maxSimultaneous)
	}
	if n := p.Attempts; n > maxAttempts && n != former.Attempts {
		return store.Invalid("attempts is %d: give 1 to %d, or 0 for what the settings say", n, maxAttempts)
	}
	if p.Plan.When != policy.StartAt || p.Plan.At == former.Plan.At {
		return nil
	}
	// A time on every computer's own clock is past when it is past where clocks are furthest behind.
	plan.Spread = 0
	latest, err := plan.Start(time.Time{}, schedule.Recurrence{}, time.FixedZone("", -12*60*60), "")
	if err != nil {
		return asked(err)
	}
	if latest.Before(r.cfg.Now().Add(-late)) {
		return store.Invalid("plan: %s is past; give a time to come, or none, to start as soon as possible", p.Plan.At)
	}
	return nil
}

// taken is a conflict: names are how people call things, so no two policies and no two windows bear one. Case does not
// matter.
type taken struct{ what, name, by string }

func (t taken) Error() string {
	return fmt.Sprintf("there is a %s called %q already (%s); choose another name", t.what, t.name, t.by)
}

func (taken) Unwrap() error { return store.ErrConflict }

// free says whether a policy may take a name: no other has it. The statement holds that true where the change is
// applied.
func (o *orders) free(name, id string) (store.Statement, error) {
	for _, p := range o.policies {
		if p.ID != id && strings.EqualFold(p.Name, name) {
			return store.Statement{}, taken{"policy", p.Name, p.ID}
		}
	}
	return store.Statement{
		SQL:  `UPDATE policy SET name = name WHERE name = ? COLLATE NOCASE AND id <> ?`,
		Args: []any{name, id}, Want: store.NoRows,
	}, nil
}

// freeWindow is free for windows, whose names are in their documents alone.
func (o *orders) freeWindow(name, id string) (store.Statement, error) {
	for _, w := range o.windows {
		if w.doc.ID != id && strings.EqualFold(w.body.Name, name) {
			return store.Statement{}, taken{"window", w.body.Name, w.doc.ID}
		}
	}
	return store.Statement{
		SQL: `UPDATE document SET digest = digest WHERE kind = 'window' AND id <> ? AND EXISTS (
			SELECT 1 FROM revision r WHERE r.digest = document.digest AND json_valid(CAST(r.body AS TEXT))
				AND json_extract(CAST(r.body AS TEXT), '$.name') = ? COLLATE NOCASE)`,
		Args: []any{id, name}, Want: store.NoRows,
	}, nil
}

// checkDates refuses a window that never opens again; one that was so before stays.
func (r *Room) checkDates(b, former *WindowBody) error {
	if b.Until == "" || former != nil && b.Until == former.Until {
		return nil
	}
	// The furthest clocks behind are half a day behind.
	if start, _ := b.Next(r.cfg.Now().Add(-24*time.Hour), time.FixedZone("", -12*60*60)); start.IsZero() {
		return store.Invalid("until: the window does not open again before %s; give a later date, or none", b.Until)
	}
	return nil
}
