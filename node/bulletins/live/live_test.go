package live_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/live"
	"thatch/node/store"
)

func update(t testing.TB, id, of string, change func(*catalog.Update)) document.Document {
	u := catalog.Update{Name: id, Bulletin: of, Source: "sdp", Rules: catalog.Rules{Applicable: rule.And(), Installed: rule.Not(rule.And())}}
	if change != nil {
		change(&u)
	}
	return bulletinstest.Doc(t, document.Update, id, nil, u)
}

func read(t testing.TB, c *live.Catalog, look func(v *live.View)) {
	t.Helper()
	err := c.Read(context.Background(), func(v *live.View) error {
		look(v)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func ids[T any](list []T, id func(T) string) string {
	var names []string
	for _, one := range list {
		names = append(names, id(one))
	}
	return strings.Join(names, " ")
}

func TestSupersedence(t *testing.T) {
	room, _ := bulletinstest.Room(t)
	supersede := func(former ...string) func(*catalog.Update) {
		return func(u *catalog.Update) { u.Supersedes = former }
	}
	save := func(docs ...document.Document) { bulletinstest.Save(t, room, "sdp", "f", docs...) }
	check := func(want map[string]bool) {
		t.Helper()
		read(t, room.Catalog(), func(v *live.View) {
			for id, superseded := range want {
				if v.Superseded(id) != superseded {
					t.Errorf("%s superseded: %v, want %v", id, !superseded, superseded)
				}
			}
		})
	}
	// C names B and itself; B is not in the catalog yet, and names A.
	save(update(t, "A", "1", nil), update(t, "C", "3", supersede("B", "C", "never heard of")))
	check(map[string]bool{"A": false, "C": false})
	b := update(t, "B", "2", supersede("A"))
	save(update(t, "A", "1", nil), b, update(t, "C", "3", supersede("B")))
	check(map[string]bool{"A": true, "B": true, "C": false})
	read(t, room.Catalog(), func(v *live.View) {
		if got := ids(v.SupersededBy("A"), func(u *live.Update) string { return u.ID }); got != "B" {
			t.Errorf("A is superseded by %q", got)
		}
	})
	// A withdrawn successor supersedes nothing; one that is gone neither.
	save(update(t, "A", "1", nil), b, update(t, "C", "3", func(u *catalog.Update) { u.Supersedes, u.Withdrawn = []string{"B"}, true }))
	check(map[string]bool{"A": true, "B": false})
	save(update(t, "A", "1", nil))
	check(map[string]bool{"A": false})
}

func TestRulesPages(t *testing.T) {
	room, db := bulletinstest.Room(t)
	c := room.Catalog()
	var docs []document.Document
	for i := range 10 {
		docs = append(docs, update(t, fmt.Sprintf("U%d", i), "B", nil))
	}
	docs = append(docs, update(t, "no rule", "B", func(u *catalog.Update) { u.Applicable, u.NoRule = nil, "nobody knows" }),
		update(t, "linux", "B", func(u *catalog.Update) { u.Source = "debian" }))
	bulletinstest.Save(t, room, "sdp", "f", docs...)

	var at store.Sequence
	var got []string
	pages := 0
	for more := true; more; pages++ {
		read(t, c, func(v *live.View) {
			page := v.Since(at, 4, live.For("windows"))
			for _, u := range page.Updates {
				got = append(got, u.ID)
			}
			at, more = page.Next, page.More
		})
	}
	slices.Sort(got)
	if strings.Join(got, " ") != "U0 U1 U2 U3 U4 U5 U6 U7 U8 U9" || pages != 3 {
		t.Errorf("%d pages of %v", pages, got)
	}
	read(t, c, func(v *live.View) {
		if page := v.Since(at, 4, nil); len(page.Updates)+len(page.Removed) != 0 || page.More || page.Next != at {
			t.Errorf("nothing new, but %+v", page)
		}
	})

	// One changes, one loses its rule, one goes.
	number := map[string]uint32{}
	read(t, c, func(v *live.View) {
		for _, u := range v.Updates() {
			number[u.ID] = u.Number
		}
	})
	docs[1] = update(t, "U1", "B", func(u *catalog.Update) { u.Title = "new" })
	docs[2] = update(t, "U2", "B", func(u *catalog.Update) { u.Applicable = nil })
	bulletinstest.Save(t, room, "sdp", "f", docs[1:]...)
	read(t, c, func(v *live.View) {
		page := v.Since(at, 100, live.For("windows"))
		removed := slices.Sorted(slices.Values(page.Removed))
		if len(page.Updates) != 1 || page.Updates[0].ID != "U1" || !slices.Equal(removed, []uint32{number["U0"], number["U2"]}) {
			t.Errorf("after changes: %v, removed %v", ids(page.Updates, func(u *live.Update) string { return u.ID }), removed)
		}
		if whole := v.Since(store.Sequence{}, 100, live.For("windows")); len(whole.Updates) != 8 || len(whole.Removed) != 0 {
			t.Errorf("a new agent gets %d updates and %d removals, want 8 and 0", len(whole.Updates), len(whole.Removed))
		}
	})
	// A catalog that was read at once knows the same removals.
	read(t, live.New(db, nil), func(v *live.View) {
		page := v.Since(at, 100, live.For("windows"))
		if len(page.Updates) != 1 || len(page.Removed) != 2 {
			t.Errorf("read at once: %d updates, removed %v", len(page.Updates), page.Removed)
		}
	})
}

func TestWhole(t *testing.T) {
	room, _ := bulletinstest.Room(t)
	c := room.Catalog()
	bulletinstest.Save(t, room, "sdp", "f", update(t, "A", "B", nil), update(t, "Z", "B", nil))
	var old []*live.Update
	read(t, c, func(v *live.View) { old = v.Updates() })
	if old[0].Applicable != nil || !old[0].Evaluable {
		t.Errorf("the view holds rules: %+v", old[0])
	}
	whole, err := c.Whole(t.Context(), old)
	if err != nil || len(whole) != 2 || whole[0].Applicable == nil || whole[0].ID != "A" {
		t.Fatalf("whole: %+v, %v", whole, err)
	}
	again, err := c.Whole(t.Context(), old)
	if err != nil || again[0] != whole[0] {
		t.Error("a revision was decoded twice")
	}
	bulletinstest.Save(t, room, "sdp", "f", update(t, "A", "B", func(u *catalog.Update) { u.Title = "new" }))
	var now []*live.Update
	read(t, c, func(v *live.View) { now = v.Updates() })
	whole, err = c.Whole(t.Context(), now)
	if err != nil || len(whole) != 1 || whole[0].Title != "new" {
		t.Errorf("after a change: %+v, %v", whole, err)
	}
}

// A document that cannot be read costs itself alone.
func TestUnreadableDocument(t *testing.T) {
	room, db := bulletinstest.Room(t)
	broken, err := document.New(document.Update, "broken", nil, []byte(`{"name":3}`))
	if err != nil {
		t.Fatal(err)
	}
	bulletinstest.Save(t, room, "sdp", "f", update(t, "A", "B", nil), broken)
	c := live.New(db, slog.New(slog.DiscardHandler))
	read(t, c, func(v *live.View) {
		if got := ids(v.Updates(), func(u *live.Update) string { return u.ID }); got != "A" {
			t.Errorf("updates: %q", got)
		}
	})
	bulletinstest.Save(t, room, "sdp", "f", update(t, "A", "B", nil), update(t, "broken", "B", nil))
	read(t, c, func(v *live.View) {
		if v.UpdateByID("broken") == nil {
			t.Error("a mended document is not taken up")
		}
	})
}

func TestEpochBeginsAnew(t *testing.T) {
	room, db := bulletinstest.Room(t)
	bulletinstest.Save(t, room, "sdp", "f", update(t, "A", "B", nil))
	read(t, room.Catalog(), func(v *live.View) {
		if v.Epoch != "e1" {
			t.Errorf("epoch %q", v.Epoch)
		}
	})
	bulletinstest.Write(t, db, store.Statement{SQL: `UPDATE site SET epoch = 'e2'`})
	read(t, room.Catalog(), func(v *live.View) {
		if v.Epoch != "e2" || len(v.Updates()) != 1 {
			t.Errorf("epoch %q, %d updates", v.Epoch, len(v.Updates()))
		}
	})
}

type failing struct{ store.Reader }

func (failing) View(context.Context, func(*sql.Tx) error) error { return errors.New("no disk") }

func TestReadFails(t *testing.T) {
	err := live.New(failing{}, nil).Read(t.Context(), func(*live.View) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("error %v", err)
	}
}

// panicking panics at the first errors that are logged: in the middle of taking changes in.
type panicking struct {
	slog.Handler
	left *int
}

func (p panicking) Handle(context.Context, slog.Record) error {
	if *p.left--; *p.left >= 0 {
		panic("out of order")
	}
	return nil
}

// A panic or an error on the way leaves no half view: the next read begins anew, and has everything once.
func TestPanicLeavesNoHalfView(t *testing.T) {
	room, db := bulletinstest.Room(t)
	left := 0
	c := live.New(db, slog.New(panicking{slog.NewTextHandler(io.Discard, nil), &left}))
	save := func(edition string, more ...document.Document) {
		var docs []document.Document
		for i := range 20 {
			docs = append(docs, update(t, fmt.Sprintf("U%02d", i), "B", func(u *catalog.Update) { u.Title = edition }))
		}
		bulletinstest.Save(t, room, "sdp", "f", append(docs, more...)...)
	}
	save("first")
	read(t, c, func(*live.View) {})
	broken, err := document.New(document.Update, "U10 broken", nil, []byte(`{"name":3}`))
	if err != nil {
		t.Fatal(err)
	}
	save("second", broken, update(t, "V", "B", nil))
	attempt := func() (failure any) {
		defer func() { failure = recover() }()
		_ = c.Read(t.Context(), func(*live.View) error { return nil })
		return nil
	}
	for left = 2; left > 0; {
		if attempt() == nil {
			t.Fatal("nothing panicked: the test tests nothing")
		}
	}
	want := live.New(db, slog.New(slog.DiscardHandler))
	read(t, want, func(w *live.View) {
		read(t, c, func(v *live.View) {
			id := func(u *live.Update) string { return u.ID + " " + u.Title }
			if got, whole := ids(v.Updates(), id), ids(w.Updates(), id); got != whole {
				t.Errorf("after a panic %s, want %s", got, whole)
			}
			got, whole := v.Since(store.Sequence{}, 1000, nil), w.Since(store.Sequence{}, 1000, nil)
			if len(got.Updates) != len(whole.Updates) || len(got.Removed) != len(whole.Removed) {
				t.Errorf("the rules after a panic are %d and %d removals, want %d and %d",
					len(got.Updates), len(got.Removed), len(whole.Updates), len(whole.Removed))
			}
		})
	})
}

// Somebody who goes away while the catalog is first read keeps nobody else from reading it; waiting can be cancelled.
func TestCancelledReadersLeaveTheOthersAlone(t *testing.T) {
	room, db := bulletinstest.Room(t)
	bulletinstest.Save(t, room, "sdp", "f", update(t, "A", "B", nil))
	holding, release := make(chan struct{}), make(chan struct{})
	slow := &slowReader{Reader: db, before: func(view int) {
		if view == 2 { // of the first caller: after it asked for the journal's end twice
			close(holding)
			<-release
		}
	}}
	c := live.New(slow, nil)
	first := make(chan error)
	go func() { first <- c.Read(context.Background(), func(*live.View) error { return nil }) }()
	<-holding
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error)
	go func() { second <- c.Read(ctx, func(*live.View) error { return nil }) }()
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who was cancelled: %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	read(t, c, func(v *live.View) {
		if len(v.Updates()) != 1 {
			t.Errorf("%d updates", len(v.Updates()))
		}
	})
}

// slowReader calls before with the number of the read, from 0.
type slowReader struct {
	store.Reader
	before func(view int)
	count  atomic.Int64
}

func (s *slowReader) View(ctx context.Context, read func(tx *sql.Tx) error) error {
	s.before(int(s.count.Add(1) - 1))
	return s.Reader.View(ctx, read)
}

// Readers beside a writer see whole states: every update has its bulletin's number of siblings or none.
func TestReadersBesideWriter(t *testing.T) {
	room, _ := bulletinstest.Room(t)
	c := room.Catalog()
	var work sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		work.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				read(t, c, func(v *live.View) {
					if n := len(v.UpdatesOf("B")); n%3 != 0 {
						t.Errorf("%d updates: half a batch was seen", n)
					}
				})
			}
		})
	}
	for i := range 15 {
		bulletinstest.Save(t, room, "sdp", fmt.Sprint(i), update(t, fmt.Sprintf("%d.1", i), "B", nil),
			update(t, fmt.Sprintf("%d.2", i), "B", nil), update(t, fmt.Sprintf("%d.3", i), "B", nil))
	}
	close(done)
	work.Wait()
}

// Whatever happens, a catalog that followed every change equals one that is read at once.
func TestFollowing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		room, db := bulletinstest.Open(t)
		defer db.Close()
		for step := range rapid.IntRange(1, 8).Draw(r, "steps") {
			var docs []document.Document
			for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(1, 6), 0, 6, rapid.ID).Draw(r, "updates") {
				docs = append(docs, update(t, fmt.Sprintf("U%d", n), fmt.Sprintf("B%d", n%2), func(u *catalog.Update) {
					u.Title = rapid.SampledFrom([]string{"x", "y"}).Draw(r, "title")
					u.Withdrawn = rapid.Bool().Draw(r, "withdrawn")
					u.Supersedes = []string{fmt.Sprintf("U%d", rapid.IntRange(1, 6).Draw(r, "supersedes"))}
				}))
				if rapid.Bool().Draw(r, "package") {
					id := fmt.Sprintf("P%d", n)
					docs = append(docs, bulletinstest.Doc(t, document.Package, id, nil, catalog.Package{Update: fmt.Sprintf("U%d", n), Name: id}))
				}
			}
			bulletinstest.Save(t, room, "sdp", fmt.Sprintf("f%d", step%2), docs...)
			if rapid.Bool().Draw(r, "look") {
				read(t, room.Catalog(), func(*live.View) {})
			}
		}
		if followed, fresh := picture(t, room.Catalog()), picture(t, live.New(db, nil)); followed != fresh {
			r.Fatalf("followed:\n%s\nread at once:\n%s", followed, fresh)
		}
	})
}

// picture writes down everything that a view tells.
func picture(t testing.TB, c *live.Catalog) string {
	var out strings.Builder
	read(t, c, func(v *live.View) {
		fmt.Fprintln(&out, v.Epoch, v.At)
		for _, u := range v.Updates() {
			fmt.Fprintln(&out, u.Number, u.ID, u.Digest, u.Changed, v.Superseded(u.ID),
				ids(v.SupersededBy(u.ID), func(u *live.Update) string { return u.ID }),
				ids(v.PackagesOf(u.ID), func(p *live.Package) string { return p.ID }))
		}
		for _, b := range []string{"B0", "B1"} {
			fmt.Fprintln(&out, b, v.BulletinSuperseded(b), ids(v.UpdatesOf(b), func(u *live.Update) string { return u.ID }))
		}
		for _, p := range v.Packages() {
			fmt.Fprintln(&out, p.ID, p.Digest)
		}
		page := v.Since(store.Sequence{Index: 1}, 1000, nil)
		last := map[uint32]bool{}
		for _, number := range page.Removed {
			last[number] = true
		}
		fmt.Fprintln(&out, ids(page.Updates, func(u *live.Update) string { return u.ID }), slices.Sorted(maps.Keys(last)))
	})
	return out.String()
}

// Revisions are judged alike exactly when nothing by which agents judge differs.
func TestRulesMark(t *testing.T) {
	base := catalog.Update{Name: "u", Bulletin: "b", Source: "sdp", Rules: catalog.Rules{Applicable: rule.Test("True"), Installed: rule.Test("False")}}
	mark := func(u catalog.Update) *live.Update {
		doc := bulletinstest.Doc(t, document.Update, "u", nil, u)
		found, err := live.Revision(&doc, 7)
		if err != nil || found.Number != 7 || found.ID != "u" || found.Digest != doc.Digest || found.Applicable != nil {
			t.Fatalf("%+v, %v", found, err)
		}
		return found
	}
	want := mark(base).Rules
	for what, edit := range map[string]func(u *catalog.Update){
		"title": func(u *catalog.Update) { u.Title = "new" }, "severity": func(u *catalog.Update) { u.Severity = catalog.Critical },
		"supersedence": func(u *catalog.Update) { u.Supersedes = []string{"x"} }, "withdrawn": func(u *catalog.Update) { u.Withdrawn = true },
	} {
		u := base
		if edit(&u); mark(u).Rules != want {
			t.Errorf("another %s is told for other rules", what)
		}
	}
	seen := map[live.RulesMark]string{want: "as it was"}
	for what, edit := range map[string]func(u *catalog.Update){
		"applicable": func(u *catalog.Update) { u.Applicable = rule.Test("False") }, "installed": func(u *catalog.Update) { u.Installed = rule.Test("True") },
		"swapped":    func(u *catalog.Update) { u.Applicable, u.Installed = u.Installed, u.Applicable },
		"moved":      func(u *catalog.Update) { u.Installed, u.Superseded = nil, u.Installed },
		"superseded": func(u *catalog.Update) { u.Superseded = rule.Test("True") }, "no rule": func(u *catalog.Update) { u.Applicable, u.NoRule = nil, "none" },
		"group": func(u *catalog.Update) { u.Prerequisites = [][]string{{"a", "b"}} }, "groups": func(u *catalog.Update) { u.Prerequisites = [][]string{{"a"}, {"b"}} },
	} {
		u := base
		edit(&u)
		found := mark(u)
		if same, known := seen[found.Rules]; known {
			t.Errorf("%s is told for the same rules as %s", what, same)
		}
		if seen[found.Rules] = what; found.Evaluable != (u.Applicable != nil) {
			t.Errorf("%s: evaluable %v", what, found.Evaluable)
		}
	}
	if _, err := live.Revision(&document.Document{Body: []byte(`{"name":`)}, 1); err == nil {
		t.Error("half an update is one")
	}
}
