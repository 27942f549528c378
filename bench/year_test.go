package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/computers"
	"thatch/node/identity"
	"thatch/node/nodetest"
	"thatch/node/operators"
	"thatch/node/operators/operatorstest"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/node/store"
)

// span is how long a site is used, by how many, and what it keeps.
type span struct {
	days, month, computers, updates, keep int
	slack                                 int64 // bytes that files may have beside what is in proportion
}

// TestYear lets time pass at a site: two reports a day of each computer, an import every month, people at work, a child that
// asks. What grows is kept for a while. In the end the files of the node are hardly larger than what is in them. Some weeks of a
// small site by default; THATCH_YEAR=1 for a year of a thousand computers.
func TestYear(t *testing.T) {
	s := span{days: 25, month: 6, computers: 12, updates: 60, keep: 7, slack: 3 << 20}
	switch {
	case os.Getenv("THATCH_YEAR") != "":
		s = span{days: 365, month: 30, computers: 1000, updates: 300, keep: 90}
	case testing.Short():
		t.Skip("skipped: short")
	}
	y := newYear(t, s)
	for day := range s.days {
		y.day(day)
		if (day+1)%30 == 0 {
			t.Logf("year: day %d: database %.1f MB", day+1, megabytes(fileSize(y.path("site.db"))+fileSize(y.path("site.db-wal"))))
		}
	}
	y.settle()
	y.measure()
}

type year struct {
	t      testing.TB
	span   span
	clock  *nodetest.Clock
	node   *node.Node
	dir    string
	random *rand.Rand
	fleet  []*machine
	cursor dataset.Cursor
	stop   func()
	docs   map[int][]document.Document // by month
	made   int                         // computers
	people context.Context
}

// machine is a computer and how far its reports are.
type machine struct {
	id      string
	counter uint64
	missing []uint32
	random  *rand.Rand
}

func newYear(t testing.TB, s span) *year {
	y := &year{t: t, span: s, clock: nodetest.NewClock(), dir: t.TempDir(), random: rand.New(rand.NewPCG(3, 4)), docs: map[int][]document.Document{}}
	y.people = store.WithCaller(t.Context(), &store.Caller{Actor: "operator anna", Detail: strings.Repeat("d", 200)})
	y.node = nodetest.NewWith(t, node.Config{Dir: y.dir, Site: "Year", Languages: []string{"en", "de"}, Now: y.clock.Now})
	for name, days := range map[string]int{
		"keep.journal_days": s.keep, "keep.audit_days": s.keep, "keep.runs_days": s.keep, "keep.links_days": s.keep, "keep.alarms_days": s.keep,
		"keep.tokens_days": s.keep, "keep.attempts_days": s.keep, "keep.delivery_days": 366, "keep.retired_days": s.keep,
	} {
		if _, err := y.node.Settings.Set(t.Context(), name, json.RawMessage(fmt.Sprint(days)), -1); err != nil {
			t.Fatal(err)
		}
	}
	y.stop = nodetest.Run(t, y.node, nil)
	operatorstest.Make(t, y.node.Operators, operators.Draft{Name: "anna", Scope: identity.Administrator})
	for range s.computers {
		y.enrol()
	}
	return y
}

func (y *year) path(name string) string { return filepath.Join(y.dir, name) }

func (y *year) must(what string, err error) {
	y.t.Helper()
	if err != nil {
		y.t.Fatalf("%s: %v", what, err)
	}
}

func (y *year) write(statements ...store.Statement) {
	y.t.Helper()
	applied, err := y.node.Writer().Write(y.t.Context(), store.Batch{Actor: "test", Reason: "a year", Statements: statements})
	y.must("write", errors.Join(err, applied.Err()))
}

func (y *year) enrol() {
	y.t.Helper()
	number := y.made
	y.made++
	n := computers.Newcomer{Name: fmt.Sprintf("pc-%05d", number), Platform: "windows", Languages: []string{"de-de"}, MachineID: fmt.Sprint("m", number), Hardware: fmt.Sprint("h", number)}
	place, err := y.node.Computers.Place(y.t.Context(), n)
	y.must("place", err)
	c, err := y.node.Computers.Enrol(y.t.Context(), n, place, fmt.Sprint("serial ", number))
	y.must("enrol", err)
	y.fleet = append(y.fleet, &machine{id: c.ID, random: rand.New(rand.NewPCG(5, uint64(number)))})
}

// day is one day: an import on the first of each month, and two reports of every computer.
func (y *year) day(day int) {
	if day%y.span.month == 0 {
		y.month(day / y.span.month)
	}
	y.work(day)
	for half := range 2 {
		var reporting sync.WaitGroup
		for _, m := range y.fleet {
			reporting.Go(func() { y.report(m, day, half) })
		}
		reporting.Wait()
		y.clock.Move(12 * time.Hour)
	}
	y.keepHouse()
}

// month imports new updates, revises some of the months before, withdraws a few, and orders the new ones.
func (y *year) month(month int) {
	for former := max(0, month-3); former < month; former++ {
		docs := y.docs[former]
		for i := range docs {
			if docs[i].Kind == document.Update && y.random.IntN(4) == 0 {
				docs[i] = y.update(docs[i].ID, month)
			}
		}
		y.docs[former] = slices.DeleteFunc(docs, func(document.Document) bool { return y.random.IntN(50) == 0 })
		y.save(former)
	}
	for k := range y.span.updates {
		id := fmt.Sprintf("u-%d-%d", month, k)
		y.docs[month] = append(y.docs[month], y.update(id, month))
		for _, language := range []string{"de", "en"} {
			y.docs[month] = append(y.docs[month], bulletinstest.Doc(y.t, document.Package, fmt.Sprint(id, "-", language), []string{language},
				catalog.Package{Update: id, Name: id + ".msu", Files: []catalog.File{{Name: id + ".msu", URL: "https://example.net/" + id, Size: int64(month)}}}))
		}
	}
	y.save(month)
	y.write(store.Statement{
		SQL:  `INSERT INTO policy (id, name, enabled, paused, version, created, created_by, changed, idx) VALUES (?, '', 1, 0, 1, '', '', '', ?)`,
		Args: []any{fmt.Sprint("policy ", month), store.Index{}},
	}, store.Statement{SQL: `DELETE FROM policy WHERE id = ?`, Args: []any{fmt.Sprint("policy ", month-3)}})
	// Some computers are replaced.
	for range max(1, y.span.computers/100) {
		at := y.random.IntN(len(y.fleet))
		y.must("retire", y.node.Computers.Retire(y.t.Context(), "test", y.fleet[at].id, 0))
		y.enrol()
		y.fleet[at] = y.fleet[len(y.fleet)-1]
		y.fleet = y.fleet[:len(y.fleet)-1]
	}
}

func (y *year) update(id string, month int) document.Document {
	return bulletinstest.Doc(y.t, document.Update, id, nil, catalog.Update{
		Name: id, Title: strings.Repeat("what it mends, and how ", 20), Bulletin: fmt.Sprint("b-", id), Source: "msrc", Severity: catalog.Critical,
		Rules: catalog.Rules{Applicable: rule.Test("True")}, Product: catalog.Product{Name: fmt.Sprint("Windows ", month)},
	})
}

func (y *year) save(month int) {
	bulletinstest.Save(y.t, y.node.Bulletins, "msrc", fmt.Sprintf("2026-%02d", month), y.docs[month]...)
}

// work is what people and neighbours do in a day.
func (y *year) work(day int) {
	for i := range 10 {
		_, err := y.node.Settings.Set(y.people, "agents.attempts", json.RawMessage(fmt.Sprint(3+i%2)), -1)
		y.must("set", err)
	}
	for range 3 {
		operatorstest.SignIn(y.t, y.node.Operators, "anna")
	}
	for i := range 24 {
		at := y.clock.Now().Add(time.Duration(i) * time.Minute)
		y.must("run of a link", y.node.Sites.Ran(y.t.Context(), sites.LinkRun{
			ID: fmt.Sprintf("%d/%d", day, i), Neighbour: "child", Direction: "down", Type: "data", Mode: "differential", State: "done",
			Started: at, Ended: at, Result: json.RawMessage(fmt.Sprintf(`{"documents":%d}`, i)),
		}))
	}
	subject := fmt.Sprint("something of day ", day)
	y.must("raise", y.node.Sites.Raise(y.t.Context(), sites.Alarm{Kind: "test", Subject: subject, Text: "it calls for somebody", Advice: "do something"}))
	y.must("clear", y.node.Sites.Clear(y.t.Context(), "test", subject))
	_, err := y.node.Identity.NewEnrolmentToken(y.t.Context(), identity.EnrolmentToken{Name: "day", Expires: y.clock.Now().Add(24 * time.Hour)})
	y.must("token", err)
	y.follow()
}

// follow is a child that asks for what is new.
func (y *year) follow() {
	scope := dataset.Scope{Type: dataset.Data, Direction: dataset.Down, Languages: []string{"de"}, Audience: dataset.Audience{All: true}}
	for more := true; more; {
		page, err := y.node.Sender.Page(y.t.Context(), scope, y.cursor, dataset.Limits{})
		for errors.Is(err, dataset.ErrEpoch) && err != nil || page.More && page.Complete {
			page, err = y.node.Sender.Complete(y.t.Context(), scope, page.From, page.Next, dataset.Limits{})
		}
		y.must("page", err)
		y.cursor, more = page.Cursor, page.More
	}
}

// report is one report of a computer: facts every day, needs after an import, attempts in the days after.
func (y *year) report(m *machine, day, half int) {
	rep := computers.Report{Base: m.counter, At: y.clock.Now(), Cursor: computers.Cursor{Index: y.node.Index()}}
	if half == 0 {
		rep.Facts = &computers.Facts{
			Name: m.id[:8], Domain: "example.net", Addresses: []string{fmt.Sprint("192.0.2.", day%250)}, Agent: "1.0",
			System: rule.System{Platform: "windows", Product: "Windows 11", Languages: []string{"de-de"}},
		}
	}
	month := day / y.span.month
	if day%y.span.month == 0 && half == 0 {
		for range 20 {
			number := uint32(month*y.span.updates + m.random.IntN(y.span.updates) + 1)
			if !slices.Contains(m.missing, number) {
				m.missing = append(m.missing, number)
				rep.Applicable.Add = append(rep.Applicable.Add, number)
			}
		}
		slices.Sort(rep.Applicable.Add)
	}
	if len(m.missing) > 0 && m.random.IntN(2) == 0 {
		number := m.missing[0]
		success := m.random.IntN(10) > 0
		policy := fmt.Sprint("policy ", month)
		rep.Attempts = []computers.Attempt{{
			ID: fmt.Sprintf("%d-%d-%d", day, half, number), Number: number, Policy: policy, Package: fmt.Sprintf("u-%d-%d-de", month, number),
			Started: y.clock.Now().Add(-time.Minute), Ended: y.clock.Now(), Success: success, Text: "what the installer said",
		}}
		status := computers.FailedRescheduled
		if success {
			status = computers.Installed
			m.missing = m.missing[1:]
			rep.Applicable.Remove, rep.Installed.Add = []uint32{number}, []uint32{number}
		}
		rep.States = []computers.State{{Number: number, Policy: policy, Status: status, LastApplied: y.clock.Now()}}
	}
	taken, err := y.node.Computers.Report(y.t.Context(), m.id, rep)
	if err != nil || taken.Resend {
		y.t.Errorf("report of %s: %+v, %v", m.id, taken, err)
		return
	}
	m.counter = taken.Counter
}

// keepHouse runs housekeeping; its schedule, which sees the clock move too, may be faster.
func (y *year) keepHouse() {
	y.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	id, err := y.node.Tasks.RunTask(y.t.Context(), "housekeeping")
	for errors.Is(err, store.ErrConflict) {
		<-tick.C
		id, err = y.node.Tasks.RunTask(y.t.Context(), "housekeeping")
	}
	y.must("housekeeping", err)
	run, err := y.node.Tasks.Wait(y.t.Context(), id)
	if err != nil || run.State != "done" {
		y.t.Fatalf("housekeeping: %+v, %v", run, err)
	}
}

// settle lets what is old be forgotten once more.
func (y *year) settle() { y.keepHouse() }

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func megabytes(size int64) float64 { return float64(size) / 1e6 }

// measure compares the files with what is in them.
func (y *year) measure() {
	y.t.Helper()
	files := map[string]int64{}
	for _, name := range []string{"site.db", "node.db"} {
		files[name] = fileSize(y.path(name)) + fileSize(y.path(name+"-wal"))
	}
	log := filepath.Join("quorum", "log", "log.bolt")
	files[log] = fileSize(y.path(log))
	y.tables()
	y.stop()
	y.must("close", y.node.Close())
	live := map[string]int64{"site.db": vacuumed(y.t, y.path("site.db")), "node.db": vacuumed(y.t, y.path("node.db")), log: compacted(y.t, y.path(log))}
	var all, needed int64
	for _, name := range []string{"site.db", "node.db", log} {
		all, needed = all+files[name], needed+live[name]
		y.t.Logf("year: file %s: %.2f MB, its content %.2f MB", name, megabytes(files[name]), megabytes(live[name]))
	}
	y.t.Logf("year: all files: %.2f MB, %.3f times their content", megabytes(all), float64(all)/float64(needed))
	if all > needed*6/5+y.span.slack {
		y.t.Errorf("the files have %d bytes, what is in them %d: at most a fifth more is allowed", all, needed)
	}
}

// tables prints the rows and bytes of each table, and holds what was to be forgotten to the days that are kept.
func (y *year) tables() {
	y.t.Helper()
	err := y.node.Reader().View(y.t.Context(), func(tx *sql.Tx) error {
		found, err := tx.Query(`SELECT t.tbl_name, sum(s.pgsize) FROM dbstat s JOIN sqlite_schema t ON t.name = s.name GROUP BY 1 ORDER BY 2 DESC`)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var name string
			var bytes, rows int64
			if err := found.Scan(&name, &bytes); err != nil {
				return err
			}
			if err := tx.QueryRow(`SELECT count(*) FROM ` + name).Scan(&rows); err != nil {
				return err
			}
			if rows > 0 {
				y.t.Logf("year: table %-18s %8d rows %10.3f MB", name, rows, megabytes(bytes))
			}
		}
		return found.Err()
	})
	y.must("tables", err)
	edge := y.clock.Now().AddDate(0, 0, -y.span.keep-2).UTC().Format(time.RFC3339)
	for query, most := range map[string]int{
		`SELECT count(*) FROM audit WHERE at < ?`:                                                    0,
		`SELECT count(*) FROM run WHERE started < ? AND ended <> '' AND task = 'housekeeping'`:       0,
		`SELECT count(*) FROM link_run WHERE started < ?`:                                            0,
		`SELECT count(*) FROM alarm WHERE cleared <> '' AND cleared < ?`:                             0,
		`SELECT count(*) FROM computer_attempt WHERE ended < ?`:                                      0,
		`SELECT count(*) FROM enrolment_token WHERE expires < ?`:                                     0,
		`SELECT count(*) FROM session WHERE created < ?`:                                             0,
		`SELECT count(*) FROM computer WHERE retired <> '' AND retired < ?`:                          0,
		`SELECT count(*) FROM journal_mark WHERE at < ?`:                                             1,
		`SELECT count(*) FROM computer_state WHERE at < ? AND policy NOT IN (SELECT id FROM policy)`: 0,
	} {
		var count int
		err := y.node.Reader().View(y.t.Context(), func(tx *sql.Tx) error { return tx.QueryRow(query, edge).Scan(&count) })
		if err != nil || count > most {
			y.t.Errorf("%s: %d, %v", query, count, err)
		}
	}
}

func vacuumed(t testing.TB, path string) int64 {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	copied := path + ".copy"
	if _, err := db.Exec(`VACUUM INTO ?`, copied); err != nil {
		t.Fatal(err)
	}
	return fileSize(copied)
}

func compacted(t testing.TB, path string) int64 {
	t.Helper()
	from, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := bbolt.Open(path+".copy", 0o600, &bbolt.Options{NoSync: true, NoFreelistSync: true, InitialMmapSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	to.AllocSize = 64 << 10
	if err := errors.Join(bbolt.Compact(to, from, 1<<20), to.Close()); err != nil {
		t.Fatal(err)
	}
	return fileSize(path + ".copy")
}
