package importertest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/importer"
)

// damages are what can happen to a file at one byte.
var damages = map[string]func(whole []byte, at int) []byte{
	"cut":      func(whole []byte, at int) []byte { return whole[:at] },
	"flipped":  func(whole []byte, at int) []byte { return changed(whole, at, whole[at]^1<<(at%8)) },
	"zeroed":   func(whole []byte, at int) []byte { return changed(whole, at, 0) },
	"quoted":   func(whole []byte, at int) []byte { return changed(whole, at, `"<>&/'=`[at%7]) },
	"missing":  func(whole []byte, at int) []byte { return slices.Delete(bytes.Clone(whole), at, at+1) },
	"repeated": func(whole []byte, at int) []byte { return slices.Insert(bytes.Clone(whole), at, whole[at]) },
	"a hole": func(whole []byte, at int) []byte {
		return slices.Delete(bytes.Clone(whole), at, min(at+100, len(whole)))
	},
}

func changed(whole []byte, at int, to byte) []byte {
	out := bytes.Clone(whole)
	out[at] = to
	return out
}

// anywhere damages every tree's main file at many places, each in every way. Whatever comes of it: what is held are
// documents that can be read, a cut is told, an error leaves what was there, messages are plain, and the same again
// changes nothing and says the same.
func (f SourceFixture) anywhere(t *testing.T) {
	places := 30
	if testing.Short() {
		places = 6
	}
	for i, tree := range f.Trees {
		name := f.Main(tree)
		whole := tree[name]
		var sink Memory
		f.mustRun(t, &sink, f.write(t, tree))
		before := sink.Digests()
		random := rand.New(rand.NewPCG(uint64(i), 3))
		for _, at := range random.Perm(len(whole))[:min(places, len(whole))] {
			for what, damage := range damages {
				bad := maps.Clone(tree)
				bad[name] = damage(whole, at)
				f.survives(t, damagedTree{
					when: fmt.Sprintf("tree %d, %s at byte %d of %d", i, what, at, len(whole)),
					from: f.write(t, bad), before: before, cut: what == "cut",
				}, tree)
			}
		}
	}
}

// damagedTree is a folder with a damaged file.
type damagedTree struct {
	when, from string
	before     map[string]document.Digest // what the whole file gives
	cut        bool
}

func (f SourceFixture) survives(t *testing.T, d damagedTree, tree Tree) {
	t.Helper()
	var sink Memory
	f.mustRun(t, &sink, f.write(t, tree))
	result, err := f.run(t.Context(), &sink, d.from)
	switch {
	case err != nil && !errors.Is(err, importer.ErrIncomplete) && result.Files > 0:
		t.Errorf("%s: %v", d.when, err)
	case err != nil && result.Files == 0:
		sameDigests(t, d.when, sink.Digests(), d.before)
	case err == nil && d.cut:
		sameDigests(t, d.when+", without an error", sink.Digests(), d.before)
	}
	checkPlain(t, d.when, result, err)
	checkReadable(t, d.when, sink.Documents())
	digests := sink.Digests()
	again, failed := f.run(t.Context(), &sink, d.from)
	if again.Changed != 0 || again.Failed != result.Failed || (err == nil) != (failed == nil) {
		t.Errorf("%s, again: %+v, %v; at first %+v, %v", d.when, again, failed, result, err)
	}
	sameDigests(t, d.when+", again", sink.Digests(), digests)
}

// checkPlain wants messages that a terminal can show.
func checkPlain(t *testing.T, when string, result importer.Result, err error) {
	t.Helper()
	texts := []string{fmt.Sprint(err)}
	for _, w := range result.Warnings {
		texts = append(texts, w.File, w.Element, w.Text)
	}
	for _, text := range texts {
		if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) || len(text) > 3000 {
			t.Errorf("%s: %q", when, text)
		}
	}
}

// checkReadable wants documents whose bodies can be decoded.
func checkReadable(t *testing.T, when string, docs map[string]document.Document) {
	t.Helper()
	for name, d := range docs {
		err := d.VerifyDigest()
		switch d.Kind {
		case document.Bulletin:
			_, failed := catalog.Decode[catalog.Bulletin](d.Body)
			err = errors.Join(err, failed)
		case document.Update:
			_, failed := catalog.Decode[catalog.Update](d.Body)
			err = errors.Join(err, failed)
		case document.Package:
			_, failed := catalog.Decode[catalog.Package](d.Body)
			err = errors.Join(err, failed)
		}
		if err != nil {
			t.Errorf("%s: %s: %v", when, name, err)
		}
	}
}
