package server

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/node"
	"thatch/node/nodetest"
	"thatch/node/sites"
	"thatch/node/store"
)

// TestKeysAreReadWhenTheTreeChanged: what every poll of every agent needs is read once for each change of the tree, and of
// a former parent once in a minute.
func TestKeysAreReadWhenTheTreeChanged(t *testing.T) {
	clock := nodetest.NewClock()
	n := nodetest.NewWith(t, node.Config{Dir: t.TempDir(), Now: clock.Now})
	ring := newKeyring(n)
	const above = "above"
	var last *keys
	want := func(what string, again bool, ids ...string) {
		t.Helper()
		got, err := ring.now(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, key := range got.docs {
			have = append(have, key.ID)
		}
		slices.Sort(ids)
		if !slices.Equal(have, ids) || (got != last) != again {
			t.Errorf("%s: keys of %v, want %v; read again: %v", what, have, ids, got != last)
		}
		last = got
	}
	write := func(topic string, statements ...store.Statement) {
		t.Helper()
		applied, err := n.Writer().Write(t.Context(), store.Batch{Actor: "test", Reason: "test", Topics: []string{topic}, Statements: statements})
		if err = errors.Join(err, applied.Err()); err != nil {
			t.Fatal(err)
		}
	}
	self := n.Site().ID
	want("at first", true, self)
	want("again", false, self)

	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := document.NewKey(above, public, private)
	if err != nil {
		t.Fatal(err)
	}
	write("languages", store.Receive(key, false, store.Former{Absent: true})...)
	write(sites.Topic, store.Statement{
		SQL:  `INSERT INTO parent (one, id, name, urls, authority, joined, link, told, version) VALUES (1, ?, 'Above', '[]', x'', '', '', '', 1)`,
		Args: []any{above},
	})
	want("it has a parent", true, above, self)
	want("again", false, above, self)
	clock.Move(time.Hour)
	want("an hour later", false, above, self)

	severity, err := document.New(document.Severity, "severity:above:1", nil, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	severity.Sign(above, private)
	write(store.TopicDocuments, store.Receive(severity, false, store.Former{Absent: true})...)
	want("the catalog is none of its business", false, above, self)
	write(sites.Topic, store.Statement{SQL: `DELETE FROM parent`})
	want("it left, and holds something", true, above, self)
	write(store.TopicDocuments, store.Remove(document.Severity, severity.ID, store.Former{})...)
	want("within a minute", false, above, self)
	clock.Move(formerFor)
	want("nothing is held any more", true, self)
	want("again", false, self)
}
