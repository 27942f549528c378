package compliance

import (
	"cmp"
	"hash/maphash"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/catalog/federation"
	"thatch/node/computers"
	"thatch/node/computers/compliance/heads"
	"thatch/node/computers/compliance/report"
)

// group is some updates counted together: of a bulletin, a CVE, a month, or one alone. Whatever has the same updates
// shares one.
type group struct {
	updates []Update
	newest  []behind

	queued  bool // it is about to be counted
	moved   bool // its counts are others than RollUps last said
	again   bool // it was counted since RollUps last said it
	counted bool
	stale   bool              // to be counted whole
	touched []computers.Touch // since it was counted; while they are few they bring the counts up to date
	counts  report.Counts
	every   int      // missing, superseded ones too
	percent *float64 // of every
}

// behind is the greatest sequence of the updates for a platform.
type behind struct {
	platform string
	newest   computers.Cursor
}

// few is up to how many touches a group is brought up to date by the computers they are of: each costs a look at every
// update of the group, where counting whole costs some bitmap operations for each.
const few = 64

func newGroup(updates []Update) *group {
	g := &group{updates: updates}
	for _, u := range updates {
		at := slices.IndexFunc(g.newest, func(b behind) bool { return b.platform == u.Platform })
		switch {
		case at < 0:
			g.newest = append(g.newest, behind{u.Platform, u.Changed})
		case u.Changed.Compare(g.newest[at].newest) > 0:
			g.newest[at].newest = u.Changed
		}
	}
	return g
}

// touch notes that what a computer says of one of the updates changed.
func (g *group) touch(t computers.Touch) {
	switch {
	case !g.counted || g.stale:
	case len(g.touched) >= few:
		g.stale, g.touched = true, nil
	default:
		g.touched = append(g.touched, t)
	}
}

// dirty says whether the counts are not those of memory.
func (g *group) dirty() bool { return !g.counted || g.stale || len(g.touched) > 0 }

// count brings the counts up to memory.
func (g *group) count(v computers.View) {
	counts, every := report.Counts{}, 0
	switch {
	case g.counted && !g.stale:
		counts, every = g.adjusted(v)
	case len(g.updates) == 1:
		counts, every = g.recountOne(v)
	default:
		counts, every = g.recount(v.Column)
	}
	g.moved = g.moved || !g.counted || figures(counts) != figures(g.counts)
	counts.Percent = heads.Percent(counts.Installed, counts.Missing)
	g.counts, g.every, g.percent = counts, every, heads.Percent(counts.Installed, every)
	g.queued, g.again, g.counted, g.stale, g.touched = false, true, true, false, nil
}

// result is the counts; every says that superseded updates can be missing too.
func (g *group) result(queue *waiting, every bool) report.Counts {
	counts := g.counts
	if every {
		counts.Missing, counts.Percent = g.every, g.percent
	}
	for _, b := range g.newest {
		counts.Pending += queue.behind(b.platform, b.newest)
	}
	return counts
}

// without are the counts, computers of a set left out, as other sites are told them.
func (g *group) without(v computers.View, aside *roaring.Bitmap) federation.Counts {
	counts := figures(g.counts)
	if aside.IsEmpty() {
		return counts
	}
	less, _ := g.recount(func(update uint32) *computers.Column {
		if c := v.Column(update); c != nil {
			return within(c, aside)
		}
		return nil
	})
	counts.Take(figures(less))
	return counts
}

// within is what some computers alone say of an update.
func within(c *computers.Column, set *roaring.Bitmap) *computers.Column {
	some := &computers.Column{
		Applicable: roaring.And(c.Applicable, set), Installed: roaring.And(c.Installed, set),
		Unknown: roaring.And(c.Unknown, set), Failed: roaring.And(c.Failed, set),
	}
	if c.Said != nil {
		some.Said = &computers.Said{Open: roaring.And(c.Said.Open, set)}
	}
	return some
}

// recount counts with bitmaps.
func (g *group) recount(column func(update uint32) *computers.Column) (counts report.Counts, every int) {
	var applicable, missing, superseded, unknown, failed, open []*roaring.Bitmap
	for _, u := range g.updates {
		c := column(u.Number)
		if c == nil {
			continue
		}
		applicable = append(applicable, c.Applicable, c.Installed)
		if !c.Unknown.IsEmpty() {
			unknown = append(unknown, c.Unknown)
		}
		if !c.Failed.IsEmpty() {
			failed = append(failed, c.Failed)
		}
		if waiting := scheduled(c); waiting != nil {
			open = append(open, waiting)
		}
		if m := c.Lacking(); u.Superseded {
			superseded = append(superseded, m)
		} else {
			missing = append(missing, m)
		}
	}
	all, lack, doubtful := roaring.FastOr(applicable...), roaring.FastOr(missing...), roaring.FastOr(unknown...)
	counts.Applicable = int(all.GetCardinality())
	counts.Unknown = int(doubtful.GetCardinality())
	counts.Failed = int(roaring.FastOr(failed...).GetCardinality())
	counts.Scheduled = int(roaring.FastOr(open...).GetCardinality())
	counts.Missing = int(lack.GetCardinality())
	if every = counts.Missing; len(superseded) > 0 {
		lack = roaring.FastOr(append(superseded, lack)...)
		every = int(lack.GetCardinality())
	}
	if !doubtful.IsEmpty() {
		lack = roaring.Or(lack, doubtful)
	}
	counts.Installed = counts.Applicable - int(all.AndCardinality(lack))
	return counts, every
}

// recountOne makes no bitmap but one.
func (g *group) recountOne(v computers.View) (counts report.Counts, every int) {
	c := v.Column(g.updates[0].Number)
	if c == nil {
		return counts, 0
	}
	counts.Applicable = int(c.Applicable.OrCardinality(c.Installed))
	counts.Unknown = int(c.Unknown.GetCardinality())
	counts.Failed = int(c.Failed.GetCardinality())
	if waiting := scheduled(c); waiting != nil {
		counts.Scheduled = int(waiting.GetCardinality())
	}
	counts.Installed = int(c.Installed.GetCardinality() - c.Installed.AndCardinality(c.Unknown))
	if c.Unknown.IsEmpty() {
		every = int(c.Applicable.GetCardinality() - c.Applicable.AndCardinality(c.Installed))
	} else {
		every = int(c.Missing().GetCardinality())
	}
	if !g.updates[0].Superseded {
		counts.Missing = every
	}
	return counts, every
}

// scheduled are the computers on which an ordered update is not installed yet, and no install of it failed; nil: none.
func scheduled(c *computers.Column) *roaring.Bitmap {
	if c.Said == nil || c.Said.Open.IsEmpty() {
		return nil
	}
	waiting := roaring.AndNot(c.Said.Open, c.Failed)
	waiting.AndNot(c.Installed)
	return waiting
}

// standingIn is how one computer stands to the updates of a group.
type standingIn struct{ applicable, missing, every, unknown, failed, scheduled bool }

func (s *standingIn) add(u *Update, says computers.Says) {
	s.applicable = s.applicable || says&(computers.SaysApplicable|computers.SaysInstalled) != 0
	s.unknown = s.unknown || says&computers.SaysUnknown != 0
	s.failed = s.failed || says&computers.SaysFailed != 0
	s.scheduled = s.scheduled || says&(computers.SaysOpen|computers.SaysFailed|computers.SaysInstalled) == computers.SaysOpen
	if misses(says) {
		s.every, s.missing = true, s.missing || !u.Superseded
	}
}

// misses says whether a computer that says so of an update misses it.
func misses(says computers.Says) bool {
	return says&(computers.SaysApplicable|computers.SaysInstalled|computers.SaysUnknown) == computers.SaysApplicable
}

func (s *standingIn) count(counts *report.Counts, every *int, by int) {
	add := func(to *int, is bool) {
		if is {
			*to += by
		}
	}
	add(&counts.Applicable, s.applicable)
	add(&counts.Missing, s.missing)
	add(every, s.every)
	add(&counts.Unknown, s.unknown)
	add(&counts.Failed, s.failed)
	add(&counts.Scheduled, s.scheduled)
	add(&counts.Installed, s.applicable && !s.every && !s.unknown)
}

// adjusted takes away what the touched computers counted before, and adds what they count now.
func (g *group) adjusted(v computers.View) (counts report.Counts, every int) {
	counts, every = g.counts, g.every
	slices.SortStableFunc(g.touched, func(a, b computers.Touch) int {
		return cmp.Or(cmp.Compare(a.Computer, b.Computer), cmp.Compare(a.Update, b.Update))
	})
	for from := 0; from < len(g.touched); {
		to := from
		for to < len(g.touched) && g.touched[to].Computer == g.touched[from].Computer {
			to++
		}
		former, now := g.stand(v, g.touched[from:to])
		former.count(&counts, &every, -1)
		now.count(&counts, &every, 1)
		from = to
	}
	return counts, every
}

// stand says how the computer of touches, sorted by update, oldest first, stood before them and stands now.
func (g *group) stand(v computers.View, touches []computers.Touch) (former, now standingIn) {
	for i := range g.updates {
		u := &g.updates[i]
		c := v.Column(u.Number)
		if c == nil {
			continue
		}
		says := c.Says(touches[0].Computer)
		was := says
		at, touched := slices.BinarySearchFunc(touches, u.Number, func(t computers.Touch, n uint32) int { return cmp.Compare(t.Update, n) })
		if touched {
			was = touches[at].Was
		}
		now.add(u, says)
		former.add(u, was)
	}
	return former, now
}

// groups are all groups of a snapshot.
type groups struct {
	seed     maphash.Seed
	distinct map[uint64][]*group
	of       [][]*group // by update number
	stamp    uint64     // of memory: changes up to it have reached the groups
}

func newGroups(stamp uint64, seed maphash.Seed) *groups {
	return &groups{seed: seed, stamp: stamp, distinct: make(map[uint64][]*group)}
}

func (g *groups) key(updates []Update) uint64 {
	var key uint64
	for i := range updates {
		key = key*1099511628211 ^ uint64(updates[i].Number)
	}
	return maphash.Comparable(g.seed, key)
}

// get is the group of some updates: one that is there, else a former one, else a new one.
func (g *groups) get(updates []Update, former *groups) *group {
	key := g.key(updates)
	same := func(other *group) bool { return slices.Equal(other.updates, updates) }
	if at := slices.IndexFunc(g.distinct[key], same); at >= 0 {
		return g.distinct[key][at]
	}
	var found *group
	if former != nil {
		if at := slices.IndexFunc(former.distinct[key], same); at >= 0 {
			found = former.distinct[key][at]
		}
	}
	if found == nil {
		found = newGroup(updates)
	}
	g.distinct[key] = append(g.distinct[key], found)
	for i := range updates {
		number := updates[i].Number
		for int(number) >= len(g.of) {
			g.of = append(g.of, make([][]*group, 1+int(number)-len(g.of))...)
		}
		g.of[number] = append(g.of[number], found)
	}
	return found
}

// follow has the changes of memory reach the groups.
func (g *groups) follow(v computers.View) {
	if g.stamp == v.Stamp() {
		return
	}
	touched, known := v.Touched(g.stamp)
	if !known {
		for number, all := range g.of {
			if c := v.Column(uint32(number)); c == nil || c.Stamp > g.stamp {
				for _, one := range all {
					one.stale, one.touched = true, nil
				}
			}
		}
	}
	for _, t := range touched {
		if int(t.Update) >= len(g.of) {
			continue
		}
		for _, one := range g.of[t.Update] {
			one.touch(t)
		}
	}
	g.stamp = v.Stamp()
}

// slice is how many updates are counted at once, before others may have their turn: some ten milliseconds of work.
const slice = 4000

// settle brings groups up to memory, up to a slice of them; more says that it has to be called again.
func settle(v computers.View, all func(yield func(*group) bool)) (more bool) {
	var dirty []*group
	weight := 0
	for one := range all {
		if one.queued || !one.dirty() {
			continue
		}
		if weight > slice {
			more = true
			break
		}
		weight += len(one.updates)
		one.queued, dirty = true, append(dirty, one)
	}
	slices.SortFunc(dirty, func(a, b *group) int { return cmp.Compare(len(b.updates), len(a.updates)) })
	parallel(len(dirty), func(at int) { dirty[at].count(v) })
	return more
}
