package compliance_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/computers/compliance"
	"thatch/node/computers/compliance/report"
	"thatch/node/store"
)

// known is an update as a history makes it.
type known struct {
	there, withdrawn, detector, noRule, critical bool
	supersedes                                   string
	edition                                      int
}

// history is a site to which anything happens, beside what a clerk with paper would know of it.
type history struct {
	*site
	books  map[string]*known // by id: what the catalog is made of
	agents []*agent
	rooms  int
}

// agent is a computer as it reports: differences to what it sent before, and what became of orders.
type agent struct {
	*machine
	sent   [3]map[uint32]bool
	states map[uint32]computers.State
	own    string // machine and hardware
	stop   bool   // it was retired, or another took its row
}

func (a *agent) sets() [3]map[uint32]bool {
	return [3]map[uint32]bool{a.applicable, a.installed, a.unknown}
}

var historyIDs = []string{"h1", "h2", "h3", "h4", "h5", "h6"}

func newHistory(t testing.TB) *history {
	h := &history{site: newSite(t), books: map[string]*known{}}
	for _, id := range historyIDs {
		h.books[id] = &known{there: true}
	}
	h.publish(t)
	return h
}

// publish imports the catalog as the books have it. h1 and h2 are of bulletin 1 and February, and so on; all repair
// one CVE, the odd ones another.
func (h *history) publish(t testing.TB) {
	t.Helper()
	var docs []document.Document
	for at, id := range historyIDs {
		b, bulletin := h.books[id], fmt.Sprint("hb", at/2)
		if at%2 == 0 {
			docs = append(docs, bulletinstest.Doc(t, document.Bulletin, bulletin, nil, catalog.Bulletin{
				Name: bulletin, Source: "msrc", CVEs: []catalog.CVE{{ID: "CVE-2019-1000"}, {ID: "CVE-2019-1001", Exploited: true}},
				Named: []catalog.NamedBy{{File: []string{"2019-Feb", "2019-Mar", "2019-Mar"}[at/2], CVEs: 1}},
			}))
		}
		if !b.there {
			continue
		}
		u := catalog.Update{
			Name: id, Bulletin: bulletin, Source: "msrc", Rules: catalog.Rules{Applicable: rule.Test("True")}, Withdrawn: b.withdrawn, Detector: b.detector,
			CVEs: cvesOf(at), Title: fmt.Sprint("edition ", b.edition),
		}
		if b.noRule {
			u.Applicable, u.NoRule = nil, "nobody knows"
		}
		if b.critical {
			u.Severity = catalog.Critical
		}
		if b.supersedes != "" {
			u.Supersedes = []string{b.supersedes}
		}
		docs = append(docs, bulletinstest.Doc(t, document.Update, id, nil, u))
	}
	bulletinstest.Save(t, h.bulletins, "msrc", "history", docs...)
	h.write(t)
}

func cvesOf(at int) []string {
	if at%2 == 0 {
		return []string{"CVE-2019-1000"}
	}
	return []string{"CVE-2019-1000", "CVE-2019-1001"}
}

// write brings what the naive counts ask of updates in line with the books.
func (h *history) write(t testing.TB) {
	t.Helper()
	h.updates = nil
	err := h.bulletins.Catalog().Read(t.Context(), func(v *live.View) error {
		for at, id := range historyIDs {
			b := h.books[id]
			if !b.there {
				continue
			}
			u := v.UpdateByID(id)
			s := sampleUpdate{
				id: id, bulletin: fmt.Sprint("hb", at/2), month: []string{"2019-02", "2019-03", "2019-03"}[at/2], cves: cvesOf(at), exploited: at%2 == 1,
				critical: b.critical, counted: !b.withdrawn && !b.detector, number: u.Number,
			}
			if !b.noRule {
				s.changed = computers.Cursor{Index: u.Changed.Index, Pos: uint32(u.Changed.Position)}
			}
			for other, by := range h.books {
				s.superseded = s.superseded || by.there && !by.withdrawn && by.supersedes == id && other != id
			}
			h.updates = append(h.updates, s)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// change does something to one update of the catalog: it goes, comes back, is withdrawn, superseded, revised.
func (h *history) change(t testing.TB, rt *rapid.T) {
	b := h.books[rapid.SampledFrom(historyIDs).Draw(rt, "update")]
	switch rapid.IntRange(0, 6).Draw(rt, "change") {
	case 0:
		b.there = !b.there
	case 1:
		b.withdrawn = !b.withdrawn
	case 2:
		b.supersedes = rapid.SampledFrom(append([]string{""}, historyIDs...)).Draw(rt, "supersedes")
	case 3:
		b.critical = !b.critical
	case 4:
		b.noRule = !b.noRule
	case 5:
		b.detector = !b.detector
	default:
		b.edition++
	}
	h.publish(t)
}

func (h *history) enrol(t testing.TB, name, machineID, hardware string) *agent {
	t.Helper()
	n := computers.Newcomer{Name: name, MachineID: machineID, Hardware: hardware, Platform: "windows", Group: "g"}
	place, err := h.computers.Place(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	h.clock = h.clock.Add(time.Second)
	c, err := h.computers.Enrol(t.Context(), n, place, name)
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{machine: &machine{Computer: c}, own: machineID}
	a.void()
	return a
}

// void is what an agent that never reported holds.
func (a *agent) void() {
	a.counter, a.cursor = 0, computers.Cursor{}
	a.applicable, a.installed, a.unknown, a.failed = map[uint32]bool{}, map[uint32]bool{}, map[uint32]bool{}, map[uint32]bool{}
	a.sent, a.open = [3]map[uint32]bool{{}, {}, {}}, map[uint32]bool{}
	a.states = map[uint32]computers.State{}
}

func (h *history) newcomer(t testing.TB, rt *rapid.T) {
	name := fmt.Sprint("pc", len(h.agents))
	var a *agent
	if len(h.agents) > 0 && rapid.Bool().Draw(rt, "clone") {
		// A clone of a disk: the same machine id on other hardware is a row of its own.
		a = h.enrol(t, name, rapid.SampledFrom(h.agents).Draw(rt, "cloned").own, "hardware "+name)
	} else {
		a = h.enrol(t, name, "machine "+name, "hardware "+name)
	}
	for _, other := range h.agents {
		if other.ID == a.ID {
			t.Fatalf("%s took the row of %s", name, other.Name)
		}
	}
	h.agents, h.machines = append(h.agents, a), append(h.machines, a.machine)
}

// report has an agent look again: some sets change, and what became of its orders.
func (h *history) report(t testing.TB, rt *rapid.T, a *agent) {
	h.clock = h.clock.Add(time.Second)
	rep := computers.Report{Base: a.counter, At: h.clock, Reasons: map[uint32]string{}}
	if rapid.IntRange(0, 9).Draw(rt, "whole") == 0 {
		rep.Base, a.sent = 0, [3]map[uint32]bool{{}, {}, {}}
	}
	for _, u := range h.updates {
		if rapid.Bool().Draw(rt, "same") {
			continue
		}
		for _, set := range a.sets() {
			delete(set, u.number)
		}
		switch rapid.IntRange(0, 4).Draw(rt, "set") {
		case 0, 1:
			a.applicable[u.number] = true
		case 2:
			a.installed[u.number] = true
		case 3:
			a.unknown[u.number] = true
			rep.Reasons[u.number] = "no WMI"
		}
		if rapid.IntRange(0, 2).Draw(rt, "ordered") == 0 {
			s := computers.State{Number: u.number, Policy: "p", Status: rapid.SampledFrom(computers.Statuses).Draw(rt, "status")}
			if s.Status == computers.Installed {
				s.LastApplied = h.clock
			}
			rep.States = append(rep.States, s)
			if former := a.states[u.number]; s.LastApplied.IsZero() {
				s.LastApplied = former.LastApplied
			}
			a.states[u.number] = s
			if a.failed[u.number] = s.Status == computers.FailedToInstall || s.Status == computers.FailedRescheduled; !a.failed[u.number] {
				delete(a.failed, u.number)
			}
			a.open[u.number] = !slices.Contains([]computers.Status{
				computers.Installed, computers.CannotTell, computers.NotApplicable, computers.Superseded,
			}, s.Status)
		}
	}
	if len(h.updates) > 0 && rapid.Bool().Draw(rt, "looked") {
		for _, u := range h.updates {
			if u.changed.Compare(a.cursor) > 0 {
				a.cursor = u.changed
			}
		}
	}
	rep.Cursor = a.cursor
	for i, change := range []*computers.Change{&rep.Applicable, &rep.Installed, &rep.Unknown} {
		set := a.sets()[i]
		for n := range set {
			if !a.sent[i][n] {
				change.Add = append(change.Add, n)
			}
		}
		for n := range a.sent[i] {
			if !set[n] {
				change.Remove = append(change.Remove, n)
			}
		}
		a.sent[i] = maps.Clone(set)
	}
	taken, err := h.computers.Report(t.Context(), a.ID, rep)
	if err != nil || taken.Resend {
		t.Fatalf("report of %s: %+v, %v", a.Name, taken, err)
	}
	a.counter = taken.Counter
}

// restart opens the rooms anew, as after a restart of the node.
func (h *history) restart(t testing.TB) {
	t.Helper()
	var err error
	if h.computers, err = computers.New(t.Context(), h.db, h.db, h.now); err != nil {
		t.Fatal(err)
	}
	h.gather(t)
	h.Room = compliance.New(h.computers, live.New(h.db, nil))
	h.rooms++
}

// event is whatever happens next.
func (h *history) event(t testing.TB, rt *rapid.T) {
	live := slices.DeleteFunc(slices.Clone(h.agents), func(a *agent) bool { return a.stop })
	switch what := rapid.IntRange(0, 19).Draw(rt, "event"); {
	case what < 2 || len(live) == 0:
		h.newcomer(t, rt)
	case what < 5:
		h.change(t, rt)
	case what == 5 && len(live) > 2:
		a := rapid.SampledFrom(live).Draw(rt, "retired")
		if err := h.computers.Retire(t.Context(), "test", a.ID, 0); err != nil {
			t.Fatal(err)
		}
		a.void()
		a.stop, a.retired = true, true
	case what == 6 && h.rooms < 5:
		h.restart(t)
	case what == 7:
		// It lost its certificate, enrols again and takes its row; what it reported is void until it reports whole.
		a := rapid.SampledFrom(live).Draw(rt, "again")
		again := h.enrol(t, a.Name, a.own, a.Hardware)
		if again.ID != a.ID {
			t.Fatalf("%s enrolled again and is another", a.Name)
		}
		a.void()
	default:
		h.report(t, rt, rapid.SampledFrom(live).Draw(rt, "agent"))
	}
}

// statusOf is what people should see of an update on a computer, in the order in which it matters.
func (a *agent) statusOf(u sampleUpdate, noRule bool) computers.Status {
	state, said := a.states[u.number]
	switch {
	case said && state.Status == computers.WaitingForRestart:
		return computers.WaitingForRestart
	case noRule || a.unknown[u.number]:
		return computers.CannotTell
	case a.installed[u.number]:
		return computers.Installed
	case a.counter == 0 || a.cursor.Compare(u.changed) < 0:
		return computers.Pending
	case !a.applicable[u.number] && said && state.Status == computers.Superseded:
		return computers.Superseded
	case !a.applicable[u.number]:
		return computers.NotApplicable
	case u.superseded:
		return computers.Superseded
	case said && !slices.Contains([]computers.Status{computers.Installed, computers.NotApplicable, computers.CannotTell}, state.Status):
		return state.Status
	}
	return computers.DownloadRequired // no policy orders anything here
}

func (h *history) checkStatuses(t testing.TB, rt *rapid.T, seen map[computers.Status]int) {
	none := func(context.Context, string) ([]compliance.Order, error) { return nil, nil }
	for _, a := range h.agents {
		if a.stop {
			continue
		}
		d, err := h.Show(t.Context(), a.ID, none)
		if err != nil {
			rt.Fatalf("show %s: %v", a.Name, err)
		}
		shown := map[string]*compliance.UpdateStatus{}
		for _, s := range d.Updates {
			shown[s.ID] = s
		}
		for _, u := range h.updates {
			s := shown[u.id]
			if s == nil {
				continue
			}
			if want := a.statusOf(u, h.books[u.id].noRule); s.Status != want {
				rt.Fatalf("%s on %s is %q, want %q (state %+v)", u.id, a.Name, s.Status, want, a.states[u.number])
			}
			applied := computers.Never
			if at := a.states[u.number].LastApplied; !at.IsZero() {
				applied = at.UTC().Format(time.RFC3339)
			}
			if s.LastApplied != applied {
				rt.Fatalf("%s on %s was last applied %s, want %s", u.id, a.Name, s.LastApplied, applied)
			}
			seen[s.Status]++
		}
	}
}

func (h *history) checkCounts(rt *rapid.T, all bool) {
	same := func(what string, got report.Counts, in func(sampleUpdate) bool) {
		if want := h.naive(all, in); show(got) != show(want) {
			rt.Fatalf("%s (all %v): %s, want %s", what, all, show(got), show(want))
		}
	}
	ctx, q := rt.Context(), store.Query{}
	months, _, err1 := h.Months(ctx, q, all)
	for _, row := range months {
		same(row.Month, row.Counts, func(u sampleUpdate) bool { return u.month == row.Month })
	}
	cves, _, err2 := h.CVEs(ctx, q, all)
	for _, row := range cves {
		same(row.CVE, row.Counts, func(u sampleUpdate) bool { return slices.Contains(u.cves, row.CVE) })
	}
	bulletins, _, err3 := h.Bulletins(ctx, q, all)
	for _, row := range bulletins {
		same(row.ID, row.Counts, func(u sampleUpdate) bool { return u.bulletin == row.ID })
	}
	updates, total, err4 := h.Updates(ctx, q, all)
	for _, row := range updates {
		same(row.ID, row.Counts, func(u sampleUpdate) bool { return u.id == row.ID })
	}
	counted := len(slices.DeleteFunc(slices.Clone(h.updates), func(u sampleUpdate) bool { return !u.counted }))
	if err := cmp.Or(err1, err2, err3, err4); err != nil || total != counted || len(bulletins) != 3 || len(months) != 2 {
		rt.Fatalf("%d updates of %d, %d bulletins, %d months, %v", total, counted, len(bulletins), len(months), err)
	}
	h.checkComputers(rt, all)
}

// Whatever happens to a site, and in whatever order, its counts are those of counting one by one, and every update has
// the status that follows from what was said last.
func TestHistories(t *testing.T) {
	seen := map[computers.Status]int{}
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t)
		for range rapid.IntRange(5, 25).Draw(rt, "pages") {
			for range rapid.IntRange(1, 5).Draw(rt, "events") {
				h.event(t, rt)
			}
			// Pages between which much happens, and pages of one report alone, bring different counts up to date.
			switch rapid.IntRange(0, 3).Draw(rt, "page") {
			case 0:
				h.checkComputers(rt, false)
			case 1:
				if err := h.Prepare(rt.Context()); err != nil {
					rt.Fatal(err)
				}
			default:
				h.checkCounts(rt, rapid.Bool().Draw(rt, "all"))
				h.checkStatuses(t, rt, seen)
			}
		}
	})
	for _, status := range computers.Statuses {
		if seen[status] == 0 && !testing.Short() {
			t.Errorf("no update ever was %q: the histories test too little", status)
		}
	}
}
