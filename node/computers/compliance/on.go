package compliance

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/node/computers"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// OnComputer is how an update, or what fixes a vulnerability, stands on one computer.
type OnComputer struct {
	ID       string    `json:"id"`
	Computer string    `json:"computer"`
	Group    string    `json:"group"`
	Update   string    `json:"update,omitempty"` // id, where the list is of one update
	Status   string    `json:"status"`           // installed, missing, unknown, pending, failed
	LastSeen time.Time `json:"last_seen"`
}

var onColumns = []store.Column[*OnComputer]{
	{Name: "id", Value: func(o *OnComputer) any { return o.ID }},
	{Name: "computer", Value: func(o *OnComputer) any { return o.Computer }, Search: true},
	{Name: "group", Value: func(o *OnComputer) any { return o.Group }, Search: true},
	{Name: "status", Value: func(o *OnComputer) any { return o.Status }},
	{Name: "last_seen", Kind: store.Time, Value: func(o *OnComputer) any { return rows.Stamp(o.LastSeen) }},
}

// OnColumns names what the computers of an update can be filtered and sorted by.
var OnColumns = store.ColumnNames(onColumns)

// UpdateComputers returns a page of the computers that an update concerns, by name: of the update with an id or number.
func (r *Room) UpdateComputers(ctx context.Context, update string, q store.Query) ([]*OnComputer, int, error) {
	number, _ := strconv.ParseUint(update, 10, 32)
	found, err := find(ctx, r, func(s *snapshot) []*updateItem { return s.updates }, func(i *updateItem) bool {
		return i.row.ID == update || uint64(i.row.Number) == number
	})
	if found == nil {
		return nil, 0, cmp.Or(err, store.NotFound("update", update))
	}
	page, total, err := r.on(found.group, true, q)
	for _, row := range page {
		row.Update = found.row.ID
	}
	return page, total, err
}

// CVEComputers returns a page of the computers that a vulnerability concerns, by name. Open to it are those on which an
// update that fixes it, and that no other replaces, is missing or failed.
func (r *Room) CVEComputers(ctx context.Context, cve string, q store.Query) ([]*OnComputer, int, error) {
	found, err := find(ctx, r, func(s *snapshot) []*cveItem { return s.cves }, func(i *cveItem) bool { return strings.EqualFold(i.row.CVE, cve) })
	if found == nil {
		return nil, 0, cmp.Or(err, store.NotFound("CVE", cve))
	}
	return r.on(found.group, false, q)
}

func find[I any](ctx context.Context, r *Room, of func(s *snapshot) []*I, is func(*I) bool) (found *I, err error) {
	err = r.look(ctx, func(s *snapshot, _ computers.View) error {
		if at := slices.IndexFunc(of(s), is); at >= 0 {
			found = of(s)[at]
		}
		return nil
	})
	return found, err
}

// on lists the computers that updates concern; every says that superseded ones can be missing too.
func (r *Room) on(g *group, every bool, q store.Query) ([]*OnComputer, int, error) {
	rows, at := []*OnComputer{}, map[uint32]*OnComputer{}
	r.computers.Look(func(v computers.View) {
		sets := setsOf(g.updates, every, v)
		for number, m := range v.Members() {
			if status := g.statusOn(m, sets); status != "" {
				row := &OnComputer{ID: m.ID, Computer: m.Name, Group: m.Group, Status: status, LastSeen: m.LastSeen}
				rows, at[number] = append(rows, row), row
			}
		}
	})
	r.computers.LastSeen(func(number uint32, seen time.Time) {
		if row := at[number]; row != nil && seen.After(row.LastSeen) {
			row.LastSeen = seen
		}
	})
	slices.SortFunc(rows, func(a, b *OnComputer) int {
		return cmp.Or(cmp.Compare(a.Computer, b.Computer), cmp.Compare(a.ID, b.ID))
	})
	return store.Select(q, rows, onColumns)
}

// wordSet is the computers that one word fits.
type wordSet struct {
	word string
	set  *roaring.Bitmap
}

// setsOf are the computers by how updates stand on them, worst first.
func setsOf(updates []Update, every bool, v computers.View) []wordSet {
	var failed, missing, unknown, installed []*roaring.Bitmap
	for _, u := range updates {
		c := v.Column(u.Number)
		if c == nil {
			continue
		}
		installed, unknown = append(installed, c.Installed), append(unknown, c.Unknown)
		if every || !u.Superseded {
			lacking := c.Lacking()
			missing, failed = append(missing, lacking), append(failed, roaring.And(lacking, c.Failed))
		}
	}
	return []wordSet{
		{"failed", roaring.FastOr(failed...)},
		{"missing", roaring.FastOr(missing...)},
		{"unknown", roaring.FastOr(unknown...)},
		{"installed", roaring.FastOr(installed...)},
	}
}

// statusOn is the word for updates on a computer, "" when they do not concern it.
func (g *group) statusOn(m *computers.Member, sets []wordSet) string {
	at := slices.IndexFunc(g.newest, func(b behind) bool { return b.platform == "" || b.platform == m.Platform })
	if !m.Retired.IsZero() || at < 0 {
		return ""
	}
	for _, s := range sets {
		if s.set.Contains(m.Number) {
			return s.word
		}
	}
	if m.Cursor.Compare(g.newest[at].newest) < 0 {
		return "pending"
	}
	return ""
}
