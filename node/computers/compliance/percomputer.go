package compliance

import (
	"runtime"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/catalog"
	"thatch/node/computers"
	"thatch/node/computers/compliance/heads"
	"thatch/node/computers/compliance/report"
)

// perComputer is the other direction: of every computer, how many updates are what. What a computer says anew is taken
// over as it is touched, and so is an update that the catalog changes; all bitmaps are walked at first, and after more
// changes than memory remembers.
type perComputer struct {
	updates []Update
	at      []*Update                     // by number
	changed map[string][]computers.Cursor // sequences of updates by platform, sorted
	next    []Update                      // of a newer catalog (which may have none), not counted yet; nil: there is no newer one

	stamp   uint64
	counted bool
	tallies []tally // by computer number
	items   []*computerItem
	list    []*report.ComputerRow // of all computers, by number; nil: to be made
	present []*report.ComputerRow // those that are not retired
	every   bool                  // how the rows count what is missing
	pending map[standsAt]int
}

// standsAt is how far in the rules computers of a platform are.
type standsAt struct {
	platform string
	cursor   computers.Cursor
}

// tally counts the updates of one computer.
type tally struct {
	applicable, installed, unknown, failed int32
	missing                                [8]int32 // by class
}

// Classes of updates: sums of these.
const (
	ofSuperseded = 1 << iota
	ofCritical
	ofExploited
)

func (u *Update) class() (class int) {
	if u.Superseded {
		class |= ofSuperseded
	}
	if u.Severity == catalog.Critical {
		class |= ofCritical
	}
	if u.Exploited {
		class |= ofExploited
	}
	return class
}

// add counts what a computer says of an update, or takes it away.
func (t *tally) add(u *Update, says computers.Says, by int32) {
	if says&(computers.SaysApplicable|computers.SaysInstalled) != 0 {
		t.applicable += by
	}
	if says&(computers.SaysInstalled|computers.SaysUnknown) == computers.SaysInstalled {
		t.installed += by
	}
	if says&computers.SaysUnknown != 0 {
		t.unknown += by
	}
	if says&computers.SaysFailed != 0 {
		t.failed += by
	}
	if misses(says) {
		t.missing[u.class()] += by
	}
}

// standing sums the tally up; every is what is missing, superseded ones too.
func (t *tally) standing() (s report.Standing, every int) {
	s.Applicable, s.Installed, s.Unknown, s.Failed = int(t.applicable), int(t.installed), int(t.unknown), int(t.failed)
	for class, n := range t.missing {
		every += int(n)
		if class&ofSuperseded != 0 {
			s.Superseded += int(n)
			continue
		}
		s.Missing += int(n)
		if class&ofCritical != 0 {
			s.Critical += int(n)
		}
		if class&ofExploited != 0 {
			s.Exploited += int(n)
		}
	}
	return s, every
}

// computerItem is the row of one computer, with both ways to count what it misses.
type computerItem struct {
	member *computers.Member
	row    report.ComputerRow
	both   [2]struct {
		missing int
		percent *float64
	}
}

// counting has the row count superseded updates too, or not.
func (i *computerItem) counting(every bool) {
	at := 0
	if every {
		at = 1
	}
	i.row.Missing, i.row.Percent = i.both[at].missing, i.both[at].percent
}

func newPerComputer(updates []Update) *perComputer {
	p := &perComputer{}
	p.hold(updates)
	return p
}

func (p *perComputer) hold(updates []Update) {
	p.updates, p.next = updates, nil
	p.at, p.changed, p.pending = nil, make(map[string][]computers.Cursor), make(map[standsAt]int)
	for i := range updates {
		u := &updates[i]
		p.changed[u.Platform] = append(p.changed[u.Platform], u.Changed)
		for int(u.Number) >= len(p.at) {
			p.at = append(p.at, make([]*Update, 1+int(u.Number)-len(p.at))...)
		}
		p.at[u.Number] = u
	}
	for _, list := range p.changed {
		slices.SortFunc(list, computers.Cursor.Compare)
	}
}

func (p *perComputer) update(number uint32) *Update {
	if int(number) >= len(p.at) {
		return nil
	}
	return p.at[number]
}

// refresh brings the rows up to memory and to the catalog.
func (p *perComputer) refresh(v computers.View) {
	if p.counted && p.stamp == v.Stamp() && p.next == nil {
		return
	}
	touched, known := v.Touched(p.stamp)
	known = known && p.counted
	p.counted = false // whatever happens on the way
	switch {
	case !known:
		if p.next != nil {
			p.hold(p.next)
		}
		p.recount(v)
		p.putAll(v)
	case p.next != nil:
		p.take(v, touched)
		p.change(v)
		p.putAll(v)
	default:
		for _, number := range p.take(v, touched) {
			p.put(v.Members()[number])
		}
	}
	if p.list == nil {
		p.makeLists()
	}
	p.stamp, p.counted = v.Stamp(), true
}

func (p *perComputer) makeLists() {
	p.list, p.present = make([]*report.ComputerRow, 0, len(p.items)), make([]*report.ComputerRow, 0, len(p.items))
	for _, item := range p.items {
		if item == nil {
			continue
		}
		p.list = append(p.list, &item.row)
		if item.row.Retired.IsZero() {
			p.present = append(p.present, &item.row)
		}
	}
}

// rows are the rows by number, with or without retired computers. Every says that superseded updates are missing too.
func (p *perComputer) rows(every, retired bool) []*report.ComputerRow {
	if p.every != every {
		p.every = every
		for _, item := range p.items {
			if item != nil {
				item.counting(every)
			}
		}
	}
	if retired {
		return p.list
	}
	return p.present
}

// take counts what was touched and returns the computers whose rows are others now.
func (p *perComputer) take(v computers.View, touched []computers.Touch) (rows []uint32) {
	seen := make(map[uint64]struct{}, len(touched))
	for _, t := range touched {
		u := p.update(t.Update)
		row, pair := uint64(t.Computer)<<32|computers.NoUpdate, uint64(t.Computer)<<32|uint64(t.Update)
		if _, again := seen[row]; !again {
			seen[row], rows = struct{}{}, append(rows, t.Computer)
		}
		if _, again := seen[pair]; again || u == nil {
			continue // the first says what was counted
		}
		seen[pair] = struct{}{}
		sum := p.tally(t.Computer)
		sum.add(u, t.Was, -1)
		sum.add(u, v.Column(t.Update).Says(t.Computer), 1)
	}
	return rows
}

func (p *perComputer) tally(computer uint32) *tally {
	for int(computer) >= len(p.tallies) {
		p.tallies = append(p.tallies, make([]tally, 1+int(computer)-len(p.tallies))...)
	}
	return &p.tallies[computer]
}

// change takes the updates of a newer catalog: only those that differ are counted.
func (p *perComputer) change(v computers.View) {
	former := p.at
	p.hold(p.next)
	for number := range max(len(former), len(p.at)) {
		var was *Update
		if number < len(former) {
			was = former[number]
		}
		is, c := p.update(uint32(number)), v.Column(uint32(number))
		if c == nil || was != nil && is != nil && was.class() == is.class() {
			continue
		}
		roaring.FastOr(c.Applicable, c.Installed, c.Unknown, c.Failed).Iterate(func(computer uint32) bool {
			sum, says := p.tally(computer), c.Says(computer)
			if was != nil {
				sum.add(was, says, -1)
			}
			if is != nil {
				sum.add(is, says, 1)
			}
			return true
		})
	}
}

// putAll makes every row.
func (p *perComputer) putAll(v computers.View) {
	for _, m := range v.Members() {
		p.put(m)
	}
}

// put makes or replaces the row of a computer.
func (p *perComputer) put(m *computers.Member) {
	s, every := p.tally(m.Number).standing()
	for int(m.Number) >= len(p.items) {
		p.items = append(p.items, make([]*computerItem, 1+int(m.Number)-len(p.items))...)
	}
	item := p.items[m.Number]
	if item == nil {
		item = &computerItem{}
		p.items[m.Number], p.list = item, nil
	}
	if item.row.Retired.IsZero() != m.Retired.IsZero() {
		p.list = nil
	}
	if m.Retired.IsZero() {
		s.Pending = p.behind(m)
	}
	item.member, item.row = m, rowOf(m, s)
	item.both[0].missing, item.both[0].percent = s.Missing, heads.Percent(s.Installed, s.Missing)
	item.both[1].missing, item.both[1].percent = every, heads.Percent(s.Installed, every)
	item.counting(p.every)
}

// item is the row of a computer, nil where there is none.
func (p *perComputer) item(number uint32) *computerItem {
	if int(number) >= len(p.items) {
		return nil
	}
	return p.items[number]
}

// behind counts the updates newer than what a computer evaluated.
func (p *perComputer) behind(m *computers.Member) (count int) {
	at := standsAt{m.Platform, m.Cursor}
	if known, ok := p.pending[at]; ok {
		return known
	}
	for _, platform := range slices.Compact([]string{"", m.Platform}) {
		list := p.changed[platform]
		at, _ := slices.BinarySearchFunc(list, m.Cursor, func(changed, cursor computers.Cursor) int {
			if changed.Compare(cursor) > 0 {
				return 1
			}
			return -1
		})
		count += len(list) - at
	}
	if len(p.pending) >= 10_000 {
		clear(p.pending)
	}
	p.pending[at] = count
	return count
}

// recount walks every bitmap once, on every processor.
func (p *perComputer) recount(v computers.View) {
	most := 0
	for number := range v.Members() {
		most = max(most, int(number))
	}
	parts := make([][]tally, runtime.GOMAXPROCS(0))
	parallel(len(parts), func(part int) {
		parts[part] = make([]tally, most+1)
		for at := part; at < len(p.updates); at += len(parts) {
			u := &p.updates[at]
			if c := v.Column(u.Number); c != nil {
				walk(c, u, parts[part])
			}
		}
	})
	p.tallies, p.items, p.list = parts[0], nil, nil
	for _, part := range parts[1:] {
		for computer := range part {
			p.tallies[computer].join(&part[computer])
		}
	}
}

func (t *tally) join(other *tally) {
	t.applicable += other.applicable
	t.installed += other.installed
	t.unknown += other.unknown
	t.failed += other.failed
	for class := range t.missing {
		t.missing[class] += other.missing[class]
	}
}

// walk is tally.add for every computer that says anything of an update.
func walk(c *computers.Column, u *Update, tallies []tally) {
	class, installed := u.class(), c.Installed
	each(c.Lacking(), func(n uint32) {
		t := &tallies[n]
		t.applicable++
		t.missing[class]++
	})
	if !c.Unknown.IsEmpty() {
		installed = roaring.AndNot(installed, c.Unknown)
		each(c.Unknown, func(n uint32) { tallies[n].unknown++ })
		each(roaring.And(c.Unknown, roaring.Or(c.Applicable, c.Installed)), func(n uint32) { tallies[n].applicable++ })
	}
	each(installed, func(n uint32) {
		t := &tallies[n]
		t.applicable++
		t.installed++
	})
	each(c.Failed, func(n uint32) { tallies[n].failed++ })
}

func each(set *roaring.Bitmap, do func(n uint32)) {
	var buffer [1024]uint32
	for it := set.ManyIterator(); ; {
		n := it.NextMany(buffer[:])
		if n == 0 {
			return
		}
		for _, number := range buffer[:n] {
			do(number)
		}
	}
}
