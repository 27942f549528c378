package computers

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"
)

// Column is what all computers say of one update. The bitmaps hold computer numbers and must not be changed.
type Column struct {
	Applicable, Installed, Unknown *roaring.Bitmap
	Failed                         *roaring.Bitmap // an ordered install failed, for good or until the next try
	Said                           *Said           // of orders; nil: nobody said anything
	Stamp                          uint64          // of the last change, see View.Stamp
	plain                          atomic.Uint64   // twice the stamp at which Lacking looked, and 1 where it needed no copy
}

// Said is what agents say of an update that is ordered: of the very revision that is ordered, by its own rules, where
// the other sets speak of the catalog's present one. Every computer that said anything is in one of the four.
type Said struct {
	Open      *roaring.Bitmap // needed, and not installed yet
	Installed *roaring.Bitmap
	Unknown   *roaring.Bitmap
	Absent    *roaring.Bitmap // not applicable, or superseded
}

func (s *Said) each() [4]*roaring.Bitmap {
	return [4]*roaring.Bitmap{s.Open, s.Installed, s.Unknown, s.Absent}
}

// hear puts a computer into the set that its agent's status means.
func (c *Column) hear(computer uint32, status Status) {
	if c.Said == nil {
		c.Said = &Said{Open: roaring.New(), Installed: roaring.New(), Unknown: roaring.New(), Absent: roaring.New()}
	}
	c.forget(computer)
	switch status {
	case Installed:
		c.Said.Installed.Add(computer)
	case CannotTell:
		c.Said.Unknown.Add(computer)
	case NotApplicable, Superseded:
		c.Said.Absent.Add(computer)
	default:
		c.Said.Open.Add(computer)
	}
	if status == FailedToInstall || status == FailedRescheduled {
		c.Failed.Add(computer)
	}
}

// forget takes away what a computer said of orders, and says whether it had said anything.
func (c *Column) forget(computer uint32) (had bool) {
	had = c.Failed.CheckedRemove(computer)
	if c.Said == nil {
		return had
	}
	for _, set := range c.Said.each() {
		had = set.CheckedRemove(computer) || had
	}
	return had
}

// Missing returns the computers on which the update is applicable, not installed and not unknown.
func (c *Column) Missing() *roaring.Bitmap {
	missing := roaring.AndNot(c.Applicable, c.Installed)
	missing.AndNot(c.Unknown)
	return missing
}

// Lacking is Missing for whoever changes it not: agents put an update into one set, and then it is Applicable itself.
func (c *Column) Lacking() *roaring.Bitmap {
	if known := c.plain.Load(); known>>1 == c.Stamp {
		if known&1 == 1 {
			return c.Applicable
		}
		return c.Missing()
	}
	known := c.Stamp << 1
	if !c.Applicable.Intersects(c.Installed) && !c.Applicable.Intersects(c.Unknown) {
		known++
	}
	c.plain.Store(known)
	return c.Lacking()
}

func (c *Column) each() [3]*roaring.Bitmap {
	return [3]*roaring.Bitmap{c.Applicable, c.Installed, c.Unknown}
}

// inverse is the sets turned round: for every update, the computers. Only computers that are not retired are in it.
type inverse struct {
	mu      sync.RWMutex
	columns []*Column // by update number; nil: nobody speaks of it
	members map[uint32]*Member
	byID    map[string]*Member
	cursors map[string]map[Cursor]int // of computers that are not retired, by platform
	stamp   uint64
	recent  []Touch // oldest first; the earlier ones are forgotten
	since   uint64  // stamp of the last change that is forgotten
}

// Says are the sets of an update in which a computer is.
type Says uint8

// What a computer says of an update.
const (
	SaysApplicable Says = 1 << iota
	SaysInstalled
	SaysUnknown
	SaysFailed
	SaysOpen // of an order: needed, and not installed yet
)

// Touch is one change in memory: what a computer said of an update before, or, where the update is NoUpdate, that its
// row, facts or report changed.
type Touch struct {
	Stamp            uint64
	Computer, Update uint32
	Was              Says
}

// NoUpdate is no number of an update.
const NoUpdate = MaxNumber

// maxRecent is how many changes are remembered, at least: several for each of some thousand computers. Each takes 24
// bytes.
const maxRecent = 1 << 16

func newInverse() *inverse {
	return &inverse{members: make(map[uint32]*Member), byID: make(map[string]*Member), cursors: make(map[string]map[Cursor]int)}
}

// column returns the column of an update to be changed now.
func (v *inverse) column(number uint32) *Column {
	for int(number) >= len(v.columns) {
		v.columns = append(v.columns, make([]*Column, 1+int(number)-len(v.columns))...)
	}
	if v.columns[number] == nil {
		v.columns[number] = &Column{Applicable: roaring.New(), Installed: roaring.New(), Unknown: roaring.New(), Failed: roaring.New()}
	}
	v.columns[number].Stamp = v.stamp
	return v.columns[number]
}

// fill adds the sets of a computer that is in no column yet.
func (v *inverse) fill(computer uint32, sets Sets) {
	for i, set := range sets.each() {
		set.Iterate(func(update uint32) bool {
			v.column(update).each()[i].Add(computer)
			return true
		})
	}
}

// Says is what a computer says of the update.
func (c *Column) Says(computer uint32) (s Says) {
	for i, set := range [...]*roaring.Bitmap{c.Applicable, c.Installed, c.Unknown, c.Failed} {
		if set.Contains(computer) {
			s |= 1 << i
		}
	}
	if c.Said != nil && c.Said.Open.Contains(computer) {
		s |= SaysOpen
	}
	return s
}

// touch notes what a computer says of an update before that changes, and returns the column to be changed.
func (v *inverse) touch(computer, update uint32) *Column {
	column := v.column(update)
	v.note(Touch{v.stamp, computer, update, column.Says(computer)})
	return column
}

func (v *inverse) note(t Touch) {
	if v.recent = append(v.recent, t); len(v.recent) >= 2*maxRecent {
		v.since = v.recent[maxRecent-1].Stamp
		v.recent = append(make([]Touch, 0, 2*maxRecent), v.recent[maxRecent:]...)
	}
}

// shift applies a difference to a computer whose former sets the columns hold.
func (v *inverse) shift(computer uint32, d difference) {
	roaring.FastOr(d.bitmaps()...).Iterate(func(update uint32) bool {
		v.touch(computer, update)
		return true
	})
	for i := range d.add {
		d.add[i].Iterate(func(update uint32) bool {
			v.column(update).each()[i].Add(computer)
			return true
		})
		d.remove[i].Iterate(func(update uint32) bool {
			v.column(update).each()[i].Remove(computer)
			return true
		})
	}
}

// sets collects the sets of one computer from the columns.
func (v *inverse) sets(computer uint32) Sets {
	sets := NewSets()
	all := sets.each()
	for update, column := range v.columns {
		if column == nil {
			continue
		}
		for i, set := range column.each() {
			if set.Contains(computer) {
				all[i].Add(uint32(update))
			}
		}
	}
	return sets
}

// forget drops what a computer said of orders.
func (v *inverse) forget(computer uint32) {
	for update, column := range v.columns {
		if column == nil {
			continue
		}
		was := column.Says(computer)
		if column.forget(computer) {
			column.Stamp = v.stamp
			v.note(Touch{v.stamp, computer, uint32(update), was})
		}
	}
}

// hear takes what a computer says of an order.
func (v *inverse) hear(computer, update uint32, status Status) {
	v.touch(computer, update).hear(computer, status)
}

// put keeps a member; what it was before stays as it is for whoever still reads it.
func (v *inverse) put(m *Member) {
	m.Stamp = v.stamp
	v.note(Touch{Stamp: v.stamp, Computer: m.Number, Update: NoUpdate})
	v.count(v.members[m.Number], -1)
	v.count(m, 1)
	v.members[m.Number], v.byID[m.ID] = m, m
}

// replace takes over what another holds.
func (v *inverse) replace(by *inverse) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.columns, v.members, v.byID, v.cursors = by.columns, by.members, by.byID, by.cursors
	v.stamp, v.recent, v.since = by.stamp, nil, by.stamp // nobody's counts can be brought up to it
}

// count adds a computer to those with its cursor, or takes it away.
func (v *inverse) count(m *Member, by int) {
	if m == nil || !m.Retired.IsZero() {
		return
	}
	counts := v.cursors[m.Platform]
	if counts == nil {
		counts = make(map[Cursor]int)
		v.cursors[m.Platform] = counts
	}
	if counts[m.Cursor] += by; counts[m.Cursor] == 0 {
		delete(counts, m.Cursor)
	}
}

// View is the memory at one moment, for the length of a Room.Look.
type View struct{ v *inverse }

// Stamp grows with every change; a column or member whose stamp is not above one seen before is as it was then.
func (v View) Stamp() uint64 { return v.v.stamp }

// Column returns what computers say of an update, nil when none speaks of it.
func (v View) Column(update uint32) *Column {
	if int(update) >= len(v.v.columns) {
		return nil
	}
	return v.v.columns[update]
}

// Columns is one more than the greatest update number of which a computer speaks.
func (v View) Columns() uint32 { return uint32(len(v.v.columns)) }

// Members returns every computer, retired ones too, by number.
func (v View) Members() map[uint32]*Member { return v.v.members }

// Touched returns the changes after a stamp, oldest first; known is false when that is too long ago to be remembered.
func (v View) Touched(after uint64) (touched []Touch, known bool) {
	if after < v.v.since {
		return nil, false
	}
	recent := v.v.recent
	at, _ := slices.BinarySearchFunc(recent, after, func(t Touch, after uint64) int {
		if t.Stamp > after {
			return 1
		}
		return -1
	})
	return recent[at:], true
}

// Cursors counts the computers that are not retired, by platform and by how far in the rules they came.
func (v View) Cursors() map[string]map[Cursor]int { return v.v.cursors }

// Member finds a computer by its id, nil when there is none.
func (v View) Member(id string) *Member { return v.v.byID[id] }

// Sets collects the sets of a computer; it looks at every column.
func (v View) Sets(computer uint32) Sets { return v.v.sets(computer) }

// Look runs read on the memory while nothing changes it. Read keeps nothing but members and copies.
func (r *Room) Look(read func(v View)) {
	r.memory.mu.RLock()
	defer r.memory.mu.RUnlock()
	read(View{r.memory})
}
