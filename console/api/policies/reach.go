package policies

import (
	"slices"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/console/api"
	"thatch/node/computers"
	"thatch/node/policies/pinned"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
)

// policyReach is that of routes that make a policy, or change the one whose {id} they name: it means no computer outside
// of the part, neither before nor after.
var policyReach = api.Reach{Check: func(c *api.Call) error {
	var next struct{ Target *policy.Target }
	if c.HasBody() {
		if err := c.Peek(&next); err != nil {
			return err
		}
	}
	if c.Var("id") == "" {
		if !c.HasBody() {
			return nil // which the route refuses: it is asked whether there are policies that the caller may make
		}
		if next.Target == nil {
			next.Target = &policy.Target{}
		}
		return checkTarget(c, "", *next.Target)
	}
	found, err := c.Node.Policies.Show(c.Context(), c.Var("id"))
	if err != nil {
		return err
	}
	if next.Target != nil {
		if err := checkTarget(c, found.ID, *next.Target); err != nil {
			return err
		}
	}
	return checkTarget(c, found.ID, found.Target)
}}

// checkTarget refuses a target that goes beyond the caller's part: computers of other groups, or sites that a replication
// rule sends the policy to.
func checkTarget(c *api.Call, id string, target policy.Target) error {
	if !c.OwnSite() {
		if err := checkComputers(c, target); err != nil {
			return err
		}
	}
	children, _, err := c.Node.Sites.Children(c.Context(), store.Query{})
	if err != nil {
		return err
	}
	for _, child := range children {
		sees, err := c.SeesSite(child.ID)
		if err != nil {
			return err
		}
		if sees {
			continue
		}
		rules, err := c.Node.Sites.RulesOf(c.Context(), child.ID)
		if err != nil {
			return err
		}
		for _, rule := range rules {
			selected := rule.Documents == nil || slices.Contains(rule.Documents, string(document.Policy)+"/"+id)
			if rule.Enabled && rule.Type == string(dataset.Policies) && selected {
				return c.Outside("the replication rule %q sends the policy to site %s", rule.Name, child.Name)
			}
		}
	}
	return nil
}

// checkComputers refuses a target that means computers of other groups. What they need now says nothing of tomorrow and is
// not asked; and a target without names means whoever comes.
func checkComputers(c *api.Call, target policy.Target) (refused error) {
	if len(target.Names) == 0 {
		return c.Outside("the policy names no computers (names), so it means those of all groups")
	}
	target.NeedsIt = false
	c.Node.Computers.Look(func(v computers.View) {
		for _, m := range v.Members() {
			if refused == nil && m.Retired.IsZero() && !slices.Contains(c.Who.Part.Groups, m.Group) && target.Match(pinned.Computer(m, true)) {
				refused = c.Outside("the policy means computer %s of the group %q", m.Name, m.Group)
			}
		}
	})
	return refused
}
