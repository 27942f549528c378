package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"thatch/catalog/content"
	"thatch/catalog/document"
	"thatch/node/store"
	"thatch/node/store/local"
	"thatch/node/store/storetest"
)

// site is what a node checks.
type site struct {
	t       *testing.T
	db      *store.DB
	own     *local.Local
	content *content.Store
	path    string // of the own file
	now     time.Time
	log     bytes.Buffer
	altered []string
	*Checker
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, db: storetest.Open(t), path: filepath.Join(t.TempDir(), "node.db"), now: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)}
	s.start()
	return s
}

// start starts the room anew, on what its own file holds.
func (s *site) start() {
	s.t.Helper()
	if s.own != nil {
		s.own.Close()
	}
	var err error
	if s.own, _, err = local.OpenOrRenew(s.path); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.own.Close() })
	log := slog.New(slog.NewTextHandler(&s.log, nil))
	now := func() time.Time { return s.now }
	s.content, err = content.Open(filepath.Join(filepath.Dir(s.path), "content"), content.Options{
		Memory: Memory(s.own, log), Now: now, Altered: func(a content.Altered) { s.altered = append(s.altered, a.SHA256) },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.Checker = New(Config{Own: s.own, Reader: s.db, Content: s.content, Now: now, Log: log})
}

func (s *site) write(statements ...store.Statement) {
	s.t.Helper()
	applied, err := s.db.Write(s.t.Context(), store.Batch{Reason: "test", Statements: statements})
	if err = errors.Join(err, applied.Err()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) documents(n, size int) (docs []document.Document) {
	s.t.Helper()
	for i := range n {
		languages := [][]string{nil, {"de"}, {"de", "en"}}[i%3]
		doc, err := document.New("update", fmt.Sprint("u", i), languages, []byte(fmt.Sprint(i, strings.Repeat("x", size))))
		if err != nil {
			s.t.Fatal(err)
		}
		docs = append(docs, doc)
		s.write(store.Put(doc, "", store.Former{})...)
	}
	return docs
}

// round takes steps until there is nothing to do for a while, and counts those that read something.
func (s *site) toEnd() (steps int) {
	s.t.Helper()
	for {
		wait := s.nextPage(s.t.Context())
		if wait != pagePause {
			if wait <= 0 || wait > again {
				s.t.Fatalf("the next step is taken after %s", wait)
			}
			return steps
		}
		steps++
		s.now = s.now.Add(wait)
	}
}

func (s *site) wants(damaged int, said ...string) {
	s.t.Helper()
	if got := s.Damaged(); got != damaged {
		s.t.Errorf("%d damaged, want %d\n%s", got, damaged, s.log.String())
	}
	for _, text := range said {
		if !strings.Contains(s.log.String(), text) {
			s.t.Errorf("the log does not say %q:\n%s", text, s.log.String())
		}
	}
	s.log.Reset()
}

func TestSoundDocuments(t *testing.T) {
	s := newSite(t)
	if steps := s.toEnd(); steps != 1 {
		t.Errorf("nothing was checked in %d steps", steps)
	}
	s.documents(450, 10)
	if steps := s.toEnd(); steps != 0 {
		t.Errorf("%d steps, and nothing is due", steps)
	}
	s.now = s.now.Add(every)
	if steps := s.toEnd(); steps != 4 { // 200, 200, 50, and the end
		t.Errorf("450 documents in %d steps", steps)
	}
	s.wants(0, "documents=450 damaged=0")
}

func TestDamagedDocuments(t *testing.T) {
	s := newSite(t)
	docs := s.documents(300, 10)
	at := func(i int) []byte { return docs[i].Digest[:] }
	for _, statement := range []store.Statement{
		{SQL: `UPDATE revision SET body = ? WHERE digest = ?`, Args: []any{[]byte("evil"), at(3)}},
		{SQL: `UPDATE revision SET languages = 'fr' WHERE digest = ?`, Args: []any{at(4)}},
		{SQL: `UPDATE revision SET id = 'other' WHERE digest = ?`, Args: []any{at(5)}},
		{SQL: `UPDATE revision SET body = ? WHERE digest = ?`, Args: []any{[]byte{}, at(6)}},
		{SQL: `DELETE FROM revision WHERE digest = ?`, Args: []any{at(7)}},
		{SQL: `UPDATE revision SET digest = ? WHERE digest = ?`, Args: []any{[]byte{1, 2}, at(8)}},
	} {
		s.write(statement)
	}
	s.toEnd()
	// A digest that is none is wrong where it stands, and missed where it should.
	s.wants(7, "id=u3 ", "id=u4 ", "id=other ", "id=u6 ", "id=u7 ", "its body is gone", "id=u8 ", "level=ERROR", "documents=299 damaged=7")

	s.start()
	s.wants(7)
	s.write(store.Statement{SQL: `UPDATE revision SET body = ? WHERE digest = ?`, Args: []any{docs[3].Body, at(3)}})
	s.write(store.Remove("update", "u7", store.Former{})[2])
	s.now = s.now.Add(every)
	s.toEnd()
	s.wants(5, "is sound again", "id=u3 ", "is gone", "id=u7 ", "id=u4 ")
	s.start()
	s.wants(5)
}

// A round goes on where it was when the node was stopped, and is not begun before its time.
func TestRoundsGoOnAfterRestarts(t *testing.T) {
	s := newSite(t)
	s.documents(900, 10)
	steps := 0
	for wait := pagePause; wait == pagePause; {
		if wait = s.nextPage(t.Context()); wait == pagePause {
			steps++
		}
		s.start()
	}
	if steps != 6 { // five pages, the last of them short, and the end
		t.Errorf("%d steps", steps)
	}
	s.wants(0, "documents=900")
	for range 7*24 - 1 {
		if wait := s.nextPage(t.Context()); wait != again {
			t.Fatalf("the next step is taken after %s", wait)
		}
		s.now = s.now.Add(again)
		s.start()
	}
	s.now = s.now.Add(again)
	if wait := s.nextPage(t.Context()); wait != pagePause {
		t.Errorf("no round began after a week; the next step is taken after %s", wait)
	}
	s.now = s.now.Add(-every * 3) // a clock that ran ahead and was set right
	s.toEnd()
	s.wants(0, "documents=900")
	if s.toEnd() != 0 {
		t.Error("a round began at once")
	}
	s.now = s.now.Add(-every * 3)
	if s.toEnd() == 0 {
		t.Error("no round begins until the clock is where it was")
	}
}

func TestPagesOfLargeBodies(t *testing.T) {
	s := newSite(t)
	s.documents(20, 500<<10)
	if steps := s.toEnd(); steps != 3 { // seventeen, three, and the end
		t.Errorf("%d steps", steps)
	}
	s.wants(0, "documents=20")
}

// Losing or damaging what was kept loses nothing, and a file that takes nothing holds up nothing.
func TestOwnFileThatIsLost(t *testing.T) {
	s := newSite(t)
	s.documents(450, 10)
	for name, spoil := range map[string]func(){
		"gone": func() { s.own.Close(); os.Remove(s.path) },
		"text": func() {
			s.own.Close()
			if err := os.WriteFile(s.path, []byte("no database"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"round": func() {
			if err := s.own.Put(roundName, []byte("{nonsense")); err != nil {
				t.Fatal(err)
			}
		},
		"place": func() {
			text := `{"began":"` + s.now.Add(every).Format(time.RFC3339) + `","after":"no digest"}`
			if err := s.own.Put(roundName, []byte(text)); err != nil {
				t.Fatal(err)
			}
		},
		"damage": func() {
			if err := errors.Join(s.own.Put(damagedPrefix+"aa", []byte(`{"digest":"bb"}`)), s.own.Put(damagedPrefix+"cc", []byte(`[]`))); err != nil {
				t.Fatal(err)
			}
		},
	} {
		spoil()
		s.start()
		s.now = s.now.Add(every)
		if steps := s.toEnd(); steps != 4 {
			t.Errorf("%s: %d steps", name, steps)
		}
		s.wants(0, "documents=450")
	}
	s.own.Close()
	s.now = s.now.Add(every)
	if steps := s.toEnd(); steps != 4 {
		t.Errorf("closed: %d steps", steps)
	}
	s.wants(0, "documents=450", "was not kept")
}

func TestDatabaseThatCannotBeRead(t *testing.T) {
	s := newSite(t)
	s.documents(10, 10)
	ended, end := context.WithCancel(t.Context())
	end()
	if wait := s.nextPage(ended); wait != again || s.log.Len() > 0 {
		t.Errorf("at the node's end: %s, %s", wait, s.log.String())
	}
	s.db.Close()
	if wait := s.nextPage(t.Context()); wait != again {
		t.Errorf("the next step is taken after %s", wait)
	}
	s.wants(0, "cannot be checked")
}

func TestPayloadsOnceAWeek(t *testing.T) {
	s := newSite(t)
	put := func(text string) string {
		t.Helper()
		info, err := s.content.Put(t.Context(), "", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return info.SHA256
	}
	spoil := func(digest string) {
		t.Helper()
		path := filepath.Join(filepath.Dir(s.path), "content", "payloads", digest[:2], digest)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.WriteFile(path, []byte("other"), 0o600), os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
			t.Fatal(err)
		}
	}
	first, second := put("first"), put("second")
	if wait := s.duePayloads(t.Context()); wait != again {
		t.Errorf("the next look is after %s", wait)
	}
	spoil(first) // as long as before, with the time of before
	s.start()    // what was read is remembered
	s.now = s.now.Add(every - time.Second)
	s.duePayloads(t.Context())
	if len(s.altered) > 0 {
		t.Error("read before a week was over")
	}
	s.now = s.now.Add(2 * time.Second)
	s.duePayloads(t.Context())
	if len(s.altered) != 1 || s.altered[0] != first || s.content.Has(first) || !s.content.Has(second) {
		t.Errorf("altered: %v, want %s", s.altered, first)
	}
	// A file that cannot be read is said, and the next one is checked.
	third := put("third")
	s.now = s.now.Add(2 * every)
	path := filepath.Join(filepath.Dir(s.path), "content", "payloads", second[:2], second)
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	spoil(third)
	s.duePayloads(t.Context())
	if len(s.altered) != 2 || s.altered[1] != third {
		t.Errorf("altered: %v, want %s too", s.altered, third)
	}
	s.wants(0, "look at the disk")
}

func TestMemoryThatFails(t *testing.T) {
	s := newSite(t)
	m := Memory(s.own, slog.New(slog.NewTextHandler(&s.log, nil)))
	if m.Recall("x") != nil {
		t.Error("something is known of nothing")
	}
	m.Keep("x", []byte("record"))
	if string(m.Recall("x")) != "record" {
		t.Error("a record was not kept")
	}
	m.Forget("x")
	if m.Recall("x") != nil || s.log.Len() > 0 {
		t.Errorf("after it was forgotten; the log: %s", s.log.String())
	}
	s.own.Close()
	m.Keep("x", nil)
	m.Forget("x")
	if m.Recall("x") != nil || strings.Count(s.log.String(), "\n") != 1 {
		t.Errorf("a file that is closed; the log: %s", s.log.String())
	}
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			err := follow(ctx, 10*time.Minute, func(context.Context) time.Duration {
				at = append(at, time.Since(began))
				return time.Duration(len(at)) * time.Hour
			})
			if err != nil {
				t.Error(err)
			}
		})
		time.Sleep(200 * time.Minute)
		cancel()
		all.Wait()
		if fmt.Sprint(at) != "[10m0s 1h10m0s 3h10m0s]" {
			t.Errorf("steps at %v", at)
		}
	})
}
