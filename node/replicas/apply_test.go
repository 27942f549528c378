package replicas_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/replicastest"
	"thatch/node/store"
)

// cutting is a Writer that fails before one of its writes, and counts.
type cutting struct {
	store.Writer
	at, writes int
	largest    int
}

var errCut = errors.New("cut")

func (c *cutting) Write(ctx context.Context, b store.Batch) (store.Applied, error) {
	c.writes++
	if c.writes == c.at {
		return store.Applied{}, errCut
	}
	c.largest = max(c.largest, len(b.Statements))
	return c.Writer.Write(ctx, b)
}

// first asks for the next page of a complete run, with its bodies.
func first(t *testing.T, s *replicastest.Site, of dataset.Type, limits dataset.Limits) dataset.Page {
	t.Helper()
	there, _ := s.Scopes(t, of)
	page, err := s.Parent.Sender.Complete(t.Context(), there, dataset.Cursor{}, dataset.Key{}, limits)
	if err != nil {
		t.Fatal(err)
	}
	fillIn(t, s, there, page.Entries)
	return page
}

func fillIn(t *testing.T, s *replicastest.Site, there dataset.Scope, list []dataset.Entry) {
	t.Helper()
	for i := range list {
		docs, _, err := s.Parent.Sender.Bodies(t.Context(), there, []document.Digest{list[i].Digest})
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range docs {
			list[i].Body = doc.Body
		}
	}
}

// TestAPageOfSeveralBatchesMovesTheCursorLast cuts a page between its batches at every place.
func TestAPageOfSeveralBatchesMovesTheCursorLast(t *testing.T) {
	top, mid := family(t)
	for n := range 12 {
		top.Put(t, document.Update, fmt.Sprintf("u%02d", n), strings.Repeat("x", 300_000), "")
	}
	page := first(t, mid, dataset.Data, dataset.Limits{})
	if page.More || len(page.Entries) != 12 {
		t.Fatalf("%d entries, more: %v", len(page.Entries), page.More)
	}
	for at := 1; ; at++ {
		writer := &cutting{Writer: mid.DB, at: at}
		room := replicas.New(replicas.Config{Site: "mid", Reader: mid.DB, Writer: writer, Now: replicastest.Now})
		before, _, err := room.Cursor(t.Context(), mid.Above(), dataset.Data)
		if err != nil {
			t.Fatal(err)
		}
		_, err = room.Apply(t.Context(), mid.Above(), page)
		after, _, err2 := room.Cursor(t.Context(), mid.Above(), dataset.Data)
		if err2 != nil {
			t.Fatal(err2)
		}
		if err == nil {
			if at < 4 || fmt.Sprint(after) == fmt.Sprint(before) {
				t.Errorf("the last try took %d writes after %d that were cut; cursor %v", writer.writes, at-1, after)
			}
			break
		}
		if !errors.Is(err, errCut) || fmt.Sprint(before) != fmt.Sprint(after) {
			t.Fatalf("cut at write %d: %v, cursor %v", at, err, after)
		}
		if at >= 10 {
			t.Fatal("it never ends")
		}
	}
	mid.Equal(t)
}

func TestTheSamePageIsTakenOnce(t *testing.T) {
	top, mid := family(t)
	top.Put(t, document.Update, "u1", "one", "")
	there, _ := mid.Scopes(t, dataset.Data)
	cursor, _, err := mid.Room.Cursor(t.Context(), mid.Above(), dataset.Data)
	if err != nil {
		t.Fatal(err)
	}
	page, err := top.Sender.Page(t.Context(), there, cursor, dataset.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	fillIn(t, mid, there, page.Entries)
	var taken, refused int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			copied := page
			copied.Entries = slices.Clone(page.Entries)
			_, err := mid.Room.Apply(context.Background(), mid.Above(), copied)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				taken++
			case errors.Is(err, replicas.ErrCursor):
				refused++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if taken != 1 || refused != 5 {
		t.Errorf("taken %d times, refused %d", taken, refused)
	}
	mid.Equal(t)
}

func TestPagesOfOtherLanguagesAreRefused(t *testing.T) {
	top, mid := family(t)
	top.Put(t, document.Package, "p", "german", "", "de")
	there, _ := mid.Scopes(t, dataset.Data)
	cursor, _, err := mid.Room.Cursor(t.Context(), mid.Above(), dataset.Data)
	if err != nil {
		t.Fatal(err)
	}
	page, err := top.Sender.Page(t.Context(), there, cursor, dataset.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	fillIn(t, mid, there, page.Entries)
	mid.SetLanguages(t, "fr")
	if _, err := mid.Room.Apply(t.Context(), mid.Above(), page); !errors.Is(err, replicas.ErrCursor) {
		t.Errorf("%v", err)
	}
	if held := mid.Holds(t, document.Package); len(held) > 0 {
		t.Errorf("held: %q", held)
	}
	complete := first(t, mid, dataset.Data, dataset.Limits{Documents: 1})
	complete.After = dataset.Key{Kind: document.Package, ID: "a"} // the middle of a run that nobody began
	if _, err := mid.Room.Apply(t.Context(), mid.Above(), complete); !errors.Is(err, replicas.ErrCursor) {
		t.Errorf("%v", err)
	}
}

// TestALargePolicyFitsItsBatch pins as much as a policy can.
func TestALargePolicyFitsItsBatch(t *testing.T) {
	top, mid := family(t)
	made := policy.Policy{Name: "large", Plan: policy.Plan{When: policy.StartASAP}}
	var pins []document.Digest
	for n := range 900 {
		u := policy.Update{Update: fmt.Sprintf("u%d", n), Digest: document.Digest{1, byte(n), byte(n >> 8)}}
		pins = append(pins, u.Digest)
		u.Packages = []policy.Pin{{ID: fmt.Sprintf("p%d", n), Digest: document.Digest{2, byte(n), byte(n >> 8)}, PayloadDigest: document.Digest{3, byte(n), byte(n >> 8)}}}
		made.Updates = append(made.Updates, u)
	}
	raw, err := json.Marshal(made)
	if err != nil || len(raw) > document.MaxSize {
		t.Fatal(len(raw), err)
	}
	doc := top.Doc(t, document.Policy, "policy:top:large", string(raw))
	top.Write(t, append(store.Put(doc, "", store.Former{}), store.Repin(doc.ID, pins)...)...)
	if report := mid.Pull(t, dataset.Policies); report.Changed != 1 || len(report.Quarantined) > 0 {
		t.Fatalf("%+v", report.Quarantined)
	}
	awaited, err := mid.Room.Awaited(t.Context(), 10_000)
	if err != nil || len(awaited) != 2700 {
		t.Errorf("%d awaited, %v", len(awaited), err)
	}
	top.Remove(t, document.Policy, doc.ID)
	mid.Pull(t, dataset.Policies)
	if awaited, err := mid.Room.Awaited(t.Context(), 10_000); err != nil || len(awaited) != 0 {
		t.Errorf("%d awaited by nobody, %v", len(awaited), err)
	}
}

// TestPinnedRevisionsStayAndGo follows one pinned package through its lives.
func TestPinnedRevisionsStayAndGo(t *testing.T) {
	top, mid := family(t)
	mid.SetLanguages(t, "de")
	update := top.Put(t, document.Update, "u", "{}", "")
	german := top.Put(t, document.Package, "g", "german 1", "", "de")
	french := top.Put(t, document.Package, "f", "french 1", "", "fr")
	payload := top.Put(t, document.Payload, "g", "payload", "", "de")
	pay2 := top.Put(t, document.Payload, "f", "payload", "", "fr")
	made := policy.Policy{Name: "p", Plan: policy.Plan{When: policy.StartASAP}, Updates: []policy.Update{{
		Update: "u", Digest: update.Digest, Enabled: true, Packages: []policy.Pin{
			{ID: "g", Digest: german.Digest, PayloadDigest: payload.Digest, Languages: []string{"de"}},
			{ID: "f", Digest: french.Digest, PayloadDigest: pay2.Digest, Languages: []string{"fr"}},
		},
	}}}
	raw, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	doc := top.Doc(t, document.Policy, "policy:top:1", string(raw))
	digests := []document.Digest{update.Digest, german.Digest, payload.Digest, french.Digest, pay2.Digest}
	top.Write(t, append(store.Put(doc, "", store.Former{}), store.Repin(doc.ID, digests)...)...)
	// The vendor changes the package before anything went down, and withdraws the update.
	top.Put(t, document.Package, "g", "german 2", "", "de")
	top.Remove(t, document.Update, "u")
	if report := mid.Pull(t, dataset.Policies); report.Held != 3 {
		t.Errorf("held %d, want update, package and payload in German: %+v", report.Held, report)
	}
	mid.PullAll(t)
	mid.Equal(t)
	if held := mid.Holds(t, document.Update, document.Package); !slices.Equal(held, []string{"package g german 2 de"}) {
		t.Errorf("current: %q", held)
	}
	mid.SetLanguages(t, "de", "fr")
	if report := mid.PullAll(t); report.Held != 0 { // current above: it came with the data
		t.Errorf("held %d when French was added", report.Held)
	}
	mid.Equal(t)
	top.Put(t, document.Package, "f", "french 2", "", "fr")
	mid.PullAll(t)
	mid.Equal(t)
	for _, digest := range digests {
		if !mid.Keeps(t, digest) {
			t.Errorf("%s is pinned and gone", digest)
		}
	}
	mid.SetLanguages(t, "de")
	mid.Equal(t)
	if mid.Keeps(t, french.Digest) || mid.Keeps(t, pay2.Digest) || !mid.Keeps(t, german.Digest) {
		t.Error("French went: what is kept is not the German alone")
	}
	top.Remove(t, document.Policy, doc.ID)
	top.Write(t, store.Unpin(doc.ID)...)
	mid.Pull(t, dataset.Policies)
	mid.Equal(t)
	if mid.Keeps(t, german.Digest) || mid.Keeps(t, update.Digest) {
		t.Error("kept though nobody pins it")
	}
}
