// Package approval judges whose work on policies awaits an approver, where a site asks for one.
package approval

import (
	"context"
	"fmt"
	"strings"

	"thatch/node/identity"
	"thatch/node/store"
)

// AwaitsWords are what the audit log says of a change that awaits an approver.
const AwaitsWords = ", which stays off until an approver enables it"

// Judgement is what the caller of a change is. The node itself needs nobody's approval.
type Judgement struct {
	asked    bool // the site has what those below approver make stay off until an approver enables it
	approver bool // the caller is one
	caller   string
}

// Of judges the caller of a context. Asked says whether the site asks for approvers; nil: it does not.
func Of(ctx context.Context, asked func(ctx context.Context) (bool, error)) (j Judgement, err error) {
	who, called := identity.OperatorOf(ctx)
	j.approver, j.caller = !called || who.Holds(identity.Approver), who.Actor()
	if asked != nil {
		if j.asked, err = asked(ctx); err != nil {
			err = fmt.Errorf("read whether policies are approved: %w", err)
		}
	}
	return j, err
}

// Holds says whether what the caller makes stays off.
func (j Judgement) Holds() bool { return j.asked && !j.approver }

// Maker is who is remembered as whose work no approver has seen, "" nobody.
func (j Judgement) Maker() string {
	if j.approver {
		return ""
	}
	return j.caller
}

// Words say in the audit log that a policy awaits an approver, where it does.
func (j Judgement) Words() string {
	if j.Holds() {
		return AwaitsWords
	}
	return ""
}

// Changed are the statements by which a changed policy awaits an approver, where it does.
func (j Judgement) Changed(id string) []store.Statement {
	if j.approver {
		return nil
	}
	return []store.Statement{{SQL: `UPDATE policy SET maker = ? WHERE id = ?`, Args: []any{j.caller, id}, Want: 1}}
}

// Enable are the statements by which an approver takes on what a maker made. Who may not enable it is told so.
func (j Judgement) Enable(id, name, maker string) ([]store.Statement, error) {
	own := person(maker) == person(j.caller)
	switch {
	case maker == "":
		return nil, nil
	case j.Holds():
		return nil, identity.Forbidden("policy %s was made or changed by %s and awaits an approver, who enables it", name, maker)
	case j.asked && own:
		return nil, identity.Forbidden("policy %s awaits an approver, who is somebody else than %s", name, maker)
	case !j.approver || own:
		return nil, nil
	}
	return []store.Statement{{SQL: `UPDATE policy SET maker = '' WHERE id = ?`, Args: []any{id}, Want: 1}}, nil
}

// person is who an actor is, whatever token they call with.
func person(actor string) string {
	name, _, _ := strings.Cut(actor, " (")
	return name
}
