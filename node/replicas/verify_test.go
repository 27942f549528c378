package replicas_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	"thatch/catalog/document"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/replicastest"
	"thatch/node/store"
	"thatch/node/store/sqlite"
)

// behind changes a site's file behind its back.
func behind(t *testing.T, s *replicastest.Site, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", sqlite.Source(s.DB.Path()))
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

func filled(t *testing.T) (top, mid *replicastest.Site) {
	t.Helper()
	top = replicastest.New(t, "top", nil, "de", "fr")
	mid = replicastest.New(t, "mid", top, "de", "fr")
	var all []store.Statement
	for n := range 300 {
		doc := top.Doc(t, document.Update, fmt.Sprintf("u%d", n), fmt.Sprintf("body of update %d", n))
		all = append(all, store.Put(doc, "", store.Former{Absent: true})...)
	}
	top.Write(t, all...)
	top.Put(t, document.Package, "p", "german", "", "de")
	mid.PullAll(t)
	mid.Equal(t)
	return top, mid
}

// TestAlterationsAreFoundAndMended alters a file at either side, and looks at some percent of the buckets in turn.
func TestAlterationsAreFoundAndMended(t *testing.T) {
	const of = ` WHERE kind = 'update' AND id = 'u7'`
	for name, statement := range map[string]string{
		"body":       `UPDATE revision SET body = CAST('bodY of update 7' AS BLOB)` + of,
		"empty body": `UPDATE revision SET body = x''` + of,
		"languages":  `UPDATE revision SET languages = 'es' WHERE kind = 'package'`,
		"origin":     `UPDATE revision SET origin = 'toq'` + of,
		"signature":  `UPDATE revision SET signature = x'00'` + of,
		"kind":       `UPDATE revision SET kind = 'updatf'` + of,
		"id":         `UPDATE revision SET id = 'u9999'` + of,
		"revision":   `DELETE FROM revision` + of,
		"digest":     `UPDATE revision SET digest = x'` + strings.Repeat("ab", 32) + `'` + of,
	} {
		for _, side := range []string{"here", "there"} {
			t.Run(name+" "+side, func(t *testing.T) {
				top, mid := filled(t)
				hurt := mid
				if side == "there" {
					hurt = top
				}
				before := mid.Heads(t, document.Update)
				behind(t, hurt, statement)
				const percent = 30
				found, mended := 0, 0
				for run := range 4 { // ceil(100 / 30)
					v := mid.Verify(t, dataset.Data, dataset.Turn(run, percent))
					found += len(v.Different)
					mended += v.Here + v.There
					if side == "there" && v.Here > 0 || side == "here" && v.There > 0 {
						t.Errorf("the wrong side was mended: %+v", v)
					}
				}
				if found == 0 || mended == 0 {
					t.Fatalf("found in %d buckets, %d mended", found, mended)
				}
				mid.Equal(t)
				if after := mid.Heads(t, document.Update); len(after) != len(before) {
					t.Errorf("%d documents, before %d", len(after), len(before))
				}
			})
		}
	}
}

func TestAlteredDocumentRowsAreRepairedFromAbove(t *testing.T) {
	for name, statement := range map[string]string{
		"gone":   `DELETE FROM document WHERE id = 'u7'`,
		"other":  `UPDATE document SET digest = (SELECT digest FROM document WHERE id = 'u8') WHERE id = 'u7'`,
		"none":   `UPDATE document SET digest = x'00' WHERE id = 'u7'`,
		"more":   `INSERT INTO document (kind, id, digest, audience, idx, pos) SELECT kind, 'u7b', digest, '', 1, 1 FROM document WHERE id = 'u7'`,
		"bucket": `UPDATE document SET id = 'u7c' WHERE id = 'u7'`,
	} {
		t.Run(name, func(t *testing.T) {
			_, mid := filled(t)
			behind(t, mid, statement)
			for range 2 {
				mid.Verify(t, dataset.Data, nil)
			}
			mid.Equal(t)
		})
	}
}

// TestDamagedBodiesAreNeverSent flips one byte of the parent's file itself.
func TestDamagedBodiesAreNeverSent(t *testing.T) {
	top, mid := filled(t)
	doc := top.Put(t, document.Update, "new", strings.Repeat("the new one ", 20), "")
	path := top.DB.Path()
	top.DB.Close()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(raw, []byte("the new one the new one"))
	if at < 0 || bytes.Count(raw, []byte(strings.Repeat("the new one ", 20))) != 1 {
		t.Fatal("the body is not in the file once")
	}
	raw[at+5] ^= 0x20
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	*top = *replicastest.Open(t, "top", nil, path)
	t.Cleanup(func() { top.DB.Close() })

	there, _ := mid.Scopes(t, dataset.Data)
	docs, refused, err := top.Sender.Bodies(t.Context(), there, []document.Digest{doc.Digest})
	if err != nil || len(docs) != 0 || len(refused) != 1 || refused[0].ID != "new" {
		t.Errorf("sent %d, refused %v, %v", len(docs), refused, err)
	}
	report := mid.Pull(t, dataset.Data)
	if len(report.Quarantined) != 1 || report.Quarantined[0].Reason != "not sent" || report.Changed != 0 {
		t.Errorf("%+v", report)
	}
	sum, err := top.Sender.Buckets(t.Context(), there, nil)
	if err != nil || len(sum.Damaged) != 1 || sum.Damaged[0].Digest != doc.Digest {
		t.Errorf("damaged: %v, %v", sum.Damaged, err)
	}
	// Both leave it out: the rest is equal.
	except := []dataset.Key{{Kind: document.Update, ID: "new"}}
	_, here := mid.Scopes(t, dataset.Data)
	there.Except, here.Except = except, except
	above, err := top.Sender.Buckets(t.Context(), there, nil)
	if err != nil {
		t.Fatal(err)
	}
	if below, err := mid.Sender.Buckets(t.Context(), here, nil); err != nil || below.Digest() != above.Digest() {
		t.Errorf("without it they differ: %v", err)
	}
	if n, err := top.Room.Mend(t.Context(), replicas.Neighbour{ID: mid.ID, Direction: dataset.Up}, []document.Document{doc}); n != 1 || err != nil {
		t.Fatalf("mended %d, %v", n, err)
	}
	if report := mid.Pull(t, dataset.Data); report.Changed != 1 {
		t.Errorf("after it was mended: %+v", report)
	}
	mid.Equal(t)
}

func TestMendTakesGoodCopiesAlone(t *testing.T) {
	top, mid := filled(t)
	doc := top.Docs(t, document.Update, "u1")[0]
	bent, forged := doc, doc
	bent.Body = []byte("bent")
	forged.Signature = []byte("x")
	other := top.Doc(t, document.Update, "never", "seen")
	if n, err := mid.Room.Mend(t.Context(), mid.Above(), []document.Document{doc}); n != 0 || err != nil {
		t.Errorf("what is not damaged was mended: %d, %v", n, err)
	}
	mid.Write(t, store.Statement{SQL: `UPDATE revision SET body = x'00' WHERE id = 'u1'`})
	n, err := mid.Room.Mend(t.Context(), mid.Above(), []document.Document{bent, forged, other, doc})
	if n != 1 || err == nil {
		t.Errorf("mended %d, %v", n, err)
	}
	for _, text := range []string{"digest", "signed", "never"} {
		if err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
	mid.Equal(t)
}

func TestTurnsCoverEveryBucket(t *testing.T) {
	for percent := 1; percent <= 100; percent++ {
		runs := (100 + percent - 1) / percent
		seen := make([]bool, dataset.BucketCount)
		most := 0
		for run := 17; run < 17+runs; run++ {
			which := dataset.Turn(run, percent)
			most = max(most, len(which))
			for _, n := range which {
				seen[n] = true
			}
		}
		if most > dataset.BucketCount*percent/100+1 {
			t.Errorf("%d percent: %d buckets in a run", percent, most)
		}
		for n, was := range seen {
			if !was {
				t.Fatalf("%d percent: bucket %d is not compared in %d runs", percent, n, runs)
			}
		}
	}
	if got := dataset.Turn(3, 0); got == nil || len(got) != 0 {
		t.Errorf("no percent: %v", got)
	}
}

func TestBucketsAreEven(t *testing.T) {
	counts := make([]int, dataset.BucketCount)
	for n := range 40 * dataset.BucketCount {
		counts[dataset.BucketOf(dataset.Key{Kind: document.Update, ID: fmt.Sprintf("msrc:update:KB%d", n)})]++
	}
	for n, count := range counts {
		if count < 10 || count > 90 {
			t.Fatalf("bucket %d has %d documents of %d, want about 40", n, count, 40*dataset.BucketCount)
		}
	}
}

// TestWhatTheParentLostIsNotRemoved takes the revision of a document out of the parent's file: a complete run names the
// document all the same, and the child keeps its copy, from which the parent is mended.
func TestWhatTheParentLostIsNotRemoved(t *testing.T) {
	top, mid := family(t)
	for _, id := range []string{"a", "b", "c"} {
		top.Put(t, document.Update, id, "body of "+id, "")
	}
	mid.PullAll(t)
	top.Write(t, store.Statement{SQL: `DELETE FROM revision WHERE kind = 'update' AND id = 'b'`, Want: 1})
	mid.Write(t, store.Statement{SQL: `DELETE FROM cursor`})
	if report := mid.Pull(t, dataset.Data); report.Removed > 0 || report.Complete == nil {
		t.Errorf("%+v", report)
	}
	waits := top.Doc(t, document.Update, "waits", "body")
	waits.Signature = nil
	for _, e := range [][]dataset.Entry{entries(waits), {{Head: document.Head{Kind: waits.Kind, ID: waits.ID, Digest: waits.Digest}}}} {
		if _, err := mid.Room.Repair(t.Context(), mid.Above(), dataset.Data, e); err != nil {
			t.Fatal(err)
		}
	}
	if aside, err := mid.Room.Quarantine(t.Context()); err != nil || len(aside) != 1 {
		t.Errorf("in quarantine after the parent named it and could not say what it is: %v, %v", aside, err)
	}
	mid.Write(t, store.Statement{SQL: `DELETE FROM quarantine`})
	if held := mid.Holds(t, document.Update); len(held) != 3 {
		t.Errorf("the child holds %q", held)
	}
	mid.Verify(t, dataset.Data, nil)
	mid.Equal(t)
}
