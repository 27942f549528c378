package compliance

import (
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
	number   uint32
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
func (r *Room) UpdateComputers(ctx context.Context, update string, q store.Query) (page []*OnComputer, total int, err error) {
	number, _ := strconv.ParseUint(update, 10, 32)
	err = r.look(ctx, func(s *snapshot, v computers.View) (err error) {
		at := slices.IndexFunc(s.updates, func(i *updateItem) bool { return i.row.ID == update || uint64(i.row.Number) == number })
		if at < 0 {
			return store.NotFound("update", update)
		}
		found := s.updates[at]
		page, total, err = r.on(s, v, found.group, true, q)
		for _, row := range page {
			row.Update = found.row.ID
		}
		return err
	})
	return page, total, err
}

// CVEComputers returns a page of the computers that a vulnerability concerns, by name. Open to it are those on which an
// update that fixes it, and that no other replaces, is missing or failed.
func (r *Room) CVEComputers(ctx context.Context, cve string, q store.Query) (page []*OnComputer, total int, err error) {
	err = r.look(ctx, func(s *snapshot, v computers.View) (err error) {
		at := slices.IndexFunc(s.cves, func(i *cveItem) bool { return strings.EqualFold(i.row.CVE, cve) })
		if at < 0 {
			return store.NotFound("CVE", cve)
		}
		page, total, err = r.on(s, v, s.cves[at].group, false, q)
		return err
	})
	return page, total, err
}

// on lists the computers that updates concern; every says that superseded ones can be missing too.
func (r *Room) on(s *snapshot, v computers.View, g *group, every bool, q store.Query) ([]*OnComputer, int, error) {
	s.computers.refresh(v)
	says := statuses(g.updates, every, v)
	present := s.computers.present
	held, rows := make([]OnComputer, 0, len(present)), make([]*OnComputer, 0, len(present))
	for _, c := range present {
		status := wordless
		if int(c.Number) < len(says) {
			status = says[c.Number]
		}
		if status == wordless && !g.behind(r.queue, v.Members()[c.Number]) {
			continue
		}
		held = append(held, OnComputer{ID: c.ID, Computer: c.Computer, Group: c.Group, Status: words[status], LastSeen: c.LastSeen, number: c.Number})
		rows = append(rows, &held[len(held)-1])
	}
	_, filtered := q.Filter["last_seen"]
	if filtered || q.Sort == "last_seen" {
		r.latest(rows)
	}
	if q.Sort == "" {
		q.Sort = "computer"
	}
	page, total, err := store.Select(q, rows, onColumns)
	for at, row := range page {
		same := *row // so that the page does not hold all others
		page[at] = &same
	}
	r.latest(page)
	return page, total, err
}

func (r *Room) latest(rows []*OnComputer) {
	for _, row := range rows {
		row.LastSeen = r.computers.LatestSeen(row.number, row.LastSeen)
	}
}

// behind says whether a computer has not evaluated the newest revision of the updates for it.
func (g *group) behind(queue *waiting, m *computers.Member) bool {
	at := slices.IndexFunc(g.newest, func(b behind) bool { return b.platform == "" || b.platform == m.Platform })
	return at >= 0 && queue.behind(g.newest[at].platform, g.newest[at].newest) > 0 && m.Cursor.Compare(g.newest[at].newest) < 0
}

// wordless is the status of computers that said nothing of updates: those that have not evaluated them are pending.
const wordless uint8 = 0

// words are the statuses, the worst last.
var words = []string{wordless: "pending", 1: "installed", 2: "unknown", 3: "missing", 4: "failed"}

// statuses are the indexes in words, by the number of the computer.
func statuses(updates []Update, every bool, v computers.View) (found []uint8) {
	mark := func(set *roaring.Bitmap, status uint8) {
		if set.IsEmpty() {
			return
		}
		if most := int(set.Maximum()); most >= len(found) {
			found = append(found, make([]uint8, most+1-len(found))...)
		}
		each(set, func(number uint32) { found[number] = max(found[number], status) })
	}
	for _, u := range updates {
		c := v.Column(u.Number)
		if c == nil {
			continue
		}
		mark(c.Installed, 1)
		mark(c.Unknown, 2)
		if every || !u.Superseded {
			lacking := c.Lacking()
			mark(lacking, 3)
			mark(roaring.And(lacking, c.Failed), 4)
		}
	}
	return found
}
