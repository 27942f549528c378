package rollups

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"thatch/catalog"
	"thatch/catalog/federation"
	"thatch/node/bulletins/live"
	"thatch/node/sites"
	"thatch/node/store"
)

// Of says which sites figures are of.
type Of struct {
	Site string // id or name; "": this site
	Own  bool   // of that site alone; else of it and all sites below it together
}

// Figures are counts of computers. Updates that others replace are left out.
type Figures struct {
	Sites      int `json:"sites"` // that have something to tell
	Applicable int `json:"applicable"`
	Installed  int `json:"installed"`
	Missing    int `json:"missing"`
	Failed     int `json:"failed"`
	Scheduled  int `json:"scheduled"`
	Unknown    int `json:"unknown"` // it cannot be told
	// Percent is installed of installed and missing, 0 to 100 in tenths; nil where neither is.
	Percent *float64 `json:"percent"`
	// AsOf is when the oldest of the figures was last known to be true; zero: one of the sites never told.
	AsOf time.Time `json:"as_of,omitzero"`
}

// BulletinRow is one bulletin of the tree's report.
type BulletinRow struct {
	ID        string           `json:"id"`
	Bulletin  string           `json:"bulletin"` // its id where this site has it not
	Title     string           `json:"title"`
	Source    string           `json:"source"`
	Severity  catalog.Severity `json:"severity"`
	Custom    string           `json:"custom_severity,omitempty"`
	Month     string           `json:"month"`
	Exploited bool             `json:"exploited"`
	Figures
}

// UpdateRow is one update of the tree's report.
type UpdateRow struct {
	ID       string           `json:"id"`
	Update   string           `json:"update"` // its id where this site has it not
	KB       string           `json:"kb,omitempty"`
	Bulletin string           `json:"bulletin"`
	Product  string           `json:"product"`
	Severity catalog.Severity `json:"severity"`
	Month    string           `json:"month"`
	Figures
}

// SiteRow is one site of the tree's report. Counts of several bulletins are added up: of pairs of computer and bulletin.
type SiteRow struct {
	ID           string `json:"id"`
	Site         string `json:"site"`
	Parent       string `json:"parent,omitempty"` // id
	Depth        int    `json:"depth"`            // below the site that was asked for
	Below        int    `json:"below"`            // sites
	Computers    int    `json:"computers"`
	Moved        int    `json:"moved"`         // computers of another site now; they are not among Computers
	NotReporting int    `json:"not_reporting"` // never, or not for settings.HealthSilent
	Alarms       int    `json:"alarms"`
	Untold       int    `json:"untold"` // sites that never told how they fare
	Version      string `json:"version,omitempty"`
	Figures
	Told  time.Time `json:"told,omitzero"`  // the site's own last word on its health, by its clock
	Heard time.Time `json:"heard,omitzero"` // when the child was last heard of through which the site's word comes
	Age   *int      `json:"age_seconds"`    // of the oldest of the figures; nil: one of the sites never told
}

func (f *Figures) add(c federation.Counts, at time.Time) {
	if f.Sites++; f.Sites == 1 || at.Before(f.AsOf) {
		f.AsOf = at
	}
	f.Applicable += c.Applicable
	f.Installed += c.Installed
	f.Missing += c.Missing
	f.Failed += c.Failed
	f.Scheduled += c.Scheduled
	f.Unknown += c.Unknown
}

func (f *Figures) finish() {
	if f.Percent = nil; f.Installed+f.Missing > 0 {
		value := float64(f.Installed*1000/(f.Installed+f.Missing)) / 10
		f.Percent = &value
	}
}

func figureColumns[R any](of func(R) *Figures) []store.Column[R] {
	number := func(name string, field func(f *Figures) int) store.Column[R] {
		return store.Column[R]{Name: name, Kind: store.Number, Value: func(r R) any { return field(of(r)) }}
	}
	return []store.Column[R]{
		number("sites", func(f *Figures) int { return f.Sites }),
		number("applicable", func(f *Figures) int { return f.Applicable }),
		number("installed", func(f *Figures) int { return f.Installed }),
		number("missing", func(f *Figures) int { return f.Missing }),
		number("failed", func(f *Figures) int { return f.Failed }),
		number("scheduled", func(f *Figures) int { return f.Scheduled }),
		number("unknown", func(f *Figures) int { return f.Unknown }),
		{Name: "percent", Kind: store.Number, Value: func(r R) any {
			if percent := of(r).Percent; percent != nil {
				return *percent
			}
			return -1.0
		}},
		{Name: "as_of", Kind: store.Time, Value: func(r R) any { return stamp(of(r).AsOf) }},
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

var bulletinColumns = append([]store.Column[*BulletinRow]{
	{Name: "id", Value: func(r *BulletinRow) any { return r.ID }},
	{Name: "bulletin", Value: func(r *BulletinRow) any { return r.Bulletin }, Search: true},
	{Name: "title", Value: func(r *BulletinRow) any { return r.Title }, Search: true},
	{Name: "source", Value: func(r *BulletinRow) any { return r.Source }},
	{Name: "severity", Value: func(r *BulletinRow) any { return string(r.Severity) }},
	{Name: "severity_rank", Kind: store.Number, Value: func(r *BulletinRow) any { return r.Severity.Rank() }},
	{Name: "custom_severity", Value: func(r *BulletinRow) any { return r.Custom }},
	{Name: "month", Kind: store.Time, Value: func(r *BulletinRow) any { return r.Month }},
	{Name: "exploited", Kind: store.Flag, Value: func(r *BulletinRow) any { return r.Exploited }},
}, figureColumns(func(r *BulletinRow) *Figures { return &r.Figures })...)

var updateColumns = append([]store.Column[*UpdateRow]{
	{Name: "id", Value: func(r *UpdateRow) any { return r.ID }},
	{Name: "update", Value: func(r *UpdateRow) any { return r.Update }, Search: true},
	{Name: "kb", Value: func(r *UpdateRow) any { return r.KB }, Search: true},
	{Name: "bulletin", Value: func(r *UpdateRow) any { return r.Bulletin }, Search: true},
	{Name: "product", Value: func(r *UpdateRow) any { return r.Product }, Search: true},
	{Name: "severity", Value: func(r *UpdateRow) any { return string(r.Severity) }},
	{Name: "severity_rank", Kind: store.Number, Value: func(r *UpdateRow) any { return r.Severity.Rank() }},
	{Name: "month", Kind: store.Time, Value: func(r *UpdateRow) any { return r.Month }},
}, figureColumns(func(r *UpdateRow) *Figures { return &r.Figures })...)

var siteColumns = append([]store.Column[*SiteRow]{
	{Name: "id", Value: func(r *SiteRow) any { return r.ID }},
	{Name: "site", Value: func(r *SiteRow) any { return r.Site }, Search: true},
	{Name: "parent", Value: func(r *SiteRow) any { return r.Parent }},
	{Name: "depth", Kind: store.Number, Value: func(r *SiteRow) any { return r.Depth }},
	{Name: "below", Kind: store.Number, Value: func(r *SiteRow) any { return r.Below }},
	{Name: "computers", Kind: store.Number, Value: func(r *SiteRow) any { return r.Computers }},
	{Name: "moved", Kind: store.Number, Value: func(r *SiteRow) any { return r.Moved }},
	{Name: "not_reporting", Kind: store.Number, Value: func(r *SiteRow) any { return r.NotReporting }},
	{Name: "alarms", Kind: store.Number, Value: func(r *SiteRow) any { return r.Alarms }},
	{Name: "untold", Kind: store.Number, Value: func(r *SiteRow) any { return r.Untold }},
	{Name: "version", Value: func(r *SiteRow) any { return r.Version }},
	{Name: "told", Kind: store.Time, Value: func(r *SiteRow) any { return stamp(r.Told) }},
	{Name: "heard", Kind: store.Time, Value: func(r *SiteRow) any { return stamp(r.Heard) }},
}, figureColumns(func(r *SiteRow) *Figures { return &r.Figures })...)

// Columns of the reports, for doors.
var (
	BulletinColumns = store.ColumnNames(bulletinColumns)
	UpdateColumns   = store.ColumnNames(updateColumns)
	SiteColumns     = store.ColumnNames(siteColumns)
)

// Bulletins returns a page of the report by bulletin, newest month first.
func (r *Room) Bulletins(ctx context.Context, of Of, q store.Query) (page []*BulletinRow, total int, err error) {
	rows := map[string]*BulletinRow{}
	err = r.each(ctx, of, func(roll *federation.RollUp, at time.Time) {
		row := rows[roll.Bulletin]
		if row == nil {
			row = &BulletinRow{ID: roll.Bulletin, Bulletin: roll.Bulletin}
			rows[roll.Bulletin] = row
		}
		row.add(roll.Counts, at)
	})
	if err != nil {
		return nil, 0, err
	}
	list := make([]*BulletinRow, 0, len(rows))
	err = r.cfg.Catalog.Read(ctx, func(v *live.View) error {
		for _, row := range rows {
			row.finish()
			row.describe(v)
			list = append(list, row)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(list, func(a, b *BulletinRow) int {
		return cmp.Or(cmp.Compare(b.Month, a.Month), cmp.Compare(a.Bulletin, b.Bulletin), cmp.Compare(a.ID, b.ID))
	})
	return store.Select(q, list, bulletinColumns)
}

func (row *BulletinRow) describe(v *live.View) {
	b := v.Bulletin(row.ID)
	if b == nil {
		return
	}
	row.Bulletin, row.Title, row.Source, row.Severity, row.Month, row.Exploited = b.Name, b.Title, b.Source, b.Severity, b.Month, b.Exploited
	if custom := v.SeverityOf(b.ID); custom != nil {
		row.Custom = custom.Name
	}
}

// Updates returns a page of the report by update, newest month first.
func (r *Room) Updates(ctx context.Context, of Of, q store.Query) (page []*UpdateRow, total int, err error) {
	rows := map[string]*UpdateRow{}
	err = r.each(ctx, of, func(roll *federation.RollUp, at time.Time) {
		for i := range roll.Updates {
			u := &roll.Updates[i]
			row := rows[u.Update]
			if row == nil {
				row = &UpdateRow{ID: u.Update, Update: u.Update, Bulletin: roll.Bulletin}
				rows[u.Update] = row
			}
			row.add(u.Counts, at)
		}
	})
	if err != nil {
		return nil, 0, err
	}
	list := make([]*UpdateRow, 0, len(rows))
	err = r.cfg.Catalog.Read(ctx, func(v *live.View) error {
		for _, row := range rows {
			row.finish()
			row.describe(v)
			list = append(list, row)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(list, func(a, b *UpdateRow) int {
		return cmp.Or(cmp.Compare(b.Month, a.Month), cmp.Compare(a.Bulletin, b.Bulletin), cmp.Compare(a.Update, b.Update), cmp.Compare(a.ID, b.ID))
	})
	return store.Select(q, list, updateColumns)
}

func (row *UpdateRow) describe(v *live.View) {
	if b := v.Bulletin(row.Bulletin); b != nil {
		row.Bulletin, row.Month = b.Name, b.Month
	}
	if u := v.UpdateByID(row.ID); u != nil {
		row.Update, row.KB, row.Product, row.Severity = u.Name, u.KB, u.Product.Name, u.Severity
	}
}

// each calls add with every roll-up of some sites, and since when it may be old.
func (r *Room) each(ctx context.Context, of Of, add func(roll *federation.RollUp, at time.Time)) error {
	t, err := r.tree(ctx, of.Site)
	if err != nil {
		return err
	}
	return r.look(ctx, func(told map[string]*told) {
		for _, site := range t.scope(t.root, of.Own) {
			if of := told[site]; of != nil {
				at := t.asOf(site, of)
				for _, roll := range of.rollUps {
					add(roll, at)
				}
			}
		}
	})
}

// tree is the tree as a report needs it.
type tree struct {
	*sites.Tree
	root  string
	now   time.Time
	names map[string]string    // of children, as this site calls them
	heard map[string]time.Time // of children: when they were last heard of; of this site: when it last looked
	via   map[string]string    // site -> the child through which it tells
	moved map[string]int       // site -> computers that are of another site now
}

// tree reads the tree, and finds the site that a report is of among this one and those below it.
func (r *Room) tree(ctx context.Context, site string) (*tree, error) {
	t := &tree{root: r.cfg.Site, now: r.cfg.Now(), names: map[string]string{}, heard: map[string]time.Time{}, via: map[string]string{}}
	if looked := r.looked.Load(); looked != nil {
		t.heard[r.cfg.Site] = *looked
	}
	var err error
	if t.Tree, err = r.cfg.Sites.Tree(ctx); err != nil {
		return nil, err
	}
	children, _, err := r.cfg.Sites.Children(ctx, store.Query{})
	if err != nil {
		return nil, err
	}
	for i := range children {
		c := &children[i]
		t.names[c.ID], t.heard[c.ID] = c.Name, c.Seen
		for _, below := range t.scope(c.ID, false) {
			t.via[below] = c.ID
		}
	}
	if site == "" {
		return t, nil
	}
	var found []string
	for _, id := range t.scope(r.cfg.Site, false) {
		switch {
		case id == site:
			t.root = id
			return t, nil
		case strings.EqualFold(t.called(id), site):
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return nil, store.NotFound("site at or below this one", site)
	case 1:
		t.root = found[0]
		return t, nil
	}
	return nil, store.Invalid("several sites are called %q; give the id of one: %s", site, strings.Join(found, ", "))
}

// scope are a site and, unless it is asked for alone, those below it.
func (t *tree) scope(site string, own bool) []string {
	if own {
		return []string{site}
	}
	return append([]string{site}, t.Below(site)...)
}

func (t *tree) called(site string) string {
	return cmp.Or(t.names[site], t.Name(site))
}

// asOf is when the figures of a site were last known to be true: when they were told, when this site last looked, when a
// child was last heard of.
func (t *tree) asOf(site string, of *told) time.Time {
	var at time.Time
	if of != nil && of.health != nil {
		at = moment(of.health.At)
	}
	if heard := t.heard[site]; heard.After(at) && of != nil {
		at = heard
	}
	if at.After(t.now) { // another clock
		at = t.now
	}
	return at
}
