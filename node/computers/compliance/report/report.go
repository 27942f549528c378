// Package report is what the reports of compliance say: their rows, and the columns that these are filtered and sorted by. It
// counts nothing.
package report

import (
	"slices"
	"time"

	"thatch/catalog"
	"thatch/node/computers"
	"thatch/node/computers/compliance/heads"
	"thatch/node/computers/machine"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Counts are numbers of computers. For several updates together: applicable, one of them is; installed, every one
// that is applicable is installed; missing, unknown, failed, one of them is. Superseded updates, and those that are
// never offered, are left out of missing. Pending are those that have not evaluated the newest revision; they are counted beside what they said of an
// earlier one. Scheduled: a policy orders one of them, it is not installed yet, and no install of it failed.
type Counts struct {
	heads.Told
	Pending int `json:"pending"`
}

// All is what every report says at one moment, each in its order.
type All struct {
	Bulletins []*BulletinRow
	Updates   []*UpdateRow
	CVEs      []*CVERow
	Months    []*MonthRow
	Computers []*ComputerRow
}

// BulletinRow is one bulletin of the report.
type BulletinRow struct {
	heads.BulletinHead
	Superseded bool `json:"superseded"` // all its updates are
	Updates    int  `json:"updates"`
	NoRule     int  `json:"no_rule"` // updates of which no computer can tell
	Counts
}

// UpdateRow is one update of the report.
type UpdateRow struct {
	heads.UpdateHead
	Number     uint32 `json:"number"`
	Exploited  bool   `json:"exploited"`
	Superseded bool   `json:"superseded"`
	NoRule     string `json:"no_rule,omitempty"` // why no computer can tell
	Counts
}

// CVERow is one vulnerability of the report.
type CVERow struct {
	CVE       string           `json:"cve"`
	Title     string           `json:"title"`
	Severity  catalog.Severity `json:"severity"`
	Score     float64          `json:"score"`
	Exploited bool             `json:"exploited"`
	Disclosed bool             `json:"disclosed"`
	Bulletins []string         `json:"bulletins"`
	Updates   int              `json:"updates"`
	Counts
}

// MonthRow is one month of the report.
type MonthRow struct {
	Month     string `json:"month"`
	Bulletins int    `json:"bulletins"`
	Updates   int    `json:"updates"`
	Counts
}

// ComputerRow is one computer of the report, or of the list of computers.
type ComputerRow struct {
	ID        string   `json:"id"`
	Number    uint32   `json:"number"`
	Computer  string   `json:"computer"`
	Group     string   `json:"group"`
	Platform  string   `json:"platform"`
	Product   string   `json:"product"`
	Languages []string `json:"languages"`
	Contact
	Marks
	Retired   time.Time `json:"retired,omitzero"`
	Doubt     string    `json:"doubt,omitempty"`
	Simulated bool      `json:"simulated"`
	Version   int64     `json:"version"`
	*machine.Machine
	Standing
}

// Contact is when a computer was heard of.
type Contact struct {
	LastSeen time.Time `json:"last_seen"`
	Reported time.Time `json:"reported,omitzero"` // zero: never
	Node     string    `json:"node,omitempty"`    // that it last spoke to, by its name; the API says it
}

// Marks are what follows from the rest of a row.
type Marks struct {
	Silent    bool `json:"silent"`    // see computers.Silent
	Complete  bool `json:"complete"`  // see IsComplete
	Attention bool `json:"attention"` // see NeedsAttention
}

// Mark makes the marks: since is the time by which the computer had to be heard of.
func (r *ComputerRow) Mark(since time.Time) {
	r.Marks = Marks{r.Retired.IsZero() && computers.Silent(r.Reported, r.LastSeen, since), r.IsComplete(), r.NeedsAttention()}
}

// IsComplete says whether all is done on the computer: it reported, misses nothing, and of nothing cannot be told whether it is
// needed. What it has not evaluated yet counts as soon as it did; superseded updates do not count.
func (r *ComputerRow) IsComplete() bool { return !r.Reported.IsZero() && r.Missing+r.Unknown == 0 }

// NeedsAttention says whether a person should look after the computer: it misses what is critical or exploited, an install failed, or
// two machines seem to be one.
func (r *ComputerRow) NeedsAttention() bool {
	return r.Critical > 0 || r.Exploited > 0 || r.Failed > 0 || r.Doubt != ""
}

func countColumns[R any](of func(R) *Counts) []store.Column[R] {
	return append(heads.ToldColumns(func(r R) *heads.Told { return &of(r).Told }),
		store.Column[R]{Name: "pending", Kind: store.Number, Value: func(r R) any { return of(r).Pending }})
}

// OfBulletins are the columns of the report by bulletin.
var OfBulletins = slices.Concat(heads.BulletinHeadColumns(func(r *BulletinRow) *heads.BulletinHead { return &r.BulletinHead }), []store.Column[*BulletinRow]{
	{Name: "superseded", Kind: store.Flag, Value: func(r *BulletinRow) any { return r.Superseded }},
	{Name: "updates", Kind: store.Number, Value: func(r *BulletinRow) any { return r.Updates }},
	{Name: "no_rule", Kind: store.Number, Value: func(r *BulletinRow) any { return r.NoRule }},
}, countColumns(func(r *BulletinRow) *Counts { return &r.Counts }))

// OfUpdates are the columns of the report by update.
var OfUpdates = slices.Concat(heads.UpdateHeadColumns(func(r *UpdateRow) *heads.UpdateHead { return &r.UpdateHead }), []store.Column[*UpdateRow]{
	{Name: "number", Kind: store.Number, Value: func(r *UpdateRow) any { return int(r.Number) }},
	{Name: "exploited", Kind: store.Flag, Value: func(r *UpdateRow) any { return r.Exploited }},
	{Name: "superseded", Kind: store.Flag, Value: func(r *UpdateRow) any { return r.Superseded }},
	{Name: "no_rule", Kind: store.Flag, Value: func(r *UpdateRow) any { return r.NoRule != "" }},
}, countColumns(func(r *UpdateRow) *Counts { return &r.Counts }))

// OfCVEs are the columns of the report by vulnerability.
var OfCVEs = append([]store.Column[*CVERow]{
	{Name: "cve", Value: func(r *CVERow) any { return r.CVE }, Search: true},
	{Name: "title", Value: func(r *CVERow) any { return r.Title }, Search: true},
	{Name: "severity", Value: func(r *CVERow) any { return string(r.Severity) }, Rank: func(r *CVERow) int { return r.Severity.Rank() }},
	{Name: "severity_rank", Kind: store.Number, Value: func(r *CVERow) any { return r.Severity.Rank() }},
	{Name: "score", Kind: store.Number, Value: func(r *CVERow) any { return r.Score }},
	{Name: "exploited", Kind: store.Flag, Value: func(r *CVERow) any { return r.Exploited }},
	{Name: "disclosed", Kind: store.Flag, Value: func(r *CVERow) any { return r.Disclosed }},
	{Name: "bulletins", Value: func(r *CVERow) any { return r.Bulletins }},
	{Name: "updates", Kind: store.Number, Value: func(r *CVERow) any { return r.Updates }},
}, countColumns(func(r *CVERow) *Counts { return &r.Counts })...)

// OfMonths are the columns of the report by month.
var OfMonths = append([]store.Column[*MonthRow]{
	{Name: "month", Kind: store.Time, Value: func(r *MonthRow) any { return r.Month }, Search: true},
	{Name: "bulletins", Kind: store.Number, Value: func(r *MonthRow) any { return r.Bulletins }},
	{Name: "updates", Kind: store.Number, Value: func(r *MonthRow) any { return r.Updates }},
}, countColumns(func(r *MonthRow) *Counts { return &r.Counts })...)

// OfComputers are the columns of the report by computer, and of the list of computers.
var OfComputers = []store.Column[*ComputerRow]{
	{Name: "id", Value: func(r *ComputerRow) any { return r.ID }},
	{Name: "number", Kind: store.Number, Value: func(r *ComputerRow) any { return int(r.Number) }},
	{Name: "computer", Value: func(r *ComputerRow) any { return r.Computer }, Search: true},
	{Name: "group", Value: func(r *ComputerRow) any { return r.Group }, Search: true},
	{Name: "platform", Value: func(r *ComputerRow) any { return r.Platform }},
	{Name: "product", Value: func(r *ComputerRow) any { return r.Product }, Search: true},
	{Name: "languages", Value: func(r *ComputerRow) any { return r.Languages }},
	{Name: "last_seen", Kind: store.Time, Value: func(r *ComputerRow) any { return rows.Stamp(r.LastSeen) }, Rank: func(r *ComputerRow) int { return int(r.LastSeen.UnixMilli()) }},
	{Name: "reported", Kind: store.Time, Value: func(r *ComputerRow) any { return rows.Stamp(r.Reported) }, Rank: func(r *ComputerRow) int { return int(r.Reported.UnixMilli()) }},
	{Name: "retired", Kind: store.Flag, Value: func(r *ComputerRow) any { return !r.Retired.IsZero() }},
	{Name: "doubt", Kind: store.Flag, Value: func(r *ComputerRow) any { return r.Doubt != "" }},
	{Name: "simulated", Kind: store.Flag, Value: func(r *ComputerRow) any { return r.Simulated }},
	{Name: "silent", Kind: store.Flag, Value: func(r *ComputerRow) any { return r.Silent }},
	{Name: "domain", Value: func(r *ComputerRow) any { return r.Domain }, Search: true},
	{Name: "addresses", Value: func(r *ComputerRow) any { return r.Addresses }, Search: true},
	{Name: "manufacturer", Value: func(r *ComputerRow) any { return r.Manufacturer }},
	{Name: "model", Value: func(r *ComputerRow) any { return r.Model }, Search: true},
	{Name: "serial", Value: func(r *ComputerRow) any { return r.Serial }, Search: true},
	{Name: "agent", Value: func(r *ComputerRow) any { return r.Agent }},
	{Name: "build", Value: func(r *ComputerRow) any { return r.Build }},
	{Name: "architecture", Value: func(r *ComputerRow) any { return r.Architecture }},
	{Name: "attention", Kind: store.Flag, Value: func(r *ComputerRow) any { return r.NeedsAttention() }},
	{Name: "complete", Kind: store.Flag, Value: func(r *ComputerRow) any { return r.IsComplete() }},
	{Name: "applicable", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Applicable }},
	{Name: "installed", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Installed }},
	{Name: "missing", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Missing }},
	{Name: "superseded", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Superseded }},
	{Name: "critical", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Critical }},
	{Name: "exploited", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Exploited }},
	{Name: "unknown", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Unknown }},
	{Name: "pending", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Pending }},
	{Name: "failed", Kind: store.Number, Value: func(r *ComputerRow) any { return r.Failed }},
	{Name: "percent", Kind: store.Number, Value: func(r *ComputerRow) any { return heads.OrMinus(r.Percent) }},
}

// Standing is how many updates are what on one computer.
type Standing struct {
	Applicable int      `json:"applicable"`
	Installed  int      `json:"installed"`
	Missing    int      `json:"missing"`
	Superseded int      `json:"superseded"` // applicable and not installed, and another update replaces them, or they are never offered: not missing
	Critical   int      `json:"critical"`   // missing, of vendor's severity Critical
	Exploited  int      `json:"exploited"`  // missing, and seen exploited
	Unknown    int      `json:"unknown"`
	Pending    int      `json:"pending"`
	Failed     int      `json:"failed"`
	Percent    *float64 `json:"percent"` // as in Counts
}
