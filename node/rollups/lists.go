package rollups

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"thatch/catalog/federation"
	"thatch/node/bulletins/live"
	"thatch/node/computers/compliance/heads"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Of says which sites figures are of.
type Of struct {
	Site string // id or name; "": this site
	Own  bool   // of that site alone; else of it and all sites below it together
}

// Figures are counts of computers. Updates that others replace are left out.
type Figures struct {
	Sites int `json:"sites"` // that have something to tell
	heads.Told
	// AsOf is when the oldest of the figures was last known to be true; zero: one of the sites never told.
	AsOf time.Time `json:"as_of,omitzero"`
}

// BulletinRow is one bulletin of the tree's report. Where this site has it not, its id stands for its name.
type BulletinRow struct {
	heads.BulletinHead
	Figures
}

// UpdateRow is one update of the tree's report. Where this site has it not, its id stands for its name.
type UpdateRow struct {
	heads.UpdateHead
	Figures
}

// SiteRow is one site of the tree's report. Counts of several bulletins are added up: of pairs of computer and bulletin.
type SiteRow struct {
	ID     string `json:"id"`
	Site   string `json:"site"`
	Parent string `json:"parent,omitempty"` // id
	Depth  int    `json:"depth"`            // below the site that was asked for
	Below  int    `json:"below"`            // sites
	Machines
	Alarms  int    `json:"alarms"`
	Untold  int    `json:"untold"` // sites that never told how they fare
	Version string `json:"version,omitempty"`
	Figures
	Told  time.Time `json:"told,omitzero"`  // the site's own last word on its health, by its clock
	Heard time.Time `json:"heard,omitzero"` // when the child was last heard of through which the site's word comes
	Age   *int      `json:"age_seconds"`    // of the oldest of the figures; nil: one of the sites never told
}

// Machines counts the computers of a site, or of several.
type Machines struct {
	Computers int `json:"computers"`
	// Moved are computers of another site now, of which their former site has not heard yet: they are not among Computers,
	// and in the counts of bulletins still.
	Moved        int `json:"moved"`
	NotReporting int `json:"not_reporting"` // never, or not for settings.HealthSilent
	Listed       int `json:"listed"`        // told of one by one, see settings.HealthComputers
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

func (f *Figures) finish() { f.Percent = heads.Percent(f.Installed, f.Missing) }

func figureColumns[R any](of func(R) *Figures) []store.Column[R] {
	return append(heads.ToldColumns(func(r R) *heads.Told { return &of(r).Told }),
		store.Column[R]{Name: "sites", Kind: store.Number, Value: func(r R) any { return of(r).Sites }},
		store.Column[R]{Name: "as_of", Kind: store.Time, Value: func(r R) any { return rows.Stamp(of(r).AsOf) }},
		store.Column[R]{Name: "figures_of", Kind: store.Time, Value: func(r R) any { return rows.Stamp(of(r).AsOf) }}) // to filter by, where as_of asks for a past day
}

// OfBulletins are the columns of the report by bulletin.
var OfBulletins = append(heads.BulletinHeadColumns(func(r *BulletinRow) *heads.BulletinHead { return &r.BulletinHead }),
	figureColumns(func(r *BulletinRow) *Figures { return &r.Figures })...)

var updateColumns = append(heads.UpdateHeadColumns(func(r *UpdateRow) *heads.UpdateHead { return &r.UpdateHead }),
	figureColumns(func(r *UpdateRow) *Figures { return &r.Figures })...)

// OfSites are the columns of the report by site.
var OfSites = append([]store.Column[*SiteRow]{
	{Name: "id", Value: func(r *SiteRow) any { return r.ID }},
	{Name: "site", Value: func(r *SiteRow) any { return r.Site }, Search: true},
	{Name: "parent", Value: func(r *SiteRow) any { return r.Parent }},
	{Name: "depth", Kind: store.Number, Value: func(r *SiteRow) any { return r.Depth }},
	{Name: "below", Kind: store.Number, Value: func(r *SiteRow) any { return r.Below }},
	{Name: "computers", Kind: store.Number, Value: func(r *SiteRow) any { return r.Computers }},
	{Name: "moved", Kind: store.Number, Value: func(r *SiteRow) any { return r.Moved }},
	{Name: "not_reporting", Kind: store.Number, Value: func(r *SiteRow) any { return r.NotReporting }},
	{Name: "listed", Kind: store.Number, Value: func(r *SiteRow) any { return r.Listed }},
	{Name: "alarms", Kind: store.Number, Value: func(r *SiteRow) any { return r.Alarms }},
	{Name: "untold", Kind: store.Number, Value: func(r *SiteRow) any { return r.Untold }},
	{Name: "version", Value: func(r *SiteRow) any { return r.Version }},
	{Name: "told", Kind: store.Time, Value: func(r *SiteRow) any { return rows.Stamp(r.Told) }},
	{Name: "heard", Kind: store.Time, Value: func(r *SiteRow) any { return rows.Stamp(r.Heard) }},
}, figureColumns(func(r *SiteRow) *Figures { return &r.Figures })...)

// Columns of the reports, for doors.
var (
	BulletinColumns = filtered(store.ColumnNames(OfBulletins))
	UpdateColumns   = store.ColumnNames(updateColumns)
	SiteColumns     = filtered(store.ColumnNames(OfSites))
)

// filtered are the columns without the one that is sorted by alone.
func filtered(columns []string) []string {
	return slices.DeleteFunc(columns, func(name string) bool { return name == "as_of" })
}

// Bulletins returns a page of the report by bulletin, newest month first.
func (r *Room) Bulletins(ctx context.Context, of Of, q store.Query) (page []*BulletinRow, total int, err error) {
	rows := map[string]*BulletinRow{}
	err = r.each(ctx, of, func(roll *federation.RollUp, at time.Time) {
		row := entry(rows, roll.Bulletin)
		row.ID, row.Bulletin = roll.Bulletin, roll.Bulletin
		row.add(roll.Counts, at)
	})
	if err != nil {
		return nil, 0, err
	}
	return described(ctx, r, bulletinReport, rows, q)
}

func (row *BulletinRow) describe(v *live.View) {
	if b := v.Bulletin(row.ID); b != nil {
		row.BulletinHead = heads.HeadOf(v, b)
	}
	row.finish()
}

func (row *BulletinRow) compare(other *BulletinRow) int {
	return cmp.Or(cmp.Compare(other.Month, row.Month), cmp.Compare(row.Bulletin, other.Bulletin), cmp.Compare(row.ID, other.ID))
}

// SiteBulletin is what one site told of a bulletin.
type SiteBulletin struct {
	Site     string // id
	Bulletin string // id
	heads.Told
	AsOf time.Time
}

// SiteBulletins are the figures of each site of the tree alone, by bulletin and site.
func (r *Room) SiteBulletins(ctx context.Context) (list []*SiteBulletin, err error) {
	t, err := r.tree(ctx, "")
	if err != nil {
		return nil, err
	}
	err = r.look(ctx, func(told map[string]*told) {
		for _, site := range t.scope(t.root, false) {
			of := told[site]
			if of == nil {
				continue
			}
			at := t.asOf(site, of)
			for _, roll := range of.rollUps {
				c := roll.Counts
				list = append(list, &SiteBulletin{site, roll.Bulletin, heads.Told{
					Applicable: c.Applicable, Installed: c.Installed, Missing: c.Missing, Failed: c.Failed, Scheduled: c.Scheduled, Unknown: c.Unknown,
				}, at})
			}
		}
	})
	slices.SortFunc(list, func(a, b *SiteBulletin) int {
		return cmp.Or(cmp.Compare(a.Bulletin, b.Bulletin), cmp.Compare(a.Site, b.Site))
	})
	return list, err
}

// Sum adds up what some sites, by their ids, told of bulletins, newest month first. Called is what is known of bulletins.
func Sum(figures []*SiteBulletin, within map[string]bool, called map[string]heads.BulletinHead) []*BulletinRow {
	rows := map[string]*BulletinRow{}
	for _, f := range figures {
		if !within[f.Site] {
			continue
		}
		row := entry(rows, f.Bulletin)
		row.add(federation.Counts{
			Applicable: f.Applicable, Installed: f.Installed, Missing: f.Missing, Failed: f.Failed, Scheduled: f.Scheduled, Unknown: f.Unknown,
		}, f.AsOf)
		row.BulletinHead = heads.BulletinHead{ID: f.Bulletin, Bulletin: f.Bulletin}
		if head, known := called[f.Bulletin]; known {
			row.BulletinHead = head
		}
	}
	for _, row := range rows {
		row.finish()
	}
	return slices.SortedFunc(maps.Values(rows), (*BulletinRow).compare)
}

// Updates returns a page of the report by update, newest month first.
func (r *Room) Updates(ctx context.Context, of Of, q store.Query) (page []*UpdateRow, total int, err error) {
	rows := map[string]*UpdateRow{}
	err = r.each(ctx, of, func(roll *federation.RollUp, at time.Time) {
		for i := range roll.Updates {
			u := &roll.Updates[i]
			row := entry(rows, u.Update)
			row.ID, row.Update, row.Bulletin = u.Update, u.Update, roll.Bulletin
			row.add(u.Counts, at)
		}
	})
	if err != nil {
		return nil, 0, err
	}
	return described(ctx, r, updateReport, rows, q)
}

func (row *UpdateRow) describe(v *live.View) {
	if b := v.Bulletin(row.Bulletin); b != nil {
		row.Bulletin, row.Month = b.Name, b.Month
	}
	if u := v.UpdateByID(row.ID); u != nil {
		row.Update, row.KB, row.Product, row.Severity = u.Name, u.KB, u.Product.Name, u.Severity
	}
	row.finish()
}

func (row *UpdateRow) compare(other *UpdateRow) int {
	return cmp.Or(cmp.Compare(other.Month, row.Month), cmp.Compare(row.Bulletin, other.Bulletin), cmp.Compare(row.Update, other.Update),
		cmp.Compare(row.ID, other.ID))
}

// entry is that of a map, made where it is not there.
func entry[R any](rows map[string]*R, id string) *R {
	if rows[id] == nil {
		rows[id] = new(R)
	}
	return rows[id]
}

// sheet is how rows of a kind are completed, ordered and picked.
type sheet[R any] struct {
	columns  []store.Column[R]
	describe func(row R, v *live.View)
	compare  func(a, b R) int
}

var (
	bulletinReport = sheet[*BulletinRow]{OfBulletins, (*BulletinRow).describe, (*BulletinRow).compare}
	updateReport   = sheet[*UpdateRow]{updateColumns, (*UpdateRow).describe, (*UpdateRow).compare}
)

// described gives rows what the catalog knows of them, and picks the page of them that is asked for.
func described[R any](ctx context.Context, r *Room, of sheet[R], rows map[string]R, q store.Query) (page []R, total int, err error) {
	err = r.cfg.Catalog.Read(ctx, func(v *live.View) error {
		for _, row := range rows {
			of.describe(row, v)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return store.Select(q, slices.SortedFunc(maps.Values(rows), of.compare), of.columns)
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

// lookedAt is when this site's figures were last brought up to its computers. At a node that follows, that is now: the leader
// sees to it, and what it writes is here in a moment.
func (r *Room) lookedAt() time.Time {
	nodes, leading := r.cfg.Nodes()
	if !leading && slices.ContainsFunc(nodes, func(n federation.Node) bool { return n.Leads }) {
		return r.cfg.Now()
	}
	if looked := r.looked.Load(); looked != nil {
		return *looked
	}
	return time.Time{}
}

// tree reads the tree, and finds the site that a report is of among this one and those below it.
func (r *Room) tree(ctx context.Context, site string) (*tree, error) {
	t := &tree{root: r.cfg.Site, now: r.cfg.Now(), names: map[string]string{}, heard: map[string]time.Time{}, via: map[string]string{}}
	if looked := r.lookedAt(); !looked.IsZero() {
		t.heard[r.cfg.Site] = looked
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

// SiteID is the id of a site of the tree, by its name or id.
func (r *Room) SiteID(ctx context.Context, site string) (string, error) {
	t, err := r.tree(ctx, site)
	if err != nil {
		return "", err
	}
	return t.root, nil
}
