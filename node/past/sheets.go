package past

import (
	"context"
	"slices"
	"time"

	"thatch/node/computers/compliance/heads"
	"thatch/node/computers/history"
	"thatch/node/policies"
	"thatch/node/rollups"
	"thatch/node/store"
)

// What is kept beside the reports of history.
var (
	Sites    = siteSheet("sites")     // each with those below it
	OwnSites = siteSheet("own-sites") // each alone
	// Bulletins are the figures of each site alone.
	Bulletins = history.Sheet[rollups.SiteBulletin]{
		Name: "site-bulletins",
		Columns: slices.Concat([]history.Column[rollups.SiteBulletin]{
			{Name: "bulletin", At: func(r *rollups.SiteBulletin) any { return &r.Bulletin }},
			{Name: "site", At: func(r *rollups.SiteBulletin) any { return &r.Site }},
			{Name: "as_of", At: func(r *rollups.SiteBulletin) any { return &r.AsOf }},
		}, history.Told(func(r *rollups.SiteBulletin) *heads.Told { return &r.Told })),
	}
	Policies = history.Sheet[policies.PolicyRow]{
		Name: "policies",
		Columns: []history.Column[policies.PolicyRow]{
			{Name: "id", At: func(r *policies.PolicyRow) any { return &r.ID }},
			{Name: "policy", At: func(r *policies.PolicyRow) any { return &r.Name }},
			{Name: "state", At: func(r *policies.PolicyRow) any { return &r.State }},
			{Name: "targeted", At: func(r *policies.PolicyRow) any { return &r.Targeted }},
			{Name: "done", At: func(r *policies.PolicyRow) any { return &r.Done }},
			{Name: "waiting", At: func(r *policies.PolicyRow) any { return &r.Waiting }},
			{Name: "failed", At: func(r *policies.PolicyRow) any { return &r.Failed }},
		},
	}
)

func siteSheet(name string) history.Sheet[rollups.SiteRow] {
	return history.Sheet[rollups.SiteRow]{
		Name: name,
		Columns: slices.Concat([]history.Column[rollups.SiteRow]{
			{Name: "id", At: func(r *rollups.SiteRow) any { return &r.ID }},
			{Name: "site", At: func(r *rollups.SiteRow) any { return &r.Site }},
			{Name: "parent", At: func(r *rollups.SiteRow) any { return &r.Parent }},
			{Name: "version", At: func(r *rollups.SiteRow) any { return &r.Version }},
			{Name: "depth", At: func(r *rollups.SiteRow) any { return &r.Depth }},
			{Name: "below", At: func(r *rollups.SiteRow) any { return &r.Below }},
			{Name: "computers", At: func(r *rollups.SiteRow) any { return &r.Computers }},
			{Name: "moved", At: func(r *rollups.SiteRow) any { return &r.Moved }},
			{Name: "not_reporting", At: func(r *rollups.SiteRow) any { return &r.NotReporting }},
			{Name: "listed", At: func(r *rollups.SiteRow) any { return &r.Listed }},
			{Name: "alarms", At: func(r *rollups.SiteRow) any { return &r.Alarms }},
			{Name: "untold", At: func(r *rollups.SiteRow) any { return &r.Untold }},
			{Name: "sites", At: func(r *rollups.SiteRow) any { return &r.Sites }},
			{Name: "as_of", At: func(r *rollups.SiteRow) any { return &r.AsOf }},
			{Name: "told", At: func(r *rollups.SiteRow) any { return &r.Told }},
			{Name: "heard", At: func(r *rollups.SiteRow) any { return &r.Heard }},
		}, history.Told(func(r *rollups.SiteRow) *heads.Told { return &r.Figures.Told })),
		Finish: func(r *rollups.SiteRow) { r.Percent = heads.Percent(r.Installed, r.Missing) },
	}
}

func (r *Room) sites(sheet history.Sheet[rollups.SiteRow]) func(ctx context.Context) (history.Kept, error) {
	return func(ctx context.Context) (history.Kept, error) {
		list, err := r.cfg.RollUps.SiteRows(ctx, rollups.Of{Own: sheet.Name == OwnSites.Name}, rollups.Within{})
		return sheet.Of(list), err
	}
}

func (r *Room) bulletins(ctx context.Context) (history.Kept, error) {
	list, err := r.cfg.RollUps.SiteBulletins(ctx)
	return Bulletins.Of(list), err
}

func (r *Room) policies(ctx context.Context) (history.Kept, error) {
	list, _, err := r.cfg.Policies.List(ctx, store.Query{})
	return Policies.Of(list), err
}

// SitesOn are a site, by its id or name ("": this one), and those below it as they were on a day: each with those below it, or alone.
func (r *Room) SitesOn(ctx context.Context, day string, of rollups.Of) ([]*rollups.SiteRow, *history.Day, error) {
	sheet := Sites
	if of.Own {
		sheet = OwnSites
	}
	all, on, err := history.Rows(ctx, r.Room, day, sheet)
	if err != nil {
		return nil, nil, err
	}
	at := 0
	if of.Site != "" {
		at = slices.IndexFunc(all, func(s *rollups.SiteRow) bool { return s.ID == of.Site })
		if at < 0 {
			at = slices.IndexFunc(all, func(s *rollups.SiteRow) bool { return s.Site == of.Site })
		}
	}
	if at < 0 || at >= len(all) {
		return nil, nil, store.NotFound("site in the tree of "+day, of.Site)
	}
	var list []*rollups.SiteRow
	for i, row := range all[at:] {
		if i > 0 && row.Depth <= all[at].Depth {
			break
		}
		same := *row
		same.Depth -= all[at].Depth
		if same.Untold == 0 {
			age := int(on.Taken.Sub(same.AsOf) / time.Second)
			same.Age = &age
		}
		list = append(list, &same)
	}
	return list, on, nil
}

// BulletinsOn are the bulletins of a site and those below it on a day, or of it alone.
func (r *Room) BulletinsOn(ctx context.Context, day string, of rollups.Of) ([]*rollups.BulletinRow, *history.Day, error) {
	sites, _, err := r.SitesOn(ctx, day, of)
	if err != nil {
		return nil, nil, err
	}
	if of.Own {
		sites = sites[:1]
	}
	known, _, err := history.Rows(ctx, r.Room, day, history.Bulletins)
	if err != nil {
		return nil, nil, err
	}
	figures, on, err := history.Rows(ctx, r.Room, day, Bulletins)
	if err != nil {
		return nil, nil, err
	}
	within := map[string]bool{}
	for _, s := range sites {
		within[s.ID] = true
	}
	called := map[string]heads.BulletinHead{}
	for _, b := range known {
		called[b.ID] = b.BulletinHead
	}
	return rollups.Sum(figures, within, called), on, nil
}
