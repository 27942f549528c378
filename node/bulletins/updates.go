package bulletins

import (
	"context"
	"slices"

	"thatch/catalog"
	"thatch/node/bulletins/live"
	"thatch/node/bulletins/staging"
	"thatch/node/store"
)

// UpdateRow is one update of a list.
type UpdateRow struct {
	ID       string           `json:"id"`
	Number   uint32           `json:"number"` // site-local
	Name     string           `json:"update"`
	KB       string           `json:"kb,omitempty"`
	Source   string           `json:"source"`
	Bulletin string           `json:"bulletin"` // name
	Of       string           `json:"bulletin_id"`
	Product  string           `json:"product"`
	Severity catalog.Severity `json:"severity"`
	Class    string           `json:"class,omitempty"`
	Month    string           `json:"month,omitempty"`
	NoRule   string           `json:"no_rule,omitempty"` // why its applicability cannot be told
	UpdateMarks
	Staging
}

// UpdateMarks say yes or no of an update.
type UpdateMarks struct {
	Exploited  bool `json:"exploited"`
	Superseded bool `json:"superseded"`
	Withdrawn  bool `json:"withdrawn,omitempty"`
	Detector   bool `json:"detector,omitempty"`
}

// Staging is where an update stands.
type Staging struct {
	Status   staging.Status `json:"status"`
	Text     string         `json:"text,omitempty"`
	Packages int            `json:"packages"` // that matter to the site
	// Awaited is how far its payloads are, while they come.
	Awaited *staging.Awaited `json:"awaited,omitempty"`
}

var updateColumns = []store.Column[*UpdateRow]{
	{Name: "id", Value: func(r *UpdateRow) any { return r.ID }},
	{Name: "number", Kind: store.Number, Value: func(r *UpdateRow) any { return int(r.Number) }},
	{Name: "update", Value: func(r *UpdateRow) any { return r.Name }, Search: true},
	{Name: "kb", Value: func(r *UpdateRow) any { return r.KB }, Search: true},
	{Name: "source", Value: func(r *UpdateRow) any { return r.Source }},
	{Name: "bulletin", Value: func(r *UpdateRow) any { return r.Bulletin }, Search: true},
	{Name: "product", Value: func(r *UpdateRow) any { return r.Product }, Search: true},
	{Name: "severity", Value: func(r *UpdateRow) any { return string(r.Severity) }, Rank: func(r *UpdateRow) int { return r.Severity.Rank() }},
	{Name: "class", Value: func(r *UpdateRow) any { return r.Class }},
	{Name: "month", Kind: store.Time, Value: func(r *UpdateRow) any { return r.Month }},
	{Name: "no_rule", Kind: store.Flag, Value: func(r *UpdateRow) any { return r.NoRule != "" }},
	{Name: "exploited", Kind: store.Flag, Value: func(r *UpdateRow) any { return r.Exploited }},
	{Name: "superseded", Kind: store.Flag, Value: func(r *UpdateRow) any { return r.Superseded }},
	{Name: "withdrawn", Kind: store.Flag, Value: func(r *UpdateRow) any { return r.Withdrawn }},
	{Name: "detector", Kind: store.Flag, Value: func(r *UpdateRow) any { return r.Detector }},
	{Name: "status", Value: func(r *UpdateRow) any { return string(r.Status) }},
	{Name: "packages", Kind: store.Number, Value: func(r *UpdateRow) any { return r.Packages }},
}

// UpdateColumns names what the list of updates can be filtered and sorted by.
func UpdateColumns() []string { return store.ColumnNames(updateColumns) }

// Updates returns a page of the updates, by number, and how many fit the query.
func (b *Bulletins) Updates(ctx context.Context, q store.Query) (page []*UpdateRow, total int, err error) {
	var rows []*UpdateRow
	err = b.with(ctx, func(v *live.View, s *staging.State) error {
		for _, u := range v.Updates() {
			rows = append(rows, updateRow(v, s, u))
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return store.Select(q, rows, updateColumns)
}

func updateRow(v *live.View, s *staging.State, u *live.Update) *UpdateRow {
	row := &UpdateRow{
		ID: u.ID, Number: u.Number, Name: u.Name, KB: u.KB, Source: u.Source, Product: u.Product.Name,
		Severity: u.Severity, Class: u.Class, NoRule: u.NoRule, Of: u.Bulletin,
	}
	row.Superseded, row.Withdrawn, row.Detector = v.Superseded(u.ID), u.Withdrawn, u.Detector
	if of := v.Bulletin(u.Bulletin); of != nil {
		row.Bulletin, row.Month = of.Name, of.Month
		for _, cve := range of.CVEs {
			row.Exploited = row.Exploited || cve.Exploited && slices.Contains(u.CVEs, cve.ID)
		}
	}
	status := s.Update(v, u)
	row.Status, row.Text, row.Awaited = status.Status, status.Text, status.Awaited
	for _, p := range status.Packages {
		if p.Matters {
			row.Packages++
		}
	}
	return row
}

// UpdateDetail is everything of one update.
type UpdateDetail struct {
	UpdateRow
	Title         string          `json:"title,omitempty"`
	Vendor        string          `json:"vendor"`
	ProductID     string          `json:"product_id,omitempty"`
	CVEs          []string        `json:"cves"`
	Restart       catalog.Restart `json:"restart,omitempty"`
	FixedBuild    string          `json:"fixed_build,omitempty"`
	URL           string          `json:"url,omitempty"`
	Supersedes    []Reference     `json:"supersedes"`
	SupersededBy  []Reference     `json:"superseded_by"`
	Prerequisites [][]string      `json:"prerequisites,omitempty"`
	Bundles       []string        `json:"bundles,omitempty"`
	PackageList   []PackageRow    `json:"package_list"`
	Digest        string          `json:"digest"`
	Rules         catalog.Update  `json:"rules"` // applicable, installed and superseded alone are filled in
}

// Reference names another update; one that is not in the catalog has an id alone.
type Reference struct {
	ID       string `json:"id"`
	Name     string `json:"update,omitempty"`
	Bulletin string `json:"bulletin,omitempty"`
	Known    bool   `json:"known"`
}

// ShowUpdate returns the update with a document id.
func (b *Bulletins) ShowUpdate(ctx context.Context, id string) (UpdateDetail, error) {
	var d UpdateDetail
	var found *live.Update
	err := b.with(ctx, func(v *live.View, s *staging.State) error {
		if found = v.UpdateByID(id); found == nil {
			return store.NotFound("update", id)
		}
		d = updateDetail(v, s, found)
		return nil
	})
	if err != nil {
		return d, err
	}
	whole, err := b.catalog.Whole(ctx, []*live.Update{found})
	if err != nil {
		return d, err
	}
	if len(whole) == 1 {
		d.Rules = catalog.Update{Rules: catalog.Rules{Applicable: whole[0].Applicable, Installed: whole[0].Installed, Superseded: whole[0].Superseded}}
	}
	return d, nil
}

func updateDetail(v *live.View, s *staging.State, u *live.Update) UpdateDetail {
	d := UpdateDetail{
		UpdateRow: *updateRow(v, s, u), Title: u.Title, Vendor: u.Vendor, ProductID: u.Product.ID,
		CVEs: orEmpty(u.CVEs), Restart: u.Restart, FixedBuild: u.FixedBuild, URL: u.URL, Prerequisites: u.Prerequisites,
		Bundles: u.Bundles, Digest: u.Digest.String(), Supersedes: []Reference{}, SupersededBy: []Reference{},
		PackageList: []PackageRow{},
	}
	for _, id := range u.Supersedes {
		d.Supersedes = append(d.Supersedes, reference(v, id))
	}
	for _, by := range v.SupersededBy(u.ID) {
		d.SupersededBy = append(d.SupersededBy, reference(v, by.ID))
	}
	for _, p := range s.Update(v, u).Packages {
		d.PackageList = append(d.PackageList, packageRow(v, p))
	}
	return d
}

func reference(v *live.View, id string) Reference {
	ref := Reference{ID: id}
	if u := v.UpdateByID(id); u != nil {
		ref.Name, ref.Known = u.Name, true
		if of := v.Bulletin(u.Bulletin); of != nil {
			ref.Bulletin = of.Name
		}
	}
	return ref
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Detail is everything of one bulletin.
type Detail struct {
	Row
	Staged     *staging.Staged   `json:"staged_since,omitempty"`
	CVEList    []catalog.CVE     `json:"cve_list"`
	Named      []catalog.NamedBy `json:"named_by"`
	UpdateList []*UpdateRow      `json:"update_list"`
	Supersedes []string          `json:"supersedes"`    // names of bulletins that its updates supersede
	By         []string          `json:"superseded_by"` // names of bulletins whose updates supersede its own
	Digest     string            `json:"digest"`
	Origin     string            `json:"origin"` // id of the site that made it
}

// Show returns the bulletin with a document id or a name.
func (b *Bulletins) Show(ctx context.Context, name string) (Detail, error) {
	var d Detail
	id, err := b.Find(ctx, name)
	if err != nil {
		return d, err
	}
	counts, err := b.others(ctx, id)
	if err != nil {
		return d, err
	}
	err = b.with(ctx, func(v *live.View, s *staging.State) error {
		found, err := find(v, id)
		if err != nil {
			return err
		}
		d = Detail{
			Row: *counts.row(v, s, found).whole(), CVEList: orEmpty(found.CVEs), Named: orEmpty(found.Named),
			UpdateList: []*UpdateRow{}, Digest: found.Digest.String(), Origin: found.Origin,
		}
		if since, ok := s.Staged[found.ID]; ok {
			d.Staged = &since
		}
		for _, u := range v.UpdatesOf(found.ID) {
			d.UpdateList = append(d.UpdateList, updateRow(v, s, u))
		}
		d.Supersedes, d.By = neighbours(v, found.ID)
		return nil
	})
	return d, err
}

// neighbours names the known bulletins before and after one.
func neighbours(v *live.View, bulletin string) (supersedes, by []string) {
	name := func(list []string, u *live.Update) []string {
		if u == nil || u.Bulletin == bulletin {
			return list
		}
		if of := v.Bulletin(u.Bulletin); of != nil {
			return append(list, of.Name)
		}
		return list
	}
	for _, u := range v.UpdatesOf(bulletin) {
		for _, id := range u.Supersedes {
			supersedes = name(supersedes, v.UpdateByID(id))
		}
		for _, later := range v.SupersededBy(u.ID) {
			by = name(by, later)
		}
	}
	slices.Sort(supersedes)
	slices.Sort(by)
	return orEmpty(slices.Compact(supersedes)), orEmpty(slices.Compact(by))
}
