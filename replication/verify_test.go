package replication_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"thatch/catalog/document"
	"thatch/node"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/store/sqlite"
	"thatch/replication/replicationtest"
)

// behind changes a site's file behind its back.
func behind(t *testing.T, s *replicationtest.Linked, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", sqlite.Source(filepath.Join(s.Dir(), node.DatabaseFile)))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	result, err := db.Exec(statement)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("%s: %d rows, %v", statement, n, err)
	}
}

// TestAlterationsAtEitherEndAreMended alters files behind the back of both ends: what is good at one mends the other, and
// nothing good is lost.
func TestAlterationsAtEitherEndAreMended(t *testing.T) {
	parent := replicationtest.Start(t, replicationtest.Config{Name: "Top", Languages: []string{"de"}})
	child := replicationtest.Start(t, replicationtest.Config{Name: "North", Languages: []string{"de"}})
	for i := range 40 {
		parent.Put(t, document.Bulletin, fmt.Sprintf("b-%d", i), fmt.Sprintf(`{"note":"bulletin %d"}`, i))
	}
	child.Join(t, parent)
	child.Eventually(t, "the first run", func() error { return child.Holds(document.Bulletin, 40) })
	const of = ` WHERE kind = 'bulletin' AND id = 'b-7'`
	for _, statement := range []string{
		`UPDATE revision SET body = CAST('{"note":"bulletiN 7"}' AS BLOB)` + of,
		`UPDATE revision SET signature = x'00'` + of,
		`UPDATE revision SET languages = 'es'` + of,
		`DELETE FROM revision` + of,
		`UPDATE revision SET origin = 'nobody'` + of,
	} {
		for where, hurt := range map[string]*replicationtest.Linked{"the parent": parent, "the child": child} {
			what := strings.TrimSuffix(statement, of)
			behind(t, hurt, statement)
			v := verified(t, child, dataset.Data)
			if v.Equal || v.Quarantined > 0 || v.DigestHere != v.DigestThere || v.Compared != 40 {
				t.Errorf("%s at %s: %+v", what, where, v)
			}
			if hurt == parent && v.MendedAbove == 0 || hurt == child && v.MendedAbove > 0 {
				t.Errorf("%s at %s: %d mended above", what, where, v.MendedAbove)
			}
			if v := verified(t, child, dataset.Data); !v.Equal {
				t.Errorf("%s at %s, then: %+v", what, where, v)
			}
		}
	}
}

// TestWhatWasNotSentWholeIsAskedForAgain damages a document at the parent before a child joins.
func TestWhatWasNotSentWholeIsAskedForAgain(t *testing.T) {
	parent := replicationtest.Start(t, replicationtest.Config{Name: "Top", Languages: []string{"de"}})
	child := replicationtest.Start(t, replicationtest.Config{Name: "North", Languages: []string{"de"}})
	for i := range 10 {
		parent.Put(t, document.Bulletin, fmt.Sprintf("b-%d", i), fmt.Sprintf(`{"note":"bulletin %d"}`, i))
	}
	const of = ` WHERE kind = 'bulletin' AND id = 'b-7'`
	behind(t, parent, `UPDATE revision SET body = CAST('{"note":"bulletiN 7"}' AS BLOB)`+of)
	child.Join(t, parent)
	child.Eventually(t, "the first run", func() error { return child.Holds(document.Bulletin, 9) })
	aside, err := child.Replicas.Quarantine(t.Context())
	if err != nil || len(aside) != 1 || aside[0].ID != "b-7" || aside[0].Reason != replicas.NotSent {
		t.Errorf("in quarantine: %+v, %v", aside, err)
	}
	behind(t, parent, `UPDATE revision SET body = CAST('{"note":"bulletin 7"}' AS BLOB)`+of)
	if v := verified(t, child, dataset.Data); !v.Equal || v.Compared != 10 {
		t.Errorf("after it was mended: %+v", v)
	}
	if aside, err := child.Replicas.Quarantine(t.Context()); err != nil || len(aside) > 0 {
		t.Errorf("in quarantine: %+v, %v", aside, err)
	}
}
