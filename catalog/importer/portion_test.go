package importer_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
)

// joining is a plain source that may name a key several times in a file: the texts are joined, and "-" takes them back.
type joining struct{ plain }

func (*joining) Join(_ string, bodies [][]byte) ([]byte, error) {
	var texts []string
	for _, body := range bodies {
		if text := string(body); text == "-" {
			texts = nil
		} else {
			texts = append(texts, text)
		}
	}
	if texts == nil {
		return nil, nil
	}
	return []byte(strings.Join(texts, "+")), nil
}

var keys = []string{"K1", "K2", "K3", "K4", "K5"}

// drawFile draws a file in which keys occur several times, far from one another, and some are taken back again.
func drawFile(t *rapid.T, name string, revision int) (text string, says map[string]string) {
	says = make(map[string]string)
	text = fmt.Sprintf("%04d %s", revision, name) // files of one content are one
	for n := range rapid.IntRange(0, 12).Draw(t, "lines") {
		key, body := rapid.SampledFrom(keys).Draw(t, "key"), fmt.Sprintf("v%d.%d", revision, n)
		said, named := says[key]
		switch {
		case named && rapid.IntRange(0, 4).Draw(t, "take back") == 0:
			body = "-"
			delete(says, key)
		case said != "":
			says[key] = said + "+" + body
		default:
			says[key] = body
		}
		text += "\n" + key + " " + body
	}
	return text, says
}

func drawLimits(t *rapid.T) importer.Limits {
	return importer.Limits{
		Save:  rapid.SampledFrom([]int{1, 5, 20, 0}).Draw(t, "bytes"),
		Keys:  rapid.SampledFrom([]int{1, 2, 3, 0}).Draw(t, "keys"),
		Small: rapid.SampledFrom([]int{-1, 4, 12, 0}).Draw(t, "small"),
	}
}

// Whatever files come, whatever portions they are saved in, and wherever a run is cut: what is held in the end is what
// the files say, and saying it again changes nothing. No save is larger than it may be, none takes something away
// before its file's last, and nothing stays in the scratch folder.
func TestAnyPortionsGiveTheSame(t *testing.T) {
	scratch := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		src := &joining{plain{files: make(map[string]string)}}
		said := make(map[string]map[string]string)
		sink := new(importertest.Memory)
		for revision := range rapid.IntRange(1, 5).Draw(t, "runs") {
			for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), rapid.ID).Draw(t, "files") {
				src.files[name], said[name] = drawFile(t, name, revision)
			}
			limits := drawLimits(t)
			left := rapid.IntRange(0, 12).Draw(t, "saves before the cut")
			sink.Fail = func(s importer.Saved) error {
				checkSave(t, s, limits)
				if left--; left < 0 {
					return errBang
				}
				return nil
			}
			_, err := importer.Run(context.Background(), src, sink, importer.Request{Limits: limits, Scratch: scratch}, nil)
			if err != nil && !errors.Is(err, errBang) {
				t.Fatal(err)
			}
		}
		sink.Fail = nil
		for range 2 {
			if _, err := importer.Run(context.Background(), src, sink, importer.Request{Limits: drawLimits(t), Scratch: scratch}, nil); err != nil {
				t.Fatal(err)
			}
		}
		want := make(map[string]string)
		for _, key := range keys {
			var texts []string
			for _, name := range slices.Sorted(maps.Keys(said)) {
				if text, names := said[name][key]; names {
					texts = append(texts, name+"="+text)
				}
			}
			if texts != nil {
				want[key] = strings.Join(texts, ",")
			}
		}
		if got := titles(t, sink); !maps.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
		saves := sink.Saves()
		result, err := importer.Run(context.Background(), src, sink, importer.Request{Scratch: scratch}, nil)
		if err != nil || result.Changed+result.Files != 0 || sink.Saves() != saves {
			t.Fatalf("again: %+v, %v", result, err)
		}
		if left, err := os.ReadDir(scratch); err != nil || len(left) != 0 {
			t.Fatalf("left in the scratch folder: %v, %v", left, err)
		}
	})
}

// checkSave holds a save against the limits it was made in.
func checkSave(t *rapid.T, s importer.Saved, limits importer.Limits) {
	size := 0
	for _, p := range s.Parts {
		size += len(p.Body)
	}
	if limits.Save > 0 && len(s.Files) == 1 && len(s.Parts) > 1 && size > 2*limits.Save+20 {
		t.Fatalf("%d bytes in a save of %+v", size, limits)
	}
	if limits.Keys > 0 && len(s.Files) == 1 && len(s.Keys) > limits.Keys {
		t.Fatalf("%d keys in a save of %+v", len(s.Keys), limits)
	}
	if !slices.IsSorted(s.Keys) || len(slices.Compact(slices.Clone(s.Keys))) != len(s.Keys) {
		t.Fatalf("keys %v", s.Keys)
	}
	for i, file := range s.Files {
		if file.Fingerprint == "" && (len(s.Files) > 1 || i > 0) {
			t.Fatalf("a portion together with others: %+v", s.Files)
		}
	}
}

// Small files are saved together, large ones by themselves, and the order stays.
func TestSmallFilesAreSavedTogether(t *testing.T) {
	src := &plain{files: make(map[string]string)}
	for i := range 300 {
		src.files[fmt.Sprintf("%03d", i)] = fmt.Sprintf("1\nK%d %s", i%40, strings.Repeat("x", 1000))
	}
	src.files["100"] = "1\nL1 " + strings.Repeat("y", 100_000)
	src.files["200"] = "1\n!"
	var sink importertest.Memory
	var saves []string
	sink.Fail = func(s importer.Saved) error {
		saves = append(saves, fmt.Sprintf("%s+%d", s.Files[0].Name, len(s.Files)-1))
		return nil
	}
	limits := importer.Limits{Save: 400_000}
	result, err := importer.Run(t.Context(), src, &sink, importer.Request{Limits: limits, At: time.Unix(1, 0)}, nil)
	if !errors.Is(err, errBang) || result.Files != 299 || result.Failed != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	if got, want := strings.Join(saves, " "), "000+99 100+0 101+99 202+97"; got != want {
		t.Errorf("saves %s, want %s", got, want)
	}
	whole := new(importertest.Memory)
	if _, err := run(t, src, whole); !errors.Is(err, errBang) {
		t.Fatal(err)
	}
	if !maps.Equal(sink.Digests(), whole.Digests()) {
		t.Error("together they give other documents than one by one")
	}
}

// What failed in a file is named by every run that finds it unchanged, and nothing is written for that.
func TestFailuresAreNamedAgain(t *testing.T) {
	src := &plain{files: map[string]string{"a": "1\nK1 one\n? a part\n? another", "b": "1\nK2 two", "c": "1\nK1 eins"}}
	var sink importertest.Memory
	first, err := run(t, src, &sink)
	if !errors.Is(err, importer.ErrIncomplete) || first.Failed != 2 || first.Files != 3 {
		t.Fatalf("%+v, %v", first, err)
	}
	saves := sink.Saves()
	for range 2 {
		again, failed := run(t, src, &sink)
		if failed == nil || failed.Error() != err.Error() || again.Failed != 2 || again.Files != 0 || again.Changed != 0 || sink.Saves() != saves ||
			!slices.Equal(again.Warnings, first.Warnings) || !maps.Equal(again.Counts, first.Counts) {
			t.Errorf("again: %+v, %v; at first %+v, %v", again, failed, first, err)
		}
	}
	src.files["b"] = "2\nK2 due"
	if other, err := run(t, src, &sink); !errors.Is(err, importer.ErrIncomplete) || other.Failed != 2 || other.Files != 1 {
		t.Errorf("another file is revised: %+v, %v", other, err)
	}
	src.files["a"] = "2\nK1 one\n? a part"
	if less, err := run(t, src, &sink); !errors.Is(err, importer.ErrIncomplete) || less.Failed != 1 {
		t.Errorf("revised: %+v, %v", less, err)
	}
	src.files["a"] = "3\nK1 one"
	for range 2 {
		if none, err := run(t, src, &sink); err != nil || none.Failed != 0 || len(none.Warnings) != 0 {
			t.Errorf("mended: %+v, %v", none, err)
		}
	}
}

// A key that could not be merged is named until it can be, whichever file mends it.
func TestMergeFailuresAreNamedAgain(t *testing.T) {
	src := &plain{files: map[string]string{"a": "1\nK1 one\nK2 two", "b": "1\nK1 uno"}}
	src.mergeAt = func(key string, parts []importer.Part, _ func(importer.Warning)) error {
		for _, p := range parts {
			if string(p.Body) == "uno" {
				return errors.New("both cannot be true")
			}
		}
		return nil
	}
	for _, small := range []int{-1, 0} {
		sink, src := new(importertest.Memory), &plain{files: maps.Clone(src.files), mergeAt: src.mergeAt}
		try := func() (importer.Result, error) {
			return importer.Run(t.Context(), src, sink, importer.Request{Limits: importer.Limits{Small: small}}, nil)
		}
		for range 3 {
			result, err := try()
			if !errors.Is(err, importer.ErrIncomplete) || result.Failed != 1 || result.Counts["merge-failed"] != 1 {
				t.Errorf("%+v, %v", result, err)
			}
		}
		src.files["b"] = "2\nK1 due"
		for range 2 {
			if result, err := try(); err != nil || result.Failed != 0 {
				t.Errorf("mended: %+v, %v", result, err)
			}
		}
		if got := titles(t, sink)["K1"]; got != "a=one,b=due" {
			t.Error(got)
		}
	}
}

// Failures without number are counted, and a hundred of a file are told.
func TestManyFailures(t *testing.T) {
	src := &plain{files: map[string]string{"a": "1\nK1 one" + strings.Repeat("\n? broken", 5000), "b": "1\n? broken too"}}
	var sink importertest.Memory
	for range 2 {
		result, err := run(t, src, &sink)
		if !errors.Is(err, importer.ErrIncomplete) || result.Failed != 5001 || result.Counts["broken"] != 5001 || len(result.Warnings) != 102 {
			t.Errorf("%d failed, %v, %d warnings, %v", result.Failed, result.Counts, len(result.Warnings), err)
		}
		last := result.Warnings[100]
		if last.Times != 4900 || !strings.Contains(last.Text, "4900 more") || last.File != "a" {
			t.Errorf("%+v", last)
		}
	}
}

// A scratch folder that cannot be written costs the files that need it, and no other.
func TestScratchThatCannotBeWritten(t *testing.T) {
	src := &plain{files: map[string]string{"a": "1\nK1 one", "b": "1\nK2 " + strings.Repeat("x", 100), "c": "1\nK3 three"}}
	var sink importertest.Memory
	result, err := importer.Run(t.Context(), src, &sink, importer.Request{Limits: importer.Limits{Save: 50}, Scratch: t.TempDir() + "/absent"}, nil)
	if !errors.Is(err, importer.ErrIncomplete) || !errors.Is(err, os.ErrNotExist) || result.Files != 2 || !strings.Contains(err.Error(), "file b: keep on disk") {
		t.Errorf("%+v, %v", result, err)
	}
}
