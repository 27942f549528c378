package outlook

import (
	"cmp"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/catalog/policy"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/policies/contents"
	"thatch/node/policies/pinned"
	"thatch/node/store"
)

// Revision is what revising a policy would change now.
type Revision struct {
	Policy   string             `json:"policy"`
	Problems []string           `json:"problems"` // why it could not be revised now; empty: it could
	Changes  []Change           `json:"changes"`
	LeftOut  []contents.LeftOut `json:"left_out"`
}

// Change is one update of which a policy would pin something else.
type Change struct {
	ID      string `json:"id"`
	Name    string `json:"update"`
	Product string `json:"product,omitempty"`
	Change  string `json:"change"` // added, removed, revised
	// Packages are those that would be pinned, were until now.
	Packages int      `json:"packages"`
	Were     int      `json:"were"`
	Added    []string `json:"added"` // languages that would be new
}

// Compare lists what would be pinned otherwise. Names of updates that left the catalog are in former.
func Compare(v *live.View, before, after []policy.Update, former *pinned.Pins) []Change {
	changes := []Change{}
	was := make(map[string]*policy.Update, len(before))
	for i := range before {
		was[before[i].Update] = &before[i]
	}
	for i := range after {
		now := &after[i]
		old := was[now.Update]
		delete(was, now.Update)
		c := Change{ID: now.Update, Name: now.Update, Change: "added", Packages: len(now.Packages), Added: []string{}}
		if u := v.UpdateByID(now.Update); u != nil {
			c.Name, c.Product = cmp.Or(u.Name, u.ID), u.Product.Name
		}
		if old != nil {
			if now.SamePins(old) {
				continue
			}
			c.Change, c.Were = "revised", len(old.Packages)
		}
		c.Added = append(c.Added, newLanguages(old, now)...)
		changes = append(changes, c)
	}
	for i := range before {
		old := was[before[i].Update]
		if old == nil {
			continue
		}
		c := Change{ID: old.Update, Name: old.Update, Change: "removed", Were: len(old.Packages), Added: []string{}}
		if u := former.Update(old); u != nil {
			c.Name, c.Product = cmp.Or(u.Name, u.ID), u.Product.Name
		}
		changes = append(changes, c)
	}
	return changes
}

func newLanguages(old, now *policy.Update) []string {
	tags := func(u *policy.Update) (all []string) {
		if u == nil {
			return nil
		}
		for _, k := range u.Packages {
			all = append(all, k.Languages...)
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	had := tags(old)
	return slices.DeleteFunc(tags(now), func(tag string) bool { return slices.Contains(had, tag) })
}

// Standing is how one computer stands with a policy.
type Standing struct {
	ID       string `json:"id"`
	Name     string `json:"computer"`
	Group    string `json:"group,omitempty"`
	Platform string `json:"platform,omitempty"`
	Language string `json:"language,omitempty"`
	State    string `json:"state"`   // done, waiting, failed, as the policy counts it
	Missing  int    `json:"missing"` // updates of the policy
	number   uint32
}

var standingColumns = []store.Column[*Standing]{
	{Name: "id", Value: func(s *Standing) any { return s.ID }},
	{Name: "computer", Value: func(s *Standing) any { return s.Name }, Search: true},
	{Name: "group", Value: func(s *Standing) any { return s.Group }, Search: true},
	{Name: "platform", Value: func(s *Standing) any { return s.Platform }},
	{Name: "language", Value: func(s *Standing) any { return s.Language }},
	{Name: "state", Value: func(s *Standing) any { return s.State }},
}

// StandingColumns names what the list of a policy's computers can be filtered and sorted by.
func StandingColumns() []string { return store.ColumnNames(standingColumns) }

// Counted are the computers of a policy, as sets. Open are those of Targeted on which something is missing or cannot be
// told, Failed those of Open on which an install failed. Missing is by update.
type Counted struct {
	Targeted, Open, Failed *roaring.Bitmap
	Missing                []*roaring.Bitmap
}

// Standings returns a page of the computers that a policy means, and how many fit the query.
func Standings(memory computers.View, c Counted, q store.Query) ([]*Standing, int, error) {
	members := memory.Members()
	list := make([]*Standing, 0, c.Targeted.GetCardinality())
	for it := c.Targeted.Iterator(); it.HasNext(); {
		m := members[it.Next()]
		if m == nil {
			continue
		}
		is := pinned.Computer(m, true)
		s := &Standing{
			ID: m.ID, Name: m.Name, Group: m.Group, Platform: is.System.Platform, Language: language(is), State: "done", number: m.Number,
		}
		switch {
		case c.Failed.Contains(m.Number):
			s.State = "failed"
		case c.Open.Contains(m.Number):
			s.State = "waiting"
		}
		list = append(list, s)
	}
	page, total, err := store.Select(q, list, standingColumns)
	for _, s := range page {
		for _, missing := range c.Missing {
			if missing.Contains(s.number) {
				s.Missing++
			}
		}
	}
	return page, total, err
}
