package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/replicastest"
	"thatch/node/store"
)

func scope(languages ...string) dataset.Scope {
	return dataset.Scope{Type: dataset.Data, Direction: dataset.Down, Languages: languages, Audience: dataset.Audience{All: true}}
}

// standing is the cursor of whoever holds everything of a site.
func standing(t *testing.T, s *replicastest.Site, of dataset.Scope) dataset.Cursor {
	t.Helper()
	page, err := s.Sender.Complete(t.Context(), of, dataset.Cursor{}, dataset.Key{}, dataset.Limits{})
	if err != nil || page.More {
		t.Fatal(page.More, err)
	}
	return page.Cursor
}

func page(t *testing.T, s *replicastest.Site, of dataset.Scope, from dataset.Cursor, limits dataset.Limits) dataset.Page {
	t.Helper()
	got, err := s.Sender.Page(t.Context(), of, from, limits)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// says lists a page's entries.
func says(p dataset.Page) string {
	var words []string
	for _, e := range p.Entries {
		word := e.ID
		if e.Removed {
			word = "-" + word
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestCursorsThatDoNotFit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "top.db")
	top := replicastest.Open(t, "top", nil, path)
	top.Make(t, "e1", "de")
	defer func() { top.DB.Close() }()
	top.Put(t, document.Update, "u1", "1", "")
	early := standing(t, top, scope("de"))
	top.DB.Close()
	former, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	reopen := func() {
		t.Helper()
		*top = *replicastest.Open(t, "top", nil, path)
	}
	reopen()
	top.Put(t, document.Update, "u2", "1", "")
	top.Put(t, document.Update, "u3", "1", "")
	late := standing(t, top, scope("de"))
	if got := says(page(t, top, scope("de"), early, dataset.Limits{})); got != "u2 u3" {
		t.Errorf("since the early cursor: %q", got)
	}
	for name, c := range map[string]struct {
		change func(c *dataset.Cursor, s *dataset.Scope)
		want   error
	}{
		"none":             {func(c *dataset.Cursor, _ *dataset.Scope) { *c = dataset.Cursor{} }, dataset.ErrEpoch},
		"epoch":            {func(c *dataset.Cursor, _ *dataset.Scope) { c.Epoch = "e0" }, dataset.ErrEpoch},
		"audience":         {func(_ *dataset.Cursor, s *dataset.Scope) { s.Audience.Rules = []string{"r"} }, dataset.ErrAudience},
		"keeps others":     {func(_ *dataset.Cursor, s *dataset.Scope) { s.Audience.KeepOthers = true }, dataset.ErrAudience},
		"another digest":   {func(c *dataset.Cursor, _ *dataset.Scope) { c.Mark.Digest[0] ^= 1 }, dataset.ErrDiverged},
		"no mark there":    {func(c *dataset.Cursor, _ *dataset.Scope) { c.Mark.Index-- }, dataset.ErrDiverged},
		"from the future":  {func(c *dataset.Cursor, _ *dataset.Scope) { c.Mark.Index += 9 }, dataset.ErrDiverged},
		"beyond its mark":  {func(c *dataset.Cursor, _ *dataset.Scope) { c.At = map[string]store.Sequence{"": {Index: 1000}} }, dataset.ErrDiverged},
		"nothing is wrong": {func(*dataset.Cursor, *dataset.Scope) {}, nil},
	} {
		of, cursor := scope("de"), late
		c.change(&cursor, &of)
		_, err := top.Sender.Page(t.Context(), of, cursor, dataset.Limits{})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		// A complete run that goes on is held to the same.
		if _, err := top.Sender.Complete(t.Context(), of, cursor, dataset.Key{Kind: "a"}, dataset.Limits{}); name != "none" && !errors.Is(err, c.want) {
			t.Errorf("%s, complete: %v, want %v", name, err, c.want)
		}
	}
	top.Write(t, store.Statement{SQL: `INSERT INTO journal_start (one, idx, pos) VALUES (1, ?, 0)`, Args: []any{int64(late.Mark.Index)}})
	if _, err := top.Sender.Page(t.Context(), scope("de"), early, dataset.Limits{}); !errors.Is(err, dataset.ErrOld) {
		t.Errorf("the journal is not kept that long: %v", err)
	}
	// The file goes back in time, and on differently up to the same place.
	top.DB.Close()
	if err := os.WriteFile(path, former, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		os.Remove(path + suffix)
	}
	reopen()
	if _, err := top.Sender.Page(t.Context(), scope("de"), late, dataset.Limits{}); !errors.Is(err, dataset.ErrDiverged) {
		t.Errorf("back in time: %v", err)
	}
	for n := range 8 {
		top.Put(t, document.Update, "u2", fmt.Sprint("differently ", n), "")
		standing(t, top, scope("de")) // somebody else asks
		if _, err := top.Sender.Page(t.Context(), scope("de"), late, dataset.Limits{}); !errors.Is(err, dataset.ErrDiverged) {
			t.Errorf("back in time and on, %d: %v", n, err)
		}
	}
	if got := says(page(t, top, scope("de"), early, dataset.Limits{})); got != "u2" {
		t.Errorf("a cursor from before: %q", got)
	}
}

func TestOnlyTheLeaderJudges(t *testing.T) {
	top := replicastest.New(t, "top", nil, "de")
	top.Put(t, document.Update, "u1", "1", "")
	cursor := standing(t, top, scope("de"))
	cursor.Mark.Index += 5
	calls := 0
	answer := errors.New("this node does not lead")
	sender := dataset.NewSender(dataset.Config{Reader: top.DB, Writer: top.DB, Barrier: func(context.Context) error {
		calls++
		return answer
	}})
	for _, ask := range []func() error{
		func() error { _, err := sender.Page(t.Context(), scope("de"), cursor, dataset.Limits{}); return err },
		func() error {
			_, err := sender.Complete(t.Context(), scope("de"), cursor, dataset.Key{}, dataset.Limits{})
			return err
		},
	} {
		if err := ask(); !errors.Is(err, dataset.ErrBehind) || errors.Is(err, dataset.ErrDiverged) {
			t.Errorf("a node that does not lead: %v", err)
		}
	}
	answer = nil
	if _, err := sender.Page(t.Context(), scope("de"), cursor, dataset.Limits{}); !errors.Is(err, dataset.ErrDiverged) || calls != 3 {
		t.Errorf("the leader: %v after %d barriers", err, calls)
	}
}

func TestLanguagesWithCursorsOfTheirOwn(t *testing.T) {
	top := replicastest.New(t, "top", nil, "de", "en", "fr")
	top.Put(t, document.Package, "both", "1", "", "en", "fr")
	top.Put(t, document.Package, "french", "1", "", "fr")
	top.Put(t, document.Package, "english", "1", "", "en")
	top.Put(t, document.Update, "neutral", "1", "")
	cursor := standing(t, top, scope("en"))
	got := page(t, top, scope("en", "fr"), cursor, dataset.Limits{})
	if says(got) != "french" || !slices.Equal(got.Cursor.Languages(), []string{"en", "fr"}) || got.More {
		t.Errorf("French added: %q, %v", says(got), got.Cursor)
	}
	if got := page(t, top, scope("en", "fr"), got.Cursor, dataset.Limits{}); says(got) != "" {
		t.Errorf("again: %q", says(got))
	}
	top.Put(t, document.Package, "both", "2", "", "fr")
	if got := page(t, top, scope("en"), cursor, dataset.Limits{}); says(got) != "-both" {
		t.Errorf("English taken away: %q", says(got))
	}
	if got := page(t, top, scope("de"), standing(t, top, scope("de")), dataset.Limits{}); says(got) != "" {
		t.Errorf("German: %q", says(got))
	}
	top.Put(t, document.Package, "new", "1", "", "fr")
	if got := page(t, top, scope("en"), cursor, dataset.Limits{}); says(got) != "-both" {
		t.Errorf("a new French document was told to the English: %q", says(got))
	}
}

func TestPagesAreBounded(t *testing.T) {
	top := replicastest.New(t, "top", nil, "de")
	from := standing(t, top, scope("de"))
	for n := range 10 {
		top.Put(t, document.Update, fmt.Sprintf("u%d", n), strings.Repeat("x", 100), "")
	}
	top.Put(t, document.Update, "u3", "last", "")
	for name, limits := range map[string]dataset.Limits{
		"documents": {Documents: 3}, "bytes": {Bytes: 250}, "entries": {Entries: 2}, "less than one": {Bytes: 1}, "all": {},
	} {
		cursor, all, pages := from, "", 0
		for more := true; more; pages++ {
			got := page(t, top, scope("de"), cursor, limits)
			if bytes := size(got); limits.Bytes > 0 && bytes > limits.Bytes && len(got.Entries) > 1 || limits.Documents > 0 && len(got.Entries) > limits.Documents {
				t.Errorf("%s: %d documents, %d bytes", name, len(got.Entries), bytes)
			}
			all += says(got) + " "
			cursor, more = got.Cursor, got.More
		}
		if words := strings.Join(strings.Fields(all), " "); words != "u0 u1 u2 u4 u5 u6 u7 u8 u9 u3" {
			t.Errorf("%s: %q", name, words)
		}
		if name != "all" && pages < 3 {
			t.Errorf("%s: %d pages", name, pages)
		}
		// The same in a complete run, in the order of keys.
		all, after, stated := "", dataset.Key{}, dataset.Cursor{}
		for more := true; more; {
			got, err := top.Sender.Complete(t.Context(), scope("de"), stated, after, limits)
			if err != nil {
				t.Fatal(err)
			}
			if got.More == (got.Cursor.Epoch != "") {
				t.Errorf("%s: the cursor is said by the last page alone", name)
			}
			all += says(got) + " "
			stated, after, more = got.From, got.Next, got.More
		}
		if words := strings.Join(strings.Fields(all), " "); words != "u0 u1 u2 u3 u4 u5 u6 u7 u8 u9" {
			t.Errorf("%s, complete: %q", name, words)
		}
	}
}

func size(p dataset.Page) (bytes int) {
	for _, e := range p.Entries {
		bytes += e.Size
	}
	return bytes
}

func TestBodiesAreOnlyOfTheScope(t *testing.T) {
	top := replicastest.New(t, "top", nil, "de", "fr")
	german := top.Put(t, document.Package, "p", "german", "", "de")
	french := top.Put(t, document.Package, "q", "french", "", "fr")
	window := top.Put(t, document.Window, "w", "window", "")
	health := top.Put(t, document.Health, "top", "{}", "")
	selected := top.Put(t, document.Severity, "s1", "one", "r1,r2")
	other := top.Put(t, document.Severity, "s2", "two", "r3")
	former := top.Put(t, document.Update, "u", "former", "")
	top.Put(t, document.Update, "u", "now", "")
	all := []document.Digest{german.Digest, french.Digest, window.Digest, health.Digest, selected.Digest, other.Digest, former.Digest, german.Digest, {}}
	for name, c := range map[string]struct {
		of   dataset.Scope
		want string
	}{
		"German data":  {scope("de"), "p"},
		"no language":  {scope(), ""},
		"all settings": {dataset.Scope{Type: dataset.Settings, Direction: dataset.Down, Audience: dataset.Audience{All: true}}, "w s1 s2"},
		"selected":     {dataset.Scope{Type: dataset.Settings, Direction: dataset.Down, Audience: dataset.Audience{Rules: []string{"r0", "r2"}}}, "s1"},
		"no rule":      {dataset.Scope{Type: dataset.Settings, Direction: dataset.Down}, ""},
		"upward":       {dataset.Scope{Type: dataset.Health, Direction: dataset.Up, Audience: dataset.Audience{All: true}, Origins: []string{"top"}}, "top"},
		"of others":    {dataset.Scope{Type: dataset.Health, Direction: dataset.Up, Audience: dataset.Audience{All: true}, Origins: []string{}}, ""},
		"but not":      {dataset.Scope{Type: dataset.Data, Direction: dataset.Down, Languages: []string{"de"}, Audience: dataset.Audience{All: true}, Not: []string{"top"}}, ""},
	} {
		docs, refused, err := top.Sender.Bodies(t.Context(), c.of, all)
		var got []string
		for _, d := range docs {
			got = append(got, d.ID)
		}
		if err != nil || len(refused) > 0 || strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q; %v, %v", name, got, c.want, refused, err)
		}
	}
}

func TestKindsBelongToOneTypeEachWay(t *testing.T) {
	for _, d := range []dataset.Direction{dataset.Down, dataset.Up} {
		seen := map[document.Kind]bool{}
		for _, of := range dataset.Types(d) {
			for _, kind := range dataset.Kinds(of, d) {
				if got, known := dataset.TypeOf(kind, d); seen[kind] || got != of || !known {
					t.Errorf("%s %s: %s", d, kind, got)
				}
				seen[kind] = true
			}
		}
	}
	if got, known := dataset.TypeOf("later", dataset.Up); known || got != "" {
		t.Errorf("an unknown kind: %q %v", got, known)
	}
	if dataset.OriginOf("site-1:b:2") != "site-1" || dataset.OriginOf("site-1") != "site-1" {
		t.Error("who an id belongs to")
	}
}
