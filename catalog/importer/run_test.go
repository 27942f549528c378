package importer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
)

// plain is a source of lines "KEY text": each file's parts are its lines, each key's document holds all texts, sorted
// by file. The file "x" that says "!" somewhere cannot be read further.
type plain struct {
	files   map[string]string
	opened  atomic.Int64
	parsing atomic.Int64 // at this moment
	most    atomic.Int64
	mergeAt func(key string, parts []importer.Part, warn func(importer.Warning)) error
}

func (p *plain) Name() string { return "plain" }

func (p *plain) Files(context.Context, importer.Request) ([]importer.File, error) {
	var files []importer.File
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		text := p.files[name]
		revision, _, _ := strings.Cut(text, "\n")
		base, _, _ := strings.Cut(name, "/")
		files = append(files, importer.File{Name: base, Path: name, Revision: revision, Fingerprint: importer.Fingerprint(revision, text), Open: func(context.Context) (io.ReadCloser, error) {
			p.opened.Add(1)
			return io.NopCloser(strings.NewReader(text)), nil
		}})
	}
	return files, nil
}

var errBang = errors.New("a bang")

func (p *plain) Parse(ctx context.Context, _ importer.Request, file importer.File, emit func(importer.Part) error, warn func(importer.Warning)) (string, error) {
	now := p.parsing.Add(1)
	defer p.parsing.Add(-1)
	for most := p.most.Load(); now > most && !p.most.CompareAndSwap(most, now); most = p.most.Load() {
	}
	stream, err := file.Open(ctx)
	if err != nil {
		return "", err
	}
	defer stream.Close()
	raw, err := io.ReadAll(stream)
	if err != nil {
		return "", err
	}
	runtime.Gosched()
	for i, line := range strings.Split(string(raw), "\n") {
		key, text, found := strings.Cut(line, " ")
		switch {
		case i == 0 || line == "":
		case line == "!":
			return "", errBang
		case key == "?":
			warn(importer.Warning{File: file.Name, Kind: "broken", Element: fmt.Sprintf("line %d", i), Text: text, Failed: true})
		case !found:
			warn(importer.Warning{File: file.Name, Kind: "odd-line", Text: line, Times: 2})
		default:
			if err := emit(importer.Part{Key: key, Body: []byte(text)}); err != nil {
				return "", err
			}
		}
	}
	return "", nil
}

func (p *plain) Merge(key string, parts []importer.Part, warn func(importer.Warning)) ([]document.Document, error) {
	if p.mergeAt != nil {
		if err := p.mergeAt(key, parts, warn); err != nil {
			return nil, err
		}
	}
	if len(parts) == 0 {
		return nil, nil
	}
	var texts []string
	for _, part := range parts {
		texts = append(texts, part.File+"="+string(part.Body))
	}
	slices.Sort(texts)
	raw, err := catalog.Encode(catalog.Bulletin{Name: key, Source: "plain", Title: strings.Join(texts, ",")})
	if err != nil {
		return nil, err
	}
	doc, err := document.New(document.Bulletin, "plain/"+key, nil, raw)
	return []document.Document{doc}, err
}

func titles(t interface {
	Helper()
	Fatal(args ...any)
}, sink *importertest.Memory,
) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, d := range sink.Documents() {
		b, err := catalog.Decode[catalog.Bulletin](d.Body)
		if err != nil {
			t.Fatal(err)
		}
		all[b.Name] = b.Title
	}
	return all
}

func run(t testing.TB, src importer.Source, sink importer.Sink) (importer.Result, error) {
	t.Helper()
	alone := importer.Limits{Small: -1} // each file is saved by itself
	return importer.Run(context.Background(), src, sink, importer.Request{At: time.Unix(1, 0), Limits: alone}, nil)
}

func TestPartsOfSeveralFilesAreJoined(t *testing.T) {
	src := &plain{files: map[string]string{"a": "1\nK1 one\nK2 two", "b": "1\nK1 uno", "c": "1\nK1 eins\nK3 drei\nodd"}}
	var sink importertest.Memory
	result, err := run(t, src, &sink)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"K1": "a=one,b=uno,c=eins", "K2": "a=two", "K3": "c=drei"}
	if got := titles(t, &sink); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if result.Files != 3 || result.Changed != 5 || result.Counts["odd-line"] != 2 || result.Bytes == 0 || result.EndedAt.Before(result.StartedAt) {
		t.Errorf("%+v", result)
	}
	if src.most.Load() > 2 {
		t.Errorf("%d files were parsed at once", src.most.Load())
	}
	// One file is revised: a key goes, a key comes, and one stays by what the others say.
	src.files["a"] = "2\nK4 vier"
	if result, err = run(t, src, &sink); err != nil || result.Files != 1 || result.Skipped != 2 {
		t.Errorf("%+v, %v", result, err)
	}
	want = map[string]string{"K1": "b=uno,c=eins", "K3": "c=drei", "K4": "a=vier"}
	if got := titles(t, &sink); !maps.Equal(got, want) {
		t.Errorf("revised: %v", got)
	}
	// A file that vanished keeps its contribution.
	delete(src.files, "b")
	if result, err = run(t, src, &sink); err != nil || result.Files != 0 || !maps.Equal(titles(t, &sink), want) {
		t.Errorf("vanished: %+v, %v", result, err)
	}
}

// Whatever files come, in whatever order of runs, the documents are those of the files as they are in the end.
func TestAnyHistoryGivesTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := &plain{files: make(map[string]string)}
		sink := new(importertest.Memory)
		revisions := 0
		for range rapid.IntRange(1, 6).Draw(t, "runs") {
			for range rapid.IntRange(0, 4).Draw(t, "files") {
				revisions++
				name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "file")
				text := fmt.Sprintf("%04d", revisions)
				for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"K1", "K2", "K3"}), 0, 3, rapid.ID).Draw(t, "keys") {
					text += fmt.Sprintf("\n%s v%d", key, revisions)
				}
				src.files[name] = text
			}
			if _, err := importer.Run(context.Background(), src, sink, importer.Request{}, nil); err != nil {
				t.Fatal(err)
			}
		}
		fresh := new(importertest.Memory)
		if _, err := importer.Run(context.Background(), &plain{files: src.files}, fresh, importer.Request{}, nil); err != nil {
			t.Fatal(err)
		}
		if a, b := sink.Digests(), fresh.Digests(); !maps.Equal(a, b) {
			t.Fatalf("%v, want %v", a, b)
		}
	})
}

func TestABadFileLosesNothingElse(t *testing.T) {
	src := &plain{files: map[string]string{"a": "1\nK1 one", "b": "1\nK1 uno\nK2 due\n!", "c": "1\nK3 drei"}}
	var sink importertest.Memory
	result, err := run(t, src, &sink)
	if !errors.Is(err, importer.ErrIncomplete) || !errors.Is(err, errBang) || !strings.Contains(err.Error(), "vendor file b") {
		t.Errorf("%v", err)
	}
	if got := titles(t, &sink); !maps.Equal(got, map[string]string{"K1": "a=one", "K3": "c=drei"}) {
		t.Errorf("%v", got)
	}
	if result.Failed != 1 || result.Files != 2 || len(result.Warnings) != 1 || !result.Warnings[0].Failed || result.Warnings[0].File != "b" {
		t.Errorf("%+v", result)
	}
	// It is tried again, and only it.
	opened := src.opened.Load()
	src.files["b"] = "1\nK1 uno"
	if result, err = run(t, src, &sink); err != nil || result.Files != 1 || src.opened.Load() != opened+1 {
		t.Errorf("%+v, %v, %d opened", result, err, src.opened.Load()-opened)
	}
}

func TestAKeyThatCannotBeMergedStaysAsItWas(t *testing.T) {
	src := &plain{files: map[string]string{"a": "1\nK1 one\nK2 two"}}
	var sink importertest.Memory
	if _, err := run(t, src, &sink); err != nil {
		t.Fatal(err)
	}
	src.files["a"] = "2\nK1 uno\nK2 due"
	src.mergeAt = func(key string, _ []importer.Part, _ func(importer.Warning)) error {
		if key == "K1" {
			return errors.New("too large for a document")
		}
		return nil
	}
	result, err := run(t, src, &sink)
	if !errors.Is(err, importer.ErrIncomplete) || !strings.Contains(err.Error(), "too large") || result.Failed != 1 || result.Counts["merge-failed"] != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	if got := titles(t, &sink); !maps.Equal(got, map[string]string{"K1": "a=one", "K2": "a=due"}) {
		t.Errorf("%v", got)
	}
}

func TestMergeWarningsCountOnce(t *testing.T) {
	src := &plain{files: map[string]string{"a": "1\nK1 one", "b": "1\nK1 uno", "c": "1\nK1 eins"}}
	src.mergeAt = func(key string, parts []importer.Part, warn func(importer.Warning)) error {
		if len(parts) > 1 {
			warn(importer.Warning{Kind: "several", Element: key, Text: "x"})
		}
		return nil
	}
	var sink importertest.Memory
	if result, err := run(t, src, &sink); err != nil || result.Counts["several"] != 1 {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestOlderAndDoubleFiles(t *testing.T) {
	src := &plain{files: map[string]string{"a": "1\nK1 old", "a/2": "2\nK1 new", "b": "1\nK2 two"}}
	var sink importertest.Memory
	result, err := run(t, src, &sink)
	if err != nil || result.Files != 2 || result.Skipped != 1 || result.Counts["duplicate-file"] != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	delete(src.files, "a/2")
	result, err = run(t, src, &sink)
	if err != nil || result.Files != 0 || result.Counts["older-revision"] != 1 || titles(t, &sink)["K1"] != "a=new" {
		t.Errorf("%+v, %v", result, err)
	}
}

// An error of the sink ends the run at once and is no matter of a vendor file.
func TestSinkErrors(t *testing.T) {
	src := &plain{files: map[string]string{"a": "1\nK1 one", "b": "1\nK1 uno", "c": "1\nK1 eins", "d": "1\nK1 een"}}
	errDisk := errors.New("the disk is full")
	for stop := range 4 {
		var sink importertest.Memory
		sink.Fail = func(s importer.Saved) error {
			if s.Files[0].Name == string(rune('a'+stop)) {
				return errDisk
			}
			return nil
		}
		result, err := run(t, src, &sink)
		if !errors.Is(err, errDisk) || errors.Is(err, importer.ErrIncomplete) || sink.Saves() != stop || result.Files != stop {
			t.Errorf("stopped at %d: %+v, %v", stop, result, err)
		}
		sink.Fail = nil
		if result, err = run(t, src, &sink); err != nil || result.Files != 4-stop || result.Skipped != stop || titles(t, &sink)["K1"] != "a=one,b=uno,c=eins,d=een" {
			t.Errorf("gone on from %d: %+v, %v", stop, result, err)
		}
	}
}

// Saved in the order listed, each with all keys that the file names or named.
func TestWhatIsSaved(t *testing.T) {
	src := &plain{files: map[string]string{"a": "1\nK2 two\nK1 one", "b": "1\nK3 three"}}
	var sink importertest.Memory
	if _, err := run(t, src, &sink); err != nil {
		t.Fatal(err)
	}
	src.files["a"] = "2\nK2 due"
	src.files["b"] = "2"
	var saved []importer.Saved
	sink.Fail = func(s importer.Saved) error { saved = append(saved, s); return nil }
	if _, err := run(t, src, &sink); err != nil {
		t.Fatal(err)
	}
	if len(saved) != 2 || saved[0].Files[0].Name != "a" || saved[1].Files[0].Name != "b" {
		t.Fatalf("%+v", saved)
	}
	a, b := saved[0], saved[1]
	if !slices.Equal(a.Keys, []string{"K1", "K2"}) || len(a.Parts) != 1 || len(a.Documents) != 1 || a.Documents[0].Key != "K2" || a.Source != "plain" || a.Parts[0].File != "a" || a.At.IsZero() {
		t.Errorf("a: %+v", a)
	}
	if !slices.Equal(b.Keys, []string{"K3"}) || len(b.Parts) != 0 || len(b.Documents) != 0 || len(sink.Documents()) != 1 {
		t.Errorf("b: %+v", b)
	}
}

// sized is a plain source that knows how large its files are.
type sized struct{ plain }

func (s *sized) Files(ctx context.Context, req importer.Request) ([]importer.File, error) {
	files, err := s.plain.Files(ctx, req)
	for i := range files {
		files[i].Size = int64(len(s.files[files[i].Path]))
	}
	return files, err
}

// The largest files come first, so that the last save is a small one; equals as they are listed.
func TestLargestFilesComeFirst(t *testing.T) {
	src := &sized{plain{files: map[string]string{"a": "1\nK1 x", "b": "1\nK2 xxxx", "c": "1\nK3 xx", "d": "1\nK4 xx"}}}
	var sink importertest.Memory
	var order []string
	sink.Fail = func(s importer.Saved) error {
		for _, file := range s.Files {
			order = append(order, file.Name)
		}
		return nil
	}
	if _, err := run(t, src, &sink); err != nil {
		t.Fatal(err)
	}
	if want := []string{"b", "c", "d", "a"}; !slices.Equal(order, want) {
		t.Errorf("files are saved as %q, want %q", order, want)
	}
}

func TestFingerprint(t *testing.T) {
	if importer.Fingerprint("1", "ab", "c") == importer.Fingerprint("1", "a", "bc") || importer.Fingerprint("1", "a") == importer.Fingerprint("2", "a") {
		t.Error("different things have one fingerprint")
	}
	one, again := importer.Fingerprint("1", "a"), importer.Fingerprint("1", "a")
	if one != again {
		t.Error("one thing has two fingerprints")
	}
}

func TestListingFails(t *testing.T) {
	var sink importertest.Memory
	if _, err := importer.Run(t.Context(), failing{}, &sink, importer.Request{}, nil); !errors.Is(err, errBang) {
		t.Errorf("%v", err)
	}
}

type failing struct{}

func (failing) Name() string { return "failing" }

func (failing) Files(context.Context, importer.Request) ([]importer.File, error) { return nil, errBang }
func (failing) Parse(context.Context, importer.Request, importer.File, func(importer.Part) error, func(importer.Warning)) (string, error) {
	return "", nil
}

func (failing) Merge(string, []importer.Part, func(importer.Warning)) ([]document.Document, error) {
	return nil, nil
}
