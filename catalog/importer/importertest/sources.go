package importertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/importer"
)

// Tree is a folder: slash-separated paths and contents.
type Tree map[string][]byte

// SourceFixture says how to try a source.
type SourceFixture struct {
	New func() importer.Source
	// Trees are folders that a vendor might give one after the other. Each is read on its own.
	Trees []Tree
	// Revised holds later revisions of some trees, by their place in Trees; they say less than the former ones, so that
	// something has to go.
	Revised map[int]Tree
	// Main names the path in a tree that holds what is parsed: it is cut, garbled and left empty.
	Main    func(Tree) string
	Request importer.Request
}

// TestSource holds a source against what every importer promises.
func TestSource(t *testing.T, f SourceFixture) {
	t.Run("any order gives the same documents", f.anyOrder)
	t.Run("twice changes nothing", f.twice)
	t.Run("a revision removes what is gone", f.revision)
	t.Run("cut and garbled input is an error that names the file", f.broken)
	t.Run("damaged anywhere", f.anywhere)
	t.Run("documents keep the rules", f.documents)
	t.Run("cancelled and resumed", f.resumed)
	t.Run("portions of any size give the same documents", f.portions)
	t.Run("a revision cut between portions", f.cutRevision)
	t.Run("nothing there is an error", f.nothing)
}

func (f SourceFixture) write(t *testing.T, trees ...Tree) string {
	t.Helper()
	root := t.TempDir()
	for _, tree := range trees {
		for name, content := range tree {
			path := filepath.Join(root, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

// alone saves every file by itself, whole.
var alone = importer.Limits{Save: 1 << 30, Keys: 1 << 30, Small: -1}

// sizes are limits of portions: of a key each, of some, of all files together.
var sizes = []importer.Limits{{Save: 1, Small: -1}, {Save: 3000, Keys: 3, Small: -1}, {Keys: 2}, {Save: 100, Small: 1000}, {}}

func (f SourceFixture) run(ctx context.Context, sink importer.Sink, from string) (importer.Result, error) {
	return f.runIn(ctx, sink, from, alone)
}

// runIn imports in portions within limits.
func (f SourceFixture) runIn(ctx context.Context, sink importer.Sink, from string, limits importer.Limits) (importer.Result, error) {
	req := f.Request
	req.From, req.Limits = from, limits
	if req.At.IsZero() {
		req.At = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	}
	return importer.Run(ctx, f.New(), sink, req, nil)
}

func (f SourceFixture) mustRun(t *testing.T, sink importer.Sink, from string) importer.Result {
	t.Helper()
	result, err := f.run(t.Context(), sink, from)
	if err != nil {
		t.Fatalf("import of %v: %v", slices.Collect(maps.Keys(f.Trees[0])), err)
	}
	return result
}

// all imports every tree, one run each, in the order given.
func (f SourceFixture) all(t *testing.T, order []int, trees []Tree) map[string]document.Digest {
	t.Helper()
	var sink Memory
	for _, i := range order {
		f.mustRun(t, &sink, f.write(t, trees[i]))
	}
	return sink.Digests()
}

func (f SourceFixture) anyOrder(t *testing.T) {
	order := make([]int, len(f.Trees))
	for i := range order {
		order[i] = i
	}
	want := f.all(t, order, f.Trees)
	if len(want) == 0 {
		t.Fatal("the fixture makes no documents")
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range min(6, len(order)*2) {
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		sameDigests(t, fmt.Sprintf("order %v", order), f.all(t, order, f.Trees), want)
	}
}

func sameDigests(t *testing.T, when string, got, want map[string]document.Digest) {
	t.Helper()
	for name, digest := range want {
		switch d, ok := got[name]; {
		case !ok:
			t.Errorf("%s: %s is missing", when, name)
		case d != digest:
			t.Errorf("%s: %s is another document", when, name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s should not be there", when, name)
		}
	}
}

func (f SourceFixture) twice(t *testing.T) {
	var sink Memory
	for i, tree := range f.Trees {
		from := f.write(t, tree)
		first := f.mustRun(t, &sink, from)
		if first.Files == 0 || first.Bytes == 0 {
			t.Errorf("tree %d: %+v", i, first)
		}
		saves, digests := sink.Saves(), sink.Digests()
		again := f.mustRun(t, &sink, from)
		if again.Files != 0 || again.Changed != 0 || again.Skipped == 0 || sink.Saves() != saves {
			t.Errorf("tree %d again: %+v", i, again)
		}
		sameDigests(t, "again", sink.Digests(), digests)
	}
}

func (f SourceFixture) revision(t *testing.T) {
	order := make([]int, len(f.Trees))
	for i := range order {
		order[i] = i
	}
	for i, revised := range f.Revised {
		var sink Memory
		for _, tree := range f.Trees {
			f.mustRun(t, &sink, f.write(t, tree))
		}
		before := sink.Digests()
		f.mustRun(t, &sink, f.write(t, revised))
		trees := slices.Clone(f.Trees)
		trees[i] = revised
		sameDigests(t, fmt.Sprintf("tree %d revised", i), sink.Digests(), f.all(t, order, trees))
		if maps.Equal(before, sink.Digests()) {
			t.Errorf("the revision of tree %d changes nothing", i)
		}
	}
}

// broken cuts and garbles every tree's main file. Whatever comes of it, the importer says so and keeps what it had.
func (f SourceFixture) broken(t *testing.T) {
	for i, tree := range f.Trees {
		name := f.Main(tree)
		whole := tree[name]
		var sink Memory
		f.mustRun(t, &sink, f.write(t, tree))
		before := sink.Digests()
		for what, content := range damaged(whole) {
			bad := maps.Clone(tree)
			bad[name] = content
			_, err := f.run(t.Context(), &sink, f.write(t, bad))
			if err == nil {
				t.Errorf("tree %d, %s: no error", i, what)
			} else if base := name[strings.LastIndexByte(name, '/')+1:]; !strings.Contains(err.Error(), base) {
				t.Errorf("tree %d, %s: the error does not name %s: %v", i, what, base, err)
			}
			sameDigests(t, what, sink.Digests(), before)
		}
	}
}

func damaged(whole []byte) map[string][]byte {
	all := map[string][]byte{
		"empty":      {},
		"zeros":      make([]byte, 4096),
		"text":       []byte("This is not the file you are looking for.\n"),
		"a web page": []byte("<!DOCTYPE html><html><body>Sign in to continue</body></html>"),
	}
	for _, share := range []int{5, 30, 60, 90, 99} {
		if n := len(whole) * share / 100; n > 0 && n < len(whole)-1 {
			all[fmt.Sprintf("cut at %d%%", share)] = whole[:n]
		}
	}
	return all
}

func (f SourceFixture) documents(t *testing.T) {
	var sink Memory
	for _, tree := range f.Trees {
		f.mustRun(t, &sink, f.write(t, tree))
	}
	for name, d := range sink.Documents() {
		if err := d.VerifyDigest(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d.Origin != "" || d.Signature != nil {
			t.Errorf("%s: an importer does not sign", name)
		}
		if (d.Kind == document.Bulletin || d.Kind == document.Update) && len(d.Languages) > 0 {
			t.Errorf("%s: bulletins and updates are neutral, not %v", name, d.Languages)
		}
	}
}

var errCut = errors.New("the plug was pulled")

// resumed stops after every file in turn, by an error of the sink, and goes on.
func (f SourceFixture) resumed(t *testing.T) {
	var whole Memory
	from := f.write(t, f.Trees...)
	f.mustRun(t, &whole, from)
	for stop := range whole.Saves() {
		var sink Memory
		sink.Fail = func(importer.Saved) error {
			if sink.saves >= stop {
				return errCut
			}
			return nil
		}
		if _, err := f.run(t.Context(), &sink, from); !errors.Is(err, errCut) {
			t.Fatalf("stopped after %d files: %v", stop, err)
		}
		sink.Fail = nil
		result := f.mustRun(t, &sink, from)
		if result.Skipped < stop {
			t.Errorf("stopped after %d files: only %d were skipped on resuming", stop, result.Skipped)
		}
		sameDigests(t, fmt.Sprintf("stopped after %d files", stop), sink.Digests(), whole.Digests())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var sink Memory
	if _, err := f.run(ctx, &sink, from); !errors.Is(err, context.Canceled) || sink.Saves() != 0 {
		t.Errorf("cancelled before it began: %d saves, %v", sink.Saves(), err)
	}
}

// portions imports all trees at once and cut after every save, within all sizes.
func (f SourceFixture) portions(t *testing.T) {
	var whole Memory
	from := f.write(t, f.Trees...)
	want := f.mustRun(t, &whole, from)
	for _, limits := range sizes {
		var sink Memory
		result, err := f.runIn(t.Context(), &sink, from, limits)
		if err != nil || result.Files != want.Files || !maps.Equal(result.Counts, want.Counts) {
			t.Fatalf("%+v: %+v, want %+v; %v", limits, result, want, err)
		}
		sameDigests(t, fmt.Sprintf("%+v", limits), sink.Digests(), whole.Digests())
		f.cut(t, limits, sink.Saves(), func() *Memory { return new(Memory) }, from, whole.Digests())
	}
}

// cut stops after each of a number of saves, goes on within other limits, and wants to end in the same documents.
func (f SourceFixture) cut(t *testing.T, limits importer.Limits, saves int, open func() *Memory, from string, want map[string]document.Digest) {
	t.Helper()
	for stop := range min(saves, 40) {
		sink := open()
		before := sink.Saves()
		ctx, cancel := context.WithCancelCause(t.Context())
		sink.Fail = func(importer.Saved) error {
			switch {
			case sink.saves < before+stop:
				return nil
			case stop%2 == 0:
				return errCut
			}
			cancel(errCut) // this save still is made
			return nil
		}
		when := fmt.Sprintf("%+v, cut after %d of %d saves", limits, stop, saves)
		if _, err := f.runIn(ctx, sink, from, limits); !errors.Is(err, errCut) && !(errors.Is(err, context.Canceled) && context.Cause(ctx) == errCut) {
			t.Fatalf("%s: %v", when, err)
		}
		cancel(nil)
		sink.Fail = nil
		if _, err := f.runIn(t.Context(), sink, from, sizes[stop%len(sizes)]); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		sameDigests(t, when, sink.Digests(), want)
		if again := f.mustRun(t, sink, from); again.Files != 0 || again.Changed != 0 {
			t.Errorf("%s, gone on, and again: %+v", when, again)
		}
	}
}

// cutRevision cuts the import of a revision after every save, and goes on with it, or goes back to what it revised.
func (f SourceFixture) cutRevision(t *testing.T) {
	for i, revised := range f.Revised {
		was, now := f.write(t, f.Trees[i]), f.write(t, revised)
		former := func() *Memory {
			sink := new(Memory)
			f.mustRun(t, sink, was)
			return sink
		}
		want := former()
		before := want.Digests()
		f.mustRun(t, want, now)
		for _, limits := range sizes {
			sink := former()
			saves := sink.Saves()
			if _, err := f.runIn(t.Context(), sink, now, limits); err != nil {
				t.Fatal(err)
			}
			sameDigests(t, fmt.Sprintf("%+v", limits), sink.Digests(), want.Digests())
			f.cut(t, limits, sink.Saves()-saves, former, now, want.Digests())
		}
		f.back(t, former, was, now, before)
	}
}

// back cuts the import of a revision within the file and imports the former one again: nothing of the revision stays.
func (f SourceFixture) back(t *testing.T, former func() *Memory, was, now string, want map[string]document.Digest) {
	t.Helper()
	sink := former()
	first := sink.Saves() + 1
	sink.Fail = func(importer.Saved) error {
		if sink.saves >= first {
			return errCut
		}
		return nil
	}
	if _, err := f.runIn(t.Context(), sink, now, sizes[0]); err == nil {
		return // one portion was all
	} else if !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	sink.Fail = nil
	f.mustRun(t, sink, was)
	sameDigests(t, "back to what was revised", sink.Digests(), want)
}

func (f SourceFixture) nothing(t *testing.T) {
	var sink Memory
	if _, err := f.run(t.Context(), &sink, filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("a location that is not there: no error")
	}
	if _, err := f.run(t.Context(), &sink, t.TempDir()); err == nil {
		t.Error("an empty folder: no error")
	}
}
