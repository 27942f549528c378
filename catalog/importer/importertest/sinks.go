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
	t.Run("a file in portions", f.portions)
	t.Run("several files in one save", f.several)
	t.Run("failures are kept", f.failures)
	t.Run("a cancelled save leaves nothing", f.cancelled)
	t.Run("sources do not touch one another", f.sources)
}

// state is what the random saves are made from: what every file says of every key.
type state map[string]map[string]string

const source = "msrc"

// saves writes what a file now says, for each key the letters that its parts bear, in a number of portions.
func (s state) saves(t *testing.T, file string, says map[string]string, step, portions int) []importer.Saved {
	t.Helper()
	before := s[file]
	keys := slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(says)))
	slices.Sort(keys)
	keys = slices.Compact(keys)
	s[file] = says
	out := make([]importer.Saved, portions)
	for i := range out {
		out[i] = importer.Saved{Source: source, Files: []importer.FileState{{Name: file}}, At: time.Unix(int64(step), 0).UTC()}
	}
	out[portions-1].Files[0].Fingerprint = fmt.Sprintf("r%d|%d", step, len(says))
	for i, key := range keys {
		to := &out[i%portions]
		body, now := says[key]
		if !now {
			to = &out[portions-1] // what goes, goes in the end
		}
		to.Keys = append(to.Keys, key)
		part := importer.Part{Source: source, File: file, Key: key}
		if now {
			part.Body = []byte(body)
			to.Parts = append(to.Parts, part)
		} else {
			to.Gone = append(to.Gone, part)
		}
		to.Documents = append(to.Documents, s.documents(t, key)...)
	}
	for i := range out {
		slices.Sort(out[i].Keys)
	}
	return out
}

// saved is the same in one save.
func (s state) saved(t *testing.T, file string, says map[string]string, step int) importer.Saved {
	t.Helper()
	return s.saves(t, file, says, step, 1)[0]
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
				Product: catalog.Product{ID: string(letter), Name: "Product " + string(letter)}, Rules: catalog.Rules{NoRule: "a test"},
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
		saves := s.saves(t, fmt.Sprintf("file %d", r.IntN(4)), says, step, 1+r.IntN(3))
		for i, save := range saves {
			when := fmt.Sprintf("step %d, portion %d of %d", step, i+1, len(saves))
			f.both(t, when, sink, model, save)
			if i == len(saves)-1 || r.IntN(2) == 0 {
				f.same(t, when, sink, model, s)
			}
			if again, err := sink.Save(t.Context(), save); err != nil || again != 0 {
				t.Errorf("%s saved again: %d changed, %v", when, again, err)
			}
		}
	}
}

// both saves in the sink and in the model.
func (f SinkFixture) both(t *testing.T, when string, sink importer.Sink, model *Memory, save importer.Saved) {
	t.Helper()
	want, err := model.Save(t.Context(), save)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sink.Save(t.Context(), save)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	if got != want {
		t.Errorf("%s: %d documents changed, want %d", when, got, want)
	}
}

// portions holds what is known of a file between its portions, cut after each.
func (f SinkFixture) portions(t *testing.T) {
	sink, model, s := f.New(t), &Memory{}, state{}
	says := map[string]string{"KB4000001": "a", "KB4000002": "b", "KB4000003": "c", "KB4000004": "d"}
	for i, save := range s.saves(t, "file", says, 1, 4) {
		f.both(t, "new", sink, model, save)
		if known, err := sink.Known(t.Context(), source); err != nil || len(known) != i/3 {
			t.Errorf("portion %d of a new file: known %v, %v", i+1, known, err)
		}
	}
	whole, err := sink.Known(t.Context(), source)
	if err != nil || !importer.Whole(whole["file"]) {
		t.Errorf("imported whole: %v, %v", whole, err)
	}
	f.same(t, "new", sink, model, s)
	saves := s.saves(t, "file", map[string]string{"KB4000001": "e", "KB4000005": "f"}, 2, 2)
	f.both(t, "revised", sink, model, saves[0])
	f.same(t, "revised, cut", sink, model, s)
	known, err := sink.Known(t.Context(), source)
	if got := known["file"]; err != nil || got != importer.Interrupted(whole["file"]) || importer.Whole(got) {
		t.Errorf("revised, cut: known %v, %v", known, err)
	}
	if keys, err := sink.FileKeys(t.Context(), source, "file"); err != nil || len(keys) < 4 {
		t.Errorf("a portion that is not the last took something away: %v, %v", keys, err)
	}
	f.both(t, "revised", sink, model, saves[1])
	f.same(t, "revised", sink, model, s)
}

// several saves files together that say something of one key.
func (f SinkFixture) several(t *testing.T) {
	sink, model, s := f.New(t), &Memory{}, state{}
	join := func(step int, says ...map[string]string) importer.Saved {
		var all importer.Saved
		for i, one := range says {
			next := s.saved(t, fmt.Sprintf("file %d", i), one, step)
			all.Source, all.At = next.Source, next.At
			all.Files = append(all.Files, next.Files...)
			all.Keys = append(all.Keys, next.Keys...)
			all.Parts = append(all.Parts, next.Parts...)
			all.Gone = append(all.Gone, next.Gone...)
		}
		slices.Sort(all.Keys)
		all.Keys = slices.Compact(all.Keys)
		for _, key := range all.Keys {
			all.Documents = append(all.Documents, s.documents(t, key)...)
		}
		return all
	}
	for step, says := range [][]map[string]string{
		{{"KB4000001": "a", "KB4000002": "b"}, {"KB4000001": "c"}, {"KB4000003": "d"}},
		{{"KB4000002": "x"}, {"KB4000001": "c", "KB4000002": "y"}, {}},
		{{}, {}, {}},
	} {
		f.both(t, fmt.Sprintf("step %d", step), sink, model, join(step, says...))
		f.same(t, fmt.Sprintf("step %d", step), sink, model, s)
	}
	if docs := f.Documents(t, sink); len(docs) != 0 {
		t.Errorf("nobody says anything any more, and there are %v", docs)
	}
}

// failures are replaced by what ends the file or names the key.
func (f SinkFixture) failures(t *testing.T) {
	sink, model, s := f.New(t), &Memory{}, state{}
	failure := func(file, key, text string) importer.Failure {
		return importer.Failure{File: file, Key: key, Warnings: []importer.Warning{
			{File: file, Element: "an element", Kind: "broken", Text: text, Failed: true},
			{File: file, Kind: "broken", Text: "more", Failed: true, Times: 7},
		}}
	}
	check := func(when string, want ...string) {
		t.Helper()
		for name, one := range map[string]importer.Sink{"sink": sink, "model": model} {
			kept, err := one.Failures(t.Context(), source)
			var got []string
			for _, k := range kept {
				got = append(got, fmt.Sprintf("%s %s %+v", k.File, k.Key, k.Warnings))
			}
			slices.Sort(got)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: the %s has %q, want %q; %v", when, name, got, want, err)
			}
		}
	}
	text := func(f importer.Failure) string { return fmt.Sprintf("%s %s %+v", f.File, f.Key, f.Warnings) }

	one, two, key := failure("file 1", "", "one"), failure("file 2", "", "two"), failure("file 1", "KB4000002", "key")
	save := s.saved(t, "file 1", map[string]string{"KB4000001": "a", "KB4000002": "b"}, 1)
	save.Failures = []importer.Failure{one, key}
	f.both(t, "one", sink, model, save)
	check("one", text(one), text(key))
	save = s.saved(t, "file 2", map[string]string{"KB4000003": "c"}, 1)
	save.Failures = []importer.Failure{two}
	f.both(t, "two", sink, model, save)
	check("another file", text(one), text(key), text(two))
	f.both(t, "key", sink, model, s.saved(t, "file 3", map[string]string{"KB4000002": "d"}, 1))
	check("another file's merge of the key", text(one), text(two))
	saves := s.saves(t, "file 1", map[string]string{"KB4000001": "e", "KB4000002": "b"}, 2, 2)
	f.both(t, "portion", sink, model, saves[0])
	check("a portion that is not the last", text(one), text(two))
	f.both(t, "last", sink, model, saves[1])
	check("the last portion", text(two))
	if other, err := sink.Failures(t.Context(), "sdp"); err != nil || len(other) != 0 {
		t.Errorf("another source: %v, %v", other, err)
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
	other := importer.Saved{Source: "sdp", Files: []importer.FileState{{Name: "file", Fingerprint: "x"}}, Keys: []string{"KB4000001"}, At: save.At}
	if changed, err := sink.Save(t.Context(), other); err != nil || changed != 0 {
		t.Errorf("another source with the same key: %d changed, %v", changed, err)
	}
	sameDigests(t, "after another source", f.Documents(t, sink), before)
	if parts, err := sink.Parts(t.Context(), "sdp", []string{"KB4000001"}); err != nil || len(parts) != 0 {
		t.Errorf("another source's parts: %v, %v", parts, err)
	}
}
