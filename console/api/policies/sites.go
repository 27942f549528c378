package policies

import (
	"cmp"
	"context"
	"slices"
	"time"

	"thatch/node"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/rollups"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Site is how one site stands with some bulletins, without those below it. Here it is what the policy counts. Of several
// bulletins the counts of another site are those of the one that most computers miss: sites tell counts of each, and not
// which computers they are.
type Site struct {
	ID         string    `json:"id"`
	Site       string    `json:"site"`
	Depth      int       `json:"depth"` // below this site
	Computers  int       `json:"computers"`
	Applicable int       `json:"applicable"`
	Installed  int       `json:"installed"`
	Missing    int       `json:"missing"`
	Failed     int       `json:"failed"`
	Exact      bool      `json:"exact"` // this site: Missing are computers that miss any of it
	Told       bool      `json:"told"`  // the site told something of them
	AsOf       time.Time `json:"as_of,omitzero"`
}

var siteColumns = []store.Column[*Site]{
	{Name: "id", Value: func(s *Site) any { return s.ID }},
	{Name: "site", Value: func(s *Site) any { return s.Site }, Search: true},
	{Name: "depth", Kind: store.Number, Value: func(s *Site) any { return s.Depth }},
	{Name: "computers", Kind: store.Number, Value: func(s *Site) any { return s.Computers }},
	{Name: "applicable", Kind: store.Number, Value: func(s *Site) any { return s.Applicable }},
	{Name: "installed", Kind: store.Number, Value: func(s *Site) any { return s.Installed }},
	{Name: "missing", Kind: store.Number, Value: func(s *Site) any { return s.Missing }},
	{Name: "failed", Kind: store.Number, Value: func(s *Site) any { return s.Failed }},
	{Name: "told", Kind: store.Flag, Value: func(s *Site) any { return s.Told }},
	{Name: "as_of", Kind: store.Time, Value: func(s *Site) any { return rows.Stamp(s.AsOf) }},
}

// maxBulletins bounds how many of a policy's bulletins are asked for.
const maxBulletins = 50

// sites are this site, whose counts are given, and all below it.
func sites(ctx context.Context, n *node.Node, bulletins []string, here Site) ([]*Site, error) {
	bulletins = slices.Compact(slices.Sorted(slices.Values(bulletins)))
	list := []*Site{}
	for i, id := range bulletins[:min(len(bulletins), maxBulletins)] {
		told, err := n.RollUps.SiteRows(ctx, rollups.Of{Own: true}, rollups.Within{Bulletin: id})
		if err != nil {
			return nil, err
		}
		for at, row := range told {
			if i == 0 {
				list = append(list, &Site{ID: row.ID, Site: row.Site, Depth: row.Depth, Computers: row.Computers})
			}
			if at < len(list) && list[at].ID == row.ID { // the tree may change meanwhile
				list[at].take(row)
			}
		}
	}
	if len(list) > 0 && list[0].Depth == 0 {
		here.ID, here.Site, here.Exact, here.Told, here.AsOf = list[0].ID, list[0].Site, true, true, n.Now()
		n.Computers.Look(func(v computers.View) {
			for _, m := range v.Members() {
				if m.Retired.IsZero() {
					here.Computers++
				}
			}
		})
		list[0] = &here
	}
	return list, nil
}

func (s *Site) take(row *rollups.SiteRow) {
	if row.Sites == 0 {
		return
	}
	if !s.Told || cmp.Or(cmp.Compare(row.Missing, s.Missing), cmp.Compare(row.Applicable, s.Applicable)) > 0 {
		s.Applicable, s.Installed, s.Missing, s.Failed = row.Applicable, row.Installed, row.Missing, row.Failed
	}
	if !s.Told || row.AsOf.Before(s.AsOf) {
		s.AsOf = row.AsOf
	}
	s.Told = true
}

// bulletinsOf are the ids of the bulletins of the updates that a policy pins, and how this site stands with it.
func bulletinsOf(ctx context.Context, n *node.Node, policy string) (ids []string, here Site, err error) {
	found, err := n.Policies.Show(ctx, policy)
	if err != nil {
		return nil, here, err
	}
	here = Site{Applicable: found.Targeted, Installed: found.Done, Missing: found.Waiting + found.Failed, Failed: found.Failed}
	err = n.Bulletins.Catalog().Read(ctx, func(v *live.View) error {
		for _, pin := range found.UpdateList {
			if u := v.UpdateByID(pin.Update); u != nil {
				ids = append(ids, u.Bulletin)
			}
		}
		return nil
	})
	return ids, here, err
}
