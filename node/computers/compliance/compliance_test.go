package compliance_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/node/bulletins"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/computers/compliance"
	"thatch/node/computers/compliance/report"
	"thatch/node/store"
)

type site struct {
	aside *roaring.Bitmap // computers that naive leaves out; nil: none
	*compliance.Room
	bulletins *bulletins.Bulletins
	computers *computers.Room
	db        *store.DB
	clock     time.Time
	updates   []sampleUpdate
	machines  []*machine
}

// sampleUpdate is what the naive count asks of an update.
type sampleUpdate struct {
	id, bulletin, month string
	cves                []string
	exploited           bool
	critical            bool
	superseded          bool
	counted             bool // no detector, not withdrawn
	number              uint32
	changed             computers.Cursor
}

// machine is a computer as the naive count knows it.
type machine struct {
	computers.Computer
	counter                        uint64
	cursor                         computers.Cursor
	applicable, installed, unknown map[uint32]bool
	failed                         map[uint32]bool
	open                           map[uint32]bool // ordered, and said to be needed still
	retired                        bool
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{clock: bulletinstest.At}
	s.bulletins, s.db = bulletinstest.Room(t)
	var err error
	if s.computers, err = computers.New(t.Context(), s.db, s.db, s.now); err != nil {
		t.Fatal(err)
	}
	s.Room = compliance.New(s.computers, s.bulletins.Catalog())
	s.gather(t)
	return s
}

func (s *site) now() time.Time { return s.clock }

// gather has the gatherer of the computers run until the test ends.
func (s *site) gather(t testing.TB) {
	gatherer := s.computers.Gatherer()
	ctx, stop := context.WithCancel(context.Background())
	ticker := time.NewTicker(time.Millisecond)
	var running sync.WaitGroup
	running.Go(func() { gatherer.Run(ctx, ticker.C) })
	t.Cleanup(func() {
		stop()
		ticker.Stop()
		running.Wait()
	})
}

// catalog imports three bulletins: b1 and b2 of February with u1 to u4, b3 of March with u5, which supersedes u1. u3 is
// a detector, u4 withdrawn, u6 has no rule.
func (s *site) catalog(t testing.TB, edition string) {
	t.Helper()
	doc := func(kind document.Kind, id string, body any) document.Document {
		return bulletinstest.Doc(t, kind, id, nil, body)
	}
	bulletin := func(id, month string, cves ...catalog.CVE) document.Document {
		return doc(document.Bulletin, id, catalog.Bulletin{
			Name: "KB-" + id, Source: "msrc", Severity: catalog.Critical, CVEs: cves, Named: []catalog.NamedBy{{File: month, CVEs: 1}},
		})
	}
	update := func(id, bulletin string, change ...func(*catalog.Update)) document.Document {
		u := catalog.Update{Name: id, Bulletin: bulletin, Source: "msrc", KB: id[1:], Rules: catalog.Rules{Applicable: rule.Test("True")}, Severity: catalog.Important}
		for _, c := range change {
			c(&u)
		}
		return doc(document.Update, id, u)
	}
	fixes := func(ids ...string) func(*catalog.Update) { return func(u *catalog.Update) { u.CVEs = ids } }
	used := catalog.CVE{ID: "CVE-2019-0001", Exploited: true, Severity: catalog.Important, Score: 7}
	again := catalog.CVE{ID: "CVE-2019-0001", Severity: catalog.Critical, Score: 5}
	other := catalog.CVE{ID: "CVE-2019-0002", Severity: catalog.Low}
	bulletinstest.Save(t, s.bulletins, "msrc", "file",
		bulletin("b1", "2019-Feb", used, other), bulletin("b2", "2019-Feb", other), bulletin("b3", "2019-Mar", again),
		update("u1", "b1", fixes("CVE-2019-0001"), func(u *catalog.Update) { u.Severity = catalog.Critical }),
		update("u2", "b1", fixes("CVE-2019-0002"), func(u *catalog.Update) { u.Title = edition }),
		update("u3", "b1", func(u *catalog.Update) { u.Detector = true }),
		update("u4", "b2", func(u *catalog.Update) { u.Withdrawn = true }),
		update("u5", "b3", fixes("CVE-2019-0001"), func(u *catalog.Update) { u.Supersedes = []string{"u1"} }),
		update("u6", "b2", fixes("CVE-2019-0002"), func(u *catalog.Update) { u.Applicable, u.NoRule = nil, "no such product" }),
	)
	s.updates = []sampleUpdate{
		{id: "u1", bulletin: "b1", month: "2019-02", cves: []string{"CVE-2019-0001"}, exploited: true, critical: true, superseded: true, counted: true},
		{id: "u2", bulletin: "b1", month: "2019-02", cves: []string{"CVE-2019-0002"}, counted: true},
		{id: "u3", bulletin: "b1", month: "2019-02"},
		{id: "u4", bulletin: "b2", month: "2019-02"},
		{id: "u5", bulletin: "b3", month: "2019-03", cves: []string{"CVE-2019-0001"}, counted: true},
		{id: "u6", bulletin: "b2", month: "2019-02", cves: []string{"CVE-2019-0002"}, counted: true},
	}
	err := s.bulletins.Catalog().Read(t.Context(), func(v *live.View) error {
		for i := range s.updates {
			u := v.UpdateByID(s.updates[i].id)
			s.updates[i].number = u.Number
			if u.Evaluable {
				s.updates[i].changed = computers.Cursor{Index: u.Changed.Index, Pos: uint32(u.Changed.Position)}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) machine(t testing.TB, name string) *machine {
	t.Helper()
	own := fmt.Sprint("machine ", len(s.machines))
	n := computers.Newcomer{Name: name, MachineID: own, Hardware: own, Platform: "windows", Group: "g"}
	place, err := s.computers.Place(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.computers.Enrol(t.Context(), n, place, name)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{Computer: c, applicable: map[uint32]bool{}, installed: map[uint32]bool{}, unknown: map[uint32]bool{}, failed: map[uint32]bool{}, open: map[uint32]bool{}}
	s.machines = append(s.machines, m)
	return m
}

func keys(set map[uint32]bool) []uint32 { return slices.Sorted(maps.Keys(set)) }

// report sends everything a machine knows, as a whole report.
func (s *site) report(t testing.TB, m *machine) {
	t.Helper()
	s.clock = s.clock.Add(time.Second)
	rep := computers.Report{
		At: s.clock, Cursor: m.cursor, Applicable: computers.Change{Add: keys(m.applicable)}, Installed: computers.Change{Add: keys(m.installed)},
		Unknown: computers.Change{Add: keys(m.unknown)}, Reasons: map[uint32]string{},
	}
	for _, u := range s.updates {
		status := computers.Scheduled
		if m.failed[u.number] {
			status = computers.FailedToInstall
		}
		rep.States = append(rep.States, computers.State{Number: u.number, Policy: "p", Status: status})
		m.open[u.number] = true
	}
	for n := range m.unknown {
		rep.Reasons[n] = "no WMI"
	}
	taken, err := s.computers.Report(t.Context(), m.ID, rep)
	if err != nil || taken.Resend {
		t.Fatalf("report: %+v, %v", taken, err)
	}
	m.counter = taken.Counter
}

// naive counts some updates the slow way.
func (s *site) naive(all bool, in func(sampleUpdate) bool) report.Counts {
	var c report.Counts
	var members []sampleUpdate
	for _, u := range s.updates {
		if u.counted && in(u) {
			members = append(members, u)
		}
	}
	for _, m := range s.machines {
		if m.retired || s.aside != nil && s.aside.Contains(m.Number) {
			continue
		}
		var applicable, lacking, missing, unknown, failed, pending, scheduled bool
		for _, u := range members {
			n := u.number
			applicable = applicable || m.applicable[n] || m.installed[n]
			lacks := m.applicable[n] && !m.installed[n] && !m.unknown[n]
			lacking = lacking || lacks
			missing = missing || lacks && (all || !u.superseded)
			unknown, failed = unknown || m.unknown[n], failed || m.failed[n]
			scheduled = scheduled || m.open[n] && !m.failed[n] && !m.installed[n]
			pending = pending || m.cursor.Compare(u.changed) < 0
		}
		for field, is := range map[*int]bool{
			&c.Applicable: applicable, &c.Missing: missing, &c.Unknown: unknown, &c.Failed: failed, &c.Pending: pending, &c.Scheduled: scheduled,
			&c.Installed: applicable && !lacking && !unknown,
		} {
			if is {
				*field++
			}
		}
	}
	if c.Installed+c.Missing > 0 {
		percent := float64(c.Installed*1000/(c.Installed+c.Missing)) / 10
		c.Percent = &percent
	}
	return c
}

func show(c report.Counts) string {
	percent := "-"
	if c.Percent != nil {
		percent = fmt.Sprint(*c.Percent)
	}
	c.Percent = nil
	return fmt.Sprintf("%+v %s", c, percent)
}

func (s *site) check(t interface {
	Fatalf(string, ...any)
	Context() context.Context
}, all bool,
) {
	same := func(what string, got report.Counts, in func(sampleUpdate) bool) {
		if want := s.naive(all, in); show(got) != show(want) {
			t.Fatalf("%s (all %v): %s, want %s", what, all, show(got), show(want))
		}
	}
	q, ctx := store.Query{}, t.Context()
	updates, _, err := s.Updates(ctx, q, all)
	if err != nil || len(updates) != 4 {
		t.Fatalf("%d updates, %v", len(updates), err)
	}
	for _, row := range updates {
		same(row.ID, row.Counts, func(u sampleUpdate) bool { return u.id == row.ID })
	}
	rows, _, err := s.Bulletins(ctx, q, all)
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d bulletins, %v", len(rows), err)
	}
	for _, row := range rows {
		same(row.ID, row.Counts, func(u sampleUpdate) bool { return u.bulletin == row.ID })
	}
	cves, _, err := s.CVEs(ctx, q, all)
	if err != nil || len(cves) != 2 {
		t.Fatalf("%d CVEs, %v", len(cves), err)
	}
	for _, row := range cves {
		same(row.CVE, row.Counts, func(u sampleUpdate) bool { return slices.Contains(u.cves, row.CVE) })
	}
	months, _, err := s.Months(ctx, q, all)
	if err != nil || len(months) != 2 {
		t.Fatalf("%d months, %v", len(months), err)
	}
	for _, row := range months {
		same(row.Month, row.Counts, func(u sampleUpdate) bool { return u.month == row.Month })
	}
	s.checkComputers(t, all)
}

func (s *site) checkComputers(t interface {
	Fatalf(string, ...any)
	Context() context.Context
}, all bool,
) {
	rows, total, err := s.Computers(t.Context(), store.Query{}, compliance.Asked{All: all})
	if err != nil {
		t.Fatalf("computers: %v", err)
	}
	live := 0
	for _, m := range s.machines {
		if m.retired {
			continue
		}
		live++
		var want report.Standing
		for _, u := range s.updates {
			if !u.counted {
				continue
			}
			lacks := m.applicable[u.number] && !m.installed[u.number] && !m.unknown[u.number]
			current := lacks && !u.superseded
			for field, is := range map[*int]bool{
				&want.Applicable: m.applicable[u.number] || m.installed[u.number], &want.Installed: m.installed[u.number] && !m.unknown[u.number],
				&want.Missing: lacks && (all || !u.superseded), &want.Superseded: lacks && u.superseded, &want.Critical: current && u.critical, &want.Exploited: current && u.exploited,
				&want.Unknown: m.unknown[u.number], &want.Pending: m.cursor.Compare(u.changed) < 0, &want.Failed: m.failed[u.number],
			} {
				if is {
					*field++
				}
			}
		}
		at := slices.IndexFunc(rows, func(r *report.ComputerRow) bool { return r.Number == m.Number })
		if at < 0 {
			t.Fatalf("computer %s is not listed", m.Name)
		}
		got := rows[at].Standing
		got.Percent = nil
		if a, b := numbers(got), numbers(want); a != b {
			t.Fatalf("computer %s (all %v): %s, want %s", m.Name, all, a, b)
		}
	}
	if total != live {
		t.Fatalf("%d computers are listed, %d are there", total, live)
	}
}

func numbers(s report.Standing) string {
	return fmt.Sprint(s.Applicable, s.Installed, s.Missing, s.Superseded, s.Critical, s.Exploited, s.Unknown, s.Pending, s.Failed)
}

// Whatever computers report, and however often it changes, the counts are those of counting one by one.
func TestCountsAreTheNaiveOnes(t *testing.T) {
	s := newSite(t)
	s.catalog(t, "first")
	edition := 0
	rapid.Check(t, func(rt *rapid.T) {
		if len(s.machines) < 3 || rapid.IntRange(0, 9).Draw(rt, "new") == 0 {
			s.machine(t, fmt.Sprint("pc", len(s.machines)))
		}
		for range rapid.IntRange(1, 3).Draw(rt, "reports") {
			m := rapid.SampledFrom(s.machines).Draw(rt, "machine")
			if m.retired {
				continue
			}
			for i := range s.updates {
				n := s.updates[i].number
				for _, set := range []map[uint32]bool{m.applicable, m.installed, m.unknown, m.failed} {
					if rapid.Bool().Draw(rt, "in") {
						set[n] = true
					} else {
						delete(set, n)
					}
				}
			}
			m.cursor = rapid.SampledFrom(append([]sampleUpdate{{}}, s.updates...)).Draw(rt, "cursor").changed
			s.report(t, m)
		}
		switch rapid.IntRange(0, 19).Draw(rt, "event") {
		case 0:
			edition++
			s.catalog(t, fmt.Sprint("edition ", edition))
		case 1:
			m := rapid.SampledFrom(s.machines).Draw(rt, "retired")
			if !m.retired && len(s.machines) > 5 {
				if err := s.computers.Retire(t.Context(), "test", m.ID, 0); err != nil {
					t.Fatal(err)
				}
				m.retired = true
			}
		}
		s.check(rt, rapid.Bool().Draw(rt, "all"))
	})
}

func TestRowsSayWhatTheyAre(t *testing.T) {
	s := newSite(t)
	s.catalog(t, "first")
	ctx := t.Context()
	m := s.machine(t, "pc")
	u := s.updates
	m.applicable = map[uint32]bool{u[0].number: true, u[1].number: true, u[4].number: true}
	m.cursor = computers.Cursor{Index: 1 << 40}
	s.report(t, m)
	rows, total, err := s.Bulletins(ctx, store.Query{Sort: "missing", Descending: true, Filter: map[string]string{"missing": ">0"}, Limit: 1}, false)
	if err != nil || total != 2 || len(rows) != 1 {
		t.Fatalf("bulletins that somebody misses: %d of %d, %v", len(rows), total, err)
	}
	cves, _, err := s.CVEs(ctx, store.Query{Filter: map[string]string{"exploited": "yes"}}, false)
	if err != nil || len(cves) != 1 || cves[0].Severity != catalog.Critical || cves[0].Score != 7 || len(cves[0].Bulletins) != 2 || cves[0].Missing != 1 {
		t.Errorf("exploited CVEs %+v, %v", cves, err)
	}
	updates, _, err := s.Updates(ctx, store.Query{Filter: map[string]string{"superseded": "yes"}}, false)
	if err != nil || len(updates) != 1 || updates[0].ID != "u1" || updates[0].Missing != 0 || !updates[0].Exploited {
		t.Errorf("superseded updates %+v, %v", updates, err)
	}
	if updates, _, _ = s.Updates(ctx, store.Query{Filter: map[string]string{"superseded": "yes"}}, true); updates[0].Missing != 1 {
		t.Errorf("asked for, a superseded update is missing on %d", updates[0].Missing)
	}
	none, _, err := s.Updates(ctx, store.Query{Filter: map[string]string{"no_rule": "yes"}}, false)
	if err != nil || len(none) != 1 || none[0].NoRule != "no such product" || none[0].Percent != nil || none[0].Pending != 0 {
		t.Errorf("updates without a rule %+v, %v", none, err)
	}
	months, _, err := s.Months(ctx, store.Query{Search: "2019-02"}, false)
	if err != nil || len(months) != 1 || months[0].Bulletins != 2 || months[0].Updates != 3 {
		t.Errorf("month %+v, %v", months, err)
	}
	if _, _, err := s.Bulletins(ctx, store.Query{Sort: "colour"}, false); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("sorted by what is no column: %v", err)
	}
}

func TestShow(t *testing.T) {
	s := newSite(t)
	s.catalog(t, "first")
	ctx := t.Context()
	m := s.machine(t, "pc")
	u1, u2, u5 := s.updates[0].number, s.updates[1].number, s.updates[4].number
	m.applicable = map[uint32]bool{u1: true, u2: true, u5: true}
	m.installed, m.unknown = map[uint32]bool{u5: true}, map[uint32]bool{u2: true}
	m.cursor = computers.Cursor{Index: 1 << 40}
	s.report(t, m)
	ordered := func(context.Context, string) ([]compliance.Order, error) {
		return []compliance.Order{{Number: u5}}, nil
	}
	d, err := s.Show(ctx, "PC", ordered)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, u := range d.Updates {
		lines = append(lines, fmt.Sprintf("%s %s: %s, %s, %v", u.Update, u.Status, u.Text, u.LastApplied, u.Ordered))
	}
	want := []string{
		"u2 Cannot tell: no WMI, Never, false",
		"u6 Cannot tell: no such product, Never, false",
		"u1 Superseded: another update replaces it, Never, false",
		"u5 Installed: not installed by this agent, Never, true",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("updates\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if d.Installed != 1 || d.Unknown != 1 || d.Counter != 1 || d.Computer != "pc" || d.Group != "g" {
		t.Errorf("computer %+v", d.ComputerRow)
	}
	page, total, err := d.Page(store.Query{Filter: map[string]string{"status": "cannot tell"}})
	if err != nil || total != 2 || page[0].Update != "u2" {
		t.Errorf("what cannot be told: %d, %v", total, err)
	}
	if _, err := s.Show(ctx, "nobody", ordered); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	s.machine(t, "PC")
	if _, err := s.Show(ctx, "pc", ordered); err == nil || !strings.Contains(err.Error(), "several") {
		t.Errorf("a name that two bear: %v", err)
	}
	on, total, err := s.UpdateComputers(ctx, "u2", store.Query{})
	if err != nil || total != 2 || on[0].Status != "pending" || on[1].Status != "unknown" {
		t.Errorf("computers of u2: %d %+v %+v, %v", total, on[0], on[1], err)
	}
	for cve, want := range map[string]string{"cve-2019-0001": "installed", "CVE-2019-0002": "unknown"} { // u1 misses, but u5 replaces it
		on, _, err := s.CVEComputers(ctx, cve, store.Query{Filter: map[string]string{"computer": "pc", "status": "!pending"}})
		if err != nil || len(on) != 1 || on[0].Status != want {
			t.Errorf("computers open to %s: %+v, %v; want %s", cve, on, err, want)
		}
	}
	if _, _, err := s.CVEComputers(ctx, "CVE-1", store.Query{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("computers of a vulnerability that is not there: %v", err)
	}
	if needed, err := s.Needed(ctx); err != nil || len(needed) != 0 {
		t.Errorf("needed %v, %v; what is missing is replaced, or cannot be told", needed, err)
	}
	delete(m.unknown, u2)
	s.report(t, m)
	if needed, err := s.Needed(ctx); err != nil || len(needed) != 1 || needed["b1"] != 1 {
		t.Errorf("needed %v, %v; want b1 on one computer", needed, err)
	}
	s.neverOffered(t, m, u2)
	if _, _, err := s.UpdateComputers(ctx, "u9", store.Query{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("computers of an update that is not there: %v", err)
	}
}

func TestShowOfANewComputer(t *testing.T) {
	s := newSite(t)
	s.catalog(t, "first")
	m := s.machine(t, "pc")
	d, err := s.Show(t.Context(), m.ID, func(context.Context, string) ([]compliance.Order, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range d.Updates {
		if want := computers.Pending; u.Status != want && u.Update != "u6" {
			t.Errorf("%s is %s on a computer that never reported, want %s", u.Update, u.Status, want)
		}
	}
	if d.Facts != nil || d.Pending != 3 || len(d.Attempts) != 0 || d.Attempts == nil {
		t.Errorf("new computer %+v", d)
	}
}

// When a computer was last heard of is that of memory, on a page and in its order, whatever the rows were counted with;
// and asking for superseded updates once leaves no trace in what others ask.
func TestLastSeenAndBothWaysToCount(t *testing.T) {
	s := newSite(t)
	s.catalog(t, "first")
	first, second := s.machine(t, "a"), s.machine(t, "b")
	first.applicable = map[uint32]bool{s.updates[0].number: true} // superseded
	s.report(t, first)
	s.report(t, second)
	if _, _, err := s.Computers(t.Context(), store.Query{}, compliance.Asked{}); err != nil {
		t.Fatal(err)
	}
	later := s.clock.Add(time.Hour)
	s.computers.Seen(first.Number, later)
	for _, q := range []store.Query{
		{Sort: "last_seen", Descending: true, Limit: 1},
		{Filter: map[string]string{"last_seen": ">" + later.Add(-time.Minute).Format(time.RFC3339)}},
		{Search: "a"},
	} {
		rows, _, err := s.Computers(t.Context(), q, compliance.Asked{})
		if err != nil || len(rows) != 1 || rows[0].Computer != "a" || !rows[0].LastSeen.Equal(later) {
			t.Errorf("%+v: %+v, %v", q, rows, err)
		}
	}
	for _, all := range []bool{true, false, true, false} {
		rows, _, err := s.Computers(t.Context(), store.Query{Search: "a"}, compliance.Asked{All: all})
		want := 0
		if all {
			want = 1
		}
		if err != nil || rows[0].Missing != want || rows[0].Superseded != 1 {
			t.Errorf("all %v: missing %d and superseded %d, want %d and 1; %v", all, rows[0].Missing, rows[0].Superseded, want, err)
		}
		d, err := s.Show(t.Context(), "a", func(context.Context, string) ([]compliance.Order, error) { return nil, nil })
		if err != nil || d.Missing != 0 {
			t.Errorf("after all %v: shown missing %d, %v", all, d.Missing, err)
		}
	}
}

// neverOffered has the bulletin b1 never be offered: its update u2 is missing nowhere any more, and says why.
func (s *site) neverOffered(t *testing.T, m *machine, u2 uint32) {
	t.Helper()
	ctx := t.Context()
	if err := s.bulletins.NeverOffer(ctx, true, "b1"); err != nil {
		t.Fatal(err)
	}
	if needed, err := s.Needed(ctx); err != nil || len(needed) != 0 {
		t.Errorf("needed %v, %v; it is never offered", needed, err)
	}
	rows, _, err := s.Updates(ctx, store.Query{Filter: map[string]string{"id": "u2"}}, false)
	if err != nil || rows[0].Missing != 0 || rows[0].Applicable != 1 || rows[0].Superseded {
		t.Errorf("update of a bulletin that is never offered %+v, %v", rows[0], err)
	}
	d, err := s.Show(ctx, m.ID, func(context.Context, string) ([]compliance.Order, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range d.Updates {
		if u.Number == u2 && (u.Status != computers.NotApplicable || !strings.Contains(u.Text, "never offered")) {
			t.Errorf("u2 on the computer: %s, %s", u.Status, u.Text)
		}
	}
	if err := s.bulletins.NeverOffer(ctx, false, "b1"); err != nil {
		t.Fatal(err)
	}
	if needed, err := s.Needed(ctx); err != nil || needed["b1"] != 1 {
		t.Errorf("needed %v, %v; it is offered again", needed, err)
	}
}
