package replicas_test

import (
	"crypto/ed25519"
	"slices"
	"testing"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
)

// stranger makes a site's key and its own document, which names a parent.
func stranger(t *testing.T, id, parent string) (key, site dataset.Entry) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	pinned, err := document.NewKey(id, public, private)
	if err != nil {
		t.Fatal(err)
	}
	body, err := federation.Encode(federation.Site{Name: id, Parent: parent, Authority: []byte{1}, Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	told, err := document.New(document.Site, id, nil, body)
	if err != nil {
		t.Fatal(err)
	}
	told.Sign(id, private)
	list := entries(pinned, told)
	return list[0], list[1]
}

// TestAKeyAlonePinsNothing: a child may not take the names of sites that it does not have, by sending keys for them.
func TestAKeyAlonePinsNothing(t *testing.T) {
	top, mid := family(t)
	from := replicas.Neighbour{ID: mid.ID, Direction: dataset.Up}
	send := func(list ...dataset.Entry) replicas.Outcome {
		t.Helper()
		outcome, err := top.Room.Repair(t.Context(), from, dataset.Languages, list)
		if err != nil {
			t.Fatal(err)
		}
		return outcome
	}
	squat, _ := stranger(t, "far", "nobody")
	if o := send(squat); o.Changed != 0 || len(o.Quarantined) != 1 || o.Quarantined[0].Reason != replicas.NoKey {
		t.Fatalf("a key of a site that nobody knows: %+v", o)
	}
	send(dataset.Entry{Head: document.Head{Kind: document.SigningKey, ID: "far"}, Removed: true})
	// The site itself comes, by another child.
	other := replicas.Neighbour{ID: "other", Direction: dataset.Up}
	key, site := stranger(t, "far", "other")
	if o, err := top.Room.Repair(t.Context(), other, dataset.Languages, []dataset.Entry{key, site}); err != nil || o.Changed != 2 {
		t.Fatalf("the site itself: %+v, %v", o, err)
	}
}

// TestAKeyAndItsSiteMayComeInTwoPages: what could not be judged by itself is asked for again together.
func TestAKeyAndItsSiteMayComeInTwoPages(t *testing.T) {
	top, mid := family(t)
	from := replicas.Neighbour{ID: mid.ID, Direction: dataset.Up}
	key, site := stranger(t, "far", mid.ID)
	due := func() []document.Digest {
		t.Helper()
		list, err := top.Room.Due(t.Context(), from, dataset.Languages)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	for i, e := range []dataset.Entry{key, site} {
		if _, err := top.Room.Repair(t.Context(), from, dataset.Languages, []dataset.Entry{e}); err != nil {
			t.Fatal(err)
		}
		if want := 2 * i; len(due()) != want {
			t.Fatalf("after %s, due are %d, want %d", e.Kind, len(due()), want)
		}
	}
	if want := []document.Digest{key.Digest, site.Digest}; !slices.Contains(due(), want[0]) || !slices.Contains(due(), want[1]) {
		t.Errorf("due: %v", due())
	}
	o, err := top.Room.Repair(t.Context(), from, dataset.Languages, []dataset.Entry{site, key})
	if err != nil || o.Changed != 2 || len(due()) != 0 {
		t.Errorf("together: %+v, %v; due %v", o, err, due())
	}
}
