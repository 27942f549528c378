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

	stamp   uint64 // of memory when it was counted
	counted bool
	counts  Counts
	every   int // missing, superseded ones too
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
	}
	counts := g.counts
	if every {
		counts.Missing = g.every
	}
	for platform, newest := range g.newest {
		counts.Pending += queue.behind(platform, newest)
	}
	counts.Percent = percent(counts.Installed, counts.Missing)
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

// waiting are the cursors of all computers that are not retired, by platform, sorted: how many have not come to a
// sequence is a search, not a count.
type waiting struct {
	cursors map[string][]computers.Cursor // "": of all platforms
}

func newWaiting(v computers.View) *waiting {
	w := &waiting{cursors: make(map[string][]computers.Cursor)}
	for _, m := range v.Members() {
		if m.Retired.IsZero() {
			w.cursors[m.Platform] = append(w.cursors[m.Platform], m.Cursor)
			w.cursors[""] = append(w.cursors[""], m.Cursor)
		}
	}
	for _, list := range w.cursors {
		slices.SortFunc(list, computers.Cursor.Compare)
	}
	return w
}

func (w *waiting) behind(platform string, newest computers.Cursor) int {
	n, _ := slices.BinarySearchFunc(w.cursors[platform], newest, computers.Cursor.Compare)
	return n
}

// all is the number of computers that are counted.
func (w *waiting) all() int { return len(w.cursors[""]) }

// perComputer is the other direction: of every computer, how many updates are what. It is brought up to date by the
// computers that changed, or made anew when many did or the catalog changed.
type perComputer struct {
	updates []Update
	marks   marks
	changed map[string][]computers.Cursor // sequences of updates by platform, sorted

	stamp uint64
	of    map[uint32]*Standing
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
	every      int      // missing, superseded ones too
}

// marks are sets of update numbers.
type marks struct {
	counted, current, critical, exploited *roaring.Bitmap
}

func newPerComputer(updates []Update) *perComputer {
	p := &perComputer{updates: updates, changed: make(map[string][]computers.Cursor)}
	p.marks = marks{roaring.New(), roaring.New(), roaring.New(), roaring.New()}
	for _, u := range updates {
		p.marks.counted.Add(u.Number)
		if !u.Superseded {
			p.marks.current.Add(u.Number)
		}
		if u.Severity == catalog.Critical {
			p.marks.critical.Add(u.Number)
		}
		if u.Exploited {
			p.marks.exploited.Add(u.Number)
		}
		p.changed[u.Platform] = append(p.changed[u.Platform], u.Changed)
	}
	for _, list := range p.changed {
		slices.SortFunc(list, computers.Cursor.Compare)
	}
	return p
}

// few is up to how many changed computers are counted one by one.
const few = 32

// refresh brings the standings up to memory.
func (p *perComputer) refresh(v computers.View) {
	if p.of != nil && p.stamp == v.Stamp() {
		return
	}
	var changed []*computers.Member
	for number, m := range v.Members() {
		if p.of == nil || m.Stamp > p.stamp || p.of[number] == nil && m.Retired.IsZero() {
			changed = append(changed, m)
		}
	}
	if p.of == nil || len(changed) > few {
		p.recount(v)
	} else {
		for _, m := range changed {
			p.one(v, m)
		}
	}
	p.stamp = v.Stamp()
}

func (p *perComputer) one(v computers.View, m *computers.Member) {
	if !m.Retired.IsZero() {
		delete(p.of, m.Number)
		return
	}
	sets, s := v.Sets(m.Number), &Standing{}
	applicable := roaring.Or(sets.Applicable, sets.Installed)
	s.Applicable = int(applicable.AndCardinality(p.marks.counted))
	s.Unknown = int(sets.Unknown.AndCardinality(p.marks.counted))
	installed := roaring.AndNot(sets.Installed, sets.Unknown)
	s.Installed = int(installed.AndCardinality(p.marks.counted))
	missing := sets.Missing()
	s.every = int(missing.AndCardinality(p.marks.counted))
	missing.And(p.marks.current)
	s.Missing = int(missing.GetCardinality())
	s.Critical, s.Exploited = int(missing.AndCardinality(p.marks.critical)), int(missing.AndCardinality(p.marks.exploited))
	for _, u := range p.updates {
		if c := v.Column(u.Number); c != nil && c.Failed.Contains(m.Number) {
			s.Failed++
		}
	}
	p.of[m.Number] = s
	p.finish(m, s)
}

// recount walks every bitmap once.
func (p *perComputer) recount(v computers.View) {
	p.of = make(map[uint32]*Standing, len(v.Members()))
	var most uint32
	for number := range v.Members() {
		most = max(most, number)
	}
	dense := make([]Standing, most+1)
	for _, u := range p.updates {
		if c := v.Column(u.Number); c != nil {
			addColumn(dense, u, c)
		}
	}
	for number, m := range v.Members() {
		if m.Retired.IsZero() {
			p.of[number] = &dense[number]
			p.finish(m, &dense[number])
		}
	}
}

func addColumn(dense []Standing, u Update, c *computers.Column) {
	each(c.Applicable, dense, func(s *Standing) { s.Applicable++ })
	each(c.Unknown, dense, func(s *Standing) { s.Unknown++ })
	each(c.Failed, dense, func(s *Standing) { s.Failed++ })
	installed := c.Installed
	if !c.Unknown.IsEmpty() {
		installed = roaring.AndNot(c.Installed, c.Unknown)
	}
	each(installed, dense, func(s *Standing) { s.Installed++ })
	each(roaring.AndNot(c.Installed, c.Applicable), dense, func(s *Standing) { s.Applicable++ })
	critical, exploited := 0, 0
	if u.Severity == catalog.Critical {
		critical = 1
	}
	if u.Exploited {
		exploited = 1
	}
	missing := c.Missing()
	each(missing, dense, func(s *Standing) { s.every++ })
	if u.Superseded {
		return
	}
	each(missing, dense, func(s *Standing) {
		s.Missing, s.Critical, s.Exploited = s.Missing+1, s.Critical+critical, s.Exploited+exploited
	})
}

func each(set *roaring.Bitmap, dense []Standing, do func(s *Standing)) {
	var buffer [512]uint32
	for it := set.ManyIterator(); ; {
		n := it.NextMany(buffer[:])
		if n == 0 {
			return
		}
		for _, number := range buffer[:n] {
			if int(number) < len(dense) {
				do(&dense[number])
			}
		}
	}
}

func (p *perComputer) finish(m *computers.Member, s *Standing) {
	for _, platform := range slices.Compact([]string{"", m.Platform}) {
		list := p.changed[platform]
		at, found := slices.BinarySearchFunc(list, m.Cursor, computers.Cursor.Compare)
		for found && at < len(list) && list[at] == m.Cursor {
			at++
		}
		s.Pending += len(list) - at
	}
}

// standing returns the counts of one computer; every says that superseded updates can be missing too.
func (p *perComputer) standing(number uint32, every bool) Standing {
	s := p.of[number]
	if s == nil {
		return Standing{}
	}
	out := *s
	if every {
		out.Missing = out.every
	}
	out.Percent = percent(out.Installed, out.Missing)
	return out
}
