package compliance

import (
	"context"
	"iter"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/catalog/federation"
	"thatch/node/computers"
	"thatch/node/computers/compliance/report"
	"thatch/node/store"
)

// member is one update of a bulletin.
type member struct {
	update string // id
	*group
}

// figures are Told as roll-ups carry them.
func figures(c report.Counts) federation.Counts {
	return federation.Counts{
		Applicable: c.Applicable, Installed: c.Installed, Missing: c.Missing, Failed: c.Failed, Scheduled: c.Scheduled, Unknown: c.Unknown,
	}
}

func (s *snapshot) ofRollUps() iter.Seq[*group] {
	return func(yield func(*group) bool) {
		for _, b := range s.bulletins {
			if b.present == nil {
				continue
			}
			if !yield(b.present) {
				return
			}
			for _, m := range b.members {
				if !yield(m.group) {
					return
				}
			}
		}
	}
}

// RollUps are the figures of the bulletins, superseded updates left out: of those that changed (or may have) since the last call, or,
// where whole is asked for or the catalog is another one, of all of which there is something to tell; all says which. A
// bulletin that changed and of which nothing is left to tell has a roll-up without counts. Computers aside are not counted;
// where they are others than at the last call, all are told. One may call it.
func (r *Room) RollUps(ctx context.Context, whole bool, aside *roaring.Bitmap) (list []federation.RollUp, all bool, err error) {
	err = r.counted(ctx, (*snapshot).ofRollUps, func(s *snapshot, v computers.View) error {
		all = whole || r.told != s.mark() || !r.aside.Equals(aside)
		r.told, r.aside = s.mark(), aside.Clone()
		for _, b := range s.bulletins {
			if b.present == nil || !all && !b.moved(!aside.IsEmpty()) {
				continue
			}
			if rollUp := b.rollUp(v, aside); !all || rollUp.Counts != (federation.Counts{}) {
				list = append(list, rollUp)
			}
		}
		for one := range s.ofRollUps() {
			one.moved, one.again = false, false
		}
		return nil
	})
	return list, all, err
}

// snapshotMark tells one state of the catalog from another.
type snapshotMark struct {
	epoch string
	at    store.Sequence
}

func (s *snapshot) mark() snapshotMark { return snapshotMark{s.epoch, s.at} }

// moved says whether there may be something new to tell. Where computers are left out, counts of all can stay what they
// were while one that is left out changed against one that is not.
func (b *bulletinItem) moved(aside bool) bool {
	moved := func(g *group) bool { return g.moved || aside && g.again }
	return moved(b.present) || slices.ContainsFunc(b.members, func(m member) bool { return moved(m.group) })
}

func (b *bulletinItem) rollUp(v computers.View, aside *roaring.Bitmap) federation.RollUp {
	r := federation.RollUp{Bulletin: b.row.ID, Counts: b.present.without(v, aside), Updates: []federation.UpdateCounts{}}
	for _, m := range b.members {
		if counts := m.without(v, aside); counts != (federation.Counts{}) && len(r.Updates) < federation.MaxUpdates {
			r.Updates = append(r.Updates, federation.UpdateCounts{Update: m.update, Counts: counts})
		}
	}
	return r
}
