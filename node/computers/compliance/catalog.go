package compliance

import (
	"cmp"
	"hash/maphash"
	"iter"
	"slices"

	"thatch/catalog"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/computers/compliance/heads"
	"thatch/node/computers/compliance/report"
	"thatch/node/store"
)

// snapshot is the catalog as compliance counts it, with the counts kept of it. A new state of the catalog makes a new
// one.
type snapshot struct {
	at        store.Sequence
	epoch     string
	updates   []*updateItem
	bulletins []*bulletinItem
	cves      []*cveItem
	months    []*monthItem
	computers *perComputer
	groups    *groups
}

func groupsOf[I any](items []I, of func(I) *group) iter.Seq[*group] {
	return func(yield func(*group) bool) {
		for _, item := range items {
			if !yield(of(item)) {
				return
			}
		}
	}
}

func (s *snapshot) ofBulletins() iter.Seq[*group] {
	return groupsOf(s.bulletins, func(i *bulletinItem) *group { return i.group })
}

func (s *snapshot) ofUpdates() iter.Seq[*group] {
	return groupsOf(s.updates, func(i *updateItem) *group { return i.group })
}

func (s *snapshot) ofCVEs() iter.Seq[*group] {
	return groupsOf(s.cves, func(i *cveItem) *group { return i.group })
}

func (s *snapshot) ofMonths() iter.Seq[*group] {
	return groupsOf(s.months, func(i *monthItem) *group { return i.group })
}

type updateItem struct {
	row report.UpdateRow
	*group
}

type bulletinItem struct {
	row report.BulletinRow
	*group
	present *group   // of its updates that no other replaces; nil: there are none
	members []member // the same, by id
}

type cveItem struct {
	row report.CVERow
	*group
}

type monthItem struct {
	row report.MonthRow
	*group
}

// newSnapshot reads the catalog. Detectors and withdrawn updates are left out. What the former one (or nil) counted of
// the same updates is kept.
func newSnapshot(v *live.View, former *snapshot) *snapshot {
	s := &snapshot{at: v.Changed, epoch: v.Epoch}
	if former == nil || former.epoch != v.Epoch {
		former = &snapshot{}
		s.groups = newGroups(0, maphash.MakeSeed())
	} else {
		s.groups = newGroups(former.groups.stamp, former.groups.seed)
	}
	makers := builder{snapshot: s, former: former, view: v, cves: map[string]*cveMaker{}, months: map[string]*monthMaker{}, all: []Update{}}
	for _, b := range v.Bulletins() {
		makers.bulletin(b)
	}
	makers.finish()
	return s
}

// builder gathers groups while it walks the bulletins.
type builder struct {
	*snapshot
	former *snapshot
	view   *live.View
	cves   map[string]*cveMaker
	months map[string]*monthMaker
	all    []Update
}

type cveMaker struct {
	row     report.CVERow
	updates []Update
}

type monthMaker struct {
	row     report.MonthRow
	updates []Update
}

func (m *builder) bulletin(b *live.Bulletin) {
	exploited := map[string]bool{}
	for _, c := range b.CVEs {
		exploited[c.ID] = c.Exploited
		m.cve(c, b)
	}
	row := report.BulletinRow{BulletinHead: heads.HeadOf(m.view, b)}
	var members, present []Update
	item := &bulletinItem{}
	row.Superseded = true
	for _, u := range m.view.UpdatesOf(b.ID) {
		if u.Detector || u.Withdrawn {
			continue
		}
		counted := m.update(b, u, exploited)
		members = append(members, counted)
		if !counted.Superseded {
			present = append(present, counted)
			item.members = append(item.members, member{u.ID, m.updates[len(m.updates)-1].group})
		}
		row.Superseded = row.Superseded && m.view.Superseded(u.ID)
		if !u.Evaluable {
			row.NoRule++
		}
		for _, id := range u.CVEs {
			if maker := m.cves[id]; maker != nil {
				maker.updates = append(maker.updates, counted)
			}
		}
	}
	row.Updates = len(members)
	row.Superseded = row.Superseded && len(members) > 0
	item.row, item.group = row, m.groups.get(members, m.former.groups)
	if len(present) > 0 {
		item.present = m.groups.get(present, m.former.groups)
		slices.SortFunc(item.members, func(a, b member) int { return cmp.Compare(a.update, b.update) })
	}
	m.bulletins = append(m.bulletins, item)
	m.month(b, members)
}

// update adds an update by itself and returns it as it is counted.
func (m *builder) update(b *live.Bulletin, u *live.Update, exploited map[string]bool) Update {
	superseded := m.view.Superseded(u.ID)
	counted := Update{
		Number: u.Number, Changed: cursorOf(u.Changed), Platform: u.Platform(), Severity: u.Severity, Superseded: superseded || m.view.NeverOffered(b.ID),
	}
	for _, id := range u.CVEs {
		counted.Exploited = counted.Exploited || exploited[id]
	}
	if !u.Evaluable {
		counted.Changed = computers.Cursor{} // no computer is asked, so none is behind
	}
	m.all = append(m.all, counted)
	m.updates = append(m.updates, &updateItem{report.UpdateRow{
		UpdateHead: heads.UpdateHead{
			ID: u.ID, Update: u.Name, KB: u.KB, Bulletin: b.Name, Product: u.Product.Name, Severity: u.Severity, Month: b.Month,
		},
		Number: u.Number, Exploited: counted.Exploited, Superseded: superseded, NoRule: u.NoRule,
	}, m.groups.get([]Update{counted}, m.former.groups)})
	return counted
}

func (m *builder) cve(c catalog.CVE, b *live.Bulletin) {
	maker := m.cves[c.ID]
	if maker == nil {
		maker = &cveMaker{row: report.CVERow{CVE: c.ID}}
		m.cves[c.ID] = maker
	}
	row := &maker.row
	row.Title = cmp.Or(row.Title, c.Title)
	row.Severity, row.Score = row.Severity.Worse(c.Severity), max(row.Score, c.Score)
	row.Exploited, row.Disclosed = row.Exploited || c.Exploited, row.Disclosed || c.Disclosed
	row.Bulletins = append(row.Bulletins, b.Name)
}

func (m *builder) month(b *live.Bulletin, members []Update) {
	if b.Month == "" {
		return
	}
	maker := m.months[b.Month]
	if maker == nil {
		maker = &monthMaker{row: report.MonthRow{Month: b.Month}}
		m.months[b.Month] = maker
	}
	maker.row.Bulletins++
	maker.row.Updates += len(members)
	maker.updates = append(maker.updates, members...)
}

func (m *builder) finish() {
	for _, maker := range m.cves {
		maker.row.Updates = len(maker.updates)
		m.snapshot.cves = append(m.snapshot.cves, &cveItem{maker.row, m.groups.get(maker.updates, m.former.groups)})
	}
	for _, maker := range m.months {
		m.snapshot.months = append(m.snapshot.months, &monthItem{maker.row, m.groups.get(maker.updates, m.former.groups)})
	}
	slices.SortFunc(m.updates, func(a, b *updateItem) int { return cmp.Compare(a.row.Number, b.row.Number) })
	slices.SortFunc(m.bulletins, func(a, b *bulletinItem) int {
		return cmp.Or(cmp.Compare(b.row.Month, a.row.Month), cmp.Compare(a.row.Bulletin, b.row.Bulletin), cmp.Compare(a.row.ID, b.row.ID))
	})
	slices.SortFunc(m.snapshot.cves, func(a, b *cveItem) int { return cmp.Compare(b.row.CVE, a.row.CVE) })
	slices.SortFunc(m.snapshot.months, func(a, b *monthItem) int { return cmp.Compare(b.row.Month, a.row.Month) })
	slices.SortFunc(m.all, func(a, b Update) int { return cmp.Compare(a.Number, b.Number) })
	switch m.computers = m.former.computers; {
	case m.computers == nil:
		m.computers = newPerComputer(m.all)
	case !slices.Equal(m.computers.updates, m.all):
		m.computers.next = m.all
	default:
		m.computers.next = nil
	}
}

func cursorOf(at store.Sequence) computers.Cursor {
	return computers.Cursor{Index: at.Index, Pos: uint32(at.Position)}
}
