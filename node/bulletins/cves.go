package bulletins

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"thatch/catalog"
	"thatch/node/bulletins/live"
	"thatch/node/store"
)

// CVERow is one vulnerability, gathered over all bulletins that fix it.
type CVERow struct {
	ID        string           `json:"cve"`
	Title     string           `json:"title,omitempty"`
	Severity  catalog.Severity `json:"severity"` // highest of its bulletins
	Score     float64          `json:"score"`    // highest CVSS base score, 0 none
	Exploited bool             `json:"exploited"`
	Disclosed bool             `json:"disclosed"`
	Bulletins []string         `json:"bulletins"` // names
	Updates   int              `json:"updates"`
}

var cveColumns = []store.Column[*CVERow]{
	{Name: "cve", Value: func(r *CVERow) any { return r.ID }, Search: true},
	{Name: "title", Value: func(r *CVERow) any { return r.Title }, Search: true},
	{Name: "severity", Value: func(r *CVERow) any { return string(r.Severity) }},
	{Name: "score", Kind: store.Number, Value: func(r *CVERow) any { return r.Score }},
	{Name: "exploited", Kind: store.Flag, Value: func(r *CVERow) any { return r.Exploited }},
	{Name: "disclosed", Kind: store.Flag, Value: func(r *CVERow) any { return r.Disclosed }},
	{Name: "bulletin", Value: func(r *CVERow) any { return r.Bulletins }, Search: true},
	{Name: "updates", Kind: store.Number, Value: func(r *CVERow) any { return r.Updates }},
}

// CVEColumns names what the list of CVEs can be filtered and sorted by.
func CVEColumns() []string { return store.ColumnNames(cveColumns) }

// CVEs returns a page of the vulnerabilities that bulletins fix, by id, and how many fit the query.
func (b *Bulletins) CVEs(ctx context.Context, q store.Query) (page []*CVERow, total int, err error) {
	var rows []*CVERow
	err = b.catalog.Read(ctx, func(v *live.View) error {
		rows = cveRows(v)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return store.Select(q, rows, cveColumns)
}

func cveRows(v *live.View) []*CVERow {
	found := map[string]*CVERow{}
	for _, one := range v.Bulletins() {
		for _, cve := range one.CVEs {
			row := found[cve.ID]
			if row == nil {
				row = &CVERow{ID: cve.ID}
				found[cve.ID] = row
			}
			row.Title = cmp.Or(row.Title, cve.Title)
			row.Severity = row.Severity.Worse(cve.Severity)
			row.Score = max(row.Score, cve.Score)
			row.Exploited = row.Exploited || cve.Exploited
			row.Disclosed = row.Disclosed || cve.Disclosed
			row.Bulletins = append(row.Bulletins, one.Name)
		}
	}
	for _, u := range v.Updates() {
		for _, id := range u.CVEs {
			if row := found[id]; row != nil {
				row.Updates++
			}
		}
	}
	return slices.SortedFunc(maps.Values(found), func(x, y *CVERow) int { return cmp.Compare(x.ID, y.ID) })
}
