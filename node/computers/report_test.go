package computers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"pgregory.net/rapid"

	"thatch/catalog/rule"
	"thatch/node/computers/seen"
	"thatch/node/store"
)

// agent is the other side of the report protocol, as agents keep it.
type agent struct {
	sets    Sets   // what it found
	sent    Sets   // what the node acknowledged
	counter uint64 // 0: send everything
}

func changeOf(from, to *roaring.Bitmap) Change {
	return Change{Add: roaring.AndNot(to, from).ToArray(), Remove: roaring.AndNot(from, to).ToArray()}
}

func (a *agent) next(at time.Time) Report {
	from := a.sent
	if a.counter == 0 {
		from = NewSets()
	}
	return Report{
		Base: a.counter, At: at,
		Applicable: changeOf(from.Applicable, a.sets.Applicable),
		Installed:  changeOf(from.Installed, a.sets.Installed),
		Unknown:    changeOf(from.Unknown, a.sets.Unknown),
	}
}

func (a *agent) answered(taken Taken, sets Sets) {
	a.counter, a.sent = taken.Counter, sets
	if taken.Resend {
		a.counter = 0
	}
}

// Any sequence of reports, with answers lost, requests repeated, requests lost and agents set back to an earlier state,
// leaves the node's sets equal to the agent's once a report gets through.
func TestReportsConverge(t *testing.T) {
	f := newFixture(t)
	ids := map[uint32]string{}
	rapid.Check(t, func(rt *rapid.T) {
		c := f.enrol(t, newcomer(fmt.Sprint("pc", len(ids))))
		ids[c.Number] = c.ID
		a, earlier := &agent{sets: NewSets(), sent: NewSets()}, &agent{sets: NewSets(), sent: NewSets()}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			a.sets = drawSets(rt)
			rep := a.next(f.clock.now())
			f.clock.add(time.Second)
			switch rapid.SampledFrom([]string{"through", "answer lost", "repeated", "request lost", "set back", "late"}).Draw(rt, "fate") {
			case "through":
				a.answered(f.report(t, c.ID, rep), a.sets)
			case "answer lost":
				f.report(t, c.ID, rep)
			case "repeated":
				first := f.report(t, c.ID, rep)
				if again := f.report(t, c.ID, rep); again != first {
					rt.Fatalf("the same report again is answered %+v, first %+v", again, first)
				}
				a.answered(first, a.sets)
			case "set back":
				*a, *earlier = *earlier, *a
			case "late": // a repetition comes after a newer report
				a.answered(f.report(t, c.ID, rep), a.sets)
				newer := a.next(f.clock.now())
				newer.States = []State{{Number: 1, Policy: "p", Status: Scheduled}}
				a.answered(f.report(t, c.ID, newer), a.sets)
				f.report(t, c.ID, rep)
				if rep.Base == 0 { // a whole report is taken whenever it comes; the agent's next one finds out
					continue
				}
			}
		}
		for range 3 {
			taken := f.report(t, c.ID, a.next(f.clock.now()))
			a.answered(taken, a.sets)
			if !taken.Resend {
				break
			}
		}
		if got := setsIn(f.Room, c.Number); !got.Equal(a.sets) {
			rt.Fatalf("the node holds %v, the agent %v", got, a.sets)
		}
		now, err := f.standing(t.Context(), c.Number)
		if err != nil || !now.sets.Equal(a.sets) {
			rt.Fatalf("the database holds %v, the agent %v, %v", now.sets, a.sets, err)
		}
	})
	f.sameMemory(t)
}

func TestReportRefuses(t *testing.T) {
	f := newFixture(t)
	c := f.enrol(t, newcomer("pc"))
	attempts := make([]Attempt, maxAttempts+1)
	for i := range attempts {
		attempts[i].ID = fmt.Sprint(i)
	}
	large := make([]State, maxStates)
	for i := range large {
		large[i] = State{Number: uint32(i), Status: Retry, Text: strings.Repeat("x", MaxReason)}
	}
	for name, rep := range map[string]Report{
		"number too great":   {Applicable: Change{Add: []uint32{MaxNumber}}},
		"unknown status":     {States: []State{{Number: 1, Status: "Fine"}}},
		"state's number":     {States: []State{{Number: MaxNumber, Status: Retry}}},
		"too many states":    {States: make([]State, maxStates+1)},
		"states too large":   {States: large},
		"too many attempts":  {Attempts: attempts},
		"attempt without id": {Attempts: []Attempt{{Number: 1}}},
		"facts without name": {Facts: &Facts{}},
		"endless hotfixes":   {Facts: &Facts{Name: "pc", Hotfixes: make([]string, maxHotfixes+1)}},
		"facts too large":    {Facts: &Facts{Name: "pc", Model: strings.Repeat("x", maxFacts)}},
	} {
		rep.At = f.clock.now()
		if _, err := f.Report(t.Context(), c.ID, rep); !errors.Is(err, ErrBadReport) {
			t.Errorf("%s: %v, want ErrBadReport", name, err)
		}
	}
	if _, err := f.Report(t.Context(), "nobody", Report{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("report of nobody: %v", err)
	}
	if m := f.Member(c.ID); m.Counter != 0 {
		t.Errorf("a refused report counts: %d", m.Counter)
	}
}

func TestConcurrentReportsOfOneComputer(t *testing.T) {
	f := newFixture(t)
	c := f.enrol(t, newcomer("pc"))
	base := f.report(t, c.ID, Report{Applicable: Change{Add: []uint32{1}}}).Counter
	var all sync.WaitGroup
	results := make(chan Taken, 8)
	for i := range cap(results) {
		rep := Report{Base: base, At: f.clock.now().Add(time.Duration(i) * time.Second), Applicable: Change{Add: []uint32{uint32(10 + i)}}}
		all.Go(func() {
			taken, err := f.Report(t.Context(), c.ID, rep)
			if err != nil {
				t.Error(err)
			}
			results <- taken
		})
	}
	all.Wait()
	won := 0
	for range cap(results) {
		if taken := <-results; !taken.Resend {
			won++
		}
	}
	if won != 1 || setsIn(f.Room, c.Number).Applicable.GetCardinality() != 2 {
		t.Errorf("%d of the reports with one base were taken, the set is %v", won, setsIn(f.Room, c.Number).Applicable)
	}
	f.sameMemory(t)
}

func TestReportWithoutNewsWritesNothing(t *testing.T) {
	f := newFixture(t)
	c := f.enrol(t, newcomer("pc"))
	rep := Report{Cursor: Cursor{3, 1}, Applicable: Change{Add: []uint32{1}}}
	counter := f.report(t, c.ID, rep).Counter
	index := f.db.Applied()
	taken := f.report(t, c.ID, Report{Base: counter, Cursor: Cursor{3, 1}})
	if taken.Counter != counter || f.db.Applied() != index {
		t.Errorf("a report without news is answered %+v and wrote %d batches", taken, f.db.Applied()-index)
	}
	if taken = f.report(t, c.ID, Report{Base: counter, Cursor: Cursor{4, 0}}); taken.Counter != counter+1 {
		t.Errorf("a report that came further in the rules is answered %+v", taken)
	}
	if m := f.Member(c.ID); m.Cursor != (Cursor{4, 0}) {
		t.Errorf("cursor is %v", m.Cursor)
	}
}

func TestFactsNameTheComputer(t *testing.T) {
	f := newFixture(t)
	c := f.enrol(t, newcomer("pc"))
	f.report(t, c.ID, Report{Facts: &Facts{
		Name: "renamed", TimeZone: "Europe/Berlin",
		System: rule.System{Platform: "windows", Product: "Windows 10", Languages: []string{"de-de", "en-us"}},
	}})
	m := f.Member(c.ID)
	if m.Name != "renamed" || m.Facts.TimeZone != "Europe/Berlin" || m.Facts.System.Product != "Windows 10" {
		t.Errorf("memory holds %+v", m)
	}
	if got, _ := f.Get(t.Context(), c.ID); fmt.Sprint(got.Languages) != "[de-de en-us]" {
		t.Errorf("languages are %v", got.Languages)
	}
	f.sameMemory(t)
}

// Attempts are ordered by their texts in the table: one at a full second is before one half a second later.
func TestAttemptsOfOneSecondAreInTheirOrder(t *testing.T) {
	f := newFixture(t)
	c := f.enrol(t, newcomer("pc"))
	full := f.clock.now().Truncate(time.Second)
	f.report(t, c.ID, Report{Attempts: []Attempt{
		{ID: "c", Number: 1, Started: full},
		{ID: "b", Number: 1, Started: full.Add(500 * time.Millisecond)},
		{ID: "a", Number: 1, Started: full.Add(time.Second)},
	}})
	d, err := f.Detail(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	var order string
	for _, a := range d.Attempts {
		order += a.ID
	}
	if order != "abc" {
		t.Errorf("attempts are in the order %s, want abc, newest first", order)
	}
}

func TestStatesAndAttempts(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	c := f.enrol(t, newcomer("pc"))
	applied := f.clock.now().Add(-time.Hour)
	counter := f.report(t, c.ID, Report{
		Applicable: Change{Add: []uint32{1, 2}},
		States: []State{
			{Number: 1, Policy: "p", Status: Installed, LastApplied: applied},
			{Number: 2, Policy: "p", Status: FailedToInstall, Text: "code 1603"},
		},
		Attempts: []Attempt{{ID: "a1", Number: 2, Policy: "p", Package: "k", Started: applied, Ended: applied, Code: 1603, Text: "code 1603"}},
	}).Counter
	f.report(t, c.ID, Report{
		Base: counter, States: []State{{Number: 1, Policy: "p", Status: Installed}, {Number: 2, Policy: "p", Status: Scheduled}},
		Attempts: []Attempt{{ID: "a1", Number: 2}, {ID: "a2", Number: 2, Started: applied.Add(time.Minute), Success: true}},
	})
	d, err := f.Detail(ctx, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !d.States[1].LastApplied.Equal(applied) {
		t.Errorf("last applied is %v, want %v: an agent that forgot does not unmake it", d.States[1].LastApplied, applied)
	}
	if d.States[2].Status != Scheduled || len(d.Attempts) != 2 || d.Attempts[1].Code != 1603 {
		t.Errorf("states %+v, attempts %+v", d.States, d.Attempts)
	}
	f.Look(func(v View) {
		if !v.Column(2).Failed.IsEmpty() {
			t.Error("what is scheduled again still counts as failed")
		}
	})
	f.sameMemory(t)
}

func TestAttemptsAreBounded(t *testing.T) {
	f := newFixture(t)
	c := f.enrol(t, newcomer("pc"))
	counter := uint64(0)
	for part := range 3 {
		var attempts []Attempt
		for i := range 400 {
			attempts = append(attempts, Attempt{ID: fmt.Sprintf("%d-%d", part, i), Number: 1, Started: f.clock.now().Add(time.Duration(part*400+i) * time.Second)})
		}
		counter = f.report(t, c.ID, Report{Base: counter, Attempts: attempts}).Counter
	}
	d, err := f.Detail(t.Context(), c.ID)
	if err != nil || len(d.Attempts) != keptPerPC || d.Attempts[0].ID != "2-399" {
		t.Errorf("%d attempts are kept, the newest %q, %v; want %d", len(d.Attempts), d.Attempts[0].ID, err, keptPerPC)
	}
}

func TestSeenIsWrittenInSteps(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	c := f.enrol(t, newcomer("pc"))
	if err := f.WriteSeen(ctx); err != nil {
		t.Fatal(err)
	}
	index := f.db.Applied()
	for range 10 {
		f.clock.add(time.Minute)
		f.Seen(c.Number, f.clock.now())
		if err := f.WriteSeen(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if f.db.Applied() != index {
		t.Errorf("%d batches within a step", f.db.Applied()-index)
	}
	if got, _ := f.Get(ctx, c.ID); !got.LastSeen.Equal(f.clock.now()) {
		t.Errorf("last seen is %v, want what memory knows, %v", got.LastSeen, f.clock.now())
	}
	f.clock.add(seen.Step)
	f.Seen(c.Number, f.clock.now())
	f.Seen(c.Number, f.clock.now().Add(-time.Hour)) // out of order
	if err := f.WriteSeen(ctx); err != nil {
		t.Fatal(err)
	}
	restarted := f.reopen(t)
	if got, _ := restarted.Get(ctx, c.ID); !got.LastSeen.Equal(f.clock.now()) {
		t.Errorf("after a restart last seen is %v, want %v", got.LastSeen, f.clock.now())
	}
}

func TestFollowSeesOthersWrites(t *testing.T) {
	f := newFixture(t)
	other := f.reopen(t)
	watch := f.db.Watch(Topic)
	defer watch.Close()
	ctx, stop := context.WithCancel(t.Context())
	followed := make(chan error, 1)
	go func() { followed <- other.Follow(ctx, watch.C) }()
	c := f.enrol(t, newcomer("pc"))
	f.report(t, c.ID, Report{Applicable: Change{Add: []uint32{1, 2}}})
	f.report(t, c.ID, Report{Base: 1, Applicable: Change{Add: []uint32{3}, Remove: []uint32{1}}})
	deadline := time.After(time.Minute)
	for setsIn(other, c.Number).Applicable.String() != "{2,3}" {
		select {
		case <-deadline:
			t.Fatalf("the other room holds %v", setsIn(other, c.Number).Applicable)
		case <-time.After(time.Millisecond):
		}
	}
	stop()
	if err := <-followed; err != nil {
		t.Error(err)
	}
}
