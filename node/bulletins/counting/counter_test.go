package counting_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/counting"
)

// What was learned on the way, and what was counted before, count as the bodies that are held do.
func TestCounterEqualsTheBodiesHeld(t *testing.T) {
	room, db := bulletinstest.Room(t)
	r := rand.New(rand.NewPCG(1, 2))
	same := func(when, source string) {
		t.Helper()
		var held counting.Counts
		err := db.View(t.Context(), func(tx *sql.Tx) (err error) {
			held, err = new(counting.Counter).Count(t.Context(), tx, source)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := room.CountSource(t.Context(), source)
		if err != nil || got != held {
			t.Fatalf("%s, %s: %+v, %v; the bodies have %+v", when, source, got, err, held)
		}
	}
	same("at first", "msrc")
	for step := range 40 {
		source := []string{"msrc", "sdp"}[r.IntN(2)]
		file := fmt.Sprint("file", r.IntN(3))
		var docs []document.Document
		for n := range r.IntN(6) { // fewer than before: the others leave
			id := fmt.Sprintf("%s/%s/KB400000%d", source, file, n)
			docs = append(docs, bulletinstest.Doc(t, document.Bulletin, id, nil, catalog.Bulletin{Name: id}))
			u := catalog.Update{Name: id, KB: fmt.Sprint(4000000 + r.IntN(5)), Product: catalog.Product{ID: fmt.Sprint(r.IntN(3))}}
			if r.IntN(2) == 0 {
				u.Supersedes = []string{fmt.Sprintf("msrc/KB400001%d/1", r.IntN(4)), "other"}
			}
			if r.IntN(2) == 0 {
				u.Applicable = rule.Test("True")
			}
			docs = append(docs, bulletinstest.Doc(t, document.Update, id+"/1", nil, u))
		}
		bulletinstest.Save(t, room, source, file, docs...)
		when := fmt.Sprintf("step %d", step)
		if r.IntN(3) > 0 { // else more is learned before it is asked for
			same(when, source)
			same(when+" again", source)
		}
		if r.IntN(4) == 0 {
			same(when, "msrc")
			same(when, "sdp")
		}
	}
}
