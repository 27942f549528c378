package policies

import (
	"context"
	"fmt"
	"strings"

	"thatch/catalog/federation"
	"thatch/node/identity"
	"thatch/node/store"
)

// judgement is what the caller of a change is where policies are approved. The node itself needs nobody's approval.
type judgement struct {
	asked    bool // the site has what those below approver make stay off until an approver enables it
	approver bool // the caller is one
	caller   string
}

func (r *Room) judge(ctx context.Context) (j judgement, err error) {
	who, called := identity.OperatorOf(ctx)
	j.approver, j.caller = !called || who.Holds(identity.Approver), who.Actor()
	if r.cfg.Approval != nil {
		j.asked, err = r.cfg.Approval(ctx)
	}
	if err != nil {
		err = fmt.Errorf("read whether policies are approved: %w", err)
	}
	return j, err
}

// holds says whether what the caller makes stays off.
func (j judgement) holds() bool { return j.asked && !j.approver }

// maker is who is remembered as whose work no approver has seen.
func (j judgement) maker() string {
	if j.approver {
		return ""
	}
	return j.caller
}

// made are the statement and the words by which a change of a policy awaits an approver, where it does.
func (j judgement) made(id string) (statements []store.Statement, words string) {
	if j.approver {
		return nil, ""
	}
	if j.asked {
		words = ", which stays off until an approver enables it"
	}
	return []store.Statement{{SQL: `UPDATE policy SET maker = ? WHERE id = ?`, Args: []any{j.caller, id}, Want: 1}}, words
}

// enable is the statement by which an approver takes a policy on that somebody made. Who may not is told.
func (j judgement) enable(p *order) ([]store.Statement, error) {
	own := person(p.Unapproved) == person(j.caller)
	switch {
	case p.Unapproved == "" || p.Above != nil:
		return nil, nil
	case j.asked && !j.approver:
		return nil, identity.Forbidden("policy %s was made or changed by %s and awaits an approver, who enables it", p.Name, p.Unapproved)
	case j.asked && own:
		return nil, identity.Forbidden("policy %s awaits an approver, who is somebody else than %s", p.Name, p.Unapproved)
	case !j.approver || own:
		return nil, nil
	}
	return []store.Statement{{SQL: `UPDATE policy SET maker = '' WHERE id = ?`, Args: []any{p.ID}, Want: 1}}, nil
}

// person is who an actor is, whatever token they call with.
func person(actor string) string {
	name, _, _ := strings.Cut(actor, " (")
	return name
}

// said is what the site says of a policy of its own.
func (p *order) said() federation.State {
	return federation.State{Enabled: p.Enabled, Paused: p.Paused, Local: p.Local}
}
