package importertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/importer"
)

// SinkFixture says how to try a sink.
type SinkFixture struct {
	// New opens an empty sink; Documents returns what is in force in it, by kind and id.
	New       func(t *testing.T) importer.Sink
	Documents func(t *testing.T, s importer.Sink) map[string]document.Digest
}

// TestSink saves random files in a sink and holds it against one in memory after each.
func TestSink(t *testing.T, f SinkFixture) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { f.random(t, rand.New(rand.NewPCG(seed, 7))) })
	}
	t.Run("a cancelled save leaves nothing", f.cancelled)
	t.Run("sources do not touch one another", f.sources)
}

// state is what the random saves are made from: what every file says of every key.
type state map[string]map[string]string

const source = "msrc"

// saved writes what a file now says: for each key the letters that its parts bear.
func (s state) saved(t *testing.T, file string, says map[string]string, step int) importer.Saved {
	t.Helper()
	keys := slices.Concat(slices.Collect(maps.Keys(s[file])), slices.Collect(maps.Keys(says)))
	slices.Sort(keys)
	keys = slices.Compact(keys)
	s[file] = says
	out := importer.Saved{Source: source, File: file, Fingerprint: fmt.Sprintf("r%d|%d", step, len(says)), Keys: keys, At: time.Unix(int64(step), 0).UTC()}
	for _, key := range slices.Sorted(maps.Keys(says)) {
		out.Parts = append(out.Parts, importer.Part{Source: source, File: file, Key: key, Body: []byte(says[key])})
	}
	for _, key := range keys {
		out.Documents = append(out.Documents, s.documents(t, key)...)
	}
	return out
}

// documents joins what all files say of a key: a bulletin, and an update for every letter.
func (s state) documents(t *testing.T, key string) []importer.Keyed {
	t.Helper()
	letters := ""
	for _, file := range slices.Sorted(maps.Keys(s)) {
		letters += s[file][key]
	}
	if letters == "" {
		return nil
	}
	var out []importer.Keyed
	add := func(kind document.Kind, id string, body any) {
		raw, err := catalog.Encode(body)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := document.New(kind, id, nil, raw)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, importer.Keyed{Key: key, Document: doc})
	}
	add(document.Bulletin, source+"/"+key, catalog.Bulletin{Name: key, Source: source, Vendor: "Vendor", Title: letters, Severity: catalog.Critical})
	seen := make(map[rune]bool)
	for _, letter := range letters {
		if !seen[letter] {
			seen[letter] = true
			add(document.Update, source+"/"+key+"/"+string(letter), catalog.Update{
				Name: key, Bulletin: source + "/" + key, Source: source, Vendor: "Vendor",
				Product: catalog.Product{ID: string(letter), Name: "Product " + string(letter)}, NoRule: "a test",
			})
		}
	}
	return out
}

func (f SinkFixture) random(t *testing.T, r *rand.Rand) {
	sink, model, s := f.New(t), &Memory{}, state{}
	for step := range 25 {
		says := make(map[string]string)
		for range r.IntN(5) {
			says[fmt.Sprintf("KB400000%d", r.IntN(6))] += string(rune('a' + r.IntN(5)))
		}
		save := s.saved(t, fmt.Sprintf("file %d", r.IntN(4)), says, step)
		want, err := model.Save(t.Context(), save)
		if err != nil {
			t.Fatal(err)
		}
		got, err := sink.Save(t.Context(), save)
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		if got != want {
			t.Errorf("step %d: %d documents changed, want %d", step, got, want)
		}
		f.same(t, fmt.Sprintf("step %d", step), sink, model, s)
		if again, err := sink.Save(t.Context(), save); err != nil || again != 0 {
			t.Errorf("step %d saved again: %d changed, %v", step, again, err)
		}
	}
}

func (f SinkFixture) same(t *testing.T, when string, sink importer.Sink, model *Memory, s state) {
	t.Helper()
	ctx := t.Context()
	sameDigests(t, when, f.Documents(t, sink), model.Digests())
	want, _ := model.Known(ctx, source)
	if got, err := sink.Known(ctx, source); err != nil || !maps.Equal(got, want) {
		t.Errorf("%s: known %v, want %v; %v", when, got, want, err)
	}
	keys := make(map[string]bool)
	for file, says := range s {
		want, _ := model.FileKeys(ctx, source, file)
		got, err := sink.FileKeys(ctx, source, file)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: keys of %s %v, want %v; %v", when, file, got, want, err)
		}
		for key := range says {
			keys[key] = true
		}
	}
	asked := append(slices.Sorted(maps.Keys(keys)), "KB9999999")
	wantParts, _ := model.Parts(ctx, source, asked)
	gotParts, err := sink.Parts(ctx, source, asked)
	if err != nil || !slices.Equal(partNames(gotParts), partNames(wantParts)) {
		t.Errorf("%s: parts %v, want %v; %v", when, partNames(gotParts), partNames(wantParts), err)
	}
}

func partNames(parts []importer.Part) []string {
	var names []string
	for _, p := range parts {
		names = append(names, p.Source+" "+p.Key+" "+p.File+" "+string(p.Body))
	}
	slices.Sort(names)
	return names
}

func (f SinkFixture) cancelled(t *testing.T) {
	sink, s := f.New(t), state{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sink.Save(ctx, s.saved(t, "file", map[string]string{"KB4000001": "ab"}, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled save: %v", err)
	}
	if known, err := sink.Known(t.Context(), source); err != nil || len(known) != 0 {
		t.Errorf("after a cancelled save: %v, %v", known, err)
	}
	if docs := f.Documents(t, sink); len(docs) != 0 {
		t.Errorf("after a cancelled save: %v", docs)
	}
}

func (f SinkFixture) sources(t *testing.T) {
	sink, s := f.New(t), state{}
	save := s.saved(t, "file", map[string]string{"KB4000001": "ab"}, 1)
	if _, err := sink.Save(t.Context(), save); err != nil {
		t.Fatal(err)
	}
	before := f.Documents(t, sink)
	other := importer.Saved{Source: "sdp", File: "file", Fingerprint: "x", Keys: []string{"KB4000001"}, At: save.At}
	if changed, err := sink.Save(t.Context(), other); err != nil || changed != 0 {
		t.Errorf("another source with the same key: %d changed, %v", changed, err)
	}
	sameDigests(t, "after another source", f.Documents(t, sink), before)
	if parts, err := sink.Parts(t.Context(), "sdp", []string{"KB4000001"}); err != nil || len(parts) != 0 {
		t.Errorf("another source's parts: %v, %v", parts, err)
	}
}
