package bulletins

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"thatch/catalog"
	"thatch/node/bulletins/live"
	"thatch/node/bulletins/staging"
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
	{Name: "severity", Value: func(r *CVERow) any { return string(r.Severity) }, Rank: func(r *CVERow) int { return r.Severity.Rank() }},
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

// CVEDetail is everything of one vulnerability.
type CVEDetail struct {
	CVERow
	Vector       string       `json:"vector,omitempty"` // of the highest score
	BulletinList []*Row       `json:"bulletin_list"`
	UpdateList   []*UpdateRow `json:"update_list"`
}

// ShowCVE returns the vulnerability with an id, as "CVE-2019-0540".
func (b *Bulletins) ShowCVE(ctx context.Context, id string) (CVEDetail, error) {
	d := CVEDetail{CVERow: CVERow{ID: id}, BulletinList: []*Row{}, UpdateList: []*UpdateRow{}}
	counts, err := b.others(ctx)
	if err != nil {
		return d, err
	}
	err = b.with(ctx, func(v *live.View, s *staging.State) error {
		for _, one := range v.Bulletins() {
			at := slices.IndexFunc(one.CVEs, func(cve catalog.CVE) bool { return strings.EqualFold(cve.ID, id) })
			if at < 0 {
				continue
			}
			if cve := one.CVEs[at]; cve.Vector != "" && (d.Vector == "" || cve.Score > d.Score) {
				d.Vector = cve.Vector
			}
			d.add(one, one.CVEs[at])
			d.BulletinList = append(d.BulletinList, counts.row(v, s, one).whole())
			for _, u := range v.UpdatesOf(one.ID) {
				if slices.Contains(u.CVEs, d.ID) {
					d.UpdateList = append(d.UpdateList, updateRow(v, s, u))
				}
			}
		}
		if len(d.BulletinList) == 0 {
			return store.NotFound("CVE", id)
		}
		d.Updates = len(d.UpdateList)
		return nil
	})
	return d, err
}

// add adds what one bulletin says of the vulnerability.
func (r *CVERow) add(one *live.Bulletin, cve catalog.CVE) {
	r.ID, r.Title = cve.ID, cmp.Or(r.Title, cve.Title)
	r.Severity, r.Score = r.Severity.Worse(cve.Severity), max(r.Score, cve.Score)
	r.Exploited, r.Disclosed = r.Exploited || cve.Exploited, r.Disclosed || cve.Disclosed
	r.Bulletins = append(r.Bulletins, one.Name)
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
			row.add(one, cve)
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
