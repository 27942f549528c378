package replicas_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"

	"thatch/catalog/document"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/replicastest"
	"thatch/node/store"
)

// entries are documents with their bodies.
func entries(docs ...document.Document) (list []dataset.Entry) {
	for _, doc := range docs {
		list = append(list, dataset.Entry{Head: doc.Head, Body: doc.Body, Size: len(doc.Body)})
	}
	return list
}

func family(t *testing.T) (top, mid *replicastest.Site) {
	t.Helper()
	top = replicastest.New(t, "top", nil, "de")
	mid = replicastest.New(t, "mid", top, "de")
	mid.PullAll(t)
	return top, mid
}

func TestQuarantineNamesTheReasonAndHoldsUpNothing(t *testing.T) {
	top, mid := family(t)
	stranger := replicastest.Over("stranger", nil, nil, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)))
	former := top.Put(t, document.Update, "forged", "former", "")
	mid.Pull(t, dataset.Data)

	forged := top.Doc(t, document.Update, "forged", "now")
	forged.Signature = bytes.Clone(forged.Signature)
	forged.Signature[3] ^= 1
	bent := top.Doc(t, document.Update, "bent", "body")
	bent.Body = []byte("other")
	claimed := stranger.Doc(t, document.Update, "claimed", "body")
	claimed.Origin = "top"
	unknown := stranger.Doc(t, document.Update, "unknown", "body")
	large := top.Doc(t, document.Update, "large", "x")
	large.Body = make([]byte, document.MaxSize+1)
	ours := top.Doc(t, document.Update, "ours", "body")
	ours.Origin = "mid"
	wrong := top.Doc(t, document.Policy, "wrong", "body")
	health := top.Doc(t, document.Health, "top", "{}")
	good := top.Doc(t, document.Update, "good", "body")
	list := entries(forged, bent, claimed, unknown, large, ours, wrong, health, good)
	list = append(list, dataset.Entry{Head: top.Doc(t, document.Update, "held back", "body").Head})
	outcome, err := mid.Room.Repair(t.Context(), mid.Above(), dataset.Data, list)
	if err != nil || outcome.Changed != 1 {
		t.Fatalf("%+v, %v", outcome, err)
	}
	got := map[string]replicas.Reason{}
	all, err := mid.Room.Quarantine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range all {
		got[q.ID] = q.Reason
		if q.Neighbour != "top" || q.Type != dataset.Data || q.Detail == "" || !q.Since.Equal(replicastest.Now()) {
			t.Errorf("%+v", q)
		}
	}
	want := map[string]replicas.Reason{
		"forged": replicas.BadSignature, "bent": replicas.BadDigest, "claimed": replicas.BadSignature, "unknown": replicas.NoKey,
		"large": replicas.TooLarge, "ours": replicas.Refused, "wrong": replicas.Refused, "top": replicas.Refused, "held back": replicas.NotSent,
	}
	for id, reason := range want {
		if got[id] != reason {
			t.Errorf("%s: %q, want %q", id, got[id], reason)
		}
	}
	if len(got) != len(want) {
		t.Errorf("in quarantine: %v", got)
	}
	if held := mid.Holds(t, document.Update, document.Policy, document.Health); !slices.Equal(held, []string{"update forged former", "update good body"}) {
		t.Errorf("held: %q", held)
	}
	// The same again changes nothing; a digest that is set aside for what it is is not asked for again.
	again, err := mid.Room.Repair(t.Context(), mid.Above(), dataset.Data, list)
	if err != nil || len(again.Quarantined) > 0 || again.Index != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	for i := range list {
		list[i].Body = nil
	}
	lacking, err := mid.Room.Lacking(t.Context(), mid.Above(), list)
	if err != nil || len(lacking) != 3 {
		t.Errorf("asked for again: %d, %v; want the bent, the unsigned and the one held back", len(lacking), err)
	}
	// A later revision that is right sets it free.
	top.Put(t, document.Update, "forged", "mended", "")
	mid.Pull(t, dataset.Data)
	left, err := mid.Room.QuarantineOf(t.Context(), mid.Above(), dataset.Data)
	if err != nil || len(left) != len(want)-1 || former.Digest == forged.Digest {
		t.Errorf("%d left, %v", len(left), err)
	}
}

func TestQuarantineIsTriedAgain(t *testing.T) {
	top, mid := family(t)
	low := replicastest.New(t, "low", mid, "de")
	doc := top.Put(t, document.Update, "u", "body", "")
	mid.Pull(t, dataset.Data)
	// Data comes before the key of who signed it.
	if report := low.Pull(t, dataset.Data); len(report.Quarantined) != 1 || report.Quarantined[0].Reason != replicas.NoKey {
		t.Fatalf("without a key: %+v", report)
	}
	if due, err := low.Room.Due(t.Context(), low.Above(), dataset.Data); err != nil || len(due) != 0 {
		t.Errorf("due without a key: %v, %v", due, err)
	}
	low.Pull(t, dataset.Languages)
	if due, err := low.Room.Due(t.Context(), low.Above(), dataset.Data); err != nil || !slices.Equal(due, []document.Digest{doc.Digest}) {
		t.Errorf("due with a key: %v, %v", due, err)
	}
	low.Pull(t, dataset.Data)
	low.Equal(t)
	if left, err := low.Room.Quarantine(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("left: %+v, %v", left, err)
	}
	forged := top.Doc(t, document.Update, "u2", "body")
	forged.Signature = []byte("no")
	if _, err := low.Room.Repair(t.Context(), low.Above(), dataset.Data, entries(forged)); err != nil {
		t.Fatal(err)
	}
	if due, err := low.Room.Due(t.Context(), low.Above(), dataset.Data); err != nil || len(due) > 0 {
		t.Errorf("a forged one is asked for by itself: %v, %v", due, err)
	}
	if err := low.Room.Retry(t.Context(), dataset.Key{Kind: document.Update, ID: "u2"}); err != nil {
		t.Fatal(err)
	}
	if due, err := low.Room.Due(t.Context(), low.Above(), dataset.Data); err != nil || len(due) != 1 {
		t.Errorf("on request: %v, %v", due, err)
	}
}

func TestHooksRefuseAndAreWrittenWith(t *testing.T) {
	top, mid := family(t)
	mid.Room.Register(document.Severity, hook{})
	top.Put(t, document.Severity, "s1", "fine", "")
	top.Put(t, document.Severity, "s2", "nonsense", "")
	report := mid.Pull(t, dataset.Settings)
	if report.Changed != 1 || len(report.Quarantined) != 1 || report.Quarantined[0].Reason != replicas.Refused ||
		!strings.Contains(report.Quarantined[0].Detail, "nobody reads") {
		t.Errorf("%+v", report)
	}
	if got := mid.Setting(t, "s1"); got != "fine" {
		t.Errorf("the hook wrote %q", got)
	}
	top.Remove(t, document.Severity, "s1")
	mid.Pull(t, dataset.Settings)
	if got := mid.Setting(t, "s1"); got != "" {
		t.Errorf("the hook left %q", got)
	}
}

func TestOwnDocumentsYieldOrStay(t *testing.T) {
	top, mid := family(t)
	for _, s := range []*replicastest.Site{top, mid} {
		s.Put(t, document.Update, "equal", "same", "")
		s.Put(t, document.Update, "differs", s.ID, "")
		s.Put(t, document.Assignment, "differs", s.ID, "")
		s.Put(t, document.Severity, "severity", s.ID, "")
	}
	mid.Put(t, document.Update, "alone", "mine", "")
	report := mid.PullAll(t)
	want := []dataset.Key{{Kind: document.Update, ID: "differs"}, {Kind: document.Assignment, ID: "differs"}}
	if report.HandedOver != 1 || !slices.Equal(report.Yielded, want) || len(report.Quarantined) != 1 || report.Sent != 3 {
		t.Errorf("%+v", report)
	}
	held := mid.Holds(t, document.Update, document.Assignment, document.Severity)
	if !slices.Equal(held, []string{"update alone mine", "update differs top", "update equal same", "assignment differs top", "severity severity mid"}) {
		t.Errorf("held: %q", held)
	}
	for _, h := range mid.Heads(t, document.Update) {
		if (h.Origin == "top") == (h.ID == "alone") {
			t.Errorf("%s is of site %s", h.ID, h.Origin)
		}
	}
}

func TestChangedKeysMustBeVouchedFor(t *testing.T) {
	top, mid := family(t)
	seed := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	forged, err := document.NewKey("top", seed.Public().(ed25519.PublicKey), seed)
	if err != nil {
		t.Fatal(err)
	}
	outcome, err := mid.Room.Repair(t.Context(), mid.Above(), dataset.Languages, entries(forged))
	if err != nil || len(outcome.Quarantined) != 1 || outcome.Quarantined[0].Reason != replicas.BadSignature {
		t.Fatalf("a key that vouches for itself: %+v, %v", outcome, err)
	}
	rotated, err := document.NewKey("top", seed.Public().(ed25519.PublicKey), top.Key)
	if err != nil {
		t.Fatal(err)
	}
	signed := top.Doc(t, document.Site, "top", `{"name":"top","authority":"AQ==","version":"2"}`)
	signed.Sign("top", seed)
	outcome, err = mid.Room.Repair(t.Context(), mid.Above(), dataset.Languages, entries(signed, rotated))
	if err != nil || outcome.Changed != 2 {
		t.Fatalf("a key that the former one vouches for, and what it signs, in one page: %+v, %v", outcome, err)
	}
}

// up makes the neighbour that mid is to top.
func up(below ...string) replicas.Neighbour {
	return replicas.Neighbour{ID: "mid", Direction: dataset.Up, Below: below}
}

func TestUpwardOnlyWhatIsOfTheSender(t *testing.T) {
	top, mid := family(t)
	sibling := replicastest.New(t, "sibling", top, "de")
	for _, s := range []*replicastest.Site{mid, sibling} {
		if _, err := top.Room.Repair(t.Context(), replicas.Neighbour{ID: s.ID, Direction: dataset.Up}, dataset.Languages,
			entries(s.Docs(t, document.SigningKey, s.ID)[0], s.Docs(t, document.Site, s.ID)[0])); err != nil {
			t.Fatal(err)
		}
	}
	named := mid.Doc(t, document.Health, "sibling", "{}")
	for what, c := range map[string]struct {
		doc document.Document
		t   dataset.Type
	}{
		"a policy":                  {mid.Doc(t, document.Policy, "mid:p", "{}"), dataset.Health},
		"a kind of another type":    {mid.Doc(t, document.LanguageAlert, "mid", "{}"), dataset.Health},
		"an unknown kind":           {mid.Doc(t, "later", "mid", "{}"), dataset.Health},
		"a sibling's health":        {sibling.Doc(t, document.Health, "sibling", "{}"), dataset.Health},
		"its own under another id":  {named, dataset.Health},
		"a sibling's roll-up by id": {mid.Doc(t, document.RollUp, "sibling:b", "{}"), dataset.Health},
		"the parent's own":          {top.Doc(t, document.Health, "top", "{}"), dataset.Health},
		"a sibling's name":          {sibling.Docs(t, document.Site, "sibling")[0], dataset.Languages},
	} {
		list := entries(mid.Doc(t, document.Health, "mid", "{}"), c.doc)
		if c.t == dataset.Languages {
			list = list[1:]
		}
		outcome, err := top.Room.Repair(t.Context(), up(), c.t, list)
		if err != nil || len(outcome.Refused) != 1 || outcome.Refused[0].Key != (dataset.Key{Kind: c.doc.Kind, ID: c.doc.ID}) || !errors.Is(outcome.Refused[0].Err, replicas.ErrRefused) {
			t.Errorf("%s: %+v, %v", what, outcome, err)
		}
	}
	// The rest goes on: the one that is the sender's own is taken, the first time.
	if held := top.Holds(t, document.Health, document.RollUp, document.Policy); !slices.Equal(held, []string{"health mid {}"}) {
		t.Errorf("taken: %q", held)
	}
	top.Put(t, document.Health, "top", "{}", "")
	gone := []dataset.Entry{
		{Head: document.Head{Kind: document.Health, ID: "top"}, Removed: true},
		{Head: document.Head{Kind: document.Site, ID: "sibling"}, Removed: true},
	}
	if outcome, err := top.Room.Repair(t.Context(), up(), dataset.Health, gone); err != nil || outcome.Removed > 0 {
		t.Errorf("what is not of the sender was taken away: %+v, %v", outcome, err)
	}
}

// TestNothingTravelsByATypeThatIsNone: which kinds may come hangs on the type that a neighbour says. By one that does not
// travel its way nothing is taken, kept aside or remembered.
func TestNothingTravelsByATypeThatIsNone(t *testing.T) {
	top, mid := family(t)
	for _, c := range []struct {
		from  replicas.Neighbour
		maker *replicastest.Site
		types []dataset.Type
	}{
		{up(), mid, []dataset.Type{"", "other", dataset.Data, dataset.Policies, dataset.Settings}},
		{replicas.Neighbour{ID: "above", Direction: dataset.Down}, mid, []dataset.Type{"", "other", dataset.Health}},
	} {
		for _, of := range c.types {
			for _, kind := range []document.Kind{document.Package, document.RollUp, document.LanguageAlert, "later"} {
				list := entries(c.maker.Doc(t, kind, "mid:x", "{}"))
				if _, err := top.Room.Repair(t.Context(), c.from, of, list); !errors.Is(err, replicas.ErrRefused) {
					t.Errorf("%s by %q %s: %v", kind, of, c.from.Direction, err)
				}
				page := dataset.Page{Type: of, Entries: list, Complete: true}
				if _, err := top.Room.Apply(t.Context(), c.from, page); !errors.Is(err, replicas.ErrRefused) {
					t.Errorf("a page of %s by %q %s: %v", kind, of, c.from.Direction, err)
				}
				if held := top.Holds(t, kind); len(held) > 0 {
					t.Errorf("%s by %q %s is held: %q", kind, of, c.from.Direction, held)
				}
			}
		}
	}
	if aside, err := top.Room.Quarantine(t.Context()); err != nil || len(aside) > 0 {
		t.Errorf("in quarantine: %+v, %v", aside, err)
	}
}

// TestNothingIsTakenAwayByAnotherType: a page of one type removes nothing that comes by another.
func TestNothingIsTakenAwayByAnotherType(t *testing.T) {
	_, mid := filled(t)
	before := mid.Holds(t, document.Update)
	if len(before) == 0 {
		t.Fatal("there is nothing to take away")
	}
	gone := []dataset.Entry{{Head: document.Head{Kind: document.Update, ID: "u1"}, Removed: true}}
	for _, of := range []dataset.Type{dataset.Languages, dataset.Settings, dataset.Policies} {
		if o, err := mid.Room.Repair(t.Context(), mid.Above(), of, gone); err != nil || o.Removed != 0 {
			t.Errorf("by %s: %+v, %v", of, o, err)
		}
	}
	if now := mid.Holds(t, document.Update); !slices.Equal(now, before) {
		t.Errorf("%d updates are held, before there were %d", len(now), len(before))
	}
	if o, err := mid.Room.Repair(t.Context(), mid.Above(), dataset.Data, gone); err != nil || o.Removed != 1 {
		t.Errorf("by data: %+v, %v", o, err)
	}
}

func TestUpwardNewSitesComeWithTheirKeys(t *testing.T) {
	top, mid := family(t)
	low := replicastest.New(t, "low", mid, "de")
	deep := replicastest.New(t, "deep", low, "de")
	alert := deep.Doc(t, document.LanguageAlert, "deep", `{"languages":["de"]}`)
	var all []document.Document
	all = append(all, alert)
	for _, s := range []*replicastest.Site{deep, low, mid} { // the worst order
		all = append(all, s.Docs(t, document.Site, s.ID)[0], s.Docs(t, document.SigningKey, s.ID)[0])
	}
	outcome, err := top.Room.Repair(t.Context(), up(), dataset.Languages, entries(all...))
	if err != nil || outcome.Changed != len(all) {
		t.Fatalf("in one page: %+v, %v", outcome, err)
	}
	// One by one some have to wait, and none is lost.
	other := replicastest.New(t, "other", nil, "de")
	for _, doc := range all {
		if _, err := other.Room.Repair(t.Context(), up(), dataset.Languages, entries(doc)); err != nil {
			t.Fatalf("%s %s: %v", doc.Kind, doc.ID, err)
		}
	}
	for range 4 {
		due, err := other.Room.Due(t.Context(), up("low", "deep"), dataset.Languages)
		if err != nil {
			t.Fatal(err)
		}
		// Who is below is what the documents of sites say by then.
		below := []string{}
		for _, h := range other.Heads(t, document.Site) {
			below = append(below, h.ID)
		}
		wanted := slices.DeleteFunc(slices.Clone(all), func(doc document.Document) bool { return !slices.Contains(due, doc.Digest) })
		if _, err := other.Room.Repair(t.Context(), up(below...), dataset.Languages, entries(wanted...)); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := other.Room.Quarantine(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("left: %+v, %v", left, err)
	}
	forged := low.Doc(t, document.Site, "evil", `{"name":"evil","parent":"mid","authority":"AQ==","version":""}`)
	forged.Origin = "evil"
	outcome, err = top.Room.Repair(t.Context(), up("low", "deep"), dataset.Languages, entries(forged))
	if err != nil || len(outcome.Quarantined) != 1 {
		t.Errorf("a site nobody vouches for: %+v, %v", outcome, err)
	}
}

func TestUpwardRunsLikeDownward(t *testing.T) {
	top, mid := family(t)
	mid.Put(t, document.LanguageAlert, "mid", `{"languages":["de"]}`, "")
	mid.Put(t, document.Health, "mid", `one`, "")
	mid.Put(t, document.RollUp, "mid:b1", `one`, "")
	for _, of := range dataset.Types(dataset.Up) {
		if report := mid.Push(t, of); report.Complete == nil || report.Changed == 0 || len(report.Quarantined) > 0 {
			t.Errorf("%s: %+v", of, report)
		}
	}
	mid.Put(t, document.Health, "mid", `two`, "")
	mid.Remove(t, document.RollUp, "mid:b1")
	if report := mid.Push(t, dataset.Health); report.Complete != nil || report.Changed != 1 || report.Removed != 1 {
		t.Errorf("differential: %+v", report)
	}
	if held := top.Holds(t, document.Health, document.RollUp); !slices.Equal(held, []string{"health mid two"}) {
		t.Errorf("held: %q", held)
	}
	for _, of := range dataset.Types(dataset.Up) {
		here, there := mid.UpSums(t, of)
		if here.Digest() != there.Digest() || here.Count == 0 {
			t.Errorf("%s: %d documents below, %d above", of, here.Count, there.Count)
		}
	}
}

func TestUnknownKindsPassThrough(t *testing.T) {
	top, mid := family(t)
	low := replicastest.New(t, "low", mid, "de")
	// A newer version at the top knows a kind that nobody below does: it comes by data there.
	doc := top.Doc(t, "blueprint", "b1", "of a later version", "de")
	if _, err := mid.Room.Repair(t.Context(), mid.Above(), dataset.Data, entries(doc)); err != nil {
		t.Fatal(err)
	}
	low.PullAll(t)
	if held := low.Holds(t, "blueprint"); !slices.Equal(held, []string{"blueprint b1 of a later version de"}) {
		t.Errorf("held: %q", held)
	}
	low.Equal(t)
	mid.SetLanguages(t, "fr")
	if held := mid.Holds(t, "blueprint"); len(held) > 0 {
		t.Errorf("held after its language went: %q", held)
	}
	if report := low.Pull(t, dataset.Data); report.Complete != nil || report.Removed != 1 {
		t.Errorf("%+v", report)
	}
}

func TestAnAudienceStaysWhenItsDocumentChanges(t *testing.T) {
	top, mid := family(t)
	top.Put(t, document.Severity, "s", "one", "")
	mid.Pull(t, dataset.Settings)
	mid.Write(t, store.SetAudience(document.Severity, "s", "r1", store.Former{})...)
	top.Put(t, document.Severity, "s", "two", "")
	mid.Pull(t, dataset.Settings)
	if got := mid.Currents(t, document.Severity); len(got) != 1 || got[0].Audience != "r1" || got[0].Digest != top.Heads(t, document.Severity)[0].Digest {
		t.Errorf("%+v", got)
	}
}

func TestQuarantineForgetsWhatNobodySends(t *testing.T) {
	top, mid := family(t)
	aside := func() int {
		t.Helper()
		list, err := mid.Room.Quarantine(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	forge := func(kind document.Kind, id string, languages ...string) {
		t.Helper()
		doc := top.Doc(t, kind, id, "x", languages...)
		doc.Signature = []byte("no")
		if _, err := mid.Room.Repair(t.Context(), mid.Above(), dataset.Data, entries(doc)); err != nil {
			t.Fatal(err)
		}
	}
	top.Put(t, document.Update, "u", "right", "")
	mid.Pull(t, dataset.Data)
	forge(document.Update, "u")
	forge(document.Package, "p", "de")
	forge(document.Package, "spanish", "es")
	if n := aside(); n != 2 {
		t.Errorf("%d in quarantine; what does not matter here is not even judged", n)
	}
	top.Remove(t, document.Update, "u")
	mid.Pull(t, dataset.Data)
	if n := aside(); n != 1 {
		t.Errorf("after one was removed at the parent %d", n)
	}
	mid.SetLanguages(t, "fr")
	if n := aside(); n != 0 {
		t.Errorf("after its language went %d", n)
	}
	mid.SetLanguages(t, "de")
	forge(document.Package, "p", "de")
	mid.Audience[dataset.Data] = dataset.Audience{All: true, Rules: []string{"r"}} // so that the run is complete
	if report := mid.Pull(t, dataset.Data); report.Complete == nil {
		t.Fatal("the run is not complete")
	}
	if n := aside(); n != 0 {
		t.Errorf("after a complete run that does not name it %d", n)
	}
}

// TestWhatIsTriedAgainInVainIsNotAskedForAgain: a document whose fault lasts is fetched once for each time that somebody
// wants it tried.
func TestWhatIsTriedAgainInVainIsNotAskedForAgain(t *testing.T) {
	top, mid := family(t)
	forged := top.Doc(t, document.Update, "forged", "body")
	forged.Signature = bytes.Clone(forged.Signature)
	forged.Signature[3] ^= 1
	for range 2 {
		if _, err := mid.Room.Repair(t.Context(), mid.Above(), dataset.Data, entries(forged)); err != nil {
			t.Fatal(err)
		}
		if due, err := mid.Room.Due(t.Context(), mid.Above(), dataset.Data); err != nil || len(due) > 0 {
			t.Fatalf("asked for again although nobody wants it tried: %v, %v", due, err)
		}
		if err := mid.Room.Retry(t.Context(), dataset.Key{Kind: document.Update, ID: "forged"}); err != nil {
			t.Fatal(err)
		}
		if due, err := mid.Room.Due(t.Context(), mid.Above(), dataset.Data); err != nil || len(due) != 1 {
			t.Fatalf("somebody wants it tried: %v, %v", due, err)
		}
	}
}
