package policies_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/catalog/policy"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/policies"
	"thatch/node/policies/above"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
)

// top is a site above the one of a test: what it sends is taken as from the wire.
type top struct {
	*site
	id   string
	key  ed25519.PrivateKey
	room *replicas.Room
}

// under gives the site a parent whose rules send settings.
func (s *site) under(t testing.TB, id string) *top {
	t.Helper()
	seed := sha256.Sum256([]byte(id))
	parent := &top{site: s, id: id, key: ed25519.NewKeyFromSeed(seed[:])}
	parent.room = replicas.New(replicas.Config{Site: bulletinstest.Site, Reader: s.db, Writer: s.writer, Now: s.now})
	for _, kind := range []document.Kind{document.Policy, document.PolicyState, document.Window} {
		parent.room.Register(kind, above.Hook{Now: s.now})
	}
	parent.room.Register(document.Update, s.bulletins)
	key, err := document.NewKey(id, parent.key.Public().(ed25519.PublicKey), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	bulletinstest.Write(t, s.writer, store.Put(key, "", store.Former{Absent: true})...)
	s.sql(t, `INSERT INTO parent (one, id, name, urls, authority, joined, link, told, version)
		VALUES (1, ?, ?, '[]', x'', '', '{"rules":[{"type":"settings","enabled":true}]}', '', 1)`, id, id)
	return parent
}

func (p *top) above() replicas.Neighbour {
	return replicas.Neighbour{ID: p.id, Direction: dataset.Down}
}

// doc makes a document of the parent.
func (p *top) doc(t testing.TB, kind document.Kind, id string, languages []string, body any) dataset.Entry {
	t.Helper()
	doc := bulletinstest.Doc(t, kind, id, languages, body)
	doc.Sign(p.id, p.key)
	return dataset.Entry{Head: doc.Head, Body: doc.Body}
}

// sends has the site take entries as from the parent, and wants them accepted.
func (p *top) sends(t testing.TB, of dataset.Type, entries ...dataset.Entry) {
	t.Helper()
	if outcome := p.tries(t, of, entries...); len(outcome.Quarantined) > 0 {
		t.Fatalf("in quarantine: %+v", outcome.Quarantined)
	}
}

func (p *top) tries(t testing.TB, of dataset.Type, entries ...dataset.Entry) replicas.Outcome {
	t.Helper()
	outcome, err := p.room.Repair(t.Context(), p.above(), of, entries)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

// ordered are what a policy of the parent pins: update u5 with a package in German, one in French and a neutral one.
type ordered struct {
	policy, state           dataset.Entry
	update                  dataset.Entry
	german, french, neutral dataset.Entry
	payloads                map[string]dataset.Entry // by package
}

func (p *top) orders(t testing.TB, name string) ordered {
	t.Helper()
	o := ordered{payloads: map[string]dataset.Entry{}}
	o.update = p.doc(t, document.Update, "u5", nil, catalog.Update{
		Name: "Update u5", Bulletin: "b5", Source: "sdp", Product: catalog.Product{Name: "Windows"}, Rules: catalog.Rules{Applicable: alwaysTrue()},
	})
	pin := policy.Update{Update: "u5", Digest: o.update.Digest, Enabled: true}
	pack := func(id string, languages ...string) dataset.Entry {
		made := p.doc(t, document.Package, id, languages, catalog.Package{
			Update: "u5", Name: id, Files: []catalog.File{{Name: id + ".msi"}}, Installer: catalog.Installer{Type: catalog.MSI, File: id + ".msi"},
		})
		payload := p.doc(t, document.Payload, id, languages, catalog.Payload{
			Package: id, PackageDigest: made.Digest, Files: []catalog.StagedFile{{Name: id + ".msi", SHA256: fileOf(id), Size: 1}},
		})
		o.payloads[id] = payload
		pin.Packages = append(pin.Packages, policy.Pin{ID: id, Digest: made.Digest, PayloadDigest: payload.Digest, Languages: made.Languages})
		return made
	}
	o.german, o.french, o.neutral = pack("u5-de", "de"), pack("u5-fr", "fr"), pack("u5-neutral")
	id := "policy:" + p.id + ":" + name
	o.policy = p.doc(t, document.Policy, id, nil, policy.Policy{
		Name: name, Updates: []policy.Update{pin}, Plan: policy.Plan{When: policy.StartASAP},
	})
	o.state = p.says(t, id, federation.State{Enabled: true})
	return o
}

func (p *top) says(t testing.TB, policy string, s federation.State) dataset.Entry {
	t.Helper()
	return p.doc(t, document.PolicyState, policy, nil, s)
}

func held(entries ...dataset.Entry) []dataset.Entry {
	for i := range entries {
		entries[i].Held = true
	}
	return entries
}

func (s *site) show(t testing.TB, name string) *policies.Detail {
	t.Helper()
	d, err := s.Show(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// given says whether a computer is given the updates of a policy, and whether it may install them.
func (s *site) given(t testing.TB, computer, policy string) (given, may bool) {
	t.Helper()
	for _, p := range s.assigned(t, computer).Policies {
		if p.Document.ID == policy {
			return true, !p.Paused
		}
	}
	return false, false
}

func TestPolicyBeforeItsData(t *testing.T) {
	s := newSite(t)
	parent := s.under(t, "head")
	german := s.computer(t, "pc", "de-de", nil, nil)
	o := parent.orders(t, "March")
	parent.sends(t, dataset.Policies, o.policy, o.state)
	d := s.show(t, "March")
	if d.State != policies.StateAwaiting || d.Awaited.Documents != 5 || len(d.Awaited.List) != 5 || d.Awaited.List[0].ID != "u5" {
		t.Errorf("a policy before its data: %s, awaits %+v", d.State, d.Awaited)
	}
	if !strings.Contains(strings.Join(d.WaitsFor, "; "), "5 documents that it pins have not arrived from above, the first is update u5") {
		t.Errorf("waits for %q", d.WaitsFor)
	}
	parent.sends(t, dataset.Policies, held(o.update, o.neutral, o.payloads["u5-neutral"], o.german)...)
	d = s.show(t, "March")
	if given, _ := s.given(t, german.ID, d.ID); given || d.Awaited.Documents != 1 || d.Awaited.List[0].Kind != document.Payload || d.Awaited.Payloads != 1 {
		t.Errorf("with one document missing: given %v, awaits %+v", given, d.Awaited)
	}
	// The German payload is the last that matters here: nothing of the French package ever comes.
	parent.sends(t, dataset.Policies, held(o.payloads["u5-de"])...)
	d = s.show(t, "March")
	if given, may := s.given(t, german.ID, d.ID); !given || !may || d.Awaited.Documents != 0 || d.Awaited.Payloads != 2 || d.State == policies.StateAwaiting {
		t.Errorf("when everything is here: given %v, %s, awaits %+v, %q", given, d.State, d.Awaited, d.WaitsFor)
	}
	if len(d.Bulletins) != 1 || d.Bulletins[0] != "b5" || d.UpdateList[0].Name != "Update u5" {
		t.Errorf("made from %v, updates %+v", d.Bulletins, d.UpdateList)
	}
	// French is managed from now on.
	s.sql(t, `INSERT INTO language (tag, since) VALUES ('fr', '')`)
	if d = s.show(t, "March"); d.Awaited.Documents != 2 || d.State != policies.StateAwaiting {
		t.Errorf("after French was added: %s, awaits %+v", d.State, d.Awaited)
	}
}

func TestSwitchesOfThisSiteAndTheOneAbove(t *testing.T) {
	s := newSite(t)
	parent := s.under(t, "head")
	pc := s.computer(t, "pc", "de-de", nil, nil)
	o := parent.orders(t, "March")
	parent.sends(t, dataset.Policies, o.state) // the state of a policy that is not here yet
	parent.sends(t, dataset.Policies, o.policy)
	parent.sends(t, dataset.Policies, held(o.update, o.neutral, o.payloads["u5-neutral"], o.german, o.payloads["u5-de"])...)
	id := o.policy.ID
	is := func(what string, given, may bool) {
		t.Helper()
		if g, m := s.given(t, pc.ID, id); g != given || m != may {
			t.Errorf("%s: given %v, may install %v", what, g, m)
		}
	}
	is("as it came", true, true)
	wantErr(t, "paused here", s.Pause(t.Context(), "March", 0, true), store.ErrConflict, "made by site head")
	wantErr(t, "switched off here", s.Enable(t.Context(), "March", 0, false), store.ErrConflict, "--local-control")
	wantErr(t, "deleted here", s.Delete(t.Context(), "March", 0), store.ErrConflict, "made by site head")
	parent.sends(t, dataset.Policies, parent.says(t, id, federation.State{Enabled: true, Local: true}))
	if err := s.Pause(t.Context(), "March", 0, true); err != nil {
		t.Fatal(err)
	}
	is("paused here", true, false)
	if d := s.show(t, "March"); !d.Paused || !d.Here.Paused || d.Above.Paused || !d.Local || d.State != policies.StatePaused ||
		!strings.Contains(strings.Join(d.WaitsFor, ";"), "paused for this site") {
		t.Errorf("paused here: %+v, waits for %q", d.Row, d.WaitsFor)
	}
	if err := errors.Join(s.Pause(t.Context(), "March", 0, false), s.Enable(t.Context(), "March", 0, false)); err != nil {
		t.Fatal(err)
	}
	is("off here", false, false)
	// A new revision leaves the site's own switch as it is.
	again := parent.orders(t, "March")
	var body policy.Policy
	if err := decode(again.policy.Body, &body); err != nil {
		t.Fatal(err)
	}
	body.Attempts = 7
	parent.sends(t, dataset.Policies, parent.doc(t, document.Policy, id, nil, body))
	is("off here, revised above", false, false)
	parent.sends(t, dataset.Policies, parent.says(t, id, federation.State{Enabled: true}))
	is("what the site says counts no more", true, true)
	parent.sends(t, dataset.Policies, parent.says(t, id, federation.State{Enabled: true, Paused: true}))
	is("paused above", true, false)
	parent.sends(t, dataset.Policies, parent.says(t, id, federation.State{}))
	is("off above", false, false)
	parent.sends(t, dataset.Policies, parent.says(t, id, federation.State{Enabled: true}))
	is("on again", true, true)
	removed := o.state
	removed.Removed, removed.Body = true, nil
	parent.sends(t, dataset.Policies, removed)
	is("nothing is said of it", false, false)
	gone := o.policy
	gone.Removed, gone.Body = true, nil
	parent.sends(t, dataset.Policies, gone)
	if _, err := s.Show(t.Context(), "March"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted above: %v", err)
	}
	if left := s.loose(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestAnOwnSwitchOutlivesUnselection: a policy that a region paused or switched off does not come alive because a rule above
// selects it no more, and then again.
func TestAnOwnSwitchOutlivesUnselection(t *testing.T) {
	s := newSite(t)
	parent := s.under(t, "head")
	o := parent.orders(t, "March")
	local := parent.says(t, o.policy.ID, federation.State{Enabled: true, Local: true})
	gone := []dataset.Entry{o.policy, local}
	for i := range gone {
		gone[i].Removed, gone[i].Body = true, nil
	}
	for name, c := range map[string]struct {
		do             func() error
		paused, enable bool
	}{
		"paused":       {func() error { return s.Pause(t.Context(), "March", 0, true) }, true, true},
		"off as well":  {func() error { return s.Enable(t.Context(), "March", 0, false) }, false, false},
		"as it always": {func() error { return nil }, false, true},
	} {
		parent.sends(t, dataset.Policies, local, o.policy)
		if err := errors.Join(s.Pause(t.Context(), "March", 0, false), s.Enable(t.Context(), "March", 0, true), c.do()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for range 2 { // and again, though nobody touched it between
			parent.sends(t, dataset.Policies, gone...)
			parent.sends(t, dataset.Policies, local, o.policy)
			if d := s.show(t, "March"); d.Here.Paused != c.paused || d.Here.Enabled != c.enable {
				t.Errorf("%s: %+v", name, d.Here)
			}
		}
	}
	parent.sends(t, dataset.Policies, gone...)
}

func TestPoliciesOfOneName(t *testing.T) {
	s := newSite(t)
	parent := s.under(t, "head")
	own := s.create(t, policies.Draft{Name: "March", Bulletins: []string{"KB1"}})
	o := parent.orders(t, "March")
	parent.sends(t, dataset.Policies, o.policy, o.state)
	list, total, err := s.List(t.Context(), store.Query{Sort: "origin"})
	if err != nil || total != 2 || list[0].Origin == list[1].Origin {
		t.Fatalf("%d policies, %v", total, err)
	}
	_, err = s.Show(t.Context(), "march")
	wantErr(t, "a name that two bear", err, store.ErrInvalid, own.ID+" of site "+bulletinstest.Site)
	if d := s.show(t, o.policy.ID); d.Origin != "head" || d.Above == nil {
		t.Errorf("the one from above: %+v", d.Row)
	}
}

func TestForgedPolicies(t *testing.T) {
	s := newSite(t)
	parent := s.under(t, "head")
	own := s.create(t, policies.Draft{Name: "ours", Bulletins: []string{"KB1"}, Off: true})
	o := parent.orders(t, "March")
	renamed := parent.doc(t, document.Policy, "policy:sibling:x", nil, policy.Policy{
		Name: "x", Updates: []policy.Update{{Update: "u5", Digest: o.update.Digest}}, Plan: policy.Plan{When: policy.StartASAP},
	})
	unsigned := o.policy
	unsigned.Signature = append([]byte(nil), unsigned.Signature...)
	unsigned.Signature[0] ^= 1
	for what, entry := range map[string]dataset.Entry{
		"in a sibling's name":        renamed,
		"the state of our own":       parent.says(t, own.ID, federation.State{Enabled: true}),
		"the state of a sibling's":   parent.says(t, "policy:sibling:x", federation.State{Enabled: true}),
		"a state that is none":       parent.doc(t, document.PolicyState, o.policy.ID, nil, "on"),
		"a policy that is none":      parent.doc(t, document.Policy, o.policy.ID, nil, "install"),
		"a signature that is none":   unsigned,
		"a window that nobody reads": parent.doc(t, document.Window, "window:head:1", nil, map[string]string{"name": "w", "repeat": "lunar"}),
	} {
		of := dataset.Policies
		if entry.Kind == document.Window {
			of = dataset.Settings
		}
		if outcome := parent.tries(t, of, entry); len(outcome.Quarantined) != 1 || outcome.Changed != 0 {
			t.Errorf("%s: %+v", what, outcome)
		}
	}
	if list, total, err := s.List(t.Context(), store.Query{}); err != nil || total != 1 || list[0].Enabled {
		t.Errorf("%d policies, %v", total, err)
	}
}

func TestStatesOfPoliciesOfTheFirstVersion(t *testing.T) {
	s := newSite(t)
	p := s.create(t, policies.Draft{Name: "old", Bulletins: []string{"KB1"}})
	bulletinstest.Write(t, s.writer, store.Remove(document.PolicyState, p.ID, store.Former{})...)
	s.sql(t, `DELETE FROM policy_state`)
	s.sql(t, `UPDATE policy SET paused = 1, idx = idx + 1`)
	for range 2 { // the second time there is nothing to say
		if err := s.SayAll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var body, changes string
	err := s.db.View(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT CAST(r.body AS TEXT), (SELECT count(*) FROM journal WHERE kind = 'policy-state')
			FROM document d JOIN revision r ON r.digest = d.digest WHERE d.kind = 'policy-state'`).Scan(&body, &changes)
	})
	if err != nil || body != `{"enabled":true,"paused":true}` || changes != "3" {
		t.Errorf("the state says %s in %s changes, %v", body, changes, err)
	}
}

// settings is a page that brings the site's settings from the parent up to a place.
func settings(epoch string, index uint64, from dataset.Cursor, entries ...dataset.Entry) dataset.Page {
	at := store.Sequence{Index: index, Position: 1}
	next := dataset.Cursor{Epoch: epoch, At: map[string]store.Sequence{"": at, "de": at, "en": at}, Mark: dataset.Mark{Sequence: at}, Audience: dataset.Audience{All: true}}
	page := dataset.Page{Type: dataset.Settings, Entries: entries, From: from, Cursor: next, Tail: at}
	if from.Zero() {
		page.Complete, page.From, page.Next = true, next, dataset.Key{Kind: "\xff"}
	}
	return page
}

func (p *top) applies(t testing.TB, page dataset.Page) replicas.Outcome {
	t.Helper()
	outcome, err := p.room.Apply(t.Context(), p.above(), page)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

func TestPolicyBeforeItsWindows(t *testing.T) {
	s := newSite(t)
	parent := s.under(t, "head")
	pc := s.computer(t, "pc", "de-de", nil, nil)
	o := parent.orders(t, "March")
	parent.sends(t, dataset.Policies, o.policy, o.state)
	parent.sends(t, dataset.Policies, held(o.update, o.neutral, o.payloads["u5-neutral"], o.german, o.payloads["u5-de"])...)
	states := func(epoch string, index uint64) {
		t.Helper()
		page := dataset.Page{Type: dataset.Policies, Entries: []dataset.Entry{o.policy}}
		if index > 0 {
			page.Settings = dataset.Stand{Epoch: epoch, At: store.Sequence{Index: index, Position: 1}}
		}
		if _, err := parent.room.Stated(t.Context(), parent.above(), page); err != nil {
			t.Fatal(err)
		}
	}
	waits := func(what string, want bool) {
		t.Helper()
		given, may := s.given(t, pc.ID, o.policy.ID)
		behind, err := s.SettingsBehind(t.Context())
		d := s.show(t, "March")
		says := strings.Contains(strings.Join(d.WaitsFor, ";"), "waits for maintenance windows")
		if err != nil || !given || may == want || says != want || (d.State == policies.StateAwaiting) != want {
			t.Errorf("%s: given %v, may install %v, settings are behind %v, %s, waits for %q, %v", what, given, may, behind, d.State, d.WaitsFor, err)
		}
	}
	waits("nothing is stated", false)
	states("e1", 5)
	waits("settings never came", true)
	first := settings("e1", 4, dataset.Cursor{})
	parent.applies(t, first)
	waits("settings have come to 4", true)
	window := parent.doc(t, document.Window, "window:head:1", nil, nightly("night"))
	second := settings("e1", 5, first.Cursor, window)
	parent.applies(t, second)
	waits("settings have come to 5", false)
	if got := s.assigned(t, pc.ID); len(got.Windows) != 1 || len(got.Policies) != 1 {
		t.Errorf("windows and policies in one answer: %d, %d", len(got.Windows), len(got.Policies))
	}
	if w, err := s.windows.Find(t.Context(), "night"); err != nil || w.Origin != "head" {
		t.Errorf("%+v, %v", w, err)
	}
	bad := parent.doc(t, document.Window, "window:head:2", nil, nightly("late"))
	bad.Signature = []byte("nobody's")
	third := settings("e1", 6, second.Cursor, bad)
	if outcome := parent.applies(t, third); len(outcome.Quarantined) != 1 {
		t.Fatalf("a forged window: %+v", outcome)
	}
	waits("a window is in quarantine", true)
	bad = parent.doc(t, document.Window, "window:head:2", nil, nightly("late"))
	fourth := settings("e1", 7, third.Cursor, bad)
	parent.applies(t, fourth)
	waits("it was accepted", false)
	states("e2", 2)
	waits("the parent was restored and settings have not come since", true)
	s.sql(t, `UPDATE parent SET link = '{"rules":[{"type":"settings","enabled":false}]}'`)
	waits("settings are not replicated any more", false)
	s.sql(t, `UPDATE parent SET link = 'damaged'`)
	waits("nobody knows what the parent's rules are", false)
	s.sql(t, `UPDATE parent SET link = '{"rules":[{"type":"settings","enabled":true}]}'`)
	waits("they are again", true)
	states("", 0)
	waits("nothing is stated any more", false)
}

func TestALanguageThatIsAddedOffersRevise(t *testing.T) {
	s := newSite(t)
	s.sql(t, `DELETE FROM language`)
	s.sql(t, `INSERT INTO language (tag, since) VALUES ('de', '')`)
	s.create(t, policies.Draft{Name: "German", Bulletins: []string{"KB1"}})
	lacks := func() string {
		t.Helper()
		list, _, err := s.List(t.Context(), store.Query{})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(list[0].Lacks, ",")
	}
	if d := s.show(t, "German"); d.Version != 1 || lacks() != "" || strings.Contains(d.UpdateList[0].Note, "revise") {
		t.Fatalf("before: lacks %q, %+v", lacks(), d.UpdateList[0])
	}
	s.sql(t, `INSERT INTO language (tag, since) VALUES ('en', '')`)
	d := s.show(t, "German")
	if lacks() != "en" || d.UpdateList[0].Lacks[0] != "en" || !strings.Contains(d.UpdateList[0].Note, "packages in en that are not pinned: stage the bulletin, then revise") ||
		len(d.UpdateList[1].Lacks) != 0 {
		t.Errorf("after English was added: lacks %q, %+v", lacks(), d.UpdateList)
	}
	if made, err := s.Revise(t.Context(), "German", 0); err != nil || made.Changed != 1 {
		t.Fatalf("revised: %+v, %v", made, err)
	}
	if d := s.show(t, "German"); lacks() != "" || strings.Contains(d.UpdateList[0].Note, "revise") {
		t.Errorf("revised: lacks %q, %+v", lacks(), d.UpdateList[0])
	}
}

func TestDamagedPolicyHoldsUpNobody(t *testing.T) {
	s := newSite(t)
	whole := s.create(t, policies.Draft{Name: "whole", Bulletins: []string{"KB1"}})
	broken := s.create(t, policies.Draft{Name: "broken", Bulletins: []string{"KB1"}})
	pc := s.computer(t, "pc", "de-de", []uint32{s.number(t, "u1")}, nil)
	s.sql(t, `UPDATE revision SET body = x'7b' WHERE kind = 'policy' AND id = ?`, broken.ID)
	s.open(t)
	if given, may := s.given(t, pc.ID, whole.ID); !given || !may {
		t.Error("a policy that is whole is not given, because another is damaged")
	}
	if given, _ := s.given(t, pc.ID, broken.ID); given {
		t.Error("a damaged policy is given to agents")
	}
	if d := s.show(t, "broken"); d.State != policies.StateAwaiting || !strings.Contains(strings.Join(d.WaitsFor, ";"), "cannot be read here") {
		t.Errorf("a damaged policy: %s, waits for %q", d.State, d.WaitsFor)
	}
}

// TestAPolicyThatLacksPinsCanBeMended says why it cannot be changed, and is whole again once it is revised, or is deleted.
func TestAPolicyThatLacksPinsCanBeMended(t *testing.T) {
	s := newSite(t)
	lame := s.create(t, policies.Draft{Name: "lame", Bulletins: []string{"KB1"}})
	s.sql(t, `DELETE FROM revision WHERE kind = 'update' AND id = 'u1'`)
	s.sql(t, `UPDATE policy SET idx = idx + 1`)
	name := "lame still"
	for what, change := range map[string]policies.Edit{
		"a name": {Name: &name}, "an update": {Disable: []string{"u2"}}, "a command": {Commands: map[string]string{"u2": "/quiet"}},
	} {
		if err := s.Change(t.Context(), lame.ID, 0, change); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "cannot be read here") {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.catalog(t, "mended")
	if _, err := s.Revise(t.Context(), lame.ID, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Change(t.Context(), lame.ID, 0, policies.Edit{Name: &name}); err != nil {
		t.Error(err)
	}
	if err := s.Delete(t.Context(), name, 0); err != nil {
		t.Error(err)
	}
}

// TestWhatAFormerParentLeftBehind can be got rid of: nobody else would.
func TestWhatAFormerParentLeftBehind(t *testing.T) {
	s := newSite(t)
	parent := s.under(t, "top")
	o := parent.orders(t, "Old")
	window := parent.doc(t, document.Window, "window:top:1", nil, map[string]any{
		"name": "Nights", "repeat": "daily", "start": "22:00", "minutes": 120,
	})
	parent.sends(t, dataset.Settings, window)
	parent.sends(t, dataset.Policies, o.policy, o.state)
	name := "Ours"
	for what, err := range map[string]error{
		"deleted": s.Delete(t.Context(), "Old", 0), "off": s.Enable(t.Context(), "Old", 0, false), "window": s.windows.Delete(t.Context(), "Nights", ""),
	} {
		if !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "made by site top") {
			t.Errorf("under the parent: %s: %v", what, err)
		}
	}
	s.sql(t, `DELETE FROM parent`)
	_, revised := s.Revise(t.Context(), "Old", 0)
	for what, err := range map[string]error{
		"revised": revised, "changed": s.Change(t.Context(), "Old", 0, policies.Edit{Name: &name}), "off": s.Enable(t.Context(), "Old", 0, false),
	} {
		if !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := s.Delete(t.Context(), "Old", 0); err != nil {
		t.Error(err)
	}
	if err := s.windows.Delete(t.Context(), "Nights", ""); err != nil {
		t.Error(err)
	}
	if rows, _, err := s.List(t.Context(), store.Query{}); err != nil || len(rows) != 0 {
		t.Errorf("%+v, %v", rows, err)
	}
}
