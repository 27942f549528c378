package replication_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/marks"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/node/store/sweep"
	"thatch/node/tasks"
	"thatch/replication"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
)

// pair are a parent with some bulletins and a child that holds them.
func pair(t *testing.T, above, below replicationtest.Config, bulletins int) (parent, child *replicationtest.Linked) {
	t.Helper()
	above.Name, below.Name = "Top", "North"
	if above.Languages == nil {
		above.Languages = []string{"de", "en"}
	}
	if below.Languages == nil {
		below.Languages = []string{"de"}
	}
	parent, child = replicationtest.Start(t, above), replicationtest.Start(t, below)
	for i := range bulletins {
		parent.Put(t, document.Bulletin, fmt.Sprintf("b-%d", i), fmt.Sprintf(`{"note":"bulletin %d"}`, i))
	}
	child.Join(t, parent)
	child.Eventually(t, "the first run", func() error { return child.Holds(document.Bulletin, bulletins) })
	return parent, child
}

// equal has a child verify data until it is equal without mending.
func equal(t *testing.T, child *replicationtest.Linked) {
	t.Helper()
	child.Eventually(t, "equal", func() error {
		v, err := verifyOnce(t.Context(), child, dataset.Data)
		if err == nil && (!v.Equal || v.DigestHere != v.DigestThere) {
			err = fmt.Errorf("%s %v", v.Sentence(), v.Lines)
		}
		return err
	})
}

// standing says whether an alarm of a kind stands, or none does.
func standing(t *testing.T, s *replicationtest.Linked, kind string, want bool) error {
	t.Helper()
	list, err := s.Sites.Standing(t.Context())
	if is := slices.ContainsFunc(list, func(a sites.Alarm) bool { return a.Kind == kind }); err == nil && is != want {
		err = fmt.Errorf("alarms at %s: %+v, want %s to stand: %v", s.Site().Name, list, kind, want)
	}
	return err
}

// TestAParentThatWentBack has the parent's folder replaced by an old copy of itself, and go on otherwise: both sides hear
// of it, and a complete run makes the child equal.
func TestAParentThatWentBack(t *testing.T) {
	dir, old := t.TempDir(), t.TempDir()
	parent, child := pair(t, replicationtest.Config{Dir: dir}, replicationtest.Config{}, 5)
	cfg := replicationtest.Config{Dir: dir, Name: "Top", Languages: []string{"de", "en"}, Listen: parent.Address()}
	parent.Stop()
	if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	parent = replicationtest.Start(t, cfg)
	for i := range 4 {
		parent.Put(t, document.Bulletin, fmt.Sprintf("lost-%d", i), "{}")
	}
	child.Link.Hurry()
	child.Eventually(t, "what will be lost", func() error { return child.Holds(document.Bulletin, 9) })
	parent.Stop()
	if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(old))); err != nil {
		t.Fatal(err)
	}
	parent = replicationtest.Start(t, cfg)
	for i := range 7 {
		parent.Put(t, document.Bulletin, fmt.Sprintf("new-%d", i), "{}")
	}
	child.Link.Hurry()
	child.Eventually(t, "the other past", func() error {
		return errors.Join(child.Holds(document.Bulletin, 12), standing(t, child, sites.Diverged, true), standing(t, parent, sites.Diverged, true))
	})
	equal(t, child)
}

// TestAChildThatWasAwayForMonths has the parent forget the journal and the marks that the child knows: a complete run
// follows, and nobody is alarmed.
func TestAChildThatWasAwayForMonths(t *testing.T) {
	cfg := replicationtest.Config{Dir: t.TempDir(), Name: "North", Languages: []string{"de"}}
	parent, child := pair(t, replicationtest.Config{}, cfg, 5)
	child.Stop()
	other := replicationtest.Start(t, replicationtest.Config{Name: "South", Languages: []string{"en"}})
	other.Join(t, parent)
	parent.Remove(t, document.Bulletin, "b-1")
	for i := range 5 {
		parent.Put(t, document.Bulletin, fmt.Sprintf("later-%d", i), "{}")
	}
	other.Eventually(t, "another child's mark", func() error { return other.Holds(document.Bulletin, 9) })
	parent.Put(t, document.Bulletin, "last", "{}")
	other.Eventually(t, "a later mark", func() error { return other.Holds(document.Bulletin, 10) })
	keeper := marks.Keeper{Reader: parent.Reader(), Writer: parent.Writer(), Now: parent.Now}
	sweeper := sweep.New(parent.Reader(), parent.Writer())
	if err := keeper.Shorten(t.Context(), sweeper, marks.Keep{Since: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if sweeper.Removed["journal"] == 0 {
		t.Error("nothing was forgotten")
	}
	child = replicationtest.Start(t, cfg)
	child.Eventually(t, "everything", func() error { return child.Holds(document.Bulletin, 10) })
	equal(t, child)
	if err := errors.Join(standing(t, child, sites.Diverged, false), standing(t, parent, sites.Diverged, false)); err != nil {
		t.Error(err)
	}
	runs, err := child.Sites.LastRuns(t.Context())
	if err != nil || len(runs) == 0 {
		t.Fatal(runs, err)
	}
	// What was forgotten while it was there makes no difference: it goes on.
	if err := keeper.Shorten(t.Context(), sweeper, marks.Keep{Since: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	parent.Put(t, document.Bulletin, "afterwards", "{}")
	parent.Remove(t, document.Bulletin, "last")
	child.Eventually(t, "what changed since", func() error {
		return errors.Join(child.Holds(document.Bulletin, 10), child.HoldsID(document.Bulletin, "afterwards"))
	})
	equal(t, child)
}

// TestAClockThatIsWrongByADay lets a child live a day too early and a day too late.
func TestAClockThatIsWrongByADay(t *testing.T) {
	for _, off := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			_, child := pair(t, replicationtest.Config{}, replicationtest.Config{Now: func() time.Time { return time.Now().Add(off) }}, 3)
			equal(t, child)
		})
	}
}

// TestEditsDuringRuns changes documents at the parent all the while a child runs complete and verifies everything: nothing
// is taken for different that is only on its way, and in the end both are equal.
func TestEditsDuringRuns(t *testing.T) {
	parent, child := pair(t, replicationtest.Config{}, replicationtest.Config{}, 300)
	ctx, cancel := context.WithCancel(t.Context())
	var editing sync.WaitGroup
	editing.Go(func() {
		every := time.NewTicker(10 * time.Millisecond)
		defer every.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			parent.Put(t, document.Bulletin, fmt.Sprintf("b-%d", n%300), fmt.Sprintf(`{"note":"edition %d"}`, n))
			if n%7 == 0 {
				parent.Put(t, document.Bulletin, "comes and goes", "{}")
				parent.Remove(t, document.Bulletin, "comes and goes")
			}
			<-every.C
		}
	})
	for range 4 {
		child.Eventually(t, "a complete run", func() error {
			id, err := child.Link.Start(t.Context(), replication.Params{Type: dataset.Data, Complete: true, Verify: 100, Repair: true})
			if err == nil {
				_, err = child.Tasks.Wait(t.Context(), id)
			}
			return err
		})
	}
	cancel()
	editing.Wait()
	equal(t, child)
	if aside, err := child.Replicas.Quarantine(t.Context()); err != nil || len(aside) > 0 {
		t.Errorf("in quarantine: %+v, %v", aside, err)
	}
}

// TestASlowChildHoldsUpNobody gives one child a line of two kilobytes a second: the other one does not notice.
func TestASlowChildHoldsUpNobody(t *testing.T) {
	parent, fast := pair(t, replicationtest.Config{}, replicationtest.Config{}, 1)
	slow := replicationtest.Start(t, replicationtest.Config{Name: "South", Languages: []string{"de"}})
	slow.Join(t, parent)
	slow.Eventually(t, "the slow one's first run", func() error { return slow.Holds(document.Bulletin, 1) })
	child, err := parent.Sites.Child(t.Context(), slow.Site().ID)
	if err == nil {
		_, err = parent.Sites.Limit(t.Context(), child.ID, sites.Limits{Rate: 2 << 10}, child.Version)
	}
	if err != nil {
		t.Fatal(err)
	}
	slow.Eventually(t, "the slow one knows", func() error {
		if link := slow.Link.State().Link; link == nil || link.Limits.Rate != 2<<10 {
			return errors.New("not told yet")
		}
		return nil
	})
	began := time.Now()
	for i := range 20 {
		parent.Put(t, document.Bulletin, fmt.Sprintf("n-%d", i), fmt.Sprintf(`{"note":%q}`, noise(i, 40_000)))
	}
	fast.Eventually(t, "the fast one has all", func() error { return fast.Holds(document.Bulletin, 21) })
	if n := slow.Count(t, document.Bulletin); n == 21 {
		t.Errorf("a line of 2 kB/s brought 800 kB in %v", time.Since(began))
	}
}

// noise is text that does not compress well.
func noise(seed, size int) string {
	text := make([]byte, size)
	x := uint64(seed)*2862933555777941757 + 3037000493
	for i := range text {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		text[i] = 'a' + byte(x%26)
	}
	return string(text)
}

// lying alters pages of data on their way down while it is set.
type lying struct {
	alter atomic.Pointer[func(*wire.Page)]
	paths []string
}

func (l *lying) Around(door http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		alter := l.alter.Load()
		if alter == nil || !slices.Contains(l.paths, r.URL.Path) {
			door.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		r.Header.Del("Accept") // pages that this reads
		door.ServeHTTP(answer, r)
		page, err := wire.DecodePage(bytes.NewReader(answer.Body.Bytes()))
		if err == nil && page.Type == dataset.Data {
			(*alter)(page)
			answer.Body.Reset()
			_ = page.Encode(answer.Body) // a buffer takes everything
		}
		for key, values := range answer.Header() {
			w.Header()[key] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// TestAParentThatLies alters one document of three on its way: it goes into quarantine for a reason that fits, the former
// revision stays, the others arrive, and it is taken when the parent tells the truth again.
func TestAParentThatLies(t *testing.T) {
	of := func(page *wire.Page, id string) *dataset.Entry {
		for i := range page.Entries {
			if page.Entries[i].ID == id {
				return &page.Entries[i]
			}
		}
		return &dataset.Entry{}
	}
	for name, c := range map[string]struct {
		alter  func(page *wire.Page)
		id     string
		reason replicas.Reason
	}{
		"another body": {func(p *wire.Page) { of(p, "b-1").Body = []byte(`{"note":"forged"}`) }, "b-1", replicas.BadSignature},
		"another signature": {func(p *wire.Page) {
			if e := of(p, "b-1"); e.Signature != nil {
				e.Signature = make([]byte, 64)
			}
		}, "b-1", replicas.BadSignature},
		"no signature":     {func(p *wire.Page) { of(p, "b-1").Signature = nil }, "b-1", replicas.BadSignature},
		"another document": {func(p *wire.Page) { of(p, "b-1").ID = "b-0" }, "b-0", replicas.BadSignature},
		"another kind":     {func(p *wire.Page) { of(p, "b-1").Kind = document.Update }, "b-1", replicas.BadSignature},
		"languages":        {func(p *wire.Page) { of(p, "b-1").Languages = []string{"de"} }, "b-1", replicas.BadSignature},
		"another origin":   {func(p *wire.Page) { of(p, "b-1").Origin = "nobody" }, "b-1", replicas.NoKey},
		"a policy":         {func(p *wire.Page) { of(p, "b-1").Kind = document.Policy }, "b-1", replicas.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			liar := &lying{paths: []string{wire.PathPage, wire.PathBodies}}
			var ahead atomic.Int64 // of the child's clock: what waits for its signer's key alarms nobody before a while has gone
			now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			parent, child := pair(t, replicationtest.Config{Around: liar.Around}, replicationtest.Config{Now: now}, 3)
			liar.alter.Store(&c.alter)
			parent.Put(t, document.Bulletin, "b-1", `{"note":"changed"}`)
			parent.Put(t, document.Bulletin, "b-2", `{"note":"changed"}`)
			parent.Put(t, document.Bulletin, "b-3", `{}`)
			child.Eventually(t, "the others", func() error { return child.Holds(document.Bulletin, 4) })
			child.Eventually(t, "the quarantine", func() error {
				aside, err := child.Replicas.Quarantine(t.Context())
				if err == nil && (len(aside) != 1 || aside[0].ID != c.id || aside[0].Reason != c.reason) {
					err = fmt.Errorf("in quarantine: %+v", aside)
				}
				return err
			})
			ahead.Store(int64(2 * time.Minute))
			child.Eventually(t, "people are told", func() error {
				v, err := verifyOnce(t.Context(), child, dataset.Data)
				if err == nil && v.Equal {
					t.Errorf("it is said to be equal: %+v", v)
				}
				return errors.Join(err, standing(t, child, sites.Quarantine, true))
			})
			for _, id := range []string{"b-0", "b-1"} {
				if doc, held := bulletin(t, child, id); !held || strings.Contains(string(doc.Body), "forged") || strings.Contains(string(doc.Body), "changed") {
					t.Errorf("%s is %q now", id, doc.Body)
				}
			}
			liar.alter.Store(nil)
			parent.Put(t, document.Bulletin, "b-0", `{"note":"changed too"}`)
			parent.Put(t, document.Bulletin, "b-1", `{"note":"changed again"}`)
			child.Eventually(t, "a complete run, which forgets what nobody sends", func() error {
				id, err := child.Link.Start(t.Context(), replication.Params{Type: dataset.Data, Complete: true})
				if err != nil {
					return err
				}
				run, err := child.Tasks.Wait(t.Context(), id)
				if err == nil && run.State != tasks.Done { // a busy machine cut it
					err = fmt.Errorf("run %s: %s", run.State, run.Error)
				}
				return err
			})
			equal(t, child)
			child.Eventually(t, "nobody is alarmed any more", func() error { return standing(t, child, sites.Quarantine, false) })
		})
	}
}

func bulletin(t *testing.T, s *replicationtest.Linked, id string) (document.Document, bool) {
	t.Helper()
	st := &storm{t: t}
	return st.current(s, document.Bulletin, id)
}

// caller calls a parent as a child, past everything that a child's own program would do.
func caller(t *testing.T, child, parent *replicationtest.Linked) *wire.Client {
	t.Helper()
	above, err := child.Sites.Parent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config, err := child.Identity.ParentTLS(above.ID, above.Authority)
	if err != nil {
		t.Fatal(err)
	}
	client, err := wire.NewClient(parent.URL(), config, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// TestWhatAChildMayNotSee: other languages, types and buckets than its own, and bodies by digest that are a sibling's.
func TestWhatAChildMayNotSee(t *testing.T) {
	parent, child := pair(t, replicationtest.Config{}, replicationtest.Config{}, 1)
	english := parent.Put(t, document.Package, "p-en", `{"note":"english"}`, "en")
	german := parent.Put(t, document.Package, "p-de", `{"note":"deutsch"}`, "de")
	key, err := document.New(document.Health, child.Site().ID, nil, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	client := caller(t, child, parent)
	page, err := client.Fetch(t.Context(), wire.PathBodies, wire.BodiesRequest{
		Type: dataset.Data, Languages: []string{"de"}, Digests: []document.Digest{english.Digest, german.Digest, key.Digest},
	})
	if err != nil || len(page.Entries) != 1 || page.Entries[0].ID != "p-de" {
		t.Errorf("bodies by digest: %+v, %v", page, err)
	}
	for what, q := range map[string]any{
		wire.PathBodies:     wire.BodiesRequest{Type: dataset.Data, Languages: []string{"de", "en"}, Digests: []document.Digest{english.Digest}},
		wire.PathPage:       wire.PageRequest{Type: dataset.Data, Languages: []string{"en"}},
		wire.PathComplete:   wire.CompleteRequest{Type: dataset.Data, Languages: []string{"en"}},
		wire.PathBucketHead: wire.BucketHeadsRequest{Type: dataset.Data, Languages: []string{"en"}},
	} {
		if page, err := client.Fetch(t.Context(), what, q); wire.CodeOf(err) != wire.CodeNotAlerted || !strings.Contains(err.Error(), "its language alert says") {
			t.Errorf("%s in another language: %+v, %v", what, page, err)
		}
	}
	if _, err := wire.Call[wire.BucketsResponse](t.Context(), client, wire.PathBuckets, wire.BucketsRequest{
		Type: dataset.Data, Languages: []string{"en"}, Buckets: wire.Numbers{1},
	}); wire.CodeOf(err) != wire.CodeNotAlerted {
		t.Errorf("buckets of another language: %v", err)
	}
	if page, err := client.Fetch(t.Context(), wire.PathPage, wire.PageRequest{Type: dataset.Health, Languages: []string{"de"}}); wire.CodeOf(err) != wire.CodeInvalid {
		t.Errorf("what goes up, asked for: %+v, %v", page, err)
	}
}

// TestUpwardPushesThatAreNotTheSendersOwn: a policy, a sibling's health and one in another's name are refused,
// raised and audited.
func TestUpwardPushesThatAreNotTheSendersOwn(t *testing.T) {
	parent, child := pair(t, replicationtest.Config{}, replicationtest.Config{}, 1)
	sibling := replicationtest.Start(t, replicationtest.Config{Name: "South", Languages: []string{"de"}})
	sibling.Join(t, parent)
	client := caller(t, child, parent)
	for name, c := range map[string]struct {
		kind   document.Kind
		id     string
		origin string
	}{
		"a policy":         {document.Policy, "policy:" + child.Site().ID + ":1", child.Site().ID},
		"a sibling's":      {document.Health, sibling.Site().ID, sibling.Site().ID},
		"in its name":      {document.Health, sibling.Site().ID, child.Site().ID},
		"in the parent's":  {document.RollUp, parent.Site().ID + ":b-1", parent.Site().ID},
		"a catalog's":      {document.Bulletin, "b-0", child.Site().ID},
		"the parent's key": {document.SigningKey, parent.Site().ID, parent.Site().ID},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := document.New(c.kind, c.id, nil, []byte(`{"version":"forged"}`))
			if err != nil {
				t.Fatal(err)
			}
			child.Identity.Sign(&doc)
			doc.Origin = c.origin
			of, _ := dataset.TypeOf(c.kind, dataset.Up)
			if of == "" {
				of = dataset.Health
			}
			page := &wire.Page{Header: wire.Header{Type: of}, Entries: []dataset.Entry{{Head: doc.Head, Body: doc.Body, Size: len(doc.Body)}}}
			answer, err := client.Push(t.Context(), wire.PathUp, page)
			if err != nil || len(answer.Refused) != 1 || !answer.Refused[0].Forbidden || answer.Refused[0].ID != c.id {
				t.Errorf("%+v, %v", answer, err)
			}
			if now, held := current(t, parent, c.kind, c.id); held && now.Digest == doc.Digest {
				t.Errorf("the parent holds it now: %s", now.Body)
			}
		})
	}
	// A page that says no type, or one that does not go up, brings nothing in: a package of the child's own making, for one.
	for _, of := range []dataset.Type{"", "other", dataset.Data, dataset.Policies} {
		doc, err := document.New(document.Package, child.Site().ID+":p", nil, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		child.Identity.Sign(&doc)
		page := &wire.Page{Header: wire.Header{Type: of}, Entries: []dataset.Entry{{Head: doc.Head, Body: doc.Body, Size: len(doc.Body)}}}
		if _, err := client.Push(t.Context(), wire.PathUp, page); wire.CodeOf(err) != wire.CodeRefused || !strings.Contains(err.Error(), "nothing travels up") {
			t.Errorf("by %q: %v", of, err)
		}
		if now, held := current(t, parent, doc.Kind, doc.ID); held {
			t.Errorf("by %q the parent holds it now: %s", of, now.Body)
		}
	}
	if err := standing(t, parent, sites.Refused, true); err != nil {
		t.Error(err)
	}
	if entries, total, err := parent.Identity.Audit(t.Context(), store.Query{Search: "refused:"}); err != nil || total < 6 {
		t.Errorf("the audit log has %+v, %v", entries, err)
	}
	equal(t, child)
}

func current(t *testing.T, s *replicationtest.Linked, kind document.Kind, id string) (document.Document, bool) {
	t.Helper()
	return (&storm{t: t}).current(s, kind, id)
}

// TestNothingWithoutTheLanguageAlert takes what a child said of its languages away and drops whatever goes up: no data
// comes down, and both sides say why.
func TestNothingWithoutTheLanguageAlert(t *testing.T) {
	var cut atomic.Bool
	parent, child := pair(t, replicationtest.Config{Around: func(door http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == wire.PathUp && cut.Load() {
				panic(http.ErrAbortHandler)
			}
			door.ServeHTTP(w, r)
		})
	}}, replicationtest.Config{}, 1)
	cut.Store(true)
	parent.Remove(t, document.LanguageAlert, child.Site().ID)
	parent.Put(t, document.Bulletin, "b-1", "{}")
	const why = "language alert of North has not arrived at Top"
	_, err := caller(t, child, parent).Fetch(t.Context(), wire.PathComplete, wire.CompleteRequest{Type: dataset.Data, Languages: []string{"de"}})
	if wire.CodeOf(err) != wire.CodeNotAlerted || !strings.Contains(err.Error(), why) {
		t.Errorf("a child that has not alerted hears: %v", err)
	}
	if _, err := parent.Sites.Alert(t.Context(), child.Site().ID); !errors.Is(err, sites.ErrNoAlert) {
		t.Errorf("the parent knows the languages: %v", err)
	}
	child.Eventually(t, "the child says what it waits for", func() error {
		if state := child.Link.State(); !strings.Contains(state.Waits, why) {
			return fmt.Errorf("it says: %+v", state)
		}
		return nil
	})
	if n := child.Count(t, document.Bulletin); n != 1 {
		t.Errorf("%d bulletins are there without an alert", n)
	}
	cut.Store(false) // the alert goes up again, though the child remembers that it went and nothing of it changed
	child.Eventually(t, "what waited", func() error {
		child.Link.Hurry() // the waits between its attempts have grown
		return child.Holds(document.Bulletin, 2)
	})
	equal(t, child)
	child.Eventually(t, "it waits for nothing", func() error { // the run that found all equal may have been another than the one that waited
		if state := child.Link.State(); state.Waits != "" {
			return fmt.Errorf("it waits for %q", state.Waits)
		}
		return child.Holds(document.Bulletin, 2)
	})
}

// TestARuleThatIsOffRemovesNothing has one of two rules of a type switched off: what only it sent stays below, also when
// everything is verified and mended.
func TestARuleThatIsOffRemovesNothing(t *testing.T) {
	parent, child := pair(t, replicationtest.Config{}, replicationtest.Config{}, 1)
	for i := range 2 {
		parent.Put(t, document.Severity, fmt.Sprintf("severity:%s:%d", parent.Site().ID, i), fmt.Sprintf(`{"name":"s%d","order":1}`, i))
	}
	child.Eventually(t, "both", func() error { return child.Holds(document.Severity, 2) })
	all, _, err := parent.Sites.Rules(t.Context(), store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range all {
		if rule.Type != string(dataset.Settings) {
			continue
		}
		some := sites.Rule{Name: "some", Type: rule.Type, Enabled: true, Mode: rule.Mode, Documents: []string{"severity/severity:" + parent.Site().ID + ":0"}}
		if _, err = parent.Sites.CreateRule(t.Context(), some); err == nil {
			_, err = parent.Sites.EnableRule(t.Context(), rule.ID, false)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		child.Eventually(t, "verified", func() error {
			v, err := verifyOnce(t.Context(), child, dataset.Settings)
			if err == nil && !v.Equal {
				err = fmt.Errorf("%s %v", v.Sentence(), v.Lines)
			}
			return err
		})
		if err := child.Holds(document.Severity, 2); err != nil {
			t.Fatal(err)
		}
	}
}
