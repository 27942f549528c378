package reports

import (
	"context"
	"slices"
	"strings"
	"time"

	"thatch/catalog"
	"thatch/console/api"
	"thatch/node"
	"thatch/node/bulletins"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/computers/compliance/heads"
	"thatch/node/computers/compliance/report"
	"thatch/node/identity"
	"thatch/node/store"
)

// Line sums up the rows of a report that have one severity, or computers of one degree of compliance.
type Line struct {
	Name      string `json:"name"`      // severity; of computers: complete, nearly, partly, barely, untold
	Known     int    `json:"known"`     // rows
	Concerns  int    `json:"concerns"`  // that concern a computer at all
	Complete  int    `json:"complete"`  // that miss nowhere
	Open      int    `json:"open"`      // that miss somewhere
	Exploited int    `json:"exploited"` // open, and seen exploited
	Disclosed int    `json:"disclosed"` // open, and publicly disclosed before there was an update; of vulnerabilities alone
	Missing   int    `json:"missing"`   // pairs with a computer
}

var lineColumns = []store.Column[*Line]{
	{Name: "name", Value: func(l *Line) any { return l.Name }, Search: true},
	{Name: "known", Kind: store.Number, Value: func(l *Line) any { return l.Known }},
	{Name: "concerns", Kind: store.Number, Value: func(l *Line) any { return l.Concerns }},
	{Name: "complete", Kind: store.Number, Value: func(l *Line) any { return l.Complete }},
	{Name: "open", Kind: store.Number, Value: func(l *Line) any { return l.Open }},
	{Name: "exploited", Kind: store.Number, Value: func(l *Line) any { return l.Exploited }},
	{Name: "disclosed", Kind: store.Number, Value: func(l *Line) any { return l.Disclosed }},
	{Name: "missing", Kind: store.Number, Value: func(l *Line) any { return l.Missing }},
}

// LineColumns names what summaries can be filtered and sorted by.
var LineColumns = store.ColumnNames(lineColumns)

// Degrees of compliance of computers.
const (
	Complete = "complete" // see report.ComputerRow.Complete
	Nearly   = "nearly"   // 95 % and more of what concerns it is installed
	Partly   = "partly"   // 80 % and more
	Barely   = "barely"   // less
	Untold   = "untold"   // it never reported
)

// summary is what summarises each report.
var summary = map[string]func(ctx context.Context, n *node.Node) ([]*Line, error){
	"bulletins": ofBulletins, "updates": ofUpdates, "cves": ofCVEs, "computers": ofComputers,
}

func summaryRoute(n *node.Node) api.Route {
	return api.Route{
		Method: "GET", Path: "/compliance/summary", Scope: identity.Viewer, Columns: LineColumns, Needs: []string{"of"},
		Summary: "A report of compliance summed up by severity, or computers by how much they miss (of cves: Vulnerability Analysis Summary)",
		Query:   []api.Param{{Name: "of", Type: "string", Text: "bulletins, updates, cves or computers"}},
		Do: api.Get(func(c *api.Call) (api.List[*Line], error) {
			read := summary[c.Arg("of")]
			if read == nil {
				return api.List[*Line]{}, store.Invalid("of: %.40q is none of bulletins, updates, cves, computers", c.Arg("of"))
			}
			return api.Listing(c, func(ctx context.Context, q store.Query) ([]*Line, int, error) {
				lines, err := read(ctx, n)
				if err != nil {
					return nil, 0, err
				}
				return store.Select(q, lines, lineColumns)
			})
		}),
	}
}

// severities are those of summaries, the most severe first.
var severities = []catalog.Severity{catalog.Critical, catalog.Important, catalog.Moderate, catalog.Low, catalog.None, catalog.Unspecified}

// sum reads a report page by page and adds its rows up by severity.
func sum[R any](ctx context.Context, read func(ctx context.Context, q store.Query, all bool) ([]R, int, error), of func(row R) (catalog.Severity, heads.Told, [2]bool)) ([]*Line, error) {
	by := map[catalog.Severity]*Line{}
	lines := make([]*Line, 0, len(severities))
	for _, severity := range severities {
		by[severity] = &Line{Name: string(severity)}
		lines = append(lines, by[severity])
	}
	by[catalog.Unspecified].Name = "Unspecified"
	for offset, total := 0, 1; offset < total; offset += store.MaxPage {
		page, all, err := read(ctx, store.Query{Offset: offset, Limit: store.MaxPage}, false)
		if err != nil {
			return nil, err
		}
		total = all
		for _, row := range page {
			severity, told, marks := of(row)
			line := by[severity]
			if line == nil {
				line = by[catalog.Unspecified]
			}
			line.add(told, marks)
		}
	}
	return slices.DeleteFunc(lines, func(l *Line) bool { return l.Known == 0 && l.Name != string(catalog.Critical) }), nil
}

func (l *Line) add(told heads.Told, marks [2]bool) {
	l.Known++
	l.Concerns += one(told.Installed+told.Missing > 0)
	l.Complete += one(told.Missing == 0 && told.Installed > 0)
	l.Open += one(told.Missing > 0)
	l.Exploited += one(told.Missing > 0 && marks[0])
	l.Disclosed += one(told.Missing > 0 && marks[1])
	l.Missing += told.Missing
}

// BySeverity sums compliance by bulletin up by severity, the most severe first; severities of which nothing is known are left
// out, but for Critical.
func BySeverity(ctx context.Context, n *node.Node) ([]*Line, error) { return ofBulletins(ctx, n) }

func ofBulletins(ctx context.Context, n *node.Node) ([]*Line, error) {
	return sum(ctx, n.Compliance.Bulletins, func(r *report.BulletinRow) (catalog.Severity, heads.Told, [2]bool) {
		return r.Severity, r.Told, [2]bool{r.Exploited}
	})
}

func ofUpdates(ctx context.Context, n *node.Node) ([]*Line, error) {
	return sum(ctx, n.Compliance.Updates, func(r *report.UpdateRow) (catalog.Severity, heads.Told, [2]bool) {
		return r.Severity, r.Told, [2]bool{r.Exploited}
	})
}

func ofCVEs(ctx context.Context, n *node.Node) ([]*Line, error) {
	return sum(ctx, n.Compliance.CVEs, func(r *report.CVERow) (catalog.Severity, heads.Told, [2]bool) {
		return r.Severity, r.Told, [2]bool{r.Exploited, r.Disclosed}
	})
}

func ofComputers(ctx context.Context, n *node.Node) ([]*Line, error) {
	by := map[string]*Line{}
	lines := []*Line{}
	for _, name := range []string{Complete, Nearly, Partly, Barely, Untold} {
		by[name] = &Line{Name: name}
		lines = append(lines, by[name])
	}
	err := n.Compliance.Each(ctx, time.Time{}, func(_ *computers.Member, row *report.ComputerRow) {
		line := by[degree(row)]
		line.Known++
		line.Concerns += one(row.Percent != nil)
		line.Complete += one(row.Complete())
		line.Open += one(row.Missing > 0)
		line.Exploited += one(row.Exploited > 0)
		line.Missing += row.Missing
	})
	return lines, err
}

func degree(row *report.ComputerRow) string {
	switch {
	case row.Reported.IsZero():
		return Untold
	case row.Complete():
		return Complete
	case row.Percent == nil || *row.Percent < 80:
		return Barely
	case *row.Percent < 95:
		return Partly
	}
	return Nearly
}

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
		Method: "GET", Path: "/superseded-bulletins", Scope: identity.Viewer, Columns: SupersededColumns,
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
