package store_test

import (
	"testing"

	"thatch/catalog/document"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

func told(w *store.Watch) bool {
	select {
	case <-w.C:
		return true
	default:
		return false
	}
}

func TestWatchesTellOfTheirTopics(t *testing.T) {
	db := storetest.Open(t)
	computers, documents, all := db.Watch("computers"), db.Watch(store.TopicDocuments, "x"), db.Watch()
	defer computers.Close()
	for _, w := range []*store.Watch{computers, documents, all} {
		if !told(w) || told(w) {
			t.Error("a new watch tells once")
		}
	}
	expect := func(what string, b store.Batch, c, d, a bool) {
		t.Helper()
		write(t, db, b)
		if gotC, gotD, gotA := told(computers), told(documents), told(all); gotC != c || gotD != d || gotA != a {
			t.Errorf("%s: computers %v, documents %v, all %v", what, gotC, gotD, gotA)
		}
	}
	topic := func(b store.Batch, topics ...string) store.Batch { b.Topics = topics; return b }
	expect("no topic", batch(set("a", "1")), false, false, false)
	expect("one", topic(batch(set("a", "2")), "computers"), true, false, true)
	expect("two", topic(batch(set("a", "3")), "x", "computers"), true, true, true)
	expect("the journal, unnamed", batch(store.Put(doc(t, document.Update, "u", "1"), "", store.Former{})...), false, true, true)
	undone := store.Statement{SQL: `DELETE FROM setting`, Want: 99}
	expect("a batch undone whole", topic(batch(undone), "computers"), false, false, false)
	for range 10 {
		write(t, db, topic(batch(set("a", "4")), "computers"))
	}
	if !told(computers) || told(computers) {
		t.Error("changes that come fast are one")
	}
	documents.Close()
	write(t, db, topic(batch(set("a", "5")), "x"))
	if told(documents) {
		t.Error("a closed watch tells")
	}
}
