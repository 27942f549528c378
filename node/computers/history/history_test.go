package history_test

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/catalog"
	"thatch/node/computers/compliance/heads"
	"thatch/node/computers/compliance/report"
	"thatch/node/computers/history"
	"thatch/node/computers/machine"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

var at = time.Date(2026, 3, 10, 23, 0, 0, 0, time.UTC)

func day(text string) history.Day { return history.Day{Day: text, Taken: at} }

func open(t *testing.T) (*history.Room, *store.DB) {
	db := storetest.Open(t)
	return history.New(db, db), db
}

func keep(t *testing.T, r *history.Room, text string, sheets ...history.Kept) int {
	t.Helper()
	bytes, err := r.Keep(t.Context(), day(text), sheets)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// Whatever rows there are, what is read of them on a later day is what they were.
func TestWhatIsKeptIsRead(t *testing.T) {
	r, db := open(t)
	made := 0
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.OneOf(rapid.Just(""), rapid.StringN(0, 40, 80), rapid.Just("Windows 10"))
		count := rapid.IntRange(0, 3000).Draw(rt, "rows")
		made++
		on := time.Date(2000, 1, made, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
		seed := rapid.Uint64().Draw(rt, "seed")
		random := rand.New(rand.NewPCG(seed, 1))
		texts := rapid.SliceOfN(text, 1, 5).Draw(rt, "texts")
		pick := func() string { return strings.ReplaceAll(texts[random.IntN(len(texts))], "\x1f", "") }
		var rows []*report.ComputerRow
		for i := range count {
			row := &report.ComputerRow{
				Number: uint32(i * 3), ID: fmt.Sprint(random.Uint64()), Computer: pick(), Group: pick(), Platform: pick(), Product: pick(), Languages: []string{},
				Marks: report.Marks{Silent: random.IntN(2) == 0}, Doubt: pick(), Simulated: random.IntN(2) == 0, Machine: &machine.Machine{},
				Standing: report.Standing{
					Applicable: random.IntN(1 << 20), Installed: random.IntN(300), Missing: random.IntN(30), Superseded: random.IntN(3),
					Critical: random.IntN(3), Exploited: random.IntN(2), Unknown: random.IntN(2), Pending: -random.IntN(2), Failed: random.IntN(2),
				},
			}
			if random.IntN(2) == 0 {
				row.LastSeen, row.Languages = at.Add(time.Duration(random.IntN(1000))*time.Hour), []string{"de", "en"}
			}
			row.Complete, row.Attention = row.IsComplete(), row.NeedsAttention()
			row.Percent = heads.Percent(row.Installed, row.Missing)
			rows = append(rows, row)
		}
		if _, err := r.Keep(t.Context(), day(on), []history.Kept{history.Computers.Of(rows)}); err != nil {
			rt.Fatal(err)
		}
		got, _, err := history.Rows(t.Context(), history.New(db, db), on, history.Computers)
		if err != nil {
			rt.Fatal(err)
		}
		if len(got) != len(rows) {
			rt.Fatalf("%d rows of %d", len(got), len(rows))
		}
		for i := range rows {
			if !reflect.DeepEqual(got[i], rows[i]) {
				rt.Fatalf("row %d: %+v, want %+v", i, got[i], rows[i])
			}
		}
	})
}

func update(number, missing int) *report.UpdateRow {
	row := &report.UpdateRow{
		UpdateHead: heads.UpdateHead{
			ID: fmt.Sprintf("2019-%d/KB%d", number%12, 4480000+number*7), Update: fmt.Sprintf("2019-%02d Cumulative Update for Windows 10 Version %d (KB%d)", number%12, number%30, 4480000+number*7),
			KB: fmt.Sprintf("KB%d", 4480000+number*7), Bulletin: fmt.Sprintf("KB%d", 4480000+number), Product: fmt.Sprintf("Windows 10 Version %d", number%30), Severity: catalog.Critical, Month: "2019-02",
		},
		Number: uint32(number),
	}
	row.Missing, row.Installed, row.Applicable = missing, 100, 100+missing
	row.Percent = heads.Percent(row.Installed, row.Missing)
	return row
}

func updates(missing func(number int) int) (rows []*report.UpdateRow) {
	for number := range 5000 {
		rows = append(rows, update(number+1, missing(number+1)))
	}
	return rows
}

// What is the same on two days is kept once, and goes with the last day that stands on it.
func TestDaysShareWhatIsTheSame(t *testing.T) {
	r, db := open(t)
	first := keep(t, r, "2026-03-01", history.Updates.Of(updates(func(n int) int { return n })))
	if again := keep(t, r, "2026-03-02", history.Updates.Of(updates(func(n int) int { return n }))); again != 0 {
		t.Errorf("the same once more takes %d bytes", again)
	}
	one := keep(t, r, "2026-03-03", history.Updates.Of(updates(func(n int) int {
		if n == 17 {
			return 0
		}
		return n
	})))
	if one == 0 || one*5 > first {
		t.Errorf("one figure that changed takes %d bytes, all take %d", one, first)
	}
	without := slices.Delete(updates(func(n int) int { return n }), 2000, 2001)
	if gone := keep(t, r, "2026-03-04", history.Updates.Of(without)); gone == 0 || gone*3 > first {
		t.Errorf("a row that went takes %d bytes, all take %d", gone, first)
	}
	if err := r.Prune(t.Context(), time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	days, err := r.Days(t.Context())
	if err != nil || len(days) != 2 || days[0].Day != "2026-03-03" {
		t.Fatalf("%v, %v", days, err)
	}
	for on, want := range map[string]int{"2026-03-03": 5000, "2026-03-04": 4999} {
		rows, _, err := history.Rows(t.Context(), history.New(db, db), on, history.Updates)
		if err != nil || len(rows) != want || rows[15].Missing != 16 || rows[16].Missing != map[string]int{"2026-03-03": 0, "2026-03-04": 17}[on] {
			t.Errorf("%s: %d rows, %v", on, len(rows), err)
		}
	}
	if err := r.Prune(t.Context(), time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"compliance_day", "compliance_sheet", "compliance_part"} {
		if n := count(t, db, table); n != 0 {
			t.Errorf("%d rows of %s are left", n, table)
		}
	}
}

func count(t *testing.T, db *store.DB, table string) (n int) {
	t.Helper()
	err := db.View(t.Context(), func(tx *sql.Tx) error { return tx.QueryRow(`SELECT count(*) FROM ` + table).Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDaysThatAreNotKept(t *testing.T) {
	r, db := open(t)
	if _, err := r.On(t.Context(), "2026-03-05"); !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), "any other day") {
		t.Errorf("nothing is kept: %v", err)
	}
	for _, on := range []string{"2026-03-01", "2026-03-09"} {
		keep(t, r, on, history.Updates.Of(nil))
	}
	for asked, nearest := range map[string]string{
		"2026-03-02": "2026-03-01", "2026-03-08": "2026-03-09", "2026-03-05": "2026-03-09", "1999-12-31": "2026-03-01", "2030-01-01": "2026-03-09",
	} {
		if _, err := r.On(t.Context(), asked); !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), nearest) {
			t.Errorf("%s: %v, want the nearest, %s", asked, err, nearest)
		}
	}
	for _, asked := range []string{"", "yesterday", "2026-3-1", "2026-02-30", "2026-03-01T00:00:00Z"} {
		if _, err := r.On(t.Context(), asked); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%q: %v", asked, err)
		}
	}
	if rows, on, err := history.Rows(t.Context(), r, "2026-03-01", history.Months); err != nil || len(rows) != 0 || !on.Taken.Equal(at) {
		t.Errorf("a sheet that was not kept: %v, %v, %v", rows, on, err)
	}
	// A day is kept once.
	keep(t, r, "2026-03-01", history.Updates.Of([]*report.UpdateRow{update(1, 2)}))
	if rows, _, err := history.Rows(t.Context(), history.New(db, db), "2026-03-01", history.Updates); err != nil || len(rows) != 0 {
		t.Errorf("a day was kept twice: %d rows, %v", len(rows), err)
	}
}

// A part that is damaged is an error, whatever is wrong with it, and never a panic.
func TestDamagedParts(t *testing.T) {
	r, db := open(t)
	keep(t, r, "2026-03-01", history.Updates.Of([]*report.UpdateRow{update(1, 2), update(2, 3)}))
	damage := func(sql string, args ...any) {
		t.Helper()
		applied, err := db.Write(t.Context(), store.Batch{Actor: "test", Reason: "test", Statements: []store.Statement{{SQL: sql, Args: args}}})
		if err = errors.Join(err, applied.Err()); err != nil {
			t.Fatal(err)
		}
		if rows, _, err := history.Rows(t.Context(), history.New(db, db), "2026-03-01", history.Updates); err == nil {
			t.Errorf("%s: %d rows and no error", sql, len(rows))
		}
	}
	damage(`UPDATE compliance_sheet SET plan = replace(plan, '[2]', '[3]')`)
	damage(`UPDATE compliance_sheet SET plan = replace(plan, '[3]', '[1]')`)
	damage(`UPDATE compliance_sheet SET plan = replace(plan, '[1]', '[100000]')`)
	damage(`UPDATE compliance_sheet SET plan = replace(plan, '[100000]', '[2,2]')`)
	damage(`UPDATE compliance_sheet SET plan = replace(plan, '[2,2]', '[2]'), parts = substr(parts, 1, 20)`)
	damage(`UPDATE compliance_part SET body = ?`, []byte("no zstd"))
	damage(`DELETE FROM compliance_part`)
}

// What is kept of a large site stays well under a megabyte a day.
func TestBytesOfALargeSite(t *testing.T) {
	if testing.Short() {
		t.Skip("50,000 computers and 20,000 updates take a second")
	}
	random := rand.New(rand.NewPCG(7, 7))
	var all report.All
	for number := range 50_000 {
		row := &report.ComputerRow{
			ID: fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()), Number: uint32(number + 1), Computer: fmt.Sprintf("DESKTOP-%07X", random.Uint32()),
			Group: fmt.Sprintf("group-%d", random.IntN(40)), Platform: "windows", Product: fmt.Sprintf("Windows 10 Version %d", random.IntN(10)), Languages: []string{"en"},
			Contact: report.Contact{Reported: at, LastSeen: at}, Standing: report.Standing{
				Applicable: 300 + random.IntN(100), Installed: 250 + random.IntN(100), Missing: random.IntN(30), Superseded: random.IntN(60), Critical: random.IntN(8), Exploited: random.IntN(3),
			},
		}
		all.Computers = append(all.Computers, row)
	}
	for number := range 20_000 {
		row := update(number+1, 0)
		row.Applicable = random.IntN(4000)
		row.Missing = random.IntN(1 + row.Applicable/4)
		row.Installed = row.Applicable - row.Missing
		all.Updates = append(all.Updates, row)
	}
	r, _ := open(t)
	first := keep(t, r, "2026-03-01", history.Of(all)...)
	for _, row := range all.Computers { // a busy day: every computer was heard of, and every tenth installed something
		row.LastSeen = at.Add(-time.Duration(random.IntN(9))*time.Hour).AddDate(0, 0, 1)
		row.Reported = row.LastSeen
		if random.IntN(10) == 0 {
			row.Installed, row.Missing = row.Installed+row.Missing, 0
		}
	}
	for at, row := range all.Updates {
		if at%10 == 0 {
			row.Installed, row.Missing = row.Applicable, 0
		}
	}
	next := keep(t, r, "2026-03-02", history.Of(all)...)
	t.Logf("the first day takes %d kB, a busy one after it %d kB", first>>10, next>>10)
	if first > 3<<20 || next > 600<<10 {
		t.Errorf("the first day takes %d bytes, the next %d", first, next)
	}
}
