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
	from source
}

// source is what a row is made of, for as long as the catalog is read.
type source struct {
	view  *live.View
	state *staging.State // nil: the row is whole
	one   *live.Bulletin
	order int // of the custom severity; 0 none
}

// whole fills in what it takes a look at every update to know: the list has thousands of bulletins, and a page a hundred.
func (r *Row) whole() *Row {
	if v, s := r.from.view, r.from.state; s != nil {
		r.Superseded = v.BulletinSuperseded(r.ID)
		r.Updates, r.Downloaded = s.Counts(v, r.ID)
		r.from.view, r.from.state = nil, nil
	}
	return r
}

func (r *Row) cves() []string {
	names := make([]string, len(r.from.one.CVEs))
	for i := range r.from.one.CVEs {
		names[i] = r.from.one.CVEs[i].ID
	}
	return names
}

// columns of the list of bulletins.
var columns = []store.Column[*Row]{
	{Name: "id", Value: func(r *Row) any { return r.ID }},
	{Name: "bulletin", Value: func(r *Row) any { return r.Name }, Search: true},
	{Name: "title", Value: func(r *Row) any { return r.Title }, Search: true},
	{Name: "description", Value: func(r *Row) any { return r.Description }, Search: true},
	{Name: "cve", Value: func(r *Row) any { return r.cves() }, Search: true},
	{Name: "source", Value: func(r *Row) any { return r.Source }},
	{Name: "vendor", Value: func(r *Row) any { return r.Vendor }, Search: true},
	{Name: "severity", Value: func(r *Row) any { return string(r.Severity) }, Rank: func(r *Row) int { return r.Severity.Rank() }},
	{Name: "custom_severity", Value: func(r *Row) any { return r.CustomSeverity }, Rank: func(r *Row) int { return r.from.order }},
	{Name: "released", Kind: store.Time, Value: func(r *Row) any { return r.Released }},
	{Name: "revised", Kind: store.Time, Value: func(r *Row) any { return r.Revised }},
	{Name: "month", Kind: store.Time, Value: func(r *Row) any { return r.Month }},
	{Name: "staged", Kind: store.Flag, Value: func(r *Row) any { return r.Staged }},
	{Name: "exploited", Kind: store.Flag, Value: func(r *Row) any { return r.Exploited }},
	{Name: "disclosed", Kind: store.Flag, Value: func(r *Row) any { return r.Disclosed }},
	{Name: "superseded", Kind: store.Flag, Value: func(r *Row) any { return r.whole().Superseded }},
	{Name: "never_offered", Kind: store.Flag, Value: func(r *Row) any { return r.Never }},
	{Name: "latest", Kind: store.Flag, Value: func(r *Row) any { return !r.whole().Superseded }},
	{Name: "updates", Kind: store.Number, Value: func(r *Row) any { return r.whole().Updates }},
	{Name: "downloaded", Kind: store.Number, Value: func(r *Row) any { return r.whole().Downloaded }},
	{Name: "policies", Kind: store.Number, Value: func(r *Row) any { return r.Policies }},
	{Name: "needed", Kind: store.Number, Value: func(r *Row) any { return r.Needed }},
	{Name: "cves", Kind: store.Number, Value: func(r *Row) any { return r.CVEs }},
}

// Columns names what the list of bulletins can be filtered, sorted and grouped by.
func Columns() []string { return store.ColumnNames(columns) }

// List returns a page of the bulletins, newest first, and how many fit the query.
func (b *Bulletins) List(ctx context.Context, q store.Query) (page []*Row, total int, err error) {
	err = b.rows(ctx, func(rows []*Row) error {
		page, total, err = store.Select(q, rows, columns)
		for _, row := range page {
			row.whole()
		}
		return err
	})
	return page, total, err
}

// Groups counts the bulletins that fit a query by the values of a column.
func (b *Bulletins) Groups(ctx context.Context, q store.Query, by string) (groups []store.Group, err error) {
	err = b.rows(ctx, func(rows []*Row) error {
		groups, err = store.GroupBy(q, rows, columns, by)
		return err
	})
	return groups, err
}

// Totals counts the bulletins of the site.
type Totals struct {
	All, Staged, InPolicies int
	New                     int // released after a day
}

// Totals counts all bulletins, new those that were released after a day (YYYY-MM-DD).
func (b *Bulletins) Totals(ctx context.Context, after string) (t Totals, err error) {
	err = b.rows(ctx, func(rows []*Row) error {
		t.All = len(rows)
		for _, row := range rows {
			if row.Staged {
				t.Staged++
			}
			if row.Policies > 0 {
				t.InPolicies++
			}
			if row.Released > after {
				t.New++
			}
		}
		return nil
	})
	return t, err
}

// rows calls read with the rows of all bulletins, newest first. They are good until it returns.
func (b *Bulletins) rows(ctx context.Context, read func(rows []*Row) error) error {
	counts, err := b.others(ctx)
	if err != nil {
		return err
	}
	return b.with(ctx, func(v *live.View, s *staging.State) error {
		all := v.Bulletins()
		rows := make([]*Row, 0, len(all))
		for _, one := range all {
			rows = append(rows, counts.row(v, s, one))
		}
		slices.SortStableFunc(rows, func(x, y *Row) int {
			return cmp.Compare(cmp.Or(y.Released, y.Month), cmp.Or(x.Released, x.Month))
		})
		return read(rows)
	})
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
				rows = append(rows, counts.row(v, s, one).whole())
			}
		}
		return nil
	})
	return rows, err
}

// rowOf is a row of a bulletin, not whole yet.
func rowOf(v *live.View, s *staging.State, one *live.Bulletin) *Row {
	row := &Row{
		ID: one.ID, Name: one.Name, Source: one.Source, Vendor: one.Vendor, Severity: one.Severity,
		Released: cmp.Or(one.Released, supersedence.ReleasedFrom(one.Named)), Revised: one.Revised, Month: one.Month, Title: one.Title, Description: one.Description,
		URL:   one.URL,
		Marks: Marks{Exploited: one.Exploited, Disclosed: one.Disclosed, Never: v.NeverOffered(one.ID)},
		from:  source{view: v, state: s, one: one},
	}
	_, row.Staged = s.Staged[one.ID]
	if custom := v.SeverityOf(one.ID); custom != nil {
		row.CustomSeverity, row.from.order = custom.Name, custom.Order
	}
	row.CVEs = len(one.CVEs)
	return row
}
