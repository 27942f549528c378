package alike_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog/document"
	"thatch/node/replicas/alike"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/replicastest"
	"thatch/node/store"
)

// known are the documents that a parent compresses its next page against, and what the child recalls by their names.
func known(t replicastest.T, child *replicastest.Site) (page dataset.Page, docs, recalled []document.Document, err error) {
	t.Helper()
	ctx := context.Background()
	there, here := child.Scopes(t, dataset.Data)
	cursor, _, err := child.Room.Cursor(ctx, child.Above(), dataset.Data)
	if err == nil {
		page, err = child.Parent.Sender.Page(ctx, there, cursor, dataset.Limits{Documents: 40})
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	runs, docs, err := alike.Known(ctx, child.Parent.DB, there, cursor, page.Entries)
	if err != nil {
		t.Fatalf("%v", err)
	}
	recalled, err = alike.Recall(ctx, child.DB, here, runs)
	return page, docs, recalled, err
}

func idsOf(docs []document.Document) (list []string) {
	for _, doc := range docs {
		list = append(list, string(doc.Kind)+" "+doc.ID)
	}
	return list
}

func same(a, b document.Document) bool { return a.Digest == b.Digest && bytes.Equal(a.Body, b.Body) }

// TestWhatIsTakenForKnownIsKnown: whatever changed at the parent, and however little of it has come, the child recalls
// byte for byte what the parent takes for known, unless something was taken away that stands among it.
func TestWhatIsTakenForKnownIsKnown(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		top := replicastest.New(t, "top", nil, "de", "fr")
		child := replicastest.New(t, "child", top, "de")
		kinds := []document.Kind{document.Bulletin, document.Update, document.Package}
		put := func(s *replicastest.Site, what string) {
			for n := range rapid.IntRange(0, 60).Draw(rt, what) {
				id := fmt.Sprintf("%02d", rapid.IntRange(0, 99).Draw(rt, "id"))
				languages := rapid.SampledFrom([][]string{nil, {"de"}, {"fr"}, {"de", "fr"}}).Draw(rt, "languages")
				s.Put(t, rapid.SampledFrom(kinds).Draw(rt, "kind"), id, fmt.Sprintf(`{"n":%d,%q:1}`, n, what), "", languages...)
			}
		}
		put(child, "own")
		put(top, "first")
		child.PullAll(t)
		put(top, "then")
		removed := rapid.Bool().Draw(rt, "removed")
		if heads := top.Heads(t, document.Update); removed && len(heads) > 0 {
			top.Remove(t, document.Update, rapid.SampledFrom(heads).Draw(rt, "which").ID)
		}
		for {
			page, docs, recalled, err := known(t, child)
			switch {
			case removed && errors.Is(err, alike.ErrNotKnown):
			case err != nil:
				rt.Fatal(err)
			case !removed && !slices.EqualFunc(docs, recalled, same):
				rt.Fatalf("taken for known: %v, recalled: %v", idsOf(docs), idsOf(recalled))
			}
			if !page.More {
				return
			}
			if _, err := child.TryPull(t, dataset.Data, 1); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

// TestWhatIsKnownIsNextToWhatIsNew: of many documents those next to the new ones and the last ones, not all, nothing that is
// damaged, and nothing that the child was not sent.
func TestWhatIsKnownIsNextToWhatIsNew(t *testing.T) {
	top := replicastest.New(t, "top", nil, "de", "fr")
	child := replicastest.New(t, "child", top, "de")
	var statements []store.Statement
	for n := range 300 {
		languages := []string{"de"}
		if n%3 == 0 {
			languages = []string{"fr"}
		}
		statements = append(statements, store.Put(top.Doc(t, document.Package, fmt.Sprintf("p-%03d", n), `{}`, languages...), "", store.Former{})...)
	}
	top.Write(t, statements...)
	child.PullAll(t)
	top.Put(t, document.Package, "p-150x", `{"new":1}`, "", "de")
	_, docs, recalled, err := known(t, child)
	if err != nil || !slices.EqualFunc(docs, recalled, same) || len(docs) != 64 {
		t.Fatalf("%d documents, %d recalled, %v", len(docs), len(recalled), err)
	}
	if got := idsOf(docs); got[0] != "package p-299" || got[32] != "package p-149" {
		t.Errorf("%v", got)
	}
	behindItsBack(t, top, "p-149")
	if _, docs, recalled, err = known(t, child); err != nil || !slices.EqualFunc(docs, recalled, same) || docs[32].ID != "p-148" {
		t.Errorf("damaged at the parent: %v, %v", idsOf(docs), err)
	}
	behindItsBack(t, child, "p-148")
	if _, docs, recalled, err = known(t, child); err != nil || slices.EqualFunc(docs, recalled, same) {
		t.Errorf("damaged at the child: %v, %v", idsOf(recalled), err)
	}
	_, here := child.Scopes(t, dataset.Data)
	for what, runs := range map[string][]alike.Run{
		"none such": {{Last: [4]byte{1, 2, 3, 4}, Count: 1}}, "too long": {{Last: [4]byte(docs[0].Digest[:]), Count: 257}},
		"no length": {{Last: [4]byte(docs[0].Digest[:])}}, "too many": make([]alike.Run, 65),
		"more than there are": {{Last: [4]byte(docs[0].Digest[:]), Count: 256}},
	} {
		if docs, err := alike.Recall(t.Context(), child.DB, here, runs); !errors.Is(err, alike.ErrNotKnown) {
			t.Errorf("%s: %v, %v", what, idsOf(docs), err)
		}
	}
}

// behindItsBack damages the body of a package.
func behindItsBack(t *testing.T, s *replicastest.Site, id string) {
	t.Helper()
	s.Write(t, store.Statement{
		SQL: `UPDATE revision SET body = CAST('{"damaged":1}' AS BLOB) WHERE kind = 'package' AND id = ?`, Args: []any{id}, Want: 1,
	})
}
