package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"thatch/catalog/document"
	"thatch/node/folder"
	"thatch/node/imports"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
	"thatch/node/store/sqlite"
	"thatch/node/tasks"
	"thatch/replication"
	"thatch/replication/joining"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
)

// BenchmarkMonth brings one more monthly document to three children that hold all the earlier ones, beside zstd of just
// the bodies that changed and rsync of the parent's file.
func BenchmarkMonth(b *testing.B) {
	b.Run("msrc", func(b *testing.B) {
		data := os.Getenv("THATCH_BENCH_DATA")
		files, err := filepath.Glob(filepath.Join(data, "*.xml*"))
		if err != nil || len(files) < 2 {
			b.Skip("two CVRF files at least are wanted in THATCH_BENCH_DATA")
		}
		newest := slices.MaxFunc(files, func(x, y string) int { return strings.Compare(month(x), month(y)) })
		earlier, last := b.TempDir(), b.TempDir()
		for _, file := range files {
			to := earlier
			if file == newest {
				to = last
			}
			copyFile(b, file, filepath.Join(to, filepath.Base(file)))
		}
		m := newMonth(b)
		m.importMSRC(earlier)
		m.change(func() { m.importMSRC(last) })
	})
	packages := 2_000
	if n, err := strconv.Atoi(os.Getenv("THATCH_BENCH_PACKAGES")); err == nil {
		packages = n
	}
	b.Run(fmt.Sprintf("sdp-%d", packages), func(b *testing.B) {
		m := newMonth(b)
		m.packages(0, packages, 1)
		m.change(func() { m.packages(0, packages/100, 2) })
	})
}

// month sorts cvrf-2026-Mar.xml.gz among others.
func month(file string) string {
	name := strings.TrimPrefix(filepath.Base(file), "cvrf-")
	year, rest, _ := strings.Cut(name, "-")
	at, err := time.Parse("Jan", rest[:min(3, len(rest))])
	if err != nil {
		return year
	}
	return fmt.Sprintf("%s-%02d", year, at.Month())
}

func copyFile(b *testing.B, from, to string) {
	b.Helper()
	raw, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, raw, 0o600)
	}
	must(b, err)
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// tongues are the languages of generated packages; the children manage one each.
var tongues = []string{"de", "en", "es", "fr", "it", "ja", "nl", "pt"}

// monthly are a parent and three children.
type monthly struct {
	b        *testing.B
	parent   *replicationtest.Linked
	children []*replicationtest.Linked
}

func newMonth(b *testing.B) *monthly {
	b.Helper()
	return &monthly{b: b, parent: replicationtest.Start(b, replicationtest.Config{Name: "Parent", Languages: tongues})}
}

func (m *monthly) importMSRC(folder string) {
	m.b.Helper()
	id, err := m.parent.Imports.Start(m.b.Context(), imports.Import{Source: "msrc", From: folder})
	must(m.b, err)
	run, err := m.parent.Tasks.Wait(m.b.Context(), id)
	if must(m.b, err); run.State != tasks.Done {
		m.b.Fatalf("%+v", run)
	}
}

// packages puts the documents of generated packages: as an SDP catalog makes them, a bulletin and an update without
// language and a package in one of eight.
func (m *monthly) packages(from, to, edition int) {
	m.b.Helper()
	builder := store.NewBuilder(store.Batch{Actor: "bench", Reason: "catalog", Topics: []string{store.TopicDocuments}})
	write := func(batches []store.Batch) {
		for _, batch := range batches {
			applied, err := m.parent.Writer().Write(m.b.Context(), batch)
			must(m.b, errors.Join(err, applied.Err()))
		}
	}
	for n := from; n < to; n++ {
		for _, kind := range []document.Kind{document.Bulletin, document.Update, document.Package} {
			var languages []string
			if kind == document.Package {
				languages = []string{tongues[n%len(tongues)]}
			}
			doc, err := document.New(kind, fmt.Sprintf("sdp:%s:%08d", kind, n), languages, generated(kind, n, edition))
			must(m.b, err)
			m.parent.Identity.Sign(&doc)
			must(m.b, builder.Add(store.Put(doc, "", store.Former{})...))
			write(builder.Full())
		}
	}
	write(builder.Batches())
}

// generated is a body with the texts and the numbers that the catalogs of vendors have.
func generated(kind document.Kind, n, edition int) []byte {
	return fmt.Appendf(nil, `{"id":"%s-%d","title":"Driver %d for model %d","version":"%d.%d.%d","released":"2024-%02d-%02d","description":"This release mends what customers reported with the driver of device %d. It is wanted on every model of the series %d.","url":"https://vendor.example/%x/%d.exe","sha1":"%020x","size":%d}`,
		kind, n, n, n%97, edition, n%13, n%1000, n%12+1, n%28+1, n*7919, n%31, n*2654435761, n, n*104729*edition, n*4093+edition)
}

// change joins the children, changes the parent, and measures what that costs.
func (m *monthly) change(change func()) {
	b := m.b
	b.Helper()
	for i, name := range []string{"North", "South", "West"} {
		child := replicationtest.Start(b, replicationtest.Config{Name: name, Languages: tongues[i : i+1]})
		child.Join(b, m.parent)
		m.children = append(m.children, child)
	}
	m.reach()
	for _, child := range m.children {
		m.verify(child)
	}
	before, changed := m.tail(), filepath.Join(b.TempDir(), "site.db")
	m.copyFile(changed)
	b.ResetTimer()
	began := time.Now()
	change()
	made := time.Now()
	m.reach()
	equal := time.Since(made)
	b.StopTimer()
	var bytes float64
	documents := 0
	for _, child := range m.children {
		m.verify(child) // one run after the other: those before are in the history then
		wired, count := m.wired(child, began)
		bytes += float64(wired) / float64(len(m.children))
		documents = max(documents, count)
	}
	bodies, packed := m.packed(before)
	b.ReportMetric(bytes, "wire-B")
	b.ReportMetric(float64(packed), "zstd-B")
	b.ReportMetric(float64(bodies), "bodies-B")
	b.ReportMetric(float64(documents), "documents")
	b.ReportMetric(equal.Seconds(), "equal-s")
	b.ReportMetric(made.Sub(began).Seconds(), "change-s")
	now := filepath.Join(b.TempDir(), "site.db")
	m.copyFile(now)
	if sent, ok := rsynced(b, now, changed); ok {
		b.ReportMetric(sent, "rsync-B")
	}
}

// reach waits until every child holds all of the parent's catalog.
func (m *monthly) reach() {
	m.b.Helper()
	tail := m.tail()
	above := replicas.Neighbour{ID: m.parent.Site().ID, Direction: dataset.Down}
	for _, child := range m.children {
		until(m.b, child, func() error {
			cursor, _, err := child.Replicas.Cursor(m.b.Context(), above, dataset.Data)
			if err == nil && !cursor.Holds(tail) {
				err = fmt.Errorf("%s is at %+v of %+v", child.Site().Name, cursor.At, tail)
			}
			return err
		})
	}
}

// until waits for a condition for minutes.
func until(b *testing.B, s *replicationtest.Linked, holds func() error) {
	b.Helper()
	watch := s.Watch()
	defer watch.Close()
	end := time.After(10 * time.Minute)
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-watch.C:
		case <-time.After(20 * time.Millisecond):
		case <-end:
			b.Fatal(err)
		}
	}
}

// tail is where the last document of the catalog stands in the parent's journal.
func (m *monthly) tail() (at store.Sequence) {
	m.b.Helper()
	must(m.b, m.parent.Reader().View(m.b.Context(), func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT idx, pos FROM journal WHERE kind IN ('bulletin', 'update', 'package', 'payload')
ORDER BY idx DESC, pos DESC LIMIT 1`).Scan(&at.Index, &at.Position)
	}))
	return at
}

// verify has a child compare everything.
func (m *monthly) verify(child *replicationtest.Linked) {
	m.b.Helper()
	var id string
	until(m.b, child, func() (err error) {
		id, err = child.Link.Start(m.b.Context(), replication.Params{Type: dataset.Data, Verify: 100})
		return err
	})
	run, err := child.Tasks.Wait(m.b.Context(), id)
	must(m.b, err)
	var result wire.RunResult
	if err := json.Unmarshal(run.Result, &result); err != nil || result.Verified == nil || !result.Verified.Equal {
		m.b.Fatalf("%+v: %v", run, err)
	}
}

// wired is what the runs of a child cost on the wire since a time, without verification.
func (m *monthly) wired(child *replicationtest.Linked, since time.Time) (bytes int64, documents int) {
	m.b.Helper()
	runs, _, err := child.Sites.Runs(m.b.Context(), store.Query{})
	must(m.b, err)
	for _, run := range runs {
		var result wire.RunResult
		if run.Started.Before(since) || json.Unmarshal(run.Result, &result) != nil || result.Verified != nil {
			continue
		}
		bytes += result.Bytes
		documents += result.Documents
	}
	if documents == 0 {
		m.b.Fatalf("%s: no run brought anything: %+v", child.Site().Name, runs)
	}
	return bytes, documents
}

// packed is zstd, at the library's own level, of the bodies that changed since a place in the journal, one after the other.
func (m *monthly) packed(since store.Sequence) (bodies, packed int) {
	m.b.Helper()
	var all bytes.Buffer
	must(m.b, m.parent.Reader().View(m.b.Context(), func(tx *sql.Tx) error {
		all.Reset()
		rows, err := tx.Query(`SELECT r.body FROM document d JOIN revision r ON r.digest = d.digest
WHERE d.idx > ? AND d.kind IN ('bulletin', 'update', 'package', 'payload') ORDER BY d.idx, d.pos`, int64(since.Index))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var body sql.RawBytes
			if err := rows.Scan(&body); err != nil {
				return err
			}
			all.Write(body)
		}
		return rows.Err()
	}))
	encoder, err := zstd.NewWriter(nil)
	must(m.b, err)
	return all.Len(), len(encoder.EncodeAll(all.Bytes(), nil))
}

// copyFile copies the parent's database, all of it in its one file.
func (m *monthly) copyFile(to string) {
	m.b.Helper()
	from := filepath.Join(m.parent.Dir(), folder.DatabaseFile)
	db, err := sql.Open("sqlite", sqlite.Source(from))
	must(m.b, err)
	_, err = db.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
	must(m.b, errors.Join(err, db.Close()))
	copyFile(m.b, from, to)
}

var rsyncTotals = regexp.MustCompile(`Total bytes (?:sent|received): ([0-9,.]+)`)

// rsynced is what rsync -z sends and receives to bring a former copy of a file up to the present one.
func rsynced(b *testing.B, now, former string) (bytes float64, ok bool) {
	b.Helper()
	path, err := exec.LookPath("rsync")
	if err != nil {
		return 0, false
	}
	out, err := exec.CommandContext(context.Background(), path, "--no-whole-file", "-z", "--stats", now, former).CombinedOutput()
	if err != nil {
		b.Fatalf("rsync: %v: %s", err, out)
	}
	for _, found := range rsyncTotals.FindAllSubmatch(out, -1) {
		n, err := strconv.ParseFloat(strings.NewReplacer(",", "", ".", "").Replace(string(found[1])), 64)
		must(b, err)
		bytes += n
	}
	return bytes, true
}

// BenchmarkChildren has 30 children take over everything from one parent at once. The parent is a process of its own, named
// by THATCH_BENCH_PARENT (its address) and THATCH_BENCH_TOKENS (30 tokens); THATCH_BENCH_COUNT is how many bulletins it has.
func BenchmarkChildren(b *testing.B) {
	tokens := strings.Fields(os.Getenv("THATCH_BENCH_TOKENS"))
	if len(tokens) == 0 {
		b.Skip("it is started by: go run ./bench -only federation")
	}
	want, err := strconv.Atoi(os.Getenv("THATCH_BENCH_COUNT"))
	must(b, err)
	var children []*replicationtest.Linked
	for i := range tokens {
		children = append(children, replicationtest.Start(b, replicationtest.Config{Name: fmt.Sprintf("Child %d", i+1), Languages: []string{"de"}}))
	}
	b.ResetTimer()
	began := time.Now()
	var working sync.WaitGroup
	for i, child := range children {
		working.Go(func() {
			until(b, child, func() error { // a parent that has enough to do says when to come again
				_, err := joining.Join(b.Context(), child.Node, os.Getenv("THATCH_BENCH_PARENT"), tokens[i], false)
				return err
			})
			until(b, child, func() error { return child.Holds(document.Bulletin, want) })
		})
	}
	working.Wait()
	b.ReportMetric(time.Since(began).Seconds(), "all-s")
}
