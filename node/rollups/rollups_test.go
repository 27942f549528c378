package rollups_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node"
	"thatch/node/nodetest"
	"thatch/node/replicas/dataset"
	"thatch/node/rollups"
	"thatch/node/rollups/rollupstest"
	"thatch/node/sites"
	"thatch/node/store"
)

// site is a site of one node that tells when the test says so.
type site struct {
	*node.Node
	*rollupstest.Fleet
	ahead atomic.Int64 // of the clock, nanoseconds
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{}
	s.Node = nodetest.NewWith(t, node.Config{
		Dir: t.TempDir(), Site: "Top", Languages: []string{"en"}, Log: slog.New(slog.DiscardHandler), Version: "test",
		Now: func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) },
	})
	s.set(t, "health.every", 24*3600)
	nodetest.Run(t, s.Node, nil)
	// The node's own first look is over when there is a health document; its next one is a day later.
	watch := s.Watch()
	defer watch.Close()
	for end := time.After(time.Minute); len(s.journal(t, 0)) == 0; {
		select {
		case <-watch.C:
		case <-end:
			t.Fatal("the node does not tell")
		}
	}
	if err := s.Sites.Tell(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Fleet = rollupstest.New(s.Node)
	rollupstest.Publish(t, s.Node)
	s.tell(t)
	return s
}

func (s *site) set(t *testing.T, name string, value any) {
	t.Helper()
	raw, err := json.Marshal(value)
	if err == nil {
		_, err = s.Settings.Set(t.Context(), name, raw, -1)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// tell has the site tell, and returns what changed in the journal, sorted: "roll-up b1", "-roll-up b1" where it went.
func (s *site) tell(t *testing.T) (changed []string) {
	t.Helper()
	from := s.Index()
	count, err := s.RollUps.Tell(t.Context())
	if errors.Is(err, store.ErrConflict) { // the test wrote meanwhile
		count, err = s.RollUps.Tell(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if changed = s.journal(t, from); count != len(changed) {
		t.Fatalf("%d documents are said to be changed, in the journal are %q", count, changed)
	}
	return changed
}

func (s *site) journal(t *testing.T, after uint64) (changed []string) {
	t.Helper()
	err := s.Reader().View(t.Context(), func(tx *sql.Tx) error {
		changes, err := store.Journal(t.Context(), tx, store.Sequence{Index: after, Position: 1 << 30}, 1000)
		for _, c := range changes {
			if kind, _ := dataset.TypeOf(c.Kind, dataset.Up); kind != dataset.Health {
				continue
			}
			line := string(c.Kind) + " " + strings.TrimPrefix(c.ID, s.Site().ID+":")
			if c.Removed {
				line = "-" + line
			}
			changed = append(changed, strings.TrimSuffix(line, " "+s.Site().ID))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(changed)
	return changed
}

func (s *site) health(t *testing.T) (h federation.Health) {
	t.Helper()
	err := s.Reader().View(t.Context(), func(tx *sql.Tx) error {
		doc, err := store.Document(t.Context(), tx, document.Health, s.Site().ID)
		if err == nil {
			h, err = federation.Decode[federation.Health](doc.Body)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestOnlyWhatChangedIsTold: a report writes the roll-ups of the bulletins whose figures it changed, and no other document.
func TestOnlyWhatChangedIsTold(t *testing.T) {
	s := newSite(t)
	want := func(what string, want ...string) {
		t.Helper()
		if got := s.tell(t); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
		if err := s.Agrees(t, rollups.Of{}, s.Fleet); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	want("nothing happened")
	pc := s.Enrol(t, "pc")
	want("a computer enrols", "health")
	s.Report(t, pc)
	want("it reports nothing", "health") // it is one that reports now
	pc.Says["u2"] = "applicable"
	s.Report(t, pc)
	want("it misses an update", "roll-up b1")
	s.Report(t, pc)
	want("it says so again")
	pc.Says["u1"] = "applicable" // u4 replaces it
	s.Report(t, pc)
	want("it misses one that is replaced")
	pc.Says["u2"], pc.Says["u3"] = "installed", "unknown"
	s.Report(t, pc)
	want("it changes two", "roll-up b1", "roll-up b2")
	pc.Says["u3"] = ""
	s.Report(t, pc)
	want("there is nothing left to tell of one", "-roll-up b2")
	other := s.Enrol(t, "other")
	other.Says["u4"] = "scheduled"
	s.Report(t, other)
	want("another one is scheduled", "health", "roll-up b3")
	if err := s.Computers.Retire(t.Context(), "test", pc.ID, 0); err != nil {
		t.Fatal(err)
	}
	s.PCs = s.PCs[1:]
	want("a computer is retired", "-roll-up b1", "health")
}

// TestWhoeverTellsNextComparesOnce: another room, as after a restart or a change of the leader, writes what differs, and what
// should not be there goes.
func TestWhoeverTellsNextComparesOnce(t *testing.T) {
	s := newSite(t)
	pc := s.Enrol(t, "pc")
	pc.Says["u2"], pc.Says["u3"] = "failed", "installed"
	s.Report(t, pc)
	s.tell(t)
	leads := false
	again := rollups.New(rollups.Config{
		Site: s.Site().ID, Version: "test", Reader: s.Reader(), Writer: s.Writer(), Signer: s.Identity, Computers: s.Computers, Compliance: s.Compliance,
		Catalog: s.Bulletins.Catalog(), Sites: s.Sites, Settings: s.Settings, Now: s.Now, Log: s.Log(),
		Nodes: func() ([]federation.Node, bool) { return s.health(t).Nodes, leads },
	})
	pc.Says["u2"] = "installed"
	s.Report(t, pc)
	if changed, err := again.Tell(t.Context()); changed != 0 || err != nil {
		t.Errorf("a node that does not lead wrote %d, %v", changed, err)
	}
	leads = true
	from := s.Index()
	if changed, err := again.Tell(t.Context()); changed != 1 || err != nil || !slices.Equal(s.journal(t, from), []string{"roll-up b1"}) {
		t.Errorf("%d are written, %q, %v", changed, s.journal(t, from), err)
	}
	// Somebody else wrote meanwhile: the first room finds that out, and compares everything.
	pc.Says["u2"] = "applicable"
	s.Report(t, pc)
	if _, err := s.RollUps.Tell(t.Context()); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a document that is another one by now: %v", err)
	}
	s.put(t, document.RollUp, s.Site().ID+":b9", `{"bulletin":"b9","updates":[]}`)
	if got := s.tell(t); !slices.Equal(got, []string{"-roll-up b9", "roll-up b1"}) {
		t.Errorf("then: %q", got)
	}
	if err := s.Agrees(t, rollups.Of{}, s.Fleet); err != nil {
		t.Error(err)
	}
}

func (s *site) put(t *testing.T, kind document.Kind, id, body string) {
	t.Helper()
	doc, err := document.New(kind, id, nil, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	s.Identity.Sign(&doc)
	s.write(t, store.Put(doc, "", store.Former{})...)
}

func (s *site) write(t *testing.T, statements ...store.Statement) {
	t.Helper()
	applied, err := s.Writer().Write(t.Context(), store.Batch{Actor: "test", Reason: "test", Topics: []string{store.TopicDocuments}, Statements: statements})
	if err = errors.Join(err, applied.Err()); err != nil {
		t.Fatal(err)
	}
}

// TestHealth: what comes with time alone is told too, and a site of which nothing changes says every hour that it lives.
func TestHealth(t *testing.T) {
	s := newSite(t)
	pc := s.Enrol(t, "pc")
	s.tell(t)
	if h := s.health(t); h.Computers != 1 || h.NotReporting != 1 || h.Version != "test" || len(h.Nodes) != 1 || !h.Nodes[0].Leads {
		t.Errorf("a computer that never reported: %+v", h)
	}
	s.Report(t, pc)
	s.tell(t)
	first := s.health(t)
	if first.Computers != 1 || first.NotReporting != 0 {
		t.Errorf("it reported: %+v", first)
	}
	s.ahead.Add(int64(50 * time.Minute))
	if got := s.tell(t); len(got) > 0 {
		t.Errorf("nothing happened within an hour, and it tells %q", got)
	}
	s.ahead.Add(int64(20 * time.Minute))
	if got := s.tell(t); !slices.Equal(got, []string{"health"}) || s.health(t).At == first.At {
		t.Errorf("after an hour it tells %q, at %s", got, s.health(t).At)
	}
	s.ahead.Add(int64(24 * time.Hour))
	s.tell(t)
	if h := s.health(t); h.NotReporting != 1 {
		t.Errorf("a computer that was not heard of for a day: %+v", h)
	}
	s.ahead.Store(0) // the clock was wrong
	if got := s.tell(t); !slices.Equal(got, []string{"health"}) || s.health(t).NotReporting != 0 {
		t.Errorf("a clock that goes back: %q, %+v", got, s.health(t))
	}
	if err := s.Sites.Raise(t.Context(), sites.Alarm{Kind: "kind", Subject: "subject", Text: strings.Repeat("ä", 600), Advice: "do something"}); err != nil {
		t.Fatal(err)
	}
	s.tell(t)
	if h := s.health(t); h.AlarmCount != 1 || h.Alarms[0].Kind != "kind" || len(h.Alarms[0].Text) > federation.MaxText {
		t.Errorf("an alarm: %+v", h)
	}
}

// TestAStormIsToldInRounds: however many reports there are, the site tells once in health.every.
func TestAStormIsToldInRounds(t *testing.T) {
	s := newSite(t)
	const every = time.Second
	from, began := s.Index(), time.Now()
	s.set(t, "health.every", 1) // the node's own rounds see it soon
	watch := s.Watch()
	defer watch.Close()
	pc := s.Enrol(t, "pc")
	for i := range 40 {
		pc.Says["u2"] = []string{"applicable", "installed", "unknown"}[i%3]
		s.Report(t, pc)
	}
	for end := time.After(time.Minute); ; {
		if s.Agrees(t, rollups.Of{}, s.Fleet) == nil {
			break
		}
		select {
		case <-watch.C:
		case <-time.After(every / 4):
		case <-end:
			t.Fatal("the last report is not told")
		}
	}
	told := slices.DeleteFunc(s.journal(t, from), func(line string) bool { return line != "roll-up b1" })
	rounds := int(time.Since(began)/every) + 1
	if len(told) == 0 || len(told) > rounds {
		t.Errorf("40 reports are told in %d documents, in %d rounds", len(told), rounds)
	}
}

// below makes a site one that stands below this one, as if its documents had come.
func (s *site) below(t *testing.T, id, parent string, docs ...string) {
	t.Helper()
	statements := []store.Statement{}
	if parent == s.Site().ID {
		statements = append(statements, store.Statement{
			SQL:  `INSERT INTO child (id, name, authority, token, joined, seen, link, version, idx) VALUES (?, ?, ?, ?, ?, ?, ?, 1, 1)`,
			Args: []any{id, strings.ToUpper(id), []byte("der " + id), "token " + id, "2026-01-01T00:00:00Z", "", "{}"},
		})
	}
	for _, line := range append([]string{"site  " + fmt.Sprintf(`{"name":%q,"parent":%q,"authority":"AQ==","version":""}`, id, parent)}, docs...) {
		parts := strings.SplitN(line, " ", 3)
		of := id
		if parts[1] != "" {
			of += ":" + parts[1]
		}
		doc, err := document.New(document.Kind(parts[0]), of, nil, []byte(parts[2]))
		if err != nil {
			t.Fatal(err)
		}
		s.Identity.Sign(&doc)
		doc.Origin = id
		statements = append(statements, store.Put(doc, "", store.Former{})...)
	}
	s.write(t, statements...)
}

func health(at time.Time, computers int) string {
	return fmt.Sprintf("health  "+`{"version":"9","at":%q,"computers":%d,"not_reporting":1,"alarm_count":2}`, at.UTC().Format(time.RFC3339), computers)
}

// TestSitesOfTheTree: sums, ages, and what a site that never told, or told what nobody can read, does to them.
func TestSitesOfTheTree(t *testing.T) {
	s := newSite(t)
	now := s.Now()
	self := s.Site().ID
	s.below(t, "north", self, health(now.Add(-time.Minute), 10), `roll-up b1 {"bulletin":"b1","applicable":8,"installed":5,"missing":3,"updates":[{"update":"u2","applicable":8,"installed":5,"missing":3}]}`)
	s.below(t, "deep", "north", health(now.Add(-time.Hour), 5), `roll-up b1 {"bulletin":"b1","applicable":4,"failed":1,"missing":4,"updates":[]}`,
		`roll-up b2 {"bulletin":"b3","applicable":99,"updates":[]}`, `roll-up b4 [`, `roll-up b5 {"bulletin":"b5","applicable":1,"updates":[]}`)
	s.below(t, "mute", "north")
	rows, err := s.RollUps.SiteRows(t.Context(), rollups.Of{}, rollups.Within{})
	if err != nil {
		t.Fatal(err)
	}
	line := func(r *rollups.SiteRow) string {
		age := -1
		if r.Age != nil {
			age = *r.Age / 60
		}
		return fmt.Sprintf("%s at %d, %d below, %d of %d silent, %d alarms, %d untold, %d of %d missing, %d failed, %d min", r.Site, r.Depth, r.Below, r.NotReporting, r.Computers,
			r.Alarms, r.Untold, r.Missing, r.Applicable, r.Failed, age)
	}
	check := func(what string, want ...string) {
		t.Helper()
		var got []string
		for _, r := range rows {
			got = append(got, line(r))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	check("with those below", "Top at 0, 3 below, 2 of 15 silent, 4 alarms, 1 untold, 7 of 13 missing, 1 failed, -1 min",
		"NORTH at 1, 2 below, 2 of 15 silent, 4 alarms, 1 untold, 7 of 13 missing, 1 failed, -1 min",
		"deep at 2, 0 below, 1 of 5 silent, 2 alarms, 0 untold, 4 of 5 missing, 1 failed, 60 min",
		"mute at 2, 0 below, 0 of 0 silent, 0 alarms, 1 untold, 0 of 0 missing, 0 failed, -1 min")
	if rows, err = s.RollUps.SiteRows(t.Context(), rollups.Of{Own: true, Site: "North"}, rollups.Within{Bulletin: "b1"}); err != nil {
		t.Fatal(err)
	}
	check("alone, of one bulletin", "NORTH at 0, 2 below, 1 of 10 silent, 2 alarms, 0 untold, 3 of 8 missing, 0 failed, 1 min",
		"deep at 1, 0 below, 1 of 5 silent, 2 alarms, 0 untold, 4 of 4 missing, 1 failed, 60 min",
		"mute at 1, 0 below, 0 of 0 silent, 0 alarms, 1 untold, 0 of 0 missing, 0 failed, -1 min")
	s.Sites.Seen("north")
	if rows, err = s.RollUps.SiteRows(t.Context(), rollups.Of{Own: true, Site: "north"}, rollups.Within{Update: "u2"}); err != nil {
		t.Fatal(err)
	}
	if r := rows[0]; line(r) != "NORTH at 0, 2 below, 1 of 10 silent, 2 alarms, 0 untold, 3 of 8 missing, 0 failed, 0 min" || rows[1].Heard != r.Heard || r.Heard.IsZero() {
		t.Errorf("heard of just now: %s, %+v", line(r), rows[1])
	}
	bulletins, total, err := s.RollUps.Bulletins(t.Context(), rollups.Of{}, store.Query{Filter: map[string]string{"missing": ">0"}, Sort: "missing", Descending: true})
	if err != nil || total != 1 || bulletins[0].Bulletin != "KB-b1" || bulletins[0].Sites != 2 || bulletins[0].Missing != 7 || *bulletins[0].Percent != 41.6 {
		t.Errorf("bulletins: %d %+v, %v", total, bulletins, err)
	}
	for _, nobody := range []string{"Nowhere", "TOP2"} {
		if _, err := s.RollUps.SiteRows(t.Context(), rollups.Of{Site: nobody}, rollups.Within{}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", nobody, err)
		}
	}
	s.below(t, "other", "north")
	s.below(t, "another", "deep")
	s.write(t, rename(t, s, "other", "twin", "north")...)
	s.write(t, rename(t, s, "another", "TWIN", "deep")...)
	if _, _, err := s.RollUps.Updates(t.Context(), rollups.Of{Site: "Twin"}, store.Query{}); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "several") {
		t.Errorf("a name that two bear: %v", err)
	}
}

func rename(t *testing.T, s *site, id, name, parent string) []store.Statement {
	t.Helper()
	doc, err := document.New(document.Site, id, nil, fmt.Appendf(nil, `{"name":%q,"parent":%q,"authority":"AQ==","version":""}`, name, parent))
	if err != nil {
		t.Fatal(err)
	}
	s.Identity.Sign(&doc)
	doc.Origin = id
	return store.Put(doc, "", store.Former{})
}

// TestASiteThatLeft: its figures count no more from that moment, and its documents go later.
func TestASiteThatLeft(t *testing.T) {
	s := newSite(t)
	s.below(t, "north", s.Site().ID, health(s.Now(), 10))
	s.below(t, "deep", "north", health(s.Now(), 5), `roll-up b1 {"bulletin":"b1","applicable":4,"updates":[]}`, `machines 00 {"machines":{"0011223344556677":5}}`)
	of := func() string {
		rows, err := s.RollUps.SiteRows(t.Context(), rollups.Of{}, rollups.Within{})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d computers, %d applicable, %d sites", rows[0].Computers, rows[0].Applicable, len(rows))
	}
	if got := of(); got != "15 computers, 4 applicable, 3 sites" {
		t.Error(got)
	}
	s.write(t, store.Remove(document.Site, "deep", store.Former{})...)
	if got := of(); got != "10 computers, 0 applicable, 2 sites" {
		t.Errorf("after it left: %s", got)
	}
	s.tell(t)
	s.ahead.Add(int64(11 * time.Minute))
	if got := s.tell(t); !slices.Equal(got, []string{"-health deep", "-machines deep:00", "-roll-up deep:b1"}) {
		t.Errorf("later: %q", got)
	}
	if err := s.Sites.Remove(t.Context(), "north", "remove"); err != nil {
		t.Fatal(err)
	}
	if got := of(); got != "0 computers, 0 applicable, 1 sites" {
		t.Errorf("a child is removed: %s", got)
	}
}

// TestComputersAreToldOfOneByOne: nothing is told of single computers unless the site wants it; then what happens to one writes
// its document alone, a contact does not, and whoever is retired, or a site that thinks better of it, tells no more.
func TestComputersAreToldOfOneByOne(t *testing.T) {
	s := newSite(t)
	pc, other := s.Enrol(t, "pc"), s.Enrol(t, "other")
	pc.Says["u2"], other.Says["u3"] = "applicable", "unknown"
	s.Report(t, pc)
	s.Report(t, other)
	want := func(what string, want ...string) {
		t.Helper()
		got := s.tell(t)
		got = slices.DeleteFunc(got, func(line string) bool { return !strings.Contains(line, "computer") })
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	first, second := "computer "+pc.ID, "computer "+other.ID
	want("it is off")
	s.set(t, "health.computers", true)
	want("it is switched on", first, second)
	want("nothing happens")
	list := func(q store.Query) (names string) {
		t.Helper()
		page, total, err := s.RollUps.Computers(t.Context(), rollups.Of{}, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range page {
			names += fmt.Sprintf("%s %d %d %v, ", row.Name, row.Missing, row.Unknown, row.NotReporting)
		}
		return fmt.Sprint(names, total)
	}
	if got := list(store.Query{}); got != "other 0 1 false, pc 1 0 false, 2" {
		t.Error(got)
	}
	s.ahead.Add(int64(50 * time.Minute))
	s.Report(t, pc)
	want("it is heard of within a day, and says the same")
	if err := s.Computers.Move(t.Context(), "test", pc.ID, "accounting", 0); err != nil {
		t.Fatal(err)
	}
	want("its group is another one", first)
	pc.Says["u2"] = "failed"
	s.Report(t, pc)
	want("an install fails", first)
	s.ahead.Add(int64(25 * time.Hour))
	s.Report(t, pc)
	want("it is heard of a day later; the other one is silent", first, second)
	if got := list(store.Query{Filter: map[string]string{"not_reporting": "yes"}}); got != "other 0 1 true, 1" {
		t.Error(got)
	}
	if got := list(store.Query{Filter: map[string]string{"group": "accounting", "missing": ">0"}, Sort: "missing"}); got != "pc 1 0 false, 1" {
		t.Error(got)
	}

	again := rollups.New(rollups.Config{ // as after a restart
		Site: s.Site().ID, Version: "test", Reader: s.Reader(), Writer: s.Writer(), Signer: s.Identity, Computers: s.Computers, Compliance: s.Compliance,
		Catalog: s.Bulletins.Catalog(), Sites: s.Sites, Settings: s.Settings, Now: s.Now, Log: s.Log(),
		Nodes: func() ([]federation.Node, bool) { return s.health(t).Nodes, true },
	})
	if changed, err := again.Tell(t.Context()); changed != 0 || err != nil {
		t.Errorf("another room writes %d, %v", changed, err)
	}
	if err := s.Computers.Retire(t.Context(), "test", other.ID, 0); err != nil {
		t.Fatal(err)
	}
	want("one is retired", "-"+second)
	s.set(t, "health.computers", false)
	want("it is switched off", "-"+first)
	if got := list(store.Query{}); got != "0" {
		t.Error(got)
	}
}

func computerDoc(id, name string, missing int, more string) string {
	return fmt.Sprintf(`computer %s {"name":%q,"seen":"2026-01-01T00:00:00Z","missing":%d%s}`, id, name, missing, more)
}

// TestComputersOfTheTree: the list of a part of the tree, by site and name; what nobody can read, or is another site's now,
// is not in it.
func TestComputersOfTheTree(t *testing.T) {
	s := newSite(t)
	const machine, other = "0011223344556677", "8811223344556677"
	s.below(t, "north", s.Site().ID, health(s.Now().Add(-time.Minute), 3), computerDoc("1", "zeta", 5, ""), computerDoc("2", "alpha", 0, `,"product":"Windows","languages":["de","en"]`),
		computerDoc("3", "gone", 9, `,"machine":"`+machine+`"`), `computer 4 [`, `computer 5 {"name":"x"}`)
	s.below(t, "deep", "north", health(s.Now().Add(-time.Hour), 1), computerDoc("1", "beta", 7, `,"machine":"`+machine+`","simulated":true`),
		`machines 00 {"machines":{"`+machine+`":9}}`)
	s.write(t, putAs(t, s, "machines", "north:00", "north", `{"machines":{"`+machine+`":5,"`+other+`":5}}`)...)
	if _, err := s.RollUps.Tell(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := func(of rollups.Of, q store.Query) string {
		t.Helper()
		page, total, err := s.RollUps.Computers(t.Context(), of, q)
		if err != nil {
			return err.Error()
		}
		names := ""
		for _, row := range page {
			names += fmt.Sprintf("%s/%s %d min, ", row.Site, row.Name, row.Age/60)
		}
		return fmt.Sprint(names, "of ", total)
	}
	for _, c := range []struct {
		of   rollups.Of
		q    store.Query
		want string
	}{
		{rollups.Of{}, store.Query{}, "NORTH/alpha 1 min, NORTH/zeta 1 min, deep/beta 60 min, of 3"},
		{rollups.Of{}, store.Query{Sort: "missing", Descending: true, Limit: 1}, "deep/beta 60 min, of 3"},
		{rollups.Of{}, store.Query{Offset: 2}, "deep/beta 60 min, of 3"},
		{rollups.Of{}, store.Query{Filter: map[string]string{"simulated": "yes"}}, "deep/beta 60 min, of 1"},
		{rollups.Of{}, store.Query{Filter: map[string]string{"languages": "de"}}, "NORTH/alpha 1 min, of 1"},
		{rollups.Of{}, store.Query{Search: "zet"}, "NORTH/zeta 1 min, of 1"},
		{rollups.Of{Site: "north", Own: true}, store.Query{}, "NORTH/alpha 1 min, NORTH/zeta 1 min, of 2"},
		{rollups.Of{Site: "deep"}, store.Query{}, "deep/beta 60 min, of 1"},
		{rollups.Of{Own: true}, store.Query{}, "of 0"},
	} {
		if got := list(c.of, c.q); got != c.want {
			t.Errorf("%+v %+v: %s, want %s", c.of, c.q, got, c.want)
		}
	}
	for _, wrong := range []store.Query{{Sort: "nothing"}, {Filter: map[string]string{"missing": "many"}}} {
		if _, _, err := s.RollUps.Computers(t.Context(), rollups.Of{}, wrong); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	if got := list(rollups.Of{Site: "nowhere"}, store.Query{}); !strings.Contains(got, "nowhere") {
		t.Error(got)
	}
	rows, err := s.RollUps.SiteRows(t.Context(), rollups.Of{}, rollups.Within{})
	if err != nil || rows[0].Listed != 4 || rows[0].Moved != 1 || rows[0].Computers != 3 {
		t.Errorf("%+v, %v", rows[0], err)
	}
	if err := s.Sites.Remove(t.Context(), "north", "remove"); err != nil {
		t.Fatal(err)
	}
	if left := s.count(t, document.Computer); left > 0 {
		t.Errorf("%d computers of sites that were removed are left", left)
	}
}

func (s *site) count(t *testing.T, kind document.Kind) (n int) {
	t.Helper()
	err := s.Reader().View(t.Context(), func(tx *sql.Tx) (err error) {
		n, err = store.Count(t.Context(), tx, kind)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func putAs(t *testing.T, s *site, kind document.Kind, id, origin, body string) []store.Statement {
	t.Helper()
	doc, err := document.New(kind, id, nil, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	s.Identity.Sign(&doc)
	doc.Origin = origin
	return store.Put(doc, "", store.Former{})
}
