// Package compliance says how computers and updates stand to each other: bitmap arithmetic over what computers reported
// and the catalog in memory, by bulletin, computer, update, CVE and month.
package compliance

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/catalog"
	"thatch/node/computers"
)

// Update is what compliance asks of an update of the catalog. Detectors and withdrawn updates are not counted.
type Update struct {
	Number     uint32
	Changed    computers.Cursor // sequence of its present revision
	Platform   string           // "": any
	Severity   catalog.Severity
	Exploited  bool // it repairs a vulnerability that was seen exploited
	Superseded bool
}

// Counts are numbers of computers. For several updates together: applicable, one of them is; installed, every one
// that is applicable is installed; missing, unknown, failed, one of them is. Superseded updates are left out of
// missing. Pending are those that have not evaluated the newest revision; they are counted beside what they said of an
// earlier one.
type Counts struct {
	Applicable int `json:"applicable"`
	Installed  int `json:"installed"`
	Missing    int `json:"missing"`
	Unknown    int `json:"unknown"`
	Pending    int `json:"pending"`
	Failed     int `json:"failed"`
	// Percent is installed of installed and missing, 0 to 100 in tenths; nil where neither is.
	Percent *float64 `json:"percent"`
}

// percent of installed and missing.
func percent(installed, missing int) *float64 {
	if installed+missing == 0 {
		return nil
	}
	value := float64(installed*1000/(installed+missing)) / 10
	return &value
}

// group is some updates counted together: of a bulletin, a CVE, a month, or one alone.
type group struct {
	updates []Update
	newest  map[string]computers.Cursor // by platform: the greatest sequence of its updates
	stamp   uint64                      // of memory when it was counted
	counted bool
	counts  Counts
	every   int      // missing, superseded ones too
	percent *float64 // of every
}

func newGroup(updates []Update) *group {
	g := &group{updates: updates, newest: make(map[string]computers.Cursor, 1)}
	for _, u := range updates {
		if u.Changed.Compare(g.newest[u.Platform]) > 0 {
			g.newest[u.Platform] = u.Changed
		}
	}
	return g
}

// stale says whether one of the updates has changed in memory since the group was counted.
func (g *group) stale(v computers.View) bool {
	if !g.counted {
		return true
	}
	for i := range g.updates {
		if c := v.Column(g.updates[i].Number); c != nil && c.Stamp > g.stamp {
			return true
		}
	}
	return false
}

// count returns the group's counts; every says that superseded updates can be missing too.
func (g *group) count(v computers.View, queue *waiting, every bool) Counts {
	if g.stale(v) {
		g.recount(v)
		g.counts.Percent, g.percent = percent(g.counts.Installed, g.counts.Missing), percent(g.counts.Installed, g.every)
	}
	counts := g.counts
	if every {
		counts.Missing, counts.Percent = g.every, g.percent
	}
	for platform, newest := range g.newest {
		counts.Pending += queue.behind(platform, newest)
	}
	return counts
}

func (g *group) recount(v computers.View) {
	g.stamp, g.counted, g.counts, g.every = v.Stamp(), true, Counts{}, 0
	if len(g.updates) == 1 {
		g.recountOne(v)
		return
	}
	var applicable, missing, every, unknown, failed []*roaring.Bitmap
	for _, u := range g.updates {
		c := v.Column(u.Number)
		if c == nil {
			continue
		}
		m := c.Missing()
		applicable, unknown, failed = append(applicable, c.Applicable, c.Installed), append(unknown, c.Unknown), append(failed, c.Failed)
		every = append(every, m)
		if !u.Superseded {
			missing = append(missing, m)
		}
	}
	all, lacking, doubtful := roaring.FastOr(applicable...), roaring.FastOr(every...), roaring.FastOr(unknown...)
	g.counts.Applicable = int(all.GetCardinality())
	g.counts.Unknown = int(doubtful.GetCardinality())
	g.counts.Failed = int(roaring.FastOr(failed...).GetCardinality())
	g.every = int(lacking.GetCardinality())
	g.counts.Missing = g.every
	if len(missing) < len(every) {
		g.counts.Missing = int(roaring.FastOr(missing...).GetCardinality())
	}
	lacking.Or(doubtful)
	g.counts.Installed = g.counts.Applicable - int(all.AndCardinality(lacking))
}

// recountOne makes no bitmap but one.
func (g *group) recountOne(v computers.View) {
	c := v.Column(g.updates[0].Number)
	if c == nil {
		return
	}
	g.counts.Applicable = int(c.Applicable.OrCardinality(c.Installed))
	g.counts.Unknown = int(c.Unknown.GetCardinality())
	g.counts.Failed = int(c.Failed.GetCardinality())
	g.counts.Installed = int(c.Installed.GetCardinality() - c.Installed.AndCardinality(c.Unknown))
	without := c.Applicable.GetCardinality() - c.Applicable.AndCardinality(c.Installed)
	if c.Unknown.IsEmpty() {
		g.every = int(without)
	} else {
		g.every = int(c.Missing().GetCardinality())
	}
	if !g.updates[0].Superseded {
		g.counts.Missing = g.every
	}
}

// waiting are the cursors of all computers that are not retired, by platform: how many have not come to a sequence is a
// search, not a count.
type waiting struct {
	steps map[string][]step // "": of all platforms
}

// step says how many computers have a cursor of at most at.
type step struct {
	at     computers.Cursor
	behind int
}

func newWaiting(v computers.View) *waiting {
	w := &waiting{steps: make(map[string][]step)}
	all := make(map[computers.Cursor]int)
	for platform, counts := range v.Cursors() {
		w.steps[platform] = stepsOf(counts)
		for at, n := range counts {
			all[at] += n
		}
	}
	w.steps[""] = stepsOf(all)
	return w
}

func stepsOf(counts map[computers.Cursor]int) []step {
	steps := make([]step, 0, len(counts))
	for at, n := range counts {
		steps = append(steps, step{at, n})
	}
	slices.SortFunc(steps, func(a, b step) int { return a.at.Compare(b.at) })
	sum := 0
	for i := range steps {
		sum += steps[i].behind
		steps[i].behind = sum
	}
	return steps
}

// behind is how many computers of a platform have not come to a sequence.
func (w *waiting) behind(platform string, newest computers.Cursor) int {
	steps := w.steps[platform]
	at, _ := slices.BinarySearchFunc(steps, newest, func(s step, at computers.Cursor) int { return s.at.Compare(at) })
	if at == 0 {
		return 0
	}
	return steps[at-1].behind
}

// perComputer is the other direction: of every computer, how many updates are what. It is brought up to date by the
// computers that changed, or made anew when many did or the catalog changed.
type perComputer struct {
	updates []Update
	changed map[string][]computers.Cursor // sequences of updates by platform, sorted

	stamp uint64
	of    map[uint32]*computerItem
	list  []*computerItem // of all computers, by number
}

// computerItem is the row of one computer, with both ways to count what it misses.
type computerItem struct {
	row  ComputerRow
	both [2]struct {
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

// Standing is how many updates are what on one computer.
type Standing struct {
	Applicable int      `json:"applicable"`
	Installed  int      `json:"installed"`
	Missing    int      `json:"missing"`
	Critical   int      `json:"critical"`  // missing, of vendor's severity Critical
	Exploited  int      `json:"exploited"` // missing, and seen exploited
	Unknown    int      `json:"unknown"`
	Pending    int      `json:"pending"`
	Failed     int      `json:"failed"`
	Percent    *float64 `json:"percent"` // as in Counts
}

func newPerComputer(updates []Update) *perComputer {
	p := &perComputer{updates: updates, changed: make(map[string][]computers.Cursor)}
	for _, u := range updates {
		p.changed[u.Platform] = append(p.changed[u.Platform], u.Changed)
	}
	for _, list := range p.changed {
		slices.SortFunc(list, computers.Cursor.Compare)
	}
	return p
}

// few is up to how many changed computers are counted one by one.
const few = 32

// refresh brings the rows up to memory.
func (p *perComputer) refresh(v computers.View) {
	if p.of != nil && p.stamp == v.Stamp() {
		return
	}
	changed, known := v.Changed(p.stamp)
	if p.of == nil || !known || len(changed) > few {
		p.recount(v)
	} else {
		for _, number := range changed {
			p.one(v, v.Members()[number])
		}
	}
	p.stamp = v.Stamp()
	if len(p.list) == len(p.of) {
		return
	}
	p.list = make([]*computerItem, 0, len(p.of))
	for _, item := range p.of {
		p.list = append(p.list, item)
	}
	slices.SortFunc(p.list, func(a, b *computerItem) int { return int(a.row.Number) - int(b.row.Number) })
}

// put makes or replaces the row of a computer.
func (p *perComputer) put(m *computers.Member, s Standing, every int) {
	item := p.of[m.Number]
	if item == nil {
		item = &computerItem{}
		p.of[m.Number] = item
	}
	if m.Retired.IsZero() {
		s.Pending = p.pending(m)
	}
	item.row = *rowOf(m, s)
	item.both[0].missing, item.both[0].percent = s.Missing, percent(s.Installed, s.Missing)
	item.both[1].missing, item.both[1].percent = every, percent(s.Installed, every)
}

// pending counts the updates newer than what a computer evaluated.
func (p *perComputer) pending(m *computers.Member) (count int) {
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
	return count
}

// one counts the updates of one computer.
func (p *perComputer) one(v computers.View, m *computers.Member) {
	s, every, n := Standing{}, 0, m.Number
	for i := range p.updates {
		u := &p.updates[i]
		c := v.Column(u.Number)
		if c == nil || !m.Retired.IsZero() {
			continue
		}
		applicable, installed, unknown := c.Applicable.Contains(n), c.Installed.Contains(n), c.Unknown.Contains(n)
		missing := applicable && !installed && !unknown
		s.Applicable += one(applicable || installed)
		s.Installed += one(installed && !unknown)
		s.Unknown += one(unknown)
		s.Failed += one(c.Failed.Contains(n))
		every += one(missing)
		missing = missing && !u.Superseded
		s.Missing += one(missing)
		s.Critical += one(missing && u.Severity == catalog.Critical)
		s.Exploited += one(missing && u.Exploited)
	}
	p.put(m, s, every)
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// tallies count updates by computer number.
type tallies struct {
	applicable, installed, unknown, failed, every, missing, critical, exploited []int32
}

// recount walks every bitmap once.
func (p *perComputer) recount(v computers.View) {
	p.of, p.list = make(map[uint32]*computerItem, len(v.Members())), nil
	var most uint32
	for number := range v.Members() {
		most = max(most, number)
	}
	column := func() []int32 { return make([]int32, most+1) }
	t := tallies{column(), column(), column(), column(), column(), column(), column(), column()}
	for i := range p.updates {
		if c := v.Column(p.updates[i].Number); c != nil {
			t.add(&p.updates[i], c)
		}
	}
	for n, m := range v.Members() {
		p.put(m, Standing{
			Applicable: int(t.applicable[n]), Installed: int(t.installed[n]), Missing: int(t.missing[n]), Critical: int(t.critical[n]),
			Exploited: int(t.exploited[n]), Unknown: int(t.unknown[n]), Failed: int(t.failed[n]),
		}, int(t.every[n]))
	}
}

func (t *tallies) add(u *Update, c *computers.Column) {
	addAll(c.Applicable, t.applicable)
	addAll(c.Unknown, t.unknown)
	addAll(c.Failed, t.failed)
	installed := c.Installed
	if !c.Unknown.IsEmpty() {
		installed = roaring.AndNot(c.Installed, c.Unknown)
	}
	addAll(installed, t.installed)
	addAll(roaring.AndNot(c.Installed, c.Applicable), t.applicable)
	missing := c.Missing()
	addAll(missing, t.every)
	if u.Superseded {
		return
	}
	addAll(missing, t.missing)
	if u.Severity == catalog.Critical {
		addAll(missing, t.critical)
	}
	if u.Exploited {
		addAll(missing, t.exploited)
	}
}

// addAll adds one to the count of every number of a set.
func addAll(set *roaring.Bitmap, counts []int32) {
	var buffer [1024]uint32
	for it := set.ManyIterator(); ; {
		n := it.NextMany(buffer[:])
		if n == 0 {
			return
		}
		for _, number := range buffer[:n] {
			if int(number) < len(counts) {
				counts[number]++
			}
		}
	}
}
