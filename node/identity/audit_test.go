package identity_test

import (
	"strings"
	"testing"
	"time"

	"thatch/node/identity"
	"thatch/node/store"
	"thatch/node/store/sweep"
)

func TestAuditRecordsWhoDidWhat(t *testing.T) {
	f := open(t)
	writer := store.Signed(f.db, f.clock.Now, identity.Audited)
	anna := &store.Caller{Actor: "operator anna", Request: "r1", Detail: identity.Redacted([]byte(`{"name":"x","token":"secret"}`))}
	ctx := store.WithCaller(t.Context(), anna)
	statement := func(name string, want, group int) store.Statement {
		return store.Statement{
			SQL:  `INSERT INTO setting (name, value, version) VALUES (?, '1', 1) ON CONFLICT DO NOTHING`,
			Args: []any{name}, Want: want, Group: group,
		}
	}
	write := func(b store.Batch) store.Applied {
		t.Helper()
		applied, err := writer.Write(ctx, b)
		if err != nil {
			t.Fatal(err)
		}
		return applied
	}
	write(store.Batch{Reason: "set a", Statements: []store.Statement{statement("a", 1, 0)}})
	undone := write(store.Batch{Reason: "set a again", Statements: []store.Statement{statement("a", 1, 0), statement("b", 1, 1)}})
	if undone.Err() == nil {
		t.Error("the second insert went through")
	}
	for _, actor := range []string{"computer 17", "agents", "task import"} {
		write(store.Batch{Actor: actor, Reason: "by itself", Statements: []store.Statement{statement("c"+actor, 1, 0)}})
	}
	if anna.Index() != f.db.Applied() {
		t.Errorf("the caller's index is %d, the database stands at %d", anna.Index(), f.db.Applied())
	}
	entries, total, err := f.Audit(ctx, store.Query{Search: "set"})
	if err != nil || total != 1 {
		t.Fatalf("%d entries: %+v, %v", total, entries, err)
	}
	e := entries[0]
	if e.Actor != "operator anna" || e.Action != "set a" || !strings.HasPrefix(e.Request, "operator anna|r1|") || !e.At.Equal(f.clock.Now()) {
		t.Errorf("entry: %+v", e)
	}
	if strings.Contains(e.Detail, "secret") || !strings.Contains(e.Detail, `"name":"x"`) {
		t.Errorf("detail: %s", e.Detail)
	}
	f.clock.Move(48 * time.Hour)
	if err := f.Prune(ctx, sweep.New(f.db, f.db), identity.Keep{Audit: f.clock.Now().Add(-time.Hour), Entries: 10}); err != nil {
		t.Fatal(err)
	}
	if _, total, err = f.Audit(ctx, store.Query{}); err != nil || total != 0 {
		t.Errorf("%d entries after pruning, %v", total, err)
	}
}

// A certificate is refused by its date once it ended; a week later its row goes.
func TestPruneForgetsEndedCertificates(t *testing.T) {
	f := open(t)
	f.issue(t, "c1")
	for _, step := range []struct {
		after time.Duration
		rows  int
	}{{identity.AgentLifetime + 6*day, 1}, {2 * day, 0}} {
		f.clock.Move(step.after)
		if err := f.Prune(t.Context(), sweep.New(f.db, f.db), identity.Keep{}); err != nil {
			t.Fatal(err)
		}
		if rows := f.rows(t, "c1"); rows != step.rows {
			t.Errorf("%d rows, want %d", rows, step.rows)
		}
	}
}

func TestRepeatedRequestIsAppliedOnce(t *testing.T) {
	f := open(t)
	again := func() error {
		ctx := store.WithCaller(t.Context(), &store.Caller{Actor: "operator anna", Request: "same"})
		_, err := f.NewAPIToken(ctx, identity.APIToken{Name: "x", Scope: identity.Viewer, Expires: f.clock.Now().Add(time.Hour)})
		return err
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
	wants(t, again(), store.ErrConflict, "before")
	if _, total, err := f.APITokens(t.Context(), store.Query{}); err != nil || total != 1 {
		t.Errorf("%d tokens, %v", total, err)
	}
}

func TestRedacted(t *testing.T) {
	for in, want := range map[string]string{
		``:        ``,
		`no json`: `7 bytes that are no JSON`,
		`{"a":1}`: `{"a":1}`,
		`{"Password":"x","b":[{"api_token":"y"}]}`: `{"Password":"(not kept)","b":[{"api_token":"(not kept)"}]}`,
		`{"proxy":"http://u:p@h"}`:                 `{"proxy":"(not kept)"}`,
		`{"token":{"secret":"deep"}}`:              `{"token":"(not kept)"}`,
	} {
		if got := identity.Redacted([]byte(in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	long := identity.Redacted([]byte(`{"a":"` + strings.Repeat("ä", 10000) + `"}`))
	if len(long) > 5000 || !strings.HasSuffix(long, "...") {
		t.Errorf("a long request keeps %d bytes", len(long))
	}
}

func FuzzRedacted(f *testing.F) {
	f.Add([]byte(`{"token":"verysecretvalue","x":[1,2,{"key":"verysecretvalue"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if got := identity.Redacted(body); len(got) > 5000 {
			t.Errorf("keeps %d bytes", len(got))
		}
	})
}
