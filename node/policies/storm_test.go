package policies_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/computers"
	"thatch/node/policies"
	"thatch/node/store"
)

// recorder is a Writer that remembers every batch, as a log does.
type recorder struct {
	mu      sync.Mutex
	db      *store.DB
	batches []store.Batch
}

func (r *recorder) Write(ctx context.Context, b store.Batch) (store.Applied, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	applied, err := r.db.Write(ctx, b)
	if err == nil {
		r.batches = append(r.batches, b)
	}
	return applied, err
}

// storm is a real site and the model of it.
type storm struct {
	*site
	t       *testing.T
	rt      *rapid.T
	log     *recorder
	path    string
	model   *model
	numbers map[string]uint32
	stop    func()
	made    int
	edition int
}

func openDB(t testing.TB, path string) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func newStorm(t *testing.T, rt *rapid.T) *storm {
	st := &storm{site: &site{clock: bulletinstest.At}, t: t, rt: rt, path: filepath.Join(t.TempDir(), "site.db"), model: newModel(), numbers: map[string]uint32{}}
	st.db = openDB(t, st.path)
	st.log = &recorder{db: st.db}
	st.writer = st.log
	st.sql(t, `INSERT INTO site (one, id, name, epoch, created) VALUES (1, ?, 'Test', 'e1', '')`, bulletinstest.Site)
	st.sql(t, `INSERT INTO language (tag, since) VALUES ('de', ''), ('en', '')`)
	st.sql(t, `INSERT INTO staged (bulletin, since, actor) VALUES ('b1', '', 'test'), ('b2', '', 'test')`)
	st.stop = st.open(t)
	st.save()
	for id := range st.model.updates {
		st.numbers[id] = st.number(t, id)
	}
	for _, c := range st.model.computers {
		n := computers.Newcomer{Name: c.name, MachineID: c.name, Platform: c.platform, Languages: []string{c.language}}
		place, err := st.computers.Place(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		enrolled, err := st.computers.Enrol(t.Context(), n, place, c.name)
		if err != nil {
			t.Fatal(err)
		}
		c.id = enrolled.ID
		st.site.report(t, c.id, computers.Report{Facts: &computers.Facts{
			Name: c.name, System: rule.System{Platform: c.platform, ProductType: 1, Languages: []string{c.language}},
		}})
		c.reports = 1
	}
	return st
}

func (st *storm) close() {
	st.stop()
	if err := st.db.Close(); err != nil {
		st.t.Error(err)
	}
}

// save imports the catalog as the model has it.
func (st *storm) save() {
	bulletinstest.Save(st.t, st.bulletins, "sdp", "file", st.model.documents(st.t)...)
}

// acts are what happens to a site.
func (st *storm) acts() map[string]func(*rapid.T) {
	change := func(edit func(u *modelUpdate)) func(*rapid.T) {
		return func(rt *rapid.T) {
			edit(st.model.updates[rapid.SampledFrom(keys(st.model.updates)).Draw(rt, "update")])
			st.save()
		}
	}
	flag := func(do func(id string, on bool) error, set func(p *modelPolicy, on bool)) func(*rapid.T) {
		return func(rt *rapid.T) {
			p, on := st.any(rt), rapid.Bool().Draw(rt, "on")
			if err := do(p.id, on); err != nil {
				rt.Fatal(err)
			}
			set(p, on)
		}
	}
	return map[string]func(*rapid.T){
		"another title": change(func(u *modelUpdate) { st.edition++; u.title = st.edition }),
		"another rule":  change(func(u *modelUpdate) { u.needed = !u.needed }),
		"withdrawn":     change(func(u *modelUpdate) { u.withdrawn = !u.withdrawn }),
		"gone":          change(func(u *modelUpdate) { u.gone = !u.gone }),
		"package":       st.repackage, "stage": st.restage, "stage all": st.stageAll, "lose": st.lose, "language": st.language, "bulletin": st.stageBulletin,
		"create": st.create, "revise": st.revise, "delete": st.delete, "update": st.unselect, "target": st.retarget,
		"report": st.report, "install": st.install, "restart": st.restart, "stale": st.stale,
		"enable": flag(func(id string, on bool) error { return st.Enable(st.t.Context(), id, 0, on) }, func(p *modelPolicy, on bool) { p.on = on }),
		"pause":  flag(func(id string, on bool) error { return st.Pause(st.t.Context(), id, 0, on) }, func(p *modelPolicy, on bool) { p.paused = on }),
		"":       st.check,
	}
}

func (st *storm) any(rt *rapid.T) *modelPolicy {
	if len(st.model.policies) == 0 {
		rt.Skip("no policy")
	}
	return st.model.policies[rapid.IntRange(0, len(st.model.policies)-1).Draw(rt, "policy")]
}

func (st *storm) repackage(rt *rapid.T) {
	st.edition++
	st.model.packages[rapid.SampledFrom(keys(st.model.packages)).Draw(rt, "package")].edition = st.edition
	st.save()
}

func (st *storm) restage(rt *rapid.T) {
	st.stageOne(rapid.SampledFrom(keys(st.model.packages)).Draw(rt, "package"), rapid.IntRange(0, 1).Draw(rt, "looked at again"))
}

func (st *storm) stageAll(*rapid.T) {
	for _, id := range keys(st.model.packages) {
		st.stageOne(id, 0)
	}
}

// stageOne makes the payload document of a package; edition tells one from another of the same package.
func (st *storm) stageOne(id string, edition int) {
	if st.model.updates[st.model.packages[id].update].gone {
		return
	}
	doc, made := st.model.payloadDoc(st.t, id, edition)
	if st.model.payloads[id].digest != doc.Digest {
		bulletinstest.Signer{}.Sign(&doc)
		bulletinstest.Write(st.t, st.writer, store.Put(doc, "", store.Former{})...)
	}
	st.model.payloads[id], st.model.held[made.file] = made, true
	st.sql(st.t, `INSERT INTO holding (sha256, node, size) VALUES (unhex(?), 'node', 1) ON CONFLICT DO NOTHING`, made.file)
}

func (st *storm) lose(rt *rapid.T) {
	id := rapid.SampledFrom(keys(st.model.packages)).Draw(rt, "package")
	file := st.model.payloads[id].file
	delete(st.model.held, file)
	st.sql(st.t, `DELETE FROM holding WHERE sha256 = unhex(?)`, file)
}

func (st *storm) language(rt *rapid.T) {
	tag := rapid.SampledFrom([]string{"de", "en", "fr"}).Draw(rt, "language")
	if st.model.languages[tag] = !st.model.languages[tag]; st.model.languages[tag] {
		st.sql(st.t, `INSERT INTO language (tag, since) VALUES (?, '')`, tag)
	} else {
		st.sql(st.t, `DELETE FROM language WHERE tag = ?`, tag)
	}
}

func (st *storm) stageBulletin(rt *rapid.T) {
	b := rapid.SampledFrom([]string{"b1", "b2"}).Draw(rt, "bulletin")
	if st.model.staged[b] = !st.model.staged[b]; st.model.staged[b] {
		st.sql(st.t, `INSERT INTO staged (bulletin, since, actor) VALUES (?, '', 'test')`, b)
	} else {
		st.sql(st.t, `DELETE FROM staged WHERE bulletin = ?`, b)
	}
}

var targets = []policy.Target{
	{NeedsIt: true}, {}, {NeedsIt: true, Languages: []string{"de"}}, {Names: []string{"en-1", "deb-1"}}, {NeedsIt: true, Names: []string{"fr-1", "deb-1"}},
}

func (st *storm) create(rt *rapid.T) {
	if len(st.model.policies) >= 4 {
		rt.Skip("enough policies")
	}
	st.made++
	p := &modelPolicy{
		name: fmt.Sprint("policy ", st.made), on: rapid.Bool().Draw(rt, "on"), target: rapid.SampledFrom(targets).Draw(rt, "target"),
		bulletins: rapid.SampledFrom([][]string{{"b1"}, {"b2"}, {"b1", "b2"}}).Draw(rt, "bulletins"),
	}
	made, err := st.Create(st.t.Context(), policies.Draft{Name: p.name, Bulletins: p.bulletins, Target: &p.target, Off: !p.on})
	p.pins = st.model.collect(st.t, p.bulletins)
	if (err == nil) != (p.pins != nil) || err != nil && !errors.Is(err, store.ErrInvalid) || err == nil && made.Updates != len(p.pins) {
		rt.Fatalf("created %+v, %v; the model pins %d", made, err, len(p.pins))
	}
	if p.id = made.ID; err == nil {
		st.model.policies = append(st.model.policies, p)
	}
}

func (st *storm) revise(rt *rapid.T) {
	p := st.any(rt)
	answer, err := st.Revise(st.t.Context(), p.id, 0)
	pins := st.model.collect(st.t, p.bulletins)
	if (err == nil) != (pins != nil) || err != nil && !errors.Is(err, store.ErrInvalid) || err == nil && answer.Updates != len(pins) {
		rt.Fatalf("revised %+v, %v; the model pins %d", answer, err, len(pins))
	}
	if err == nil {
		p.revise(pins)
	}
}

func (st *storm) delete(rt *rapid.T) {
	p := st.any(rt)
	if err := st.Delete(st.t.Context(), p.id, 0); err != nil {
		rt.Fatal(err)
	}
	st.model.policies = slices.DeleteFunc(st.model.policies, func(one *modelPolicy) bool { return one == p })
}

// unselect takes an update out of a policy, or puts it back.
func (st *storm) unselect(rt *rapid.T) {
	p := st.any(rt)
	pin := p.pins[rapid.IntRange(0, len(p.pins)-1).Draw(rt, "pin")]
	edit := policies.Edit{Disable: []string{"Update " + pin.update}} // by a name that the catalog need not have any more
	if !pin.enabled {
		edit = policies.Edit{Enable: []string{fmt.Sprint(st.numbers[pin.update])}}
	}
	if err := st.Change(st.t.Context(), p.id, 0, edit); err != nil {
		rt.Fatal(err)
	}
	pin.enabled = !pin.enabled
}

func (st *storm) retarget(rt *rapid.T) {
	p := st.any(rt)
	p.target = rapid.SampledFrom(targets).Draw(rt, "target")
	if err := st.Change(st.t.Context(), p.id, 0, policies.Edit{Target: &p.target}); err != nil {
		rt.Fatal(err)
	}
}

// stale changes are made from versions that are not the present one; they change nothing.
func (st *storm) stale(rt *rapid.T) {
	p := st.any(rt)
	for what, err := range map[string]error{
		"pause": st.Pause(st.t.Context(), p.id, 1<<40, true), "delete": st.Delete(st.t.Context(), p.id, 1<<40),
		"change": st.Change(st.t.Context(), p.id, 1<<40, policies.Edit{Target: &policy.Target{Names: []string{"nobody"}}}),
	} {
		if !errors.Is(err, store.ErrConflict) {
			rt.Fatalf("a stale %s: %v", what, err)
		}
	}
}

// report has an agent look at the catalog, and at its orders.
func (st *storm) report(rt *rapid.T) {
	c := st.model.computers[rapid.IntRange(0, len(st.model.computers)-1).Draw(rt, "computer")]
	c.applicable, c.installed = map[string]bool{}, map[string]bool{}
	whole := computers.Report{}
	for _, id := range keys(st.model.updates) {
		u := st.model.updates[id]
		if u.gone || u.withdrawn || c.platform != "windows" {
			continue
		}
		if c.has[id] {
			c.installed[id] = true
			whole.Installed.Add = append(whole.Installed.Add, st.numbers[id])
		} else if u.needed {
			c.applicable[id] = true
			whole.Applicable.Add = append(whole.Applicable.Add, st.numbers[id])
		}
	}
	slices.Sort(whole.Applicable.Add)
	slices.Sort(whole.Installed.Add)
	st.site.report(st.t, c.id, whole)
	states := computers.Report{}
	for id, status := range st.model.states(c) {
		c.said[id] = status
		states.States = append(states.States, computers.State{Number: st.numbers[id], Policy: "p", Status: computers.Status(status)})
	}
	if taken, err := st.computers.Report(st.t.Context(), c.id, computers.Report{Base: st.counter(c), At: st.now(), States: states.States}); err != nil || taken.Resend {
		rt.Fatalf("report: %+v, %v", taken, err)
	}
}

func (st *storm) counter(c *modelComputer) uint64 { return st.computers.Member(c.id).Counter }

func (st *storm) install(rt *rapid.T) {
	c := st.model.computers[rapid.IntRange(0, 2).Draw(rt, "computer")]
	id := rapid.SampledFrom(keys(st.model.updates)).Draw(rt, "update")
	c.has[id] = !c.has[id]
}

// restart ends the node and starts it on the same file.
func (st *storm) restart(*rapid.T) {
	st.stop()
	if err := st.db.Close(); err != nil {
		st.t.Fatal(err)
	}
	st.db = openDB(st.t, st.path)
	st.log.db = st.db
	st.stop = st.open(st.t)
}

// check holds everything that the rooms say against the model.
func (st *storm) check(rt *rapid.T) {
	if got, want := st.column(`SELECT policy || ' ' || lower(hex(digest)) FROM pin ORDER BY 1`), st.model.pins(); !slices.Equal(got, want) {
		rt.Fatalf("pins\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	got := st.column(`SELECT lower(hex(digest)) FROM revision WHERE kind IN ('update', 'package', 'payload', 'bulletin') ORDER BY 1`)
	if want := st.model.revisions(st.t); !slices.Equal(got, want) {
		rt.Fatalf("%d documents held, want %d", len(got), len(want))
	}
	if loose := st.loose(st.t); len(loose) > 0 {
		rt.Fatalf("held, but neither current nor pinned: %v", loose)
	}
	for _, c := range st.model.computers {
		if got, want := st.told(c), st.model.ordered(c); got != want {
			rt.Fatalf("%s is ordered\n%s\nwant\n%s", c.name, got, want)
		}
	}
	for _, p := range st.model.policies {
		d, err := st.Show(st.t.Context(), p.id)
		if err != nil || d.Progress != st.model.progress(p) || d.Enabled != p.on || d.Paused != p.paused || d.Name != p.name {
			rt.Fatalf("policy %+v, %v; want %+v of %+v", d.PolicyRow, err, st.model.progress(p), p)
		}
		for i, pin := range p.pins {
			if u := d.UpdateList[i]; u.Update != pin.update || u.Enabled != pin.enabled || string(u.Standing) != st.model.standing(st.t, pin) {
				rt.Fatalf("%s shows %+v, want %s %v %s", p.name, u, pin.update, pin.enabled, st.model.standing(st.t, pin))
			}
		}
	}
}

// told is what a computer is ordered, written as the model writes it.
func (st *storm) told(c *modelComputer) string {
	var lines []string
	for _, p := range st.assigned(st.t, c.id).Policies {
		for _, u := range p.Updates {
			pieces := make([]string, len(u.Packages))
			for i := range u.Packages {
				pieces[i] = fmt.Sprintf("%s+%s", u.Packages[i].Digest, u.Payloads[i].Digest)
			}
			slices.Sort(pieces)
			if u.Number != st.numbers[u.Update.ID] || u.Update.Kind != document.Update {
				st.rt.Fatalf("update %d is %s", u.Number, u.Update.ID)
			}
			lines = append(lines, fmt.Sprintf("%s paused=%v %s held=%v %s", p.Document.ID, p.Paused, u.Update.Digest, u.Held, strings.Join(pieces, " ")))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (st *storm) column(query string) (found []string) {
	err := st.db.View(st.t.Context(), func(tx *sql.Tx) error {
		rows, err := tx.Query(query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				return err
			}
			found = append(found, text)
		}
		return rows.Err()
	})
	if err != nil {
		st.t.Fatal(err)
	}
	return found
}

// replay applies every batch to an empty file, which then equals the site's.
func (st *storm) replay() {
	again := openDB(st.t, filepath.Join(st.t.TempDir(), "again.db"))
	defer again.Close()
	for _, b := range st.log.batches {
		if _, err := again.Write(st.t.Context(), b); err != nil {
			st.rt.Fatal(err)
		}
	}
	first, err := st.db.Digest(st.t.Context())
	if err != nil {
		st.rt.Fatal(err)
	}
	if second, err := again.Digest(st.t.Context()); err != nil || second != first {
		st.rt.Fatalf("%d batches applied again make another database: %v", len(st.log.batches), err)
	}
}

// storms makes fewer of them than of other checks, because each is a site; -rapid.checks says otherwise.
func storms(t *testing.T, count int) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	if checks == nil || checks.Value.String() != checks.DefValue {
		return
	}
	if testing.Short() {
		count /= 4
	}
	if err := checks.Value.Set(fmt.Sprint(count)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = checks.Value.Set(checks.DefValue) })
}

// Whatever people do to policies, and vendors to the catalog: what is ordered, what is pinned and what is held is what a
// naive model says, also after the node starts again; and the log makes the same database twice.
func TestPoliciesInAStorm(t *testing.T) {
	storms(t, 40)
	rapid.Check(t, func(rt *rapid.T) {
		st := newStorm(t, rt)
		defer st.close()
		st.stageAll(nil)
		rt.Repeat(st.acts())
		st.replay()
	})
}
