package policies

import (
	"errors"
	"strings"
	"time"

	"thatch/catalog/policy"
	"thatch/node/policies/authoring"
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
		return authoring.Asked(err)
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
		return authoring.Asked(err)
	}
	if latest.Before(r.cfg.Now().Add(-late)) {
		return store.Invalid("plan: %s is past; give a time to come, or none, to start as soon as possible", p.Plan.At)
	}
	return nil
}

// free says whether a policy may take a name: no other has it. The statement holds that true where the change is
// applied.
func (o *orders) free(name, id string) (store.Statement, error) {
	for _, p := range o.policies {
		if p.ID != id && strings.EqualFold(p.Name, name) {
			return store.Statement{}, authoring.Taken{What: "policy", Name: p.Name, By: p.ID}
		}
	}
	return store.Statement{
		SQL:  `UPDATE policy SET name = name WHERE name = ? COLLATE NOCASE AND id <> ?`,
		Args: []any{name, id}, Want: store.NoRows,
	}, nil
}
