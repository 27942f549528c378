package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/node/store"
)

// Subject is a Writer held to the conformance suite, with a Reader of what it wrote.
type Subject struct {
	store.Writer
	store.Reader
	Disturb func() // called between the parts of the suite: restarts, lost files; may be nil
	Equal   func() // called at the end: fails the test unless all copies are equal; may be nil
}

// Suite holds a Writer to what every Writer guarantees.
func Suite(t *testing.T, open func(t *testing.T) Subject) {
	subject := open(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"indexes rise", indexesRise},
		{"values keep their types", valuesKeepTypes},
		{"groups are undone together", groupsUndone},
		{"requests are applied once", requestsOnce},
		{"bad batches are refused", badBatches},
		{"documents and journal", documents},
		{"many writers", manyWriters},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, subject) })
		if subject.Disturb != nil {
			subject.Disturb()
		}
	}
	if subject.Equal != nil {
		subject.Equal()
	}
}

// Batch is a batch of a test.
func Batch(statements ...store.Statement) store.Batch {
	return store.Batch{Actor: "test", Reason: "conformance", At: time.Unix(1_700_000_000, 0).UTC(), Statements: statements}
}

// Set is a statement that sets a row of the table setting, and counts how often.
func Set(name, value string) store.Statement {
	return store.Statement{
		SQL:  `INSERT INTO setting (name, value, version) VALUES (?, ?, 1) ON CONFLICT (name) DO UPDATE SET value = excluded.value, version = version + 1`,
		Args: []any{name, value},
	}
}

// Write writes a batch and fails the test where that is an error. Conflicts are in the answer.
func Write(t testing.TB, w store.Writer, b store.Batch) store.Applied {
	t.Helper()
	applied, err := w.Write(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

// Value reads one value as text, "none" where there is no row, at a state that holds an index.
func Value(t testing.TB, r store.Reader, index uint64, query string, args ...any) string {
	t.Helper()
	var got sql.NullString
	err := r.View(store.AtLeast(t.Context(), index), func(tx *sql.Tx) error {
		return tx.QueryRow(query, args...).Scan(&got)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	return got.String
}

func indexesRise(t *testing.T, s Subject) {
	var last uint64
	for i := range 20 {
		applied := Write(t, s, Batch(Set("rise", fmt.Sprint(i))))
		if applied.Index <= last || applied.Err() != nil || applied.Repeated {
			t.Fatalf("after index %d: %+v", last, applied)
		}
		last = applied.Index
		if got := Value(t, s, last, `SELECT value || '/' || version FROM setting WHERE name = 'rise'`); got != fmt.Sprintf("%d/%d", i, i+1) {
			t.Fatalf("read after write %d sees %s", i, got)
		}
	}
}

func valuesKeepTypes(t *testing.T, s Subject) {
	Write(t, s, Batch(store.Statement{SQL: `CREATE TABLE kept (id INTEGER PRIMARY KEY, v)`}))
	values := []any{nil, true, false, 0, -1, int64(1) << 62, 0.5, -1e300, "", "text", "zeroäöü", []byte{}, []byte{0, 255}, []byte(nil), store.Index{}, store.Position(2)}
	b := Batch()
	for i, v := range values {
		b.Statements = append(b.Statements, store.Statement{SQL: `INSERT INTO kept (id, v) VALUES (?, ?)`, Args: []any{i, v}, Want: 1})
	}
	applied := Write(t, s, b)
	if err := applied.Err(); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("null:NULL integer:1 integer:0 integer:0 integer:-1 integer:4611686018427387904 real:0.5 real:-1.0e+300 "+
		"text:'' text:'text' text:'zeroäöü' blob:X'' blob:X'00FF' null:NULL integer:%d integer:17", applied.Index)
	if got := Value(t, s, applied.Index, `SELECT group_concat(typeof(v) || ':' || quote(v), ' ') FROM (SELECT v FROM kept ORDER BY id)`); got != want {
		t.Errorf("kept\n%s, want\n%s", got, want)
	}
	Write(t, s, Batch(store.Statement{SQL: `DROP TABLE kept`}))
}

func groupsUndone(t *testing.T, s Subject) {
	Write(t, s, Batch(Set("kept", "1")))
	in := func(n int, statements ...store.Statement) (list []store.Statement) {
		for _, one := range statements {
			one.Group = n
			list = append(list, one)
		}
		return list
	}
	missing := store.Statement{SQL: `UPDATE setting SET value = 'x' WHERE name = 'none'`, Want: 1}
	unique := store.Statement{SQL: `INSERT INTO setting (name, value, version) VALUES ('kept', '', 1)`}
	broken := store.Statement{SQL: `INSERT INTO nowhere (name) VALUES (?)`, Args: []any{"x"}}
	some := store.Statement{SQL: `UPDATE setting SET value = 'y' WHERE name = 'kept'`, Want: store.NoRows}
	b := Batch()
	for n, group := range [][]store.Statement{
		{Set("g0", "1"), missing, Set("g0b", "1")},
		{Set("g1", "1")},
		{unique},
		{Set("g3", "1"), unique},
		{broken},
		{Set("g5", "1"), some},
		{some},
		{some, Set("g7", "1")},
	} {
		b.Statements = append(b.Statements, in(n, group...)...)
	}
	applied := Write(t, s, b)
	got := Value(t, s, applied.Index, `SELECT group_concat(name || value, ' ') FROM (SELECT * FROM setting WHERE name GLOB 'g[0-9]*' OR name = 'kept' ORDER BY name)`)
	if got != "g11 kept1" {
		t.Errorf("applied: %s", got)
	}
	var conflicts []string
	for _, c := range applied.Conflicts {
		err := c.Err(applied.Index)
		conflicts = append(conflicts, fmt.Sprintf("%d/%d %v %v", c.Group, c.Statement, errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrStatement)))
	}
	if got, want := strings.Join(conflicts, ", "), "0/1 true false, 2/4 true false, 3/6 true false, 4/7 false true, "+
		"5/9 true false, 6/10 true false, 7/11 true false"; got != want {
		t.Errorf("conflicts %s, want %s", got, want)
	}
}

func requestsOnce(t *testing.T, s Subject) {
	ask := func(id string, statements ...store.Statement) store.Applied {
		b := Batch(statements...)
		b.Request = id
		return Write(t, s, b)
	}
	guarded := store.Statement{SQL: `INSERT INTO setting (name, value, version) VALUES ('guarded', '', 1)`, Group: 1}
	first, lost := ask("once", Set("once", "1"), guarded), ask("once", Set("once", "1"), guarded)
	if lost.Repeated || lost.Index != first.Index {
		t.Errorf("sent again as it was: %+v, at first %+v", lost, first)
	}
	again := ask("once", Set("once", "2"), guarded)
	if first.Repeated || !again.Repeated || again.Index != first.Index || again.Err() != nil {
		t.Errorf("first %+v, again %+v", first, again)
	}
	ask("half", Set("half", "1"), guarded)
	if half := ask("half", Set("half", "2"), guarded); !half.Repeated || len(half.Conflicts) != 1 || half.Conflicts[0].Group != 1 {
		t.Errorf("half applied, then asked again: %+v", half)
	}
	if none := ask("none", guarded); none.Repeated || !errors.Is(none.Err(), store.ErrConflict) {
		t.Errorf("not applied: %+v", none)
	}
	Write(t, s, Batch(store.Statement{SQL: `DELETE FROM setting WHERE name = 'guarded'`}))
	last := ask("none", guarded)
	if last.Repeated || last.Err() != nil {
		t.Errorf("not applied, then asked again: %+v", last)
	}
	if got := Value(t, s, last.Index, `SELECT group_concat(name || version, ' ') FROM (SELECT * FROM setting WHERE name IN ('once', 'half', 'guarded') ORDER BY name)`); got != "guarded1 half1 once1" {
		t.Errorf("applied: %s", got)
	}
}

func badBatches(t *testing.T, s Subject) {
	before := Write(t, s, Batch(Set("bad", "1"))).Index
	large := Batch(Set("bad", strings.Repeat("x", store.MaxBatch)))
	if _, err := s.Write(t.Context(), large); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	for _, text := range []string{`SELECT 1`, `UPDATE setting SET value = random()`, `INSERT OR REPLACE INTO setting VALUES ('a', '', 1)`} {
		if _, err := s.Write(t.Context(), Batch(store.Statement{SQL: text})); err == nil {
			t.Errorf("%s was written", text)
		}
	}
	if _, err := s.Write(t.Context(), Batch()); err == nil {
		t.Error("an empty batch was written")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Write(ended, Batch(Set("bad", "2"))); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	after := Write(t, s, Batch(Set("bad", "3")))
	if got := Value(t, s, after.Index, `SELECT value || version FROM setting WHERE name = 'bad'`); got != "32" || after.Index <= before {
		t.Errorf("after bad batches: %s at %d", got, after.Index)
	}
}

func documents(t *testing.T, s Subject) {
	put := func(id, body string, former store.Former, languages ...string) (document.Document, store.Applied) {
		doc, err := document.New(document.Package, id, languages, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return doc, Write(t, s, Batch(store.Put(doc, "", former)...))
	}
	first, start := put("p", "1", store.Former{Absent: true}, "de", "en")
	second, at := put("p", "2", store.Former{Digest: first.Digest}, "de")
	if _, stale := put("p", "3", store.Former{Digest: first.Digest}); !errors.Is(stale.Err(), store.ErrConflict) {
		t.Errorf("a stale change: %+v", stale)
	}
	removed := Write(t, s, Batch(store.Remove(document.Package, "p", store.Former{Digest: second.Digest})...))
	if err := removed.Err(); err != nil {
		t.Fatal(err)
	}
	var list []store.Change
	err := s.View(store.AtLeast(t.Context(), removed.Index), func(tx *sql.Tx) (err error) {
		list, err = store.Journal(t.Context(), tx, store.Sequence{Index: start.Index - 1, Position: 1 << 30}, 10)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range list {
		got = append(got, fmt.Sprintf("%d.%d %s %v %v<%v %v", c.Index, c.Position, c.ID, c.Removed, c.Languages, c.FormerLanguages, c.Digest == second.Digest))
	}
	want := fmt.Sprintf("%d.0 p false [de en]<[] false|%d.0 p false [de]<[de en] true|%d.0 p true [de]<[de] false", start.Index, at.Index, removed.Index)
	if strings.Join(got, "|") != want {
		t.Errorf("journal\n%s, want\n%s", strings.Join(got, "|"), want)
	}
}

func manyWriters(t *testing.T, s Subject) {
	const writers, each = 16, 25
	var all sync.WaitGroup
	answers := make([][]uint64, writers)
	for w := range writers {
		all.Go(func() {
			for i := range each {
				applied, err := s.Write(t.Context(), Batch(Set("many", "x"), Set(fmt.Sprintf("many %d.%d", w, i), "1")))
				if err != nil {
					t.Error(err)
					return
				}
				answers[w] = append(answers[w], applied.Index)
			}
		})
	}
	all.Wait()
	seen := map[uint64]bool{}
	var last uint64
	for _, own := range answers {
		for i, index := range own {
			if seen[index] || i > 0 && index <= own[i-1] {
				t.Fatalf("index %d was answered twice or out of order", index)
			}
			seen[index] = true
			last = max(last, index)
		}
	}
	if got := Value(t, s, last, `SELECT version || ' ' || (SELECT count(*) FROM setting WHERE name GLOB 'many *') FROM setting WHERE name = 'many'`); got != "400 400" {
		t.Errorf("%s, want 400 writes of one row and 400 rows", got)
	}
}
