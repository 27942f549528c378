package live

import (
	"cmp"
	"slices"

	"thatch/node/store"
)

// step is a change of an update, in the order of the journal. One whose update changed again is stale.
type step struct {
	at     store.Sequence
	number uint32
}

// trail is the changes of updates in order: what agents ask for again and again.
type trail struct {
	steps   []step
	sorted  bool
	removed map[uint32]store.Sequence // numbers of withdrawn updates
}

func (t *trail) add(at store.Sequence, number uint32) {
	if n := len(t.steps); n > 0 && before(at, t.steps[n-1].at) {
		t.sorted = false
	}
	t.steps = append(t.steps, step{at, number})
}

// settle brings the steps into order and drops stale ones when they are the most.
func (t *trail) settle(v *View) {
	if len(t.steps) > 2*(len(v.updates)+len(v.trail.removed))+1000 {
		t.steps = slices.DeleteFunc(t.steps, func(s step) bool { return v.changedAt(s.number) != s.at })
	}
	if !t.sorted {
		slices.SortStableFunc(t.steps, func(a, b step) int {
			return cmp.Or(cmp.Compare(a.at.Index, b.at.Index), cmp.Compare(a.at.Position, b.at.Position), cmp.Compare(a.number, b.number))
		})
		t.sorted = true
	}
}

// changedAt is the sequence of the last change of the update with a number.
func (v *View) changedAt(number uint32) store.Sequence {
	if u := v.updates[number]; u != nil {
		return u.Changed
	}
	return v.trail.removed[number]
}

// Page is what changed of the updates after a sequence.
type Page struct {
	Updates []*Update      // new or changed, in the order of their changes
	Removed []uint32       // numbers of those that were withdrawn
	Next    store.Sequence // ask for what comes after it
	More    bool
}

// Since returns at most limit changes of updates after a sequence, but that those at one place are not torn apart. Every update comes once, as it is now: as an update
// when wanted (nil: all) lets it through, else as a removal, because an earlier revision may have come before. The
// first page leaves out what nobody can have yet.
func (v *View) Since(after store.Sequence, limit int, wanted func(*Update) bool) Page {
	steps := v.trail.steps
	from, _ := slices.BinarySearchFunc(steps, after, func(s step, at store.Sequence) int {
		if before(at, s.at) {
			return 1
		}
		return -1
	})
	page := Page{Next: v.At}
	for _, s := range steps[from:] {
		if v.changedAt(s.number) != s.at {
			continue
		}
		u := v.updates[s.number]
		if u != nil && wanted != nil && !wanted(u) {
			u = nil
		}
		if u == nil && after == (store.Sequence{}) {
			continue
		}
		// Withdrawals of long ago all stand where the journal starts, beside what changed there: a page ends behind all of them.
		if len(page.Updates)+len(page.Removed) >= limit && s.at != page.Next {
			page.More = true
			return page
		}
		if u == nil {
			page.Removed = append(page.Removed, s.number)
		} else {
			page.Updates = append(page.Updates, u)
		}
		page.Next = s.at
	}
	page.Next = v.At
	return page
}

// For is a filter for Since: what could concern an agent of a platform. A rule that others share concerns all who
// have those others.
func For(platform string) func(*Update) bool {
	return func(u *Update) bool { return u.Evaluable && !u.Withdrawn && u.Platform() == platform }
}
