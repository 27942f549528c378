package importer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
)

// starting is a sink on a slow disk, which takes a second of a test's own time for each save, one after the other.
type starting struct {
	importertest.Memory
	mu     sync.Mutex
	last   chan struct{} // closed when the save begun last is at its end
	events []string
	fail   string // file whose save fails on its way
}

var errWay = errors.New("lost on the way")

func (s *starting) Begin(ctx context.Context, saved importer.Saved) (func() (int, error), error) {
	var names []string
	for _, file := range saved.Files {
		if file.Fingerprint == "" {
			file.Name += ".." // more of it follows
		}
		names = append(names, file.Name)
	}
	name := strings.Join(names, "+")
	s.note("begin " + name)
	before, mine := s.last, make(chan struct{})
	s.last = mine
	return func() (int, error) {
		defer close(mine)
		if before != nil {
			<-before
		}
		time.Sleep(time.Second)
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
	synctest.Test(t, func(t *testing.T) {
		src := &plain{files: map[string]string{"a": "1\nK1 one", "b": "1\nK2 two", "c": "1\nK2 due\nK3 three", "d": "1\nK4 four"}}
		sink := &starting{}
		result, err := run(t, src, sink)
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
	})
}

// What gathers while the disk is busy is saved together, except what touches a key of it: that waits behind.
func TestWhatWaitsIsJoined(t *testing.T) {
	src := &plain{files: map[string]string{
		"a": "1\nK1 one", "b": "1\nK2 two", "c": "1\nK3 three", "d": "1\nK4 four", "e": "1\nK3 drei\nK5 five", "f": "1\nK6 six",
	}}
	for _, c := range []struct {
		limits  importer.Limits
		changed int
		want    string
	}{
		{importer.Limits{Small: 1}, 7, "begin a,begin b,end a,begin c+d,end b,end c+d,begin e+f,end e+f"},
		{importer.Limits{Small: 1, Keys: 1}, 7, "begin a,begin b,end a,begin c,end b,begin d,end c,begin e..,end d,end e..,begin e,begin f,end e,end f"},
	} {
		synctest.Test(t, func(t *testing.T) {
			sink := &starting{}
			result, err := importer.Run(t.Context(), src, sink, importer.Request{Limits: c.limits}, nil)
			if err != nil || result.Files != 6 || result.Changed != c.changed {
				t.Fatalf("%+v, %v", result, err)
			}
			if got := strings.Join(sink.events, ","); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if got := fmt.Sprint(titles(t, &sink.Memory)); got != "map[K1:a=one K2:b=two K3:c=three,e=drei K4:d=four K5:e=five K6:f=six]" {
				t.Error(got)
			}
		})
	}
}

// A save that fails on its way ends the run; the one begun after it is waited for and counts.
func TestSaveLostOnTheWay(t *testing.T) {
	src := &plain{files: map[string]string{"a": "1\nK1 one", "b": "1\nK2 two", "c": "1\nK3 three"}}
	synctest.Test(t, func(t *testing.T) {
		sink := &starting{fail: "a"}
		if result, err := run(t, src, sink); !errors.Is(err, errWay) || result.Files != 1 {
			t.Errorf("%+v, %v", result, err)
		}
		sink.fail = ""
		if result, err := run(t, src, sink); err != nil || result.Files != 2 || result.Skipped != 1 || len(titles(t, &sink.Memory)) != 3 {
			t.Errorf("gone on: %+v, %v", result, err)
		}
	})
}

// Portions of a file are on their way at once, two at most; its end, and what takes something from it, waits for all.
func TestPortionsOnTheirWay(t *testing.T) {
	src := &plain{files: map[string]string{"a": "1\nK1 one\nK2 two\nK3 three\nK4 four", "b": "1\nK5 five"}}
	limits := importer.Limits{Keys: 1, Small: -1}
	synctest.Test(t, func(t *testing.T) {
		sink := &starting{}
		try := func(want string) {
			t.Helper()
			sink.events = nil
			if _, err := importer.Run(t.Context(), src, sink, importer.Request{Limits: limits}, nil); err != nil {
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
	})
}
