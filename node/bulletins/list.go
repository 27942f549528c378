package bulletins

import (
	"cmp"
	"context"
	"slices"

	"thatch/catalog"
	"thatch/catalog/supersedence"
	"thatch/node/bulletins/live"
	"thatch/node/bulletins/staging"
	"thatch/node/store"
)

// Counts are numbers of a bulletin.
type Counts struct {
	Updates    int `json:"updates"`
	Downloaded int `json:"downloaded"` // updates of which every package that matters is here
	Policies   int `json:"policies"`
	Needed     int `json:"needed"` // computers that miss one of its updates
	CVEs       int `json:"cves"`
}

// Marks say yes or no of a bulletin.
type Marks struct {
	Staged     bool `json:"staged"`
	Exploited  bool `json:"exploited"`
	Disclosed  bool `json:"disclosed"`
	Superseded bool `json:"superseded"` // every one of its updates is
	Never      bool `json:"never_offered"`
}

// Row is one bulletin of a list.
type Row struct {
	ID             string           `json:"id"`
	Name           string           `json:"bulletin"`
	Source         string           `json:"source"`
	Vendor         string           `json:"vendor"`
	Severity       catalog.Severity `json:"severity"`
	CustomSeverity string           `json:"custom_severity"` // name, "" none
	Released       string           `json:"released"`
	Revised        string           `json:"revised"`
	Month          string           `json:"month"`
	Title          string           `json:"title"`
	Description    string           `json:"description,omitempty"`
	URL            string           `json:"url,omitempty"`
	Counts
	Marks
	by sortedBy
}

// sortedBy is what a row is filtered and sorted by, and does not show.
type sortedBy struct {
	cves  []string
	order int // of the custom severity; 0 none
}

// columns of the list of bulletins.
var columns = []store.Column[*Row]{
	{Name: "id", Value: func(r *Row) any { return r.ID }},
	{Name: "bulletin", Value: func(r *Row) any { return r.Name }, Search: true},
	{Name: "title", Value: func(r *Row) any { return r.Title }, Search: true},
	{Name: "description", Value: func(r *Row) any { return r.Description }, Search: true},
	{Name: "cve", Value: func(r *Row) any { return r.by.cves }, Search: true},
	{Name: "source", Value: func(r *Row) any { return r.Source }},
	{Name: "vendor", Value: func(r *Row) any { return r.Vendor }, Search: true},
	{Name: "severity", Value: func(r *Row) any { return string(r.Severity) }, Rank: func(r *Row) int { return r.Severity.Rank() }},
	{Name: "custom_severity", Value: func(r *Row) any { return r.CustomSeverity }, Rank: func(r *Row) int { return r.by.order }},
	{Name: "released", Kind: store.Time, Value: func(r *Row) any { return r.Released }},
	{Name: "revised", Kind: store.Time, Value: func(r *Row) any { return r.Revised }},
	{Name: "month", Kind: store.Time, Value: func(r *Row) any { return r.Month }},
	{Name: "staged", Kind: store.Flag, Value: func(r *Row) any { return r.Staged }},
	{Name: "exploited", Kind: store.Flag, Value: func(r *Row) any { return r.Exploited }},
	{Name: "disclosed", Kind: store.Flag, Value: func(r *Row) any { return r.Disclosed }},
	{Name: "superseded", Kind: store.Flag, Value: func(r *Row) any { return r.Superseded }},
	{Name: "never_offered", Kind: store.Flag, Value: func(r *Row) any { return r.Never }},
	{Name: "latest", Kind: store.Flag, Value: func(r *Row) any { return !r.Superseded }},
	{Name: "updates", Kind: store.Number, Value: func(r *Row) any { return r.Updates }},
	{Name: "downloaded", Kind: store.Number, Value: func(r *Row) any { return r.Downloaded }},
	{Name: "policies", Kind: store.Number, Value: func(r *Row) any { return r.Policies }},
	{Name: "needed", Kind: store.Number, Value: func(r *Row) any { return r.Needed }},
	{Name: "cves", Kind: store.Number, Value: func(r *Row) any { return r.CVEs }},
}

// Columns names what the list of bulletins can be filtered, sorted and grouped by.
func Columns() []string { return store.ColumnNames(columns) }

// List returns a page of the bulletins, newest first, and how many fit the query.
func (b *Bulletins) List(ctx context.Context, q store.Query) (page []*Row, total int, err error) {
	rows, err := b.rows(ctx)
	if err != nil {
		return nil, 0, err
	}
	return store.Select(q, rows, columns)
}

// Groups counts the bulletins that fit a query by the values of a column.
func (b *Bulletins) Groups(ctx context.Context, q store.Query, by string) ([]store.Group, error) {
	rows, err := b.rows(ctx)
	if err != nil {
		return nil, err
	}
	return store.GroupBy(q, rows, columns, by)
}

func (b *Bulletins) rows(ctx context.Context) (rows []*Row, err error) {
	counts, err := b.others(ctx)
	if err != nil {
		return nil, err
	}
	err = b.with(ctx, func(v *live.View, s *staging.State) error {
		all := v.Bulletins()
		rows = make([]*Row, 0, len(all))
		for _, one := range all {
			rows = append(rows, counts.row(v, s, one))
		}
		return nil
	})
	slices.SortStableFunc(rows, func(x, y *Row) int {
		return cmp.Compare(cmp.Or(y.Released, y.Month), cmp.Or(x.Released, x.Month))
	})
	return rows, err
}

// Rows returns the rows of bulletins by document id, in the order given; those that are no more are left out.
func (b *Bulletins) Rows(ctx context.Context, ids ...string) ([]*Row, error) {
	rows := []*Row{}
	if len(ids) == 0 {
		return rows, nil
	}
	counts, err := b.others(ctx, ids...)
	if err != nil {
		return nil, err
	}
	err = b.with(ctx, func(v *live.View, s *staging.State) error {
		for _, id := range ids {
			if one := v.Bulletin(id); one != nil {
				rows = append(rows, counts.row(v, s, one))
			}
		}
		return nil
	})
	return rows, err
}

func rowOf(v *live.View, s *staging.State, one *live.Bulletin) *Row {
	row := &Row{
		ID: one.ID, Name: one.Name, Source: one.Source, Vendor: one.Vendor, Severity: one.Severity,
		Released: cmp.Or(one.Released, supersedence.ReleasedFrom(one.Named)), Revised: one.Revised, Month: one.Month, Title: one.Title, Description: one.Description,
		URL:   one.URL,
		Marks: Marks{Exploited: one.Exploited, Disclosed: one.Disclosed, Superseded: v.BulletinSuperseded(one.ID), Never: v.NeverOffered(one.ID)},
	}
	_, row.Staged = s.Staged[one.ID]
	if custom := v.SeverityOf(one.ID); custom != nil {
		row.CustomSeverity, row.by.order = custom.Name, custom.Order
	}
	row.Counts.Updates, row.Downloaded = s.Counts(v, one.ID)
	row.CVEs = len(one.CVEs)
	for _, cve := range one.CVEs {
		row.by.cves = append(row.by.cves, cve.ID)
	}
	return row
}
