package replicas_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog/document"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/replicastest"
)

// TestAChildTakesNothingOver: what a site made stays its own, whatever a child signs, offers or takes away.
func TestAChildTakesNothingOver(t *testing.T) {
	top, mid := filled(t)
	doc := top.Docs(t, document.Update, "u1")[0]
	stolen := mid.Doc(t, document.Update, "u1", string(doc.Body), doc.Languages...)
	if stolen.Digest != doc.Digest {
		t.Fatal("the digest is over the maker too")
	}
	from := replicas.Neighbour{ID: mid.ID, Direction: dataset.Up}
	check := func(what string) {
		t.Helper()
		now := top.Docs(t, document.Update, "u1")
		if len(now) != 1 || now[0].Origin != doc.Origin || string(now[0].Signature) != string(doc.Signature) {
			t.Fatalf("%s: the parent holds %+v", what, now)
		}
	}
	if n, err := top.Room.Mend(t.Context(), from, []document.Document{stolen}); n != 0 {
		t.Errorf("offered as a good copy: mended %d, %v", n, err)
	}
	check("a good copy")
	borrowed := dataset.Entry{Head: document.Head{
		Kind: document.RollUp, ID: mid.ID + ":x", Digest: doc.Digest, Origin: mid.ID, Signature: stolen.Signature,
	}}
	outcome, err := top.Room.Repair(t.Context(), from, dataset.Health, []dataset.Entry{borrowed})
	if err != nil || outcome.Changed != 0 || len(outcome.Quarantined) != 1 || outcome.Quarantined[0].Reason != replicas.BadDigest {
		t.Errorf("a head with another document's digest: %+v, %v", outcome, err)
	}
	check("a borrowed digest")
	gone := dataset.Entry{Head: document.Head{Kind: document.Update, ID: "u1"}, Removed: true}
	outcome, err = top.Room.Repair(t.Context(), from, dataset.Health, []dataset.Entry{gone})
	if err != nil || outcome.Removed != 0 || len(outcome.Refused) != 1 {
		t.Errorf("a removal of what does not go up: %+v, %v", outcome, err)
	}
	check("a removal")
}

// TestAKeyIsRemembered: a site's key that is told of no more still has to vouch for the next one.
func TestAKeyIsRemembered(t *testing.T) {
	_, mid := filled(t)
	newKey := func(signer ed25519.PrivateKey) (dataset.Entry, ed25519.PrivateKey) {
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		if signer == nil {
			signer = private
		}
		doc, err := document.NewKey("far", public, signer)
		if err != nil {
			t.Fatal(err)
		}
		return dataset.Entry{Head: doc.Head, Body: doc.Body, Size: len(doc.Body)}, private
	}
	take := func(e dataset.Entry) replicas.Outcome {
		t.Helper()
		outcome, err := mid.Room.Repair(t.Context(), mid.Above(), dataset.Languages, []dataset.Entry{e})
		if err != nil {
			t.Fatal(err)
		}
		return outcome
	}
	first, private := newKey(nil)
	if o := take(first); o.Changed != 1 {
		t.Fatalf("the first key: %+v", o)
	}
	gone := dataset.Entry{Head: document.Head{Kind: document.SigningKey, ID: "far"}, Removed: true}
	if o := take(gone); o.Removed != 1 {
		t.Fatalf("the removal: %+v", o)
	}
	other, _ := newKey(nil)
	if o := take(other); o.Changed != 0 || len(o.Quarantined) != 1 {
		t.Errorf("another key after the first one was taken away: %+v", o)
	}
	next, _ := newKey(private)
	if o := take(next); o.Changed != 1 {
		t.Errorf("a key that the first one vouches for: %+v", o)
	}
}

// TestAChildTellsOfItsOwnAlone: whatever documents and removals a child sends up, of whatever kind, under whatever name and
// signed by whomever, at the parent nothing changes but what bears the name of the child or of a site below it, and is signed
// by the very site whose name it bears.
func TestAChildTellsOfItsOwnAlone(t *testing.T) {
	top := replicastest.New(t, "top", nil, "de")
	mid, sib := replicastest.New(t, "mid", top, "de"), replicastest.New(t, "sib", top, "de")
	low := replicastest.New(t, "low", mid, "de")
	stranger := replicastest.Over("stranger", nil, nil, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)))
	mid.Below, top.Below = []string{"low"}, []string{"mid", "low", "sib"}
	kinds := append(dataset.Kinds(dataset.Health, dataset.Up), document.LanguageAlert, document.Site)
	makers := []*replicastest.Site{top, mid, sib, low, stranger}
	for _, s := range []*replicastest.Site{top, mid, sib, low} {
		s.Put(t, document.Health, s.ID, "first", "")
		s.Put(t, document.Computer, s.ID+":pc", "first", "")
	}
	for _, s := range []*replicastest.Site{low, mid, sib} {
		s.Pull(t, dataset.Languages)
		s.Push(t, dataset.Languages)
		s.Push(t, dataset.Health)
	}
	foreign := func(t replicastest.T) (held []string) {
		for _, kind := range append(kinds, document.SigningKey, document.Policy) {
			for _, h := range top.Heads(t, kind) {
				switch owner := dataset.OriginOf(h.ID); {
				case kind == document.Policy && h.Origin != "top":
					t.Fatalf("a policy of site %s came up: %q", h.Origin, h.ID)
				case owner != h.Origin:
					t.Fatalf("%s %q is of site %s", kind, h.ID, h.Origin)
				case owner != "mid" && owner != "low" && (kind != document.SigningKey || owner != "stranger"): // a key alone claims nothing
					held = append(held, fmt.Sprint(kind, h.ID, h.Digest, h.Origin))
				}
			}
		}
		return held
	}
	before := foreign(t)
	rapid.Check(t, func(rt *rapid.T) {
		var list []dataset.Entry
		for range rapid.IntRange(1, 12).Draw(rt, "documents") {
			maker := rapid.SampledFrom(makers).Draw(rt, "maker")
			kind := rapid.SampledFrom(append(kinds, document.SigningKey, document.Policy, "blueprint")).Draw(rt, "kind")
			id := rapid.SampledFrom([]string{maker.ID, maker.ID, maker.ID, "top", "mid", "sib", "low", "stranger", ":", "mi", "mid2", "MID", "x"}).Draw(rt, "site") +
				rapid.SampledFrom([]string{"", ":pc", ":", ":b:c", "/pc", " :pc"}).Draw(rt, "part")
			e := entries(maker.Doc(rt, kind, id, rapid.SampledFrom([]string{"a", "b", "{}"}).Draw(rt, "body")))[0]
			e.Origin = rapid.SampledFrom([]string{maker.ID, maker.ID, maker.ID, "mid", "low", "sib", "top"}).Draw(rt, "origin")
			if e.Removed = rapid.IntRange(0, 3).Draw(rt, "removed") == 0; e.Removed {
				e.Body = nil
			}
			list = append(list, e)
		}
		from := replicas.Neighbour{ID: "mid", Direction: dataset.Up, Below: mid.Below}
		of := rapid.SampledFrom([]dataset.Type{dataset.Health, dataset.Languages, dataset.Policies, ""}).Draw(rt, "type")
		if _, err := top.Room.Repair(t.Context(), from, of, list); err != nil && !errors.Is(err, replicas.ErrRefused) {
			rt.Fatal(err)
		}
		if now := foreign(rt); !slices.Equal(now, before) {
			rt.Fatalf("the parent holds\n%q, held\n%q", now, before)
		}
	})
	own := entries(mid.Doc(t, document.Health, "mid", "last"), low.Doc(t, document.Computer, "low:pc", "last"))
	outcome, err := top.Room.Repair(t.Context(), replicas.Neighbour{ID: "mid", Direction: dataset.Up, Below: mid.Below}, dataset.Health, own)
	if err != nil || outcome.Changed != 2 || len(outcome.Refused) > 0 {
		t.Errorf("what is the child's own: %+v, %v", outcome, err)
	}
}
