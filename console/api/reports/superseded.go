package reports

import (
	"context"
	"slices"
	"strings"

	"thatch/console/api"
	"thatch/node"
	"thatch/node/bulletins"
	"thatch/node/bulletins/live"
	"thatch/node/identity"
	"thatch/node/store"
)

// Superseded is a bulletin all of whose updates are replaced by others.
type Superseded struct {
	*bulletins.Row
	By       []string `json:"by"`        // names of the bulletins that replace it, directly
	ByLatest bool     `json:"by_latest"` // one of them is replaced by none
}

var supersededColumns = []store.Column[*Superseded]{
	{Name: "id", Value: func(s *Superseded) any { return s.ID }},
	{Name: "bulletin", Value: func(s *Superseded) any { return s.Name }, Search: true},
	{Name: "title", Value: func(s *Superseded) any { return s.Title }, Search: true},
	{Name: "severity", Value: func(s *Superseded) any { return string(s.Severity) }},
	{Name: "vendor", Value: func(s *Superseded) any { return s.Vendor }},
	{Name: "month", Kind: store.Time, Value: func(s *Superseded) any { return s.Month }},
	{Name: "released", Kind: store.Time, Value: func(s *Superseded) any { return s.Released }},
	{Name: "staged", Kind: store.Flag, Value: func(s *Superseded) any { return s.Staged }},
	{Name: "policies", Kind: store.Number, Value: func(s *Superseded) any { return s.Policies }},
	{Name: "updates", Kind: store.Number, Value: func(s *Superseded) any { return s.Updates }},
	{Name: "by", Value: func(s *Superseded) any { return s.By }, Search: true},
	{Name: "by_latest", Kind: store.Flag, Value: func(s *Superseded) any { return s.ByLatest }},
}

// SupersededColumns names what superseded bulletins can be filtered and sorted by.
var SupersededColumns = store.ColumnNames(supersededColumns)

func supersededRoute(n *node.Node) api.Route {
	return api.Route{
		Method: "GET", Path: "/superseded-bulletins", Scope: identity.Viewer, Reach: api.Reach{Whole: true}, Columns: SupersededColumns,
		Summary: "Superseded Bulletins: those all of whose updates are replaced, and by what, newest first",
		Do: api.GetList(func(ctx context.Context, q store.Query) ([]*Superseded, int, error) {
			all, err := superseded(ctx, n)
			if err != nil {
				return nil, 0, err
			}
			return store.Select(q, all, supersededColumns)
		}),
	}
}

func superseded(ctx context.Context, n *node.Node) (all []*Superseded, err error) {
	for offset, total := 0, 1; offset < total; offset += store.MaxPage {
		rows, found, err := n.Bulletins.List(ctx, store.Query{Filter: map[string]string{"superseded": "true"}, Offset: offset, Limit: store.MaxPage})
		if err != nil {
			return nil, err
		}
		total = found
		for _, row := range rows {
			all = append(all, &Superseded{Row: row, By: []string{}})
		}
	}
	return all, n.Bulletins.Catalog().Read(ctx, func(v *live.View) error {
		for _, s := range all {
			s.name(v)
		}
		return nil
	})
}

// name finds the bulletins that replace one.
func (s *Superseded) name(v *live.View) {
	seen := map[string]bool{s.ID: true}
	for _, u := range v.UpdatesOf(s.ID) {
		for _, by := range v.SupersededBy(u.ID) {
			if seen[by.Bulletin] {
				continue
			}
			seen[by.Bulletin] = true
			if b := v.Bulletin(by.Bulletin); b != nil {
				s.By = append(s.By, b.Name)
				s.ByLatest = s.ByLatest || !v.BulletinSuperseded(b.ID)
			}
		}
	}
	slices.SortFunc(s.By, strings.Compare)
}
