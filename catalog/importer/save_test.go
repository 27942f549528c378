package importer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
)

// starting is a sink whose saves are on their way until they are waited for.
type starting struct {
	importertest.Memory
	mu     sync.Mutex
	events []string
	fail   string // file whose save fails when it is waited for
}

var errWay = errors.New("lost on the way")

func (s *starting) Begin(ctx context.Context, saved importer.Saved) (func() (int, error), error) {
	name := saved.Files[0].Name
	if saved.Files[0].Fingerprint == "" {
		name += ".." // more of it follows
	}
	s.note("begin " + name)
	return func() (int, error) {
		s.note("end " + name)
		if saved.Files[0].Name == s.fail {
			return 0, errWay
		}
		return s.Save(ctx, saved)
	}, nil
}

func (s *starting) note(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, event)
}

// Files that touch no key together are on their way at once, two at most; others wait for each other.
func TestSavesOnTheirWay(t *testing.T) {
	src := &plain{files: map[string]string{"a": "1\nK1 one", "b": "1\nK2 two", "c": "1\nK2 due\nK3 three", "d": "1\nK4 four"}}
	var sink starting
	result, err := run(t, src, &sink)
	if err != nil || result.Files != 4 || result.Changed != 5 {
		t.Fatalf("%+v, %v", result, err)
	}
	const want = "begin a,begin b,end a,end b,begin c,begin d,end c,end d"
	if got := strings.Join(sink.events, ","); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := fmt.Sprint(titles(t, &sink.Memory)); got != "map[K1:a=one K2:b=two,c=due K3:c=three K4:d=four]" {
		t.Error(got)
	}
}

// A save that fails on its way ends the run; the one begun after it is waited for and counts.
func TestSaveLostOnTheWay(t *testing.T) {
	src := &plain{files: map[string]string{"a": "1\nK1 one", "b": "1\nK2 two", "c": "1\nK3 three"}}
	sink := starting{fail: "a"}
	if result, err := run(t, src, &sink); !errors.Is(err, errWay) || result.Files != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	sink.fail = ""
	if result, err := run(t, src, &sink); err != nil || result.Files != 2 || result.Skipped != 1 || len(titles(t, &sink.Memory)) != 3 {
		t.Errorf("gone on: %+v, %v", result, err)
	}
}

// Portions of a file are on their way at once, two at most; its end, and what takes something from it, waits for all.
func TestPortionsOnTheirWay(t *testing.T) {
	src := &plain{files: map[string]string{"a": "1\nK1 one\nK2 two\nK3 three\nK4 four", "b": "1\nK5 five"}}
	var sink starting
	limits := importer.Limits{Keys: 1, Small: -1}
	try := func(want string) {
		t.Helper()
		sink.events = nil
		if _, err := importer.Run(t.Context(), src, &sink, importer.Request{Limits: limits}, nil); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(sink.events, ","); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	try("begin a..,begin a..,end a..,begin a..,end a..,end a..,begin a,begin b,end a,end b")
	src.files["a"] = "2\nK3 drei\nK9 neun"
	try("begin a..,begin a..,end a..,end a..,begin a..,end a..,begin a..,end a..,begin a,end a")
	if got := fmt.Sprint(titles(t, &sink.Memory)); got != "map[K3:a=drei K5:b=five K9:a=neun]" {
		t.Error(got)
	}
}
