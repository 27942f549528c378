package bulletins_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/intake"
	"thatch/node/store"
)

// receive makes a document of another site the current one.
func receive(t *testing.T, w store.Writer, doc document.Document) document.Document {
	t.Helper()
	doc.Sign("above", bulletinstest.Key)
	bulletinstest.Write(t, w, store.Receive(doc, false, store.Former{})...)
	return doc
}

// under gives a site a parent; above of none, it left that one.
func under(t *testing.T, w store.Writer, parent string) {
	t.Helper()
	statements := []store.Statement{{SQL: `DELETE FROM parent`}}
	if parent != "" {
		statements = append(statements, store.Statement{
			SQL:  `INSERT INTO parent (one, id, name, urls, authority, joined, link, told, version) VALUES (1, ?1, ?1, '[]', x'', '', '{}', '', 1)`,
			Args: []any{parent},
		})
	}
	bulletinstest.Write(t, w, statements...)
}

func TestImportsLeaveWhatCameFromAbove(t *testing.T) {
	room, db := bulletinstest.Room(t)
	under(t, db, "above")
	bulletin := func(title string) document.Document {
		return bulletinstest.Doc(t, document.Bulletin, "b1", nil, catalog.Bulletin{Name: "b1", Source: "x", Title: title})
	}
	update := func(id, name string) document.Document {
		return bulletinstest.Doc(t, document.Update, id, nil, catalog.Update{Name: name, Bulletin: "b1", Source: "x"})
	}
	above := receive(t, db, bulletin("from above"))
	equal := receive(t, db, update("u-equal", "equal"))
	gone := receive(t, db, update("u-gone", "gone"))
	if changed := bulletinstest.Save(t, room, "x", "f", bulletin("from here"), update("u-equal", "equal"), update("u-own", "own")); changed != 1 {
		t.Errorf("%d documents changed, want the one that is new", changed)
	}
	// The vendor's file names another update by then, and the one from above no more.
	bulletinstest.Save(t, room, "x", "g", update("u-gone", "another"))
	bulletinstest.Save(t, room, "x", "g")
	bulletinstest.Save(t, room, "x", "f", update("u-own", "own 2"))
	held := current(t, db)
	for _, doc := range []document.Document{above, equal, gone} {
		if held[string(doc.Kind)+" "+doc.ID] != doc.Digest {
			t.Errorf("%s %s is not any more what came from above", doc.Kind, doc.ID)
		}
	}
	if held["update u-own"] != update("u-own", "own 2").Digest {
		t.Error("the site's own document did not change")
	}
	// Without a parent nobody else follows the vendor.
	under(t, db, "")
	bulletinstest.Save(t, room, "x", "f", bulletin("from here"), update("u-own", "own 2"))
	bulletinstest.Save(t, room, "x", "g", update("u-gone", "another"))
	held = current(t, db)
	if held["bulletin b1"] != bulletin("from here").Digest || held["update u-gone"] != update("u-gone", "another").Digest {
		t.Error("imports leave what a former parent left behind")
	}
	bulletinstest.Save(t, room, "x", "g")
	if _, stays := current(t, db)["update u-gone"]; stays {
		t.Error("what the vendor took away stays")
	}
}

func TestWhatCameFromAboveIsReadOnly(t *testing.T) {
	room, db := bulletinstest.Room(t)
	under(t, db, "above")
	ctx := t.Context()
	receive(t, db, bulletinstest.Doc(t, document.Site, "above", nil, map[string]string{"name": "Central"}))
	receive(t, db, bulletinstest.Doc(t, document.Bulletin, "b1", nil, catalog.Bulletin{Name: "b1", Source: "x"}))
	receive(t, db, bulletinstest.Doc(t, document.Severity, "severity:above:1", nil, catalog.CustomSeverity{Name: "Urgent", Order: 10}))
	receive(t, db, bulletinstest.Doc(t, document.Assignment, "b1", nil, catalog.Assignment{Bulletin: "b1", Severity: "severity:above:1"}))
	name := "Ours"
	for what, err := range map[string]error{
		"renamed":    room.ChangeSeverity(ctx, "Urgent", "", &name, nil),
		"deleted":    room.DeleteSeverity(ctx, "Urgent", "", "none"),
		"taken away": room.AssignSeverity(ctx, "none", "b1"),
	} {
		if !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "Central (above)") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := room.CreateSeverity(ctx, "Ours", nil); err != nil {
		t.Error(err)
	}
	under(t, db, "")
	if err := room.DeleteSeverity(ctx, "Urgent", "", "none"); err != nil {
		t.Errorf("left behind by a former parent: %v", err)
	}
}

func TestHookRefusesWhatNobodyCouldRead(t *testing.T) {
	room, _ := bulletinstest.Room(t)
	for _, kind := range []document.Kind{
		document.Bulletin, document.Update, document.Package, document.Payload, document.Severity, document.Assignment,
	} {
		doc, err := document.New(kind, "x", nil, []byte(`[1]`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := room.Received(t.Context(), doc); err == nil {
			t.Errorf("%s: a list was taken", kind)
		}
		doc.Body = []byte(`{"of_a_later_version": {}}`)
		if _, err := room.Received(t.Context(), doc); err != nil {
			t.Errorf("%s of a later version: %v", kind, err)
		}
	}
}

// TestImportsMakeUpForWhatTheSitesAboveTookAway: a vendor file counts as imported only while all that was made of it is held.
func TestImportsMakeUpForWhatTheSitesAboveTookAway(t *testing.T) {
	room, db := bulletinstest.Room(t)
	bulletin := func(id string) document.Document {
		return bulletinstest.Doc(t, document.Bulletin, id, nil, catalog.Bulletin{Name: id, Source: "x"})
	}
	bulletinstest.Save(t, room, "x", "f", bulletin("b1"))
	bulletinstest.Save(t, room, "x", "g", bulletin("b2"))
	under(t, db, "above")
	receive(t, db, bulletin("b1"))
	known := func() map[string]string {
		t.Helper()
		known, err := room.Sink().Known(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		return known
	}
	whole := map[string]string{"f": "f|1", "g": "g|1"}
	if got := known(); !maps.Equal(got, whole) {
		t.Errorf("known %v", got)
	}
	bulletinstest.Write(t, db, store.Remove(document.Bulletin, "b1", store.Former{})...)
	if got := known(); !maps.Equal(got, map[string]string{"f": "f|", "g": "g|1"}) {
		t.Errorf("after the parent took b1 away: %v", got)
	}
	if changed := bulletinstest.Save(t, room, "x", "f", bulletin("b1")); changed != 1 {
		t.Errorf("%d documents changed", changed)
	}
	if got := known(); !maps.Equal(got, whole) {
		t.Errorf("imported again: %v", got)
	}
	bulletinstest.Write(t, db, intake.Anew()...)
	if got := known(); !maps.Equal(got, map[string]string{"f": "f|", "g": "g|"}) {
		t.Errorf("to be read anew: %v", got)
	}
}
