package reports

import (
	"context"
	"slices"

	"thatch/catalog"
	"thatch/console/api"
	"thatch/console/api/dated"
	"thatch/node"
	"thatch/node/computers/compliance/heads"
	"thatch/node/computers/compliance/report"
	"thatch/node/computers/history"
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
	Complete = "complete" // see report.ComputerRow.IsComplete
	Nearly   = "nearly"   // 95 % and more of what concerns it is installed
	Partly   = "partly"   // 80 % and more
	Barely   = "barely"   // less
	Untold   = "untold"   // it never reported
)

// summed are the lines of a report as of a day; "" now, and then there is no Day.
type summed func(ctx context.Context, n *node.Node, day string) ([]*Line, *history.Day, error)

// summary is what summarises each report but that of computers.
var summary = map[string]summed{
	"bulletins": bulletinLines,
	"updates": bySeverity(func(n *node.Node) read[report.UpdateRow] { return n.Compliance.Updates }, history.Updates, func(r *report.UpdateRow) (catalog.Severity, heads.Told, [2]bool) {
		return r.Severity, r.Told, [2]bool{r.Exploited}
	}),
	"cves": bySeverity(func(n *node.Node) read[report.CVERow] { return n.Compliance.CVEs }, history.CVEs, func(r *report.CVERow) (catalog.Severity, heads.Told, [2]bool) {
		return r.Severity, r.Told, [2]bool{r.Exploited, r.Disclosed}
	}),
}

var bulletinLines = bySeverity(func(n *node.Node) read[report.BulletinRow] { return n.Compliance.Bulletins }, history.Bulletins, func(r *report.BulletinRow) (catalog.Severity, heads.Told, [2]bool) {
	return r.Severity, r.Told, [2]bool{r.Exploited}
})

// BySeverity sums compliance by bulletin up by severity, the most severe first; severities of which nothing is known are left
// out, but for Critical.
func BySeverity(ctx context.Context, n *node.Node) ([]*Line, error) {
	lines, _, err := bulletinLines(ctx, n, "")
	return lines, err
}

func summaryRoute(n *node.Node) api.Route {
	find := func(c *api.Call) (summed, error) {
		if c.Arg("of") == "computers" {
			return ofComputers(c.SeesGroup), nil
		}
		if of := summary[c.Arg("of")]; of != nil {
			c.CountsWhole()
			return of, nil
		}
		return nil, store.Invalid("of: %.40q is none of bulletins, updates, cves, computers", c.Arg("of"))
	}
	return api.Route{
		Method: "GET", Path: "/compliance/summary", Scope: identity.Viewer, Reach: api.Reach{Free: true}, Columns: LineColumns, Needs: []string{"of"},
		Summary: "A report of compliance summed up by severity, or computers by how much they miss (of cves: Vulnerability Analysis Summary)",
		Query:   []api.Param{{Name: "of", Type: "string", Text: "bulletins, updates, cves or computers"}, dated.Param},
		Do: dated.List(dated.Rows[*Line]{
			Now: func(c *api.Call, ctx context.Context, q store.Query) ([]*Line, int, error) {
				of, err := find(c)
				if err != nil {
					return nil, 0, err
				}
				lines, _, err := of(ctx, n, "")
				if err != nil {
					return nil, 0, err
				}
				return store.Select(q, lines, lineColumns)
			},
			Then: func(c *api.Call, ctx context.Context, day string) ([]*Line, *history.Day, error) {
				of, err := find(c)
				if err != nil {
					return nil, nil, err
				}
				return of(ctx, n, day)
			},
			Columns: lineColumns,
		}),
	}
}

// severities are those of summaries, the most severe first.
var severities = []catalog.Severity{catalog.Critical, catalog.Important, catalog.Moderate, catalog.Low, catalog.None, catalog.Unspecified}

// read picks a page of a report of now.
type read[R any] func(ctx context.Context, q store.Query, all bool) ([]*R, int, error)

// bySeverity adds the rows of a report up by severity.
func bySeverity[R any](now func(n *node.Node) read[R], then history.Sheet[R], of func(row *R) (catalog.Severity, heads.Told, [2]bool)) summed {
	return func(ctx context.Context, n *node.Node, day string) (lines []*Line, on *history.Day, err error) {
		by := map[catalog.Severity]*Line{}
		for _, severity := range severities {
			by[severity] = &Line{Name: string(severity)}
			lines = append(lines, by[severity])
		}
		by[catalog.Unspecified].Name = "Unspecified"
		add := func(rows []*R) {
			for _, row := range rows {
				severity, told, marks := of(row)
				line := by[severity]
				if line == nil {
					line = by[catalog.Unspecified]
				}
				line.add(told, marks)
			}
		}
		if day != "" {
			rows, found, err := history.Rows(ctx, n.Past.Room, day, then)
			if err != nil {
				return nil, nil, err
			}
			on = found
			add(rows)
		} else {
			for offset, total := 0, 1; offset < total; offset += store.MaxPage {
				page, all, err := now(n)(ctx, store.Query{Offset: offset, Limit: store.MaxPage}, false)
				if err != nil {
					return nil, nil, err
				}
				total = all
				add(page)
			}
		}
		return slices.DeleteFunc(lines, func(l *Line) bool { return l.Known == 0 && l.Name != string(catalog.Critical) }), on, nil
	}
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

// ofComputers sums up the computers of the groups that are seen.
func ofComputers(sees func(group string) bool) summed {
	return func(ctx context.Context, n *node.Node, day string) (lines []*Line, on *history.Day, err error) {
		by := map[string]*Line{}
		for _, name := range []string{Complete, Nearly, Partly, Barely, Untold} {
			by[name] = &Line{Name: name}
			lines = append(lines, by[name])
		}
		add := func(row *report.ComputerRow) {
			if !sees(row.Group) {
				return
			}
			line := by[degree(row)]
			line.Known++
			line.Concerns += one(row.Percent != nil)
			line.Complete += one(row.IsComplete())
			line.Open += one(row.Missing > 0)
			line.Exploited += one(row.Exploited > 0)
			line.Missing += row.Missing
		}
		if day == "" {
			return lines, nil, each(ctx, n, add)
		}
		rows, on, err := history.Rows(ctx, n.Past.Room, day, history.Computers)
		for _, row := range rows {
			add(row)
		}
		return lines, on, err
	}
}

func degree(row *report.ComputerRow) string {
	switch {
	case row.Reported.IsZero():
		return Untold
	case row.IsComplete():
		return Complete
	case row.Percent == nil || *row.Percent < 80:
		return Barely
	case *row.Percent < 95:
		return Partly
	}
	return Nearly
}
