package replicas_test

import (
	"crypto/ed25519"
	"testing"

	"thatch/catalog/document"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
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
