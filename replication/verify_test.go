package replication_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/folder"
	"thatch/node/policies"
	"thatch/node/policies/windows"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
	"thatch/node/store/sqlite"
	"thatch/node/tasks"
	"thatch/replication"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
	"thatch/schedule"
)

// behind changes a site's file behind its back.
func behind(t *testing.T, s *replicationtest.Linked, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", sqlite.Source(filepath.Join(s.Dir(), folder.DatabaseFile)))
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
	firstRuns(t, child)
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
	firstRuns(t, child)
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

// quietPair is a parent and a child that tells nothing by itself after its first word, with three roll-ups told.
func quietPair(t *testing.T) (parent, child *replicationtest.Linked) {
	t.Helper()
	parent = replicationtest.Start(t, replicationtest.Config{Name: "Top", Languages: []string{"de"}})
	child = replicationtest.Start(t, replicationtest.Config{Name: "North", Languages: []string{"de"}})
	if _, err := child.Settings.Set(t.Context(), "health.every", []byte("86400"), -1); err != nil {
		t.Fatal(err)
	}
	child.Join(t, parent)
	child.Eventually(t, "its first word", func() error { return child.Holds(document.Health, 1) })
	for _, b := range []string{"b1", "b2", "b3"} {
		child.Put(t, document.RollUp, child.Site().ID+":"+b, fmt.Sprintf(`{"bulletin":%q,"applicable":1,"updates":[]}`, b))
	}
	parent.Eventually(t, "what the child tells", func() error { return parent.Holds(document.RollUp, 3) })
	firstRuns(t, child)
	return parent, child
}

// TestWhatWentUpIsVerified alters what a child told at the parent, and at the child, behind the back of both: verification
// finds it, the child sends it anew or takes a good copy back, and nothing is lost. Without --repair it is listed alone.
func TestWhatWentUpIsVerified(t *testing.T) {
	parent, child := quietPair(t)
	id := child.Site().ID
	of := ` WHERE kind = 'roll-up' AND id = '` + id + `:b2'`
	alert := ` WHERE kind = 'language-alert' AND id = '` + id + `'`
	for _, c := range []struct {
		what      string
		hurt      *replicationtest.Linked
		statement string
		t         dataset.Type
	}{
		{"a body at the parent", parent, `UPDATE revision SET body = CAST('{"bulletin":"b2","applicable":9,"updates":[]}' AS BLOB)` + of, dataset.Health},
		{"a signature at the parent", parent, `UPDATE revision SET signature = x'00'` + of, dataset.Health},
		{"a maker at the parent", parent, `UPDATE revision SET origin = 'nobody'` + of, dataset.Health},
		{"a revision gone from the parent", parent, `DELETE FROM revision` + of, dataset.Health},
		{"a document gone from the parent", parent, `DELETE FROM document` + of, dataset.Health},
		{"a digest at the parent", parent, `UPDATE document SET digest = zeroblob(32)` + of, dataset.Health},
		{"a site gone from the parent", parent, `DELETE FROM document WHERE kind = 'site' AND id = '` + id + `'`, dataset.Languages},
		{"an alert altered at the parent", parent, `UPDATE revision SET body = CAST('{"languages":["fr"]}' AS BLOB)` + alert, dataset.Languages},
		{"a body at the child", child, `UPDATE revision SET body = CAST('{"bulletin":"b2","applicable":9,"updates":[]}' AS BLOB)` + of, dataset.Health},
		{"a revision gone from the child", child, `DELETE FROM revision` + of, dataset.Health},
	} {
		behind(t, c.hurt, c.statement)
		listed := verifiedBy(t, child, replication.Params{Type: c.t, Verify: 100, Up: true})
		if listed.Equal || listed.Repaired+listed.MendedAbove > 0 || listed.DigestHere == listed.DigestThere {
			t.Errorf("%s, listed: %+v", c.what, listed)
		}
		if v := verifiedUp(t, child, c.t); v.Equal || v.DigestHere != v.DigestThere || v.Repaired+v.MendedAbove != 1 {
			t.Errorf("%s: %+v", c.what, v)
		}
		if v := verifiedUp(t, child, c.t); !v.Equal || v.Different+v.Repaired+v.MendedAbove > 0 {
			t.Errorf("%s, then: %+v", c.what, v)
		}
	}
	behind(t, child, `DELETE FROM document`+of) // gone without a trace: the parent is told
	if v := verifiedUp(t, child, dataset.Health); v.Equal || v.Different != 1 || v.Repaired != 1 {
		t.Errorf("what the child has no more: %+v", v)
	}
	if err := parent.Holds(document.RollUp, 2); err != nil {
		t.Error(err)
	}
}

// TestVerificationUpwardAsksForNothingOfOthers: a child is told digests and bodies of what it and those below it made alone,
// and an altered child cannot have the parent forget what it did not make.
func TestVerificationUpwardAsksForNothingOfOthers(t *testing.T) {
	parent, child := quietPair(t)
	other := replicationtest.Start(t, replicationtest.Config{Name: "South", Languages: []string{"de"}})
	other.Join(t, parent)
	other.Eventually(t, "its first word", func() error { return other.Holds(document.Health, 1) })
	parent.Eventually(t, "what it tells", func() error { return parent.HoldsID(document.Health, other.Site().ID) })
	client := caller(t, child, parent)
	all := make([]int, dataset.BucketCount)
	for n := range all {
		all[n] = n
	}
	page, err := client.Fetch(t.Context(), wire.PathUpBucketHead, wire.BucketHeadsRequest{Type: dataset.Health, Buckets: all})
	if err != nil || len(page.Entries) != 4 {
		t.Errorf("%d heads, %v", len(page.Entries), err)
	}
	for i := range page.Entries {
		if page.Entries[i].Origin != child.Site().ID {
			t.Errorf("the child is told of %+v", page.Entries[i])
		}
	}
	foreign := digestOf(t, other, document.Health, other.Site().ID)
	page, err = client.Fetch(t.Context(), wire.PathUpBodies, wire.BodiesRequest{Type: dataset.Health, Digests: []document.Digest{foreign}})
	if err != nil || len(page.Entries) > 0 {
		t.Errorf("a sibling's document: %d are given, %v", len(page.Entries), err)
	}
	if _, err := client.Fetch(t.Context(), wire.PathUpBodies, wire.BodiesRequest{Type: dataset.Policies}); wire.CodeOf(err) != wire.CodeInvalid {
		t.Errorf("policies: %v", err)
	}
	gone := &wire.Page{Header: wire.Header{Type: dataset.Health}, Entries: []dataset.Entry{
		{Head: document.Head{Kind: document.Health, ID: other.Site().ID}, Removed: true},
	}}
	if _, err := client.Push(t.Context(), wire.PathUp, gone); err != nil {
		t.Error(err)
	}
	if err := parent.HoldsID(document.Health, other.Site().ID); err != nil {
		t.Errorf("a child took a sibling's document away: %v", err)
	}
}

func digestOf(t *testing.T, s *replicationtest.Linked, kind document.Kind, id string) (digest document.Digest) {
	t.Helper()
	err := s.Reader().View(t.Context(), func(tx *sql.Tx) error {
		doc, err := store.Document(t.Context(), tx, kind, id)
		digest = doc.Digest
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// TestACompleteRunIsMadeOnce, although its verification finds what differs and catches up before it says so.
func TestACompleteRunIsMadeOnce(t *testing.T) {
	var asked atomic.Int32
	_, child := pair(t, replicationtest.Config{Before: func(_ http.ResponseWriter, r *http.Request) http.Handler {
		if r.URL.Path == wire.PathComplete {
			asked.Add(1)
		}
		return nil
	}}, replicationtest.Config{}, 5)
	firstRuns(t, child)
	behind(t, child, `UPDATE revision SET body = CAST('{"note":"bulletiN 3"}' AS BLOB) WHERE kind = 'bulletin' AND id = 'b-3'`)
	before := asked.Load()
	id, err := child.Link.Start(t.Context(), replication.Params{Type: dataset.Data, Complete: true, Verify: 100, Repair: true})
	if err != nil {
		t.Fatal(err)
	}
	run, err := child.Tasks.Wait(t.Context(), id)
	if err != nil || run.State != tasks.Done || !strings.Contains(string(run.Result), `"repaired":1`) {
		t.Errorf("%+v, %v", run, err)
	}
	if n := asked.Load() - before; n != 1 {
		t.Errorf("a complete run of 5 documents asked for %d pages", n)
	}
	equal(t, child)
}

// TestAPolicyThatIsMendedIsHeldToItsSettings: a policy that a child lost behind its back and gets from a verification waits for
// the settings that its parent has, as one does that comes with a run.
func TestAPolicyThatIsMendedIsHeldToItsSettings(t *testing.T) {
	top := ordering(t, replicationtest.Config{Name: "Top", Languages: []string{"de"}})
	child := ordering(t, replicationtest.Config{Name: "North", Languages: []string{"de"}})
	brings(t, top, "2.0", "first", "de")
	child.Join(t, top)
	body := windows.Body{Window: schedule.Window{Name: "always", Repeat: schedule.Daily, Start: "00:00", Minutes: 1440}}
	if _, err := top.Windows.Create(t.Context(), body); err != nil {
		t.Fatal(err)
	}
	holds(t, child, "2.0", "de")
	made, err := top.Policies.Create(t.Context(), policies.Draft{Name: "March", Bulletins: []string{"KB2.0"}, Plan: &policy.Plan{When: policy.StartASAP}})
	if err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "the policy", func() error { return inForce(child, made.ID, "on") })
	stated := func() (text string) {
		err := child.Reader().View(t.Context(), func(tx *sql.Tx) error {
			return tx.QueryRow(`SELECT settings FROM policy WHERE id = ?`, made.ID).Scan(&text)
		})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	before := stated()
	if before == "" {
		t.Fatal("the policy came without a word about settings")
	}
	behind(t, child, `DELETE FROM document WHERE kind = 'policy'`)
	behind(t, child, `DELETE FROM policy`)
	if v := verified(t, child, dataset.Policies); v.Quarantined > 0 { // the first run's own verification may go on, and have mended it
		t.Errorf("%+v", v)
	}
	if after := stated(); after != before {
		t.Errorf("it is held to %q, before to %q", after, before)
	}

	// So does one that comes out of quarantine.
	var lie dataset.Entry
	err = child.Reader().View(t.Context(), func(tx *sql.Tx) error {
		doc, err := store.Document(t.Context(), tx, document.Policy, made.ID)
		lie = dataset.Entry{Head: doc.Head, Body: doc.Body, Size: len(doc.Body)}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	lie.Signature = make([]byte, 64)
	behind(t, child, `DELETE FROM document WHERE kind = 'policy'`)
	behind(t, child, `DELETE FROM policy`)
	from := replicas.Neighbour{ID: top.Site().ID, Direction: dataset.Down}
	if o, err := child.Replicas.Repair(t.Context(), from, dataset.Policies, []dataset.Entry{lie}); err != nil || len(o.Quarantined) != 1 {
		t.Fatalf("%+v, %v", o, err)
	}
	if err := child.Replicas.Retry(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := asked(t, child, replication.Params{Type: dataset.Policies}); len(r.Aside) > 0 { // a run before this one may have taken it
		t.Errorf("%+v", r)
	}
	if after := stated(); after != before {
		t.Errorf("out of quarantine it is held to %q, before to %q", after, before)
	}
}

// TestWhatCameUpLeavesQuarantineOnRequest: the parent asks for it at once, takes it where it is fine now, and forgets what its
// child does not have.
func TestWhatCameUpLeavesQuarantineOnRequest(t *testing.T) {
	parent, child := pair(t, replicationtest.Config{}, replicationtest.Config{}, 1)
	real := child.Put(t, document.RollUp, child.Site().ID+":b-0", `{"note":"true"}`)
	parent.Eventually(t, "what goes up", func() error { return parent.HoldsID(document.RollUp, real.ID) })
	behind(t, parent, `DELETE FROM document WHERE kind = 'roll-up'`)
	behind(t, parent, `DELETE FROM revision WHERE kind = 'roll-up'`)
	var lies []dataset.Entry
	for _, id := range []string{real.ID, child.Site().ID + ":b-never"} {
		lie := dataset.Entry{Head: real.Head, Body: real.Body, Size: len(real.Body)}
		lie.ID, lie.Signature = id, make([]byte, 64)
		lies = append(lies, lie)
	}
	from := replicas.Neighbour{ID: child.Site().ID, Direction: dataset.Up, Below: []string{child.Site().ID}}
	if o, err := parent.Replicas.Repair(t.Context(), from, dataset.Health, lies); err != nil || len(o.Quarantined) != 2 {
		t.Fatalf("%+v, %v", o, err)
	}
	if err := parent.Replicas.Retry(t.Context(), lies[0].Key(), lies[1].Key()); err != nil {
		t.Fatal(err)
	}
	parent.Eventually(t, "the quarantine is empty", func() error {
		aside, err := parent.Replicas.Quarantine(t.Context())
		if err == nil && len(aside) > 0 {
			err = fmt.Errorf("in quarantine: %+v", aside)
		}
		return errors.Join(err, parent.HoldsID(document.RollUp, real.ID))
	})
}
