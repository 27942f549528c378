// Package why holds the route of /api/v1 that says why an update stands on a computer as it does, rule by rule, and when it
// will be installed.
package why

import (
	"context"
	"slices"
	"time"

	"thatch/catalog"
	"thatch/catalog/rule"
	"thatch/catalog/supersedence"
	"thatch/console/api"
	"thatch/node"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/computers/compliance"
	"thatch/node/identity"
	"thatch/node/policies/ordering"
	"thatch/node/policies/windows"
)

// Why is how an update stands on a computer, and all that follows from.
type Why struct {
	Computer      Computer                 `json:"computer"`
	Update        *compliance.UpdateStatus `json:"update"`
	Said          Said                     `json:"said"`
	Rules         []Rule                   `json:"rules"`             // as far as the node can judge them
	NoRule        string                   `json:"no_rule,omitempty"` // why there is none
	Prerequisites [][]Other                `json:"prerequisites"`     // of every group one must be there
	SupersededBy  []Other                  `json:"superseded_by"`
	Policies      []*ordering.Ordering     `json:"policies"` // that pin the update
	Windows       []windows.At             `json:"windows"`  // of the computer; empty: it may install at any time
	Attempts      []computers.Attempt      `json:"attempts"` // newest first
	Next          Next                     `json:"next"`
}

// Computer is who it is about.
type Computer struct {
	ID       string    `json:"id"`
	Computer string    `json:"computer"`
	Group    string    `json:"group"`
	Product  string    `json:"product"`
	LastSeen time.Time `json:"last_seen"`
	Retired  time.Time `json:"retired,omitzero"`
}

// Verdicts of a computer on an update.
const (
	Installed     = "installed"
	Applicable    = "applicable"
	Unknown       = "unknown"
	NotApplicable = "not applicable"
	Unevaluated   = "not evaluated"
)

// Said is what the computer's own agent made of the rules: it has all facts, the node those that it was told.
type Said struct {
	Verdict string    `json:"verdict"`          // installed, applicable, unknown, not applicable, not evaluated
	Reason  string    `json:"reason,omitempty"` // of unknown
	At      time.Time `json:"at,omitzero"`      // of its last report; zero: it never reported
	Covered bool      `json:"covered"`          // it evaluated the present revision
}

// Rule is one rule of the update with the facts that decided it.
type Rule struct {
	Name string `json:"name"` // installed, applicable, superseded
	// Only says that only the computer can tell: the node was not told the facts that decide.
	Only bool `json:"only_the_computer_can_tell"`
	*rule.Explanation
}

// Other is another update, and how it stands on the computer.
type Other struct {
	ID      string `json:"id"`
	Update  string `json:"update"`
	Verdict string `json:"verdict"`
}

// Next is when the update will be installed.
type Next struct {
	Policy string            `json:"policy,omitempty"` // id of the one that comes first
	Waits  []ordering.Reason `json:"waits"`            // for what
	When   *time.Time        `json:"when,omitempty"`   // not before; nil: nothing says so
	Agent  bool              `json:"agent"`            // the time is the agent's own
}

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	return []api.Route{{
		Method: "GET", Path: "/computers/{id}/updates/{update}", Scope: identity.Viewer, Reach: api.ComputerReach,
		Summary: "Why an update stands on a computer as it does: rules and facts, policies, windows, content, attempts, and when it comes",
		Do:      api.Get(func(c *api.Call) (*Why, error) { return read(c.Context(), n, c.Var("id"), c.Var("update")) }),
	}, {
		Method: "GET", Path: "/computers/{id}/windows", Scope: identity.Viewer, Reach: api.ComputerReach, Summary: "The maintenance windows of a computer",
		Do: api.Get(func(c *api.Call) ([]windows.At, error) {
			id, err := n.Compliance.Find(c.Var("id"))
			if err != nil {
				return nil, err
			}
			_, open, err := n.Policies.Why(c.Context(), id, "")
			return open, err
		}),
	}}
}

func read(ctx context.Context, n *node.Node, computer, update string) (*Why, error) {
	status, held, err := n.Compliance.Status(ctx, computer, update, n.Policies.Orders)
	if err != nil {
		return nil, err
	}
	w := &Why{
		Computer: Computer{ID: held.ID, Computer: held.Name, Group: held.Group, LastSeen: held.LastSeen, Retired: held.Retired},
		Update:   status, Rules: []Rule{}, Prerequisites: [][]Other{}, SupersededBy: []Other{}, Policies: []*ordering.Ordering{}, Attempts: []computers.Attempt{},
	}
	if held.Facts != nil {
		w.Computer.Product = held.Facts.System.Product
	}
	for _, a := range held.Attempts {
		if a.Number == status.Number {
			w.Attempts = append(w.Attempts, a)
		}
	}
	orders, open, err := n.Policies.Why(ctx, held.ID, update)
	if err != nil {
		return nil, err
	}
	w.Policies, w.Windows = append(w.Policies, orders...), open
	if m := n.Computers.Member(held.ID); m != nil {
		w.Said.At = m.Reported
	}
	if err := w.judge(ctx, n, held, update); err != nil {
		return nil, err
	}
	w.Next = next(status, w.Policies)
	return w, nil
}

// judge holds the rules against what is known of the computer.
func (w *Why) judge(ctx context.Context, n *node.Node, held *computers.Detail, update string) error {
	var found *live.Update
	var graph *supersedence.Graph
	err := n.Bulletins.Catalog().Read(ctx, func(v *live.View) error {
		if found = v.UpdateByID(update); found == nil { // it left the catalog, and is still ordered
			return nil
		}
		graph = v.Graph()
		at := computers.Cursor{Index: found.Changed.Index, Pos: uint32(found.Changed.Position)}
		w.Said.Covered = held.Known && held.Cursor.Compare(at) >= 0
		w.Said.Verdict, w.Said.Reason = verdict(held, found.Number), ""
		for _, by := range v.SupersededBy(update) {
			w.SupersededBy = append(w.SupersededBy, Other{by.ID, by.Name, verdict(held, by.Number)})
		}
		return nil
	})
	if err != nil || found == nil {
		return err
	}
	if w.Said.Verdict == Unknown {
		w.Said.Reason = held.Reasons.Of(found.Number)
	}
	if w.Said.Verdict == NotApplicable && !w.Said.Covered {
		w.Said.Verdict = Unevaluated
	}
	whole, err := n.Bulletins.Catalog().Whole(ctx, []*live.Update{found})
	if err != nil || len(whole) == 0 {
		return err
	}
	w.NoRule = whole[0].NoRule
	w.explain(&whole[0].Update, held, graph)
	return w.require(ctx, n, held, whole[0].Prerequisites)
}

// explain judges the rules on the facts that the node was told.
func (w *Why) explain(u *catalog.Update, held *computers.Detail, graph *supersedence.Graph) {
	facts := &rule.Facts{}
	if held.Facts != nil {
		facts.System = &held.Facts.System
		facts.Simulated = held.Facts.Simulated
		if held.Facts.Hotfixes != nil {
			facts.Hotfixes = &rule.Hotfixes{KBs: held.Facts.Hotfixes, Complete: true}
		}
	}
	evaluator := rule.NewEvaluator(facts, graph.View(time.Time{}))
	for _, one := range []struct {
		name string
		rule *rule.Rule
	}{{"installed", u.Installed}, {"applicable", u.Applicable}, {"superseded", u.Superseded}} {
		if one.rule == nil {
			continue
		}
		x := evaluator.Explain(one.rule)
		w.Rules = append(w.Rules, Rule{Name: one.name, Only: x.Answer == rule.Unknown, Explanation: x})
	}
}

// require says how the prerequisites stand.
func (w *Why) require(ctx context.Context, n *node.Node, held *computers.Detail, groups [][]string) error {
	return n.Bulletins.Catalog().Read(ctx, func(v *live.View) error {
		for _, ids := range groups {
			group := []Other{}
			for _, id := range ids {
				one := Other{ID: id, Update: id, Verdict: Unevaluated}
				if u := v.UpdateByID(id); u != nil {
					one.Update, one.Verdict = u.Name, verdict(held, u.Number)
				}
				group = append(group, one)
			}
			w.Prerequisites = append(w.Prerequisites, group)
		}
		return nil
	})
}

func verdict(held *computers.Detail, number uint32) string {
	switch {
	case !held.Known:
		return Unevaluated
	case held.Sets.Unknown.Contains(number):
		return Unknown
	case held.Sets.Installed.Contains(number):
		return Installed
	case held.Sets.Applicable.Contains(number):
		return Applicable
	}
	return NotApplicable
}

// next is the policy that begins first; where none will, the one that waits for least.
func next(status *compliance.UpdateStatus, policies []*ordering.Ordering) Next {
	n := Next{Waits: []ordering.Reason{}}
	if slices.Contains([]computers.Status{computers.Installed, computers.NotApplicable, computers.Superseded}, status.Status) || len(policies) == 0 {
		return n
	}
	best := slices.MinFunc(policies, func(a, b *ordering.Ordering) int {
		switch {
		case a.Begins != nil && b.Begins != nil:
			return a.Begins.Compare(*b.Begins)
		case a.Begins != nil:
			return -1
		case b.Begins != nil:
			return 1
		}
		return len(a.Waits) - len(b.Waits)
	})
	n.Policy, n.Waits, n.When = best.ID, best.Waits, best.Begins
	if !status.Starts.IsZero() {
		n.When, n.Agent = &status.Starts, true
	}
	return n
}
