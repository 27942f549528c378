package compliance_test

import (
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"pgregory.net/rapid"

	"thatch/catalog/federation"
	"thatch/node/computers/compliance/report"
)

// books are the roll-ups as whoever takes what changed would know them.
type rollUps map[string]federation.RollUp

func (b rollUps) take(list []federation.RollUp, all bool) {
	if all {
		clear(b)
	}
	for _, r := range list {
		if b[r.Bulletin] = r; r.Counts == (federation.Counts{}) {
			delete(b, r.Bulletin)
		}
	}
}

func told(c report.Counts) federation.Counts {
	return federation.Counts{
		Applicable: c.Applicable, Installed: c.Installed, Missing: c.Missing, Failed: c.Failed, Scheduled: c.Scheduled, Unknown: c.Unknown,
	}
}

// check compares with counting one by one. Superseded updates are left out.
func (b rollUps) check(rt *rapid.T, h *history) {
	for _, bulletin := range []string{"hb0", "hb1", "hb2"} {
		present := func(u sampleUpdate) bool { return u.bulletin == bulletin && !u.superseded }
		got, want := b[bulletin], told(h.naive(false, present))
		if got.Counts != want {
			rt.Fatalf("%s: %+v, want %+v", bulletin, got.Counts, want)
		}
		left := map[string]federation.Counts{}
		for _, u := range got.Updates {
			left[u.Update] = u.Counts
		}
		for _, u := range h.updates {
			if want := told(h.naive(false, func(other sampleUpdate) bool { return other.id == u.id && !u.superseded })); u.bulletin == bulletin && left[u.id] != want {
				rt.Fatalf("%s of %s: %+v, want %+v", u.id, bulletin, left[u.id], want)
			}
			delete(left, u.id)
		}
		if len(left) > 0 {
			rt.Fatalf("%s tells of updates that are not there: %v", bulletin, left)
		}
	}
}

// TestRollUpsFollow: whatever happens, and whichever computers are left aside, whoever takes only what changed knows what a count
// of everything would say; and what is told again is only what changed.
func TestRollUpsFollow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h, books, rooms := newHistory(t), rollUps{}, 0
		for range rapid.IntRange(3, 12).Draw(rt, "looks") {
			for range rapid.IntRange(0, 4).Draw(rt, "events") {
				h.event(t, rt)
			}
			if rapid.IntRange(0, 3).Draw(rt, "page") == 0 { // a page between counts too, and must not hide what changed
				h.checkCounts(rt, false)
			}
			aside := roaring.New()
			for _, m := range h.machines {
				if rapid.IntRange(0, 3).Draw(rt, "aside") == 0 {
					aside.Add(m.Number)
				}
			}
			list, all, err := h.RollUps(rt.Context(), rooms != h.rooms, aside)
			if err != nil {
				rt.Fatal(err)
			}
			rooms = h.rooms
			books.take(list, all)
			h.aside = aside
			books.check(rt, h)
			h.aside = nil
			if list, all, err = h.RollUps(rt.Context(), false, aside); err != nil || all || len(list) != 0 {
				rt.Fatalf("nothing changed, and %d are told (all %v), %v", len(list), all, err)
			}
		}
	})
}

// TestWhoIsLeftOutHidesNobody: one computer that is left out of the figures comes to be known while another one becomes
// unknown, so that the figures of both together stay what they were.
func TestWhoIsLeftOutHidesNobody(t *testing.T) {
	s := newSite(t)
	s.catalog(t, "first")
	out, in := s.machine(t, "out"), s.machine(t, "in")
	u2 := s.updates[1].number
	out.unknown, in.applicable = map[uint32]bool{u2: true}, map[uint32]bool{u2: true}
	s.report(t, out)
	s.report(t, in)
	aside := roaring.BitmapOf(out.Number)
	if _, _, err := s.RollUps(t.Context(), true, aside); err != nil {
		t.Fatal(err)
	}
	out.unknown, out.applicable = map[uint32]bool{}, in.applicable
	in.unknown, in.applicable = map[uint32]bool{u2: true}, map[uint32]bool{}
	s.report(t, out)
	s.report(t, in)
	list, all, err := s.RollUps(t.Context(), false, aside)
	at := slices.IndexFunc(list, func(r federation.RollUp) bool { return r.Bulletin == "b1" })
	if err != nil || all || at < 0 || list[at].Unknown != 1 || list[at].Missing != 0 {
		t.Errorf("told %+v (all %v), %v; want that b1 is unknown on one computer", list, all, err)
	}
	if list, _, err = s.RollUps(t.Context(), false, aside); err != nil || len(list) != 0 {
		t.Errorf("nothing changed, and told is %+v, %v", list, err)
	}
}
