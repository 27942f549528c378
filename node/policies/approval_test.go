package policies_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"thatch/node/identity"
	"thatch/node/policies"
	"thatch/node/store"
)

// as is the context of what an operator does.
func as(t *testing.T, who identity.Operator) context.Context {
	t.Helper()
	return store.WithCaller(identity.WithOperator(t.Context(), who), &store.Caller{Actor: who.Actor()})
}

func TestApproval(t *testing.T) {
	s := newSite(t)
	otto := as(t, identity.Operator{ID: "1", Name: "otto", Scope: identity.Operate})
	anna := as(t, identity.Operator{ID: "2", Name: "anna", Scope: identity.Approver})
	// Whom a token makes an approver is the same person with it as without.
	ottoAgain := as(t, identity.Operator{ID: "1", Name: "otto", Token: "t", Scope: identity.Approver})
	root := as(t, identity.Operator{ID: "3", Name: "root", Scope: identity.Administrator})
	state := func(name string) *policies.Detail {
		t.Helper()
		d, err := s.Show(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	draft := func(name string) policies.Draft { return policies.Draft{Name: name, Bulletins: []string{"b1"}} }
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, identity.ErrForbidden) || !strings.Contains(err.Error(), "approver") {
			t.Errorf("%s: %v", what, err)
		}
	}

	// Where nobody asks, an operator's policy is in force at once.
	must(s.Create(otto, draft("before")))
	if d := state("before"); !d.Enabled || d.Unapproved != "operator otto" {
		t.Errorf("nobody asks: %+v", d.Row)
	}
	s.asks = true
	if !state("before").Enabled {
		t.Error("what is in force already is switched off")
	}
	made, err := s.Create(otto, draft("March"))
	if d := state("March"); err != nil || !made.Awaits || d.Enabled || d.Unapproved != "operator otto" {
		t.Fatalf("%+v, %+v, %v", made, d.Row, err)
	}
	refused("its maker", s.Enable(otto, "March", 0, true))
	refused("another operator", s.Enable(as(t, identity.Operator{ID: "4", Name: "olga", Scope: identity.Operate}), "March", 0, true))
	refused("its maker as an approver", s.Enable(ottoAgain, "March", 0, true))
	must(nil, s.Enable(anna, "March", 0, true))
	if d := state("March"); !d.Enabled || d.Unapproved != "" {
		t.Errorf("approved: %+v", d.Row)
	}
	// What is approved as it is may be switched off and on.
	must(nil, s.Enable(otto, "March", 0, false))
	must(nil, s.Enable(otto, "March", 0, true))
	must(nil, s.Pause(otto, "March", 0, true))
	if d := state("March"); !d.Enabled || !d.Paused {
		t.Errorf("%+v", d.Row)
	}
	// A change takes the approval away, and the policy out of force; one that changes nothing does not.
	name, same := "April", "March"
	must(nil, s.Change(otto, "March", 0, policies.Edit{Name: &same}))
	if !state("March").Enabled {
		t.Error("a change of nothing switched it off")
	}
	must(nil, s.Change(otto, "March", 0, policies.Edit{Name: &name}))
	if d := state("April"); d.Enabled || d.Unapproved != "operator otto" || !d.Paused {
		t.Errorf("changed: %+v", d.Row)
	}
	refused("its changer", s.Enable(otto, "April", 0, true))
	must(nil, s.Enable(root, "April", 0, true))
	// So does a revision that pins something else.
	must(s.Revise(otto, "April", 0))
	if !state("April").Enabled {
		t.Error("a revision of nothing switched it off")
	}
	s.catalog(t, "two")
	revised, err := s.Revise(otto, "April", 0)
	if d := state("April"); err != nil || revised.Changed == 0 || d.Enabled || d.Unapproved == "" {
		t.Errorf("revised: %+v, %+v, %v", revised, d.Row, err)
	}
	// Approvers, and the node itself, need nobody.
	must(s.Create(anna, draft("hers")))
	must(s.Create(t.Context(), draft("the node's")))
	for _, name := range []string{"hers", "the node's"} {
		if d := state(name); !d.Enabled || d.Unapproved != "" {
			t.Errorf("%s: %+v", name, d.Row)
		}
	}
	next := "hers too"
	must(nil, s.Change(anna, "hers", 0, policies.Edit{Name: &next}))
	if !state("hers too").Enabled {
		t.Error("an approver's change switched it off")
	}
	s.asks = false
	must(nil, s.Enable(otto, "April", 0, true))
	// What this site says of it to those below is the same.
	if got := s.text(t, `SELECT group_concat(p.name || ' ' || (p.enabled = s.enabled AND p.paused = s.paused), ', ') FROM policy p LEFT JOIN policy_state s ON s.policy = p.id`); strings.Contains(got, " 0") {
		t.Errorf("said below: %s", got)
	}
}

func (s *site) text(t *testing.T, query string) (text string) {
	t.Helper()
	err := s.db.View(t.Context(), func(tx *sql.Tx) error { return tx.QueryRowContext(t.Context(), query).Scan(&text) })
	if err != nil {
		t.Fatal(err)
	}
	return text
}
