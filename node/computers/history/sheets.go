package history

import (
	"slices"

	"thatch/node/computers/compliance/heads"
	"thatch/node/computers/compliance/report"
	"thatch/node/computers/machine"
)

// The reports of one site, as they are kept.
var (
	Bulletins = Sheet[report.BulletinRow]{
		Name: "bulletins",
		Columns: slices.Concat([]Column[report.BulletinRow]{
			{"id", func(r *report.BulletinRow) any { return &r.ID }},
			{"bulletin", func(r *report.BulletinRow) any { return &r.Bulletin }},
			{"title", func(r *report.BulletinRow) any { return &r.Title }},
			{"source", func(r *report.BulletinRow) any { return &r.Source }},
			{"severity", func(r *report.BulletinRow) any { return &r.Severity }},
			{"custom_severity", func(r *report.BulletinRow) any { return &r.Custom }},
			{"month", func(r *report.BulletinRow) any { return &r.Month }},
			{"exploited", func(r *report.BulletinRow) any { return &r.Exploited }},
			{"superseded", func(r *report.BulletinRow) any { return &r.Superseded }},
			{"updates", func(r *report.BulletinRow) any { return &r.Updates }},
			{"no_rule", func(r *report.BulletinRow) any { return &r.NoRule }},
		}, counts(func(r *report.BulletinRow) *report.Counts { return &r.Counts })),
		Finish: func(r *report.BulletinRow) { share(&r.Counts) },
	}
	Updates = Sheet[report.UpdateRow]{
		Name: "updates",
		Columns: slices.Concat([]Column[report.UpdateRow]{
			{"number", func(r *report.UpdateRow) any { return &r.Number }},
			{"id", func(r *report.UpdateRow) any { return &r.ID }},
			{"update", func(r *report.UpdateRow) any { return &r.Update }},
			{"kb", func(r *report.UpdateRow) any { return &r.KB }},
			{"bulletin", func(r *report.UpdateRow) any { return &r.Bulletin }},
			{"product", func(r *report.UpdateRow) any { return &r.Product }},
			{"severity", func(r *report.UpdateRow) any { return &r.Severity }},
			{"month", func(r *report.UpdateRow) any { return &r.Month }},
			{"no_rule", func(r *report.UpdateRow) any { return &r.NoRule }},
			{"exploited", func(r *report.UpdateRow) any { return &r.Exploited }},
			{"superseded", func(r *report.UpdateRow) any { return &r.Superseded }},
		}, counts(func(r *report.UpdateRow) *report.Counts { return &r.Counts })),
		Finish: func(r *report.UpdateRow) { share(&r.Counts) },
	}
	CVEs = Sheet[report.CVERow]{
		Name: "cves",
		Columns: slices.Concat([]Column[report.CVERow]{
			{"cve", func(r *report.CVERow) any { return &r.CVE }},
			{"title", func(r *report.CVERow) any { return &r.Title }},
			{"severity", func(r *report.CVERow) any { return &r.Severity }},
			{"bulletins", func(r *report.CVERow) any { return &r.Bulletins }},
			{"score", func(r *report.CVERow) any { return &r.Score }},
			{"exploited", func(r *report.CVERow) any { return &r.Exploited }},
			{"disclosed", func(r *report.CVERow) any { return &r.Disclosed }},
			{"updates", func(r *report.CVERow) any { return &r.Updates }},
		}, counts(func(r *report.CVERow) *report.Counts { return &r.Counts })),
		Finish: func(r *report.CVERow) { share(&r.Counts) },
	}
	Months = Sheet[report.MonthRow]{
		Name: "months",
		Columns: slices.Concat([]Column[report.MonthRow]{
			{"month", func(r *report.MonthRow) any { return &r.Month }},
			{"bulletins", func(r *report.MonthRow) any { return &r.Bulletins }},
			{"updates", func(r *report.MonthRow) any { return &r.Updates }},
		}, counts(func(r *report.MonthRow) *report.Counts { return &r.Counts })),
		Finish: func(r *report.MonthRow) { share(&r.Counts) },
	}
	// Computers leaves out what a computer says of itself beside its name, operating system and languages.
	Computers = Sheet[report.ComputerRow]{
		Name: "computers",
		Columns: []Column[report.ComputerRow]{
			{"number", func(r *report.ComputerRow) any { return &r.Number }},
			{"id", func(r *report.ComputerRow) any { return &r.ID }},
			{"computer", func(r *report.ComputerRow) any { return &r.Computer }},
			{"group", func(r *report.ComputerRow) any { return &r.Group }},
			{"platform", func(r *report.ComputerRow) any { return &r.Platform }},
			{"product", func(r *report.ComputerRow) any { return &r.Product }},
			{"languages", func(r *report.ComputerRow) any { return &r.Languages }},
			{"doubt", func(r *report.ComputerRow) any { return &r.Doubt }},
			{"last_seen", func(r *report.ComputerRow) any { return &r.LastSeen }},
			{"reported", func(r *report.ComputerRow) any { return &r.Reported }},
			{"silent", func(r *report.ComputerRow) any { return &r.Silent }},
			{"simulated", func(r *report.ComputerRow) any { return &r.Simulated }},
			{"applicable", func(r *report.ComputerRow) any { return &r.Applicable }},
			{"installed", func(r *report.ComputerRow) any { return &r.Installed }},
			{"missing", func(r *report.ComputerRow) any { return &r.Missing }},
			{"superseded", func(r *report.ComputerRow) any { return &r.Standing.Superseded }},
			{"critical", func(r *report.ComputerRow) any { return &r.Critical }},
			{"exploited", func(r *report.ComputerRow) any { return &r.Exploited }},
			{"unknown", func(r *report.ComputerRow) any { return &r.Unknown }},
			{"pending", func(r *report.ComputerRow) any { return &r.Pending }},
			{"failed", func(r *report.ComputerRow) any { return &r.Failed }},
		},
		Finish: func(r *report.ComputerRow) {
			r.Machine, r.Percent = &nothingSaid, heads.Percent(r.Installed, r.Missing)
			r.Complete, r.Attention = r.IsComplete(), r.NeedsAttention()
		},
	}
)

// nothingSaid is what is kept of a computer's word of itself.
var nothingSaid machine.Machine

func counts[R any](of func(r *R) *report.Counts) []Column[R] {
	return append(Told(func(r *R) *heads.Told { return &of(r).Told }), Column[R]{"pending", func(r *R) any { return &of(r).Pending }})
}

func share(c *report.Counts) { c.Percent = heads.Percent(c.Installed, c.Missing) }

// Of lays down what every report says.
func Of(all report.All) []Kept {
	return []Kept{
		Bulletins.Of(all.Bulletins), Updates.Of(all.Updates), CVEs.Of(all.CVEs), Months.Of(all.Months), Computers.Of(all.Computers),
	}
}

// Sum sums up what the reports say.
func Sum(all report.All) (t Totals) {
	for _, row := range all.Computers {
		t.Computers++
		t.Silent += one(row.Silent)
		t.Complete += one(row.IsComplete())
		t.Attention += one(row.NeedsAttention())
		t.Exploited += one(row.Exploited > 0)
		t.Failed += one(row.Failed > 0)
		t.Installed += row.Installed
		t.Missing += row.Missing
	}
	t.Percent = heads.Percent(t.Installed, t.Missing)
	for _, row := range all.Bulletins {
		t.Bulletins += one(row.Missing > 0)
	}
	for _, row := range all.CVEs {
		t.CVEs += one(row.Missing > 0)
		t.InTheWild += one(row.Missing > 0 && row.Exploited)
	}
	return t
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}
