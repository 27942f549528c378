package rulebook

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"thatch/agent/folder"
	"thatch/agentapi"
	"thatch/agentapi/agentapitest"
	"thatch/catalog"
	"thatch/catalog/document"
)

func TestRulesLogSurvivesACutAtEveryByte(t *testing.T) {
	node := agentapitest.NewNode(t, time.Now)
	make := func(n int) Entry {
		doc := node.Document(t, document.Update, fmt.Sprintf("u%d", n), nil, catalog.Update{Name: fmt.Sprint(n)})
		return NewEntry(&agentapi.NumberedUpdate{Number: uint32(n), Document: doc})
	}
	dir := t.TempDir()
	f := folder.Folder{Dir: dir, Step: func(string) {}}
	r, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	var ends []int64
	for n := 1; n <= 3; n++ {
		if err := r.Apply(&Page{Epoch: "e", Cursor: fmt.Sprint(n), Updates: []Entry{make(n)}}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(f.Path(File))
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, info.Size())
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(f.Path(File))
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) + 1 {
		if err := os.WriteFile(f.Path(File), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		pages := 0
		for _, end := range ends {
			if int64(cut) >= end {
				pages++
			}
		}
		r, err := Open(f)
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if pages > 0 {
			want = fmt.Sprint(pages)
		}
		if len(r.live) != pages || r.Cursor != want {
			t.Fatalf("cut at %d: %d updates up to cursor %q, want %d", cut, len(r.live), r.Cursor, pages)
		}
		if err := r.Apply(&Page{Epoch: "e", Cursor: "9", Updates: []Entry{make(9)}}); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if r, err = Open(f); err != nil || len(r.live) != pages+1 {
			t.Fatalf("cut at %d: after one more page there are %d, %v", cut, len(r.live), err)
		}
		_ = r.Close()
	}
}

// What a full disk left of a page is written over by the next one.
func TestRulesLogSurvivesAFailedWrite(t *testing.T) {
	node := agentapitest.NewNode(t, time.Now)
	page := func(n int) *Page {
		doc := node.Document(t, document.Update, fmt.Sprintf("u%d", n), nil, catalog.Update{Name: fmt.Sprint(n)})
		return &Page{Epoch: "e", Cursor: fmt.Sprint(n), Updates: []Entry{NewEntry(&agentapi.NumberedUpdate{Number: uint32(n), Document: doc})}}
	}
	f := folder.Folder{Dir: t.TempDir(), Step: func(string) {}}
	r, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		raw, err := page(n).encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.file.Seek(0, io.SeekEnd); err != nil {
			t.Fatal(err)
		}
		if _, err := r.file.Write(raw[:n*len(raw)/4]); err != nil {
			t.Fatal(err)
		}
		if err := r.Apply(page(n)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Catalog(); err != nil {
			t.Fatalf("after %d pages: %v", n, err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err = Open(f); err != nil || len(r.live) != 3 || r.Cursor != "3" {
		t.Fatalf("%d updates up to cursor %q, %v", len(r.live), r.Cursor, err)
	}
	_ = r.Close()
}

func TestRulesLogIsRewrittenWhenItGrows(t *testing.T) {
	node := agentapitest.NewNode(t, time.Now)
	f := folder.Folder{Dir: t.TempDir(), Step: func(string) {}}
	r, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	largest := 0
	for round := range 40 {
		p := &Page{Epoch: "e", Cursor: fmt.Sprint(round)}
		for n := range 50 {
			doc := node.Document(t, document.Update, fmt.Sprintf("u%d", n), nil, catalog.Update{Name: fmt.Sprint(round)})
			p.Updates = append(p.Updates, NewEntry(&agentapi.NumberedUpdate{Number: uint32(n), Document: doc}))
		}
		p.Removed = []uint32{uint32(49)}
		if err := r.Apply(p); err != nil {
			t.Fatal(err)
		}
		largest = max(largest, r.logged)
	}
	if largest > compactFloor+3*50 || r.Cursor != "39" || len(r.live) != 49 {
		t.Fatalf("%d logged, cursor %s, %d live", largest, r.Cursor, len(r.live))
	}
	seen := 0
	if err := r.each(func(u *Entry) {
		if u.Body.Name != "39" {
			t.Errorf("an old revision is still there: %s", u.Body.Name)
		}
		seen++
	}); err != nil || seen != 49 {
		t.Fatalf("%d seen, %v", seen, err)
	}
}

func FuzzRulesLog(f *testing.F) {
	raw, err := (&Page{Epoch: "e", Cursor: "1", Removed: []uint32{1}}).encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)-1])
	f.Add([]byte("\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		d := folder.Folder{Dir: t.TempDir(), Step: func(string) {}}
		if err := os.WriteFile(d.Path(File), content, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Apply(&Page{Epoch: "e", Cursor: "last"}); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if r, err = Open(d); err != nil || r.Cursor != "last" {
			t.Fatalf("cursor %q, %v", r.Cursor, err)
		}
		_ = r.Close()
	})
}
