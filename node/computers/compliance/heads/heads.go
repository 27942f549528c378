// Package heads is what all reports of compliance have in common, of one site or of a tree: what they say of a bulletin and of
// an update, and the counts that sites tell each other.
package heads

import (
	"thatch/catalog"
	"thatch/node/bulletins/live"
	"thatch/node/store"
)

// Told are numbers of computers that other sites are told too. What is pending is not among them: it changes with everything
// that comes into the catalog.
type Told struct {
	Applicable int `json:"applicable"`
	Installed  int `json:"installed"`
	Missing    int `json:"missing"`
	Failed     int `json:"failed"`
	Scheduled  int `json:"scheduled"`
	Unknown    int `json:"unknown"`
	// Percent is installed of installed and missing, 0 to 100 in tenths; nil where neither is.
	Percent *float64 `json:"percent"`
}

// Percent is installed of installed and missing.
func Percent(installed, missing int) *float64 {
	if installed+missing == 0 {
		return nil
	}
	value := float64(installed*1000/(installed+missing)) / 10
	return &value
}

// ToldColumns are the columns of reports whose rows count so.
func ToldColumns[R any](of func(R) *Told) []store.Column[R] {
	number := func(name string, field func(t *Told) int) store.Column[R] {
		return store.Column[R]{Name: name, Kind: store.Number, Value: func(r R) any { return field(of(r)) }}
	}
	return []store.Column[R]{
		number("applicable", func(t *Told) int { return t.Applicable }),
		number("installed", func(t *Told) int { return t.Installed }),
		number("missing", func(t *Told) int { return t.Missing }),
		number("failed", func(t *Told) int { return t.Failed }),
		number("scheduled", func(t *Told) int { return t.Scheduled }),
		number("unknown", func(t *Told) int { return t.Unknown }),
		{Name: "percent", Kind: store.Number, Value: func(r R) any { return OrMinus(of(r).Percent) }},
	}
}

// OrMinus sorts what has no percentage before all that have one.
func OrMinus(percent *float64) float64 {
	if percent == nil {
		return -1
	}
	return *percent
}

// BulletinHead is what reports say of a bulletin beside their counts.
type BulletinHead struct {
	ID        string           `json:"id"`
	Bulletin  string           `json:"bulletin"`
	Title     string           `json:"title"`
	Source    string           `json:"source"`
	Severity  catalog.Severity `json:"severity"`
	Custom    string           `json:"custom_severity,omitempty"`
	Month     string           `json:"month"`
	Exploited bool             `json:"exploited"`
}

// HeadOf is that of a bulletin of the catalog.
func HeadOf(v *live.View, b *live.Bulletin) BulletinHead {
	head := BulletinHead{
		ID: b.ID, Bulletin: b.Name, Title: b.Title, Source: b.Source, Severity: b.Severity, Exploited: b.Exploited, Month: b.Month,
	}
	if custom := v.SeverityOf(b.ID); custom != nil {
		head.Custom = custom.Name
	}
	return head
}

// BulletinHeadColumns are the columns of reports by bulletin.
func BulletinHeadColumns[R any](of func(R) *BulletinHead) []store.Column[R] {
	return []store.Column[R]{
		{Name: "id", Value: func(r R) any { return of(r).ID }},
		{Name: "bulletin", Value: func(r R) any { return of(r).Bulletin }, Search: true},
		{Name: "title", Value: func(r R) any { return of(r).Title }, Search: true},
		{Name: "source", Value: func(r R) any { return of(r).Source }},
		{Name: "severity", Value: func(r R) any { return string(of(r).Severity) }, Rank: func(r R) int { return of(r).Severity.Rank() }},
		{Name: "severity_rank", Kind: store.Number, Value: func(r R) any { return of(r).Severity.Rank() }},
		{Name: "custom_severity", Value: func(r R) any { return of(r).Custom }},
		{Name: "month", Kind: store.Time, Value: func(r R) any { return of(r).Month }},
		{Name: "exploited", Kind: store.Flag, Value: func(r R) any { return of(r).Exploited }},
	}
}

// UpdateHead is what reports say of an update beside their counts.
type UpdateHead struct {
	ID       string           `json:"id"`
	Update   string           `json:"update"`
	KB       string           `json:"kb,omitempty"`
	Bulletin string           `json:"bulletin"`
	Product  string           `json:"product"`
	Severity catalog.Severity `json:"severity"`
	Month    string           `json:"month"`
}

// UpdateHeadColumns are the columns of reports by update.
func UpdateHeadColumns[R any](of func(R) *UpdateHead) []store.Column[R] {
	return []store.Column[R]{
		{Name: "id", Value: func(r R) any { return of(r).ID }},
		{Name: "update", Value: func(r R) any { return of(r).Update }, Search: true},
		{Name: "kb", Value: func(r R) any { return of(r).KB }, Search: true},
		{Name: "bulletin", Value: func(r R) any { return of(r).Bulletin }, Search: true},
		{Name: "product", Value: func(r R) any { return of(r).Product }, Search: true},
		{Name: "severity", Value: func(r R) any { return string(of(r).Severity) }, Rank: func(r R) int { return of(r).Severity.Rank() }},
		{Name: "severity_rank", Kind: store.Number, Value: func(r R) any { return of(r).Severity.Rank() }},
		{Name: "month", Kind: store.Time, Value: func(r R) any { return of(r).Month }},
	}
}
