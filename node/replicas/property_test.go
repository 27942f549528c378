package replicas_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/marks"
	"thatch/node/replicas/replicastest"
	"thatch/node/store"
)

// tree is a chain of three sites under random hands: what the middle receives it sends to the lowest.
type tree struct {
	t     *rapid.T
	dir   string
	sites []*replicastest.Site // top, middle, lowest
	saved int                  // copies of the top's file made
}

var (
	tongues = []string{"de", "en", "fr"}
	rules   = []string{"r1", "r2"}
	kinds   = []document.Kind{
		document.Update, document.Package, document.Payload, document.Window, document.Policy, document.PolicyState, document.Severity,
	}
)

func newTree(t *rapid.T, dir string) *tree {
	tr := &tree{t: t, dir: dir}
	var parent *replicastest.Site
	for i, id := range []string{"top", "mid", "low"} {
		site := replicastest.Open(t, id, parent, filepath.Join(dir, id+".db"))
		languages := subset(t, tongues, "languages of "+id)
		if i == 0 {
			languages = tongues
		}
		site.Make(t, "epoch-"+id, languages...)
		tr.sites = append(tr.sites, site)
		parent = site
	}
	return tr
}

func (tr *tree) close() {
	for _, s := range tr.sites {
		s.DB.Close()
	}
}

func subset(t *rapid.T, of []string, label string) (some []string) {
	bits := rapid.IntRange(0, 1<<len(of)-1).Draw(t, label)
	for i, one := range of {
		if bits>>i&1 == 1 {
			some = append(some, one)
		}
	}
	return some
}

// key draws a kind and one of few ids, so that documents meet.
func (tr *tree) key(of ...document.Kind) (document.Kind, string) {
	kind := rapid.SampledFrom(of).Draw(tr.t, "kind")
	return kind, fmt.Sprintf("%s-%d", kind, rapid.IntRange(1, 4).Draw(tr.t, "id"))
}

// edit makes or changes a document at the top.
func (tr *tree) edit(*rapid.T) {
	kind, id := tr.key(kinds...)
	top := tr.sites[0]
	body := strings.Repeat(fmt.Sprint(rapid.IntRange(0, 3).Draw(tr.t, "body")), rapid.SampledFrom([]int{1, 300}).Draw(tr.t, "length"))
	audience, languages := "", subset(tr.t, tongues, "languages")
	switch kind {
	case document.Policy:
		tr.order(id, languages)
		return
	case document.Update, document.Window, document.Severity, document.PolicyState:
		languages = nil
	}
	if !dataset.Yields(kind) {
		audience = strings.Join(subset(tr.t, rules, "audience"), ",")
	}
	top.Put(tr.t, kind, id, body, audience, languages...)
}

// order makes or changes a policy at the top, which pins what is current there.
func (tr *tree) order(id string, languages []string) {
	top := tr.sites[0]
	made := policy.Policy{Name: fmt.Sprint("order ", rapid.IntRange(0, 9).Draw(tr.t, "name")), Plan: policy.Plan{When: policy.StartASAP}}
	var held []document.Digest
	for _, u := range tr.current(top, document.Update) {
		if !rapid.Bool().Draw(tr.t, "ordered") {
			continue
		}
		one := policy.Update{Update: u.ID, Digest: u.Digest, Enabled: true}
		held = append(held, u.Digest)
		payloads := tr.current(top, document.Payload)
		for i, p := range tr.current(top, document.Package) {
			if i < len(payloads) && rapid.Bool().Draw(tr.t, "pinned") {
				pay := payloads[i]
				// A payload has the languages of its package.
				if slices.Equal(pay.Languages, p.Languages) {
					one.Packages = append(one.Packages, policy.Pin{ID: p.ID, Digest: p.Digest, PayloadDigest: pay.Digest, Languages: p.Languages})
					held = append(held, p.Digest, pay.Digest)
				}
			}
		}
		made.Updates = append(made.Updates, one)
	}
	if len(made.Updates) == 0 {
		return
	}
	raw, err := json.Marshal(made)
	if err != nil {
		tr.t.Fatal(err)
	}
	doc := top.Doc(tr.t, document.Policy, id, string(raw), languages...)
	statements := store.Put(doc, strings.Join(subset(tr.t, rules, "audience"), ","), store.Former{})
	top.Write(tr.t, append(statements, store.Repin(id, held)...)...)
}

func (tr *tree) current(s *replicastest.Site, kind document.Kind) []document.Head {
	return s.Heads(tr.t, kind)
}

// remove takes a document of the top away.
func (tr *tree) remove(*rapid.T) {
	kind, id := tr.key(kinds...)
	top := tr.sites[0]
	for _, h := range tr.current(top, kind) {
		if h.ID == id {
			top.Remove(tr.t, kind, id)
			if kind == document.Policy {
				top.Write(tr.t, store.Unpin(id)...)
			}
		}
	}
}

// selects changes whom a document of the top or the middle is for.
func (tr *tree) selects(*rapid.T) {
	kind, id := tr.key(document.Policy, document.PolicyState, document.Window, document.Severity)
	s := tr.sites[rapid.IntRange(0, 1).Draw(tr.t, "site")]
	for _, h := range tr.current(s, kind) {
		if h.ID == id {
			s.Write(tr.t, store.SetAudience(kind, id, strings.Join(subset(tr.t, rules, "audience"), ","), store.Former{})...)
		}
	}
}

// rule changes what a site is to have of a type.
func (tr *tree) rule(*rapid.T) {
	s := tr.below()
	of := rapid.SampledFrom([]dataset.Type{dataset.Policies, dataset.Settings}).Draw(tr.t, "type")
	s.Audience[of] = dataset.Audience{
		All: rapid.Bool().Draw(tr.t, "all"), Rules: subset(tr.t, rules, "rules"), KeepOthers: rapid.IntRange(0, 5).Draw(tr.t, "keeps") == 0,
	}
}

func (tr *tree) below() *replicastest.Site {
	return tr.sites[rapid.IntRange(1, 2).Draw(tr.t, "site below")]
}

// languages changes what a site manages.
func (tr *tree) languages(*rapid.T) {
	tr.below().SetLanguages(tr.t, subset(tr.t, tongues, "managed")...)
}

// own has a site below make a catalog document itself, where it holds none from above.
func (tr *tree) own(*rapid.T) {
	s := tr.below()
	kind, id := tr.key(document.Update, document.Package)
	for _, h := range tr.current(s, kind) {
		if h.ID == id && h.Origin != s.ID {
			return
		}
	}
	var languages []string
	if kind == document.Package {
		languages = subset(tr.t, tongues, "languages")
	}
	s.Put(tr.t, kind, id, fmt.Sprint(rapid.IntRange(0, 3).Draw(tr.t, "body")), "", languages...)
}

// pull takes a few pages of one type, of any size.
func (tr *tree) pull(*rapid.T) {
	s := tr.below()
	tr.limits(s)
	of := rapid.SampledFrom(dataset.Types(dataset.Down)).Draw(tr.t, "type")
	if _, err := s.TryPull(tr.t, of, rapid.IntRange(1, 3).Draw(tr.t, "pages")); err != nil {
		tr.t.Fatalf("site %s: %v", s.ID, err)
	}
}

func (tr *tree) limits(s *replicastest.Site) {
	s.Limits = dataset.Limits{
		Documents: rapid.IntRange(1, 5).Draw(tr.t, "documents"), Bytes: rapid.SampledFrom([]int{1, 400, 1 << 20}).Draw(tr.t, "bytes"),
		Entries: rapid.IntRange(1, 20).Draw(tr.t, "entries"),
	}
}

// again has a page come twice.
func (tr *tree) again(*rapid.T) {
	s := tr.below()
	ctx := context.Background()
	of := rapid.SampledFrom(dataset.Types(dataset.Down)).Draw(tr.t, "type")
	there, _ := s.Scopes(tr.t, of)
	cursor, _, err := s.Room.Cursor(ctx, s.Above(), of)
	if err != nil {
		tr.t.Fatal(err)
	}
	page, err := s.Parent.Sender.Page(ctx, there, cursor, dataset.Limits{})
	if err != nil {
		return
	}
	for range 2 {
		entries := slices.Clone(page.Entries)
		for i := range entries {
			if docs, _, _ := s.Parent.Sender.Bodies(ctx, there, []document.Digest{entries[i].Digest}); len(docs) == 1 {
				entries[i].Body = docs[0].Body
			}
		}
		copied := page
		copied.Entries = entries
		if _, err := s.Room.Apply(ctx, s.Above(), copied); err != nil && !errors.Is(err, replicas.ErrCursor) {
			tr.t.Fatal(err)
		}
	}
}

// restart closes a site and opens it again.
func (tr *tree) restart(*rapid.T) {
	i := rapid.IntRange(0, 2).Draw(tr.t, "site")
	tr.reopen(i)
}

func (tr *tree) reopen(i int) {
	old := tr.sites[i]
	old.DB.Close()
	fresh := replicastest.Open(tr.t, old.ID, old.Parent, old.DB.Path())
	fresh.Audience, fresh.Limits = old.Audience, old.Limits
	*old = *fresh
}

// save copies the file of the top.
func (tr *tree) save(*rapid.T) {
	top := tr.sites[0]
	top.DB.Close()
	tr.saved++
	raw, err := os.ReadFile(top.DB.Path())
	if err == nil {
		err = os.WriteFile(fmt.Sprint(top.DB.Path(), ".", tr.saved), raw, 0o600)
	}
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.reopen(0)
}

// back puts a former file of the top in the place of the present one, without anybody knowing.
func (tr *tree) back(*rapid.T) {
	if tr.saved == 0 {
		return
	}
	top := tr.sites[0]
	top.DB.Close()
	raw, err := os.ReadFile(fmt.Sprint(top.DB.Path(), ".", rapid.IntRange(1, tr.saved).Draw(tr.t, "copy")))
	if err == nil {
		err = os.WriteFile(top.DB.Path(), raw, 0o600)
	}
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.reopen(0)
	tr.edit(tr.t) // and goes on differently
}

// shorten takes out of a journal what is older than its last entries.
func (tr *tree) shorten(*rapid.T) {
	s := tr.sites[rapid.IntRange(0, 1).Draw(tr.t, "site above")]
	keep := marks.Keep{Entries: rapid.IntRange(0, 12).Draw(tr.t, "kept entries")}
	if err := s.Shorten(keep); err != nil {
		tr.t.Fatal(err)
	}
}

// check brings everything up to date and holds every site to what is above it.
func (tr *tree) check(*rapid.T) {
	for _, s := range tr.sites[1:] {
		tr.limits(s)
		s.PullAll(tr.t)
		if report := s.PullAll(tr.t); report.Complete != nil || report.Changed+report.Removed+report.Sent > 0 {
			tr.t.Fatalf("site %s pulls again: %+v", s.ID, report)
		}
		tr.compare(s)
	}
}

// compare holds a site to a filter that knows nothing of journals and cursors, and to the digests.
func (tr *tree) compare(s *replicastest.Site) {
	keeps := false
	for _, of := range dataset.Types(dataset.Down) {
		audience, set := s.Audience[of]
		if !set {
			audience = dataset.Audience{All: true}
		}
		keeps = keeps || audience.KeepOthers
		want, got := map[string]bool{}, map[string]bool{}
		for _, kind := range dataset.Kinds(of, dataset.Down) {
			for _, c := range s.Parent.Currents(tr.t, kind) {
				chosen := audience.All || slices.ContainsFunc(strings.Split(c.Audience, ","), func(r string) bool { return slices.Contains(audience.Rules, r) })
				if chosen && c.Matters(s.Languages(tr.t)) {
					want[fmt.Sprint(c.Kind, c.ID, c.Digest, c.Origin)] = true
				}
			}
			for _, c := range s.Currents(tr.t, kind) {
				if c.Origin != s.ID {
					got[fmt.Sprint(c.Kind, c.ID, c.Digest, c.Origin)] = true
				}
			}
		}
		for one := range want {
			if !got[one] {
				tr.t.Fatalf("site %s lacks %s", s.ID, one)
			}
		}
		for one := range got {
			if !want[one] && !audience.KeepOthers {
				tr.t.Fatalf("site %s holds %s", s.ID, one)
			}
		}
	}
	if !keeps {
		s.Equal(tr.t)
	}
}

// TestTreesBecomeEqual lets documents, rules, languages and sites change at random between pages of any size: after
// every full run each site holds exactly what is meant for it, and both sides compute the same digests.
func TestTreesBecomeEqual(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		here := filepath.Join(dir, fmt.Sprint(n))
		if err := os.Mkdir(here, 0o700); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(here)
		tr := newTree(t, here)
		defer tr.close()
		t.Repeat(map[string]func(*rapid.T){
			"edit": tr.edit, "edit too": tr.edit, "remove": tr.remove, "select": tr.selects, "rule": tr.rule,
			"languages": tr.languages, "own": tr.own, "pull": tr.pull, "pull too": tr.pull, "again": tr.again,
			"restart": tr.restart, "save": tr.save, "back": tr.back, "shorten": tr.shorten, "check": tr.check,
		})
		tr.check(t)
	})
}
