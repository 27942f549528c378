package members_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/catalog/token"
	"thatch/node/identity"
	"thatch/node/members"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

var start = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// room is one with a database of its own, and a clock.
func room(t *testing.T) (*members.Room, *time.Time) {
	t.Helper()
	db, now := storetest.Open(t), start
	clock := func() time.Time { return now }
	return members.New([]byte("authority"), db, store.Signed(db, clock, nil), clock), &now
}

func node(id string) members.Node {
	key := bytes.Repeat([]byte(id[:1]), members.KeySize)
	return members.Node{ID: id, Name: "host-" + id, Addresses: []string{id + ":8743"}, Votes: true, TLSKey: key, SealKey: key, Version: "1", Schema: 4}
}

func invite(t *testing.T, r *members.Room, lasts time.Duration) (id string, text token.Token) {
	t.Helper()
	made, err := r.NewToken(t.Context(), members.Token{Name: "second", Expires: start.Add(lasts)})
	if err != nil {
		t.Fatal(err)
	}
	text, err = members.ParseToken(made.Token)
	if err != nil {
		t.Fatal(err)
	}
	return made.ID, text
}

func names(t *testing.T, r *members.Room) string {
	t.Helper()
	all, err := r.Nodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, n := range all {
		list = append(list, n.ID)
	}
	return strings.Join(list, " ")
}

func TestTellWritesOnceAndWhatChanged(t *testing.T) {
	r, now := room(t)
	n := node("a")
	for range 2 {
		if err := r.Tell(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	*now = now.Add(time.Hour)
	n.Addresses, n.Version, n.Schema = []string{"a:9", "10.0.0.1:9"}, "2", 5
	if err := r.Tell(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	got, err := r.Find(t.Context(), "HOST-A")
	if err != nil || strings.Join(got.Addresses, " ") != "a:9 10.0.0.1:9" || got.Version != "2" || got.Schema != 5 || !got.Added.Equal(start) || !got.Votes {
		t.Errorf("%+v, %v", got, err)
	}
	for what, bad := range map[string]func(*members.Node){
		"id":      func(n *members.Node) { n.ID = "" },
		"name":    func(n *members.Node) { n.Name = strings.Repeat("x", 201) },
		"address": func(n *members.Node) { n.Addresses = []string{""} },
		"keys":    func(n *members.Node) { n.SealKey = n.SealKey[1:] },
	} {
		n := node("b")
		bad(&n)
		if err := r.Tell(t.Context(), n); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), what) {
			t.Errorf("a bad %s: %v", what, err)
		}
	}
}

func TestATokenLetsOneNodeInHoweverManyCome(t *testing.T) {
	r, _ := room(t)
	_, text := invite(t, r, time.Hour)
	var wait sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		wait.Go(func() { results[i] = r.Admit(t.Context(), text, node(string(rune('a'+i)))) })
	}
	wait.Wait()
	in := 0
	for _, err := range results {
		var refusal *members.Refusal
		switch {
		case err == nil:
			in++
		case !errors.As(err, &refusal) || refusal.Code != members.CodeTokenUsed || !errors.Is(err, identity.ErrUnauthorised):
			t.Errorf("refused with %v", err)
		}
	}
	if in != 1 || len(names(t, r)) != 1 {
		t.Errorf("%d nodes came in with one token: %s", in, names(t, r))
	}
}

func TestAJoinThatWasCutIsAdmittedAgain(t *testing.T) {
	r, now := room(t)
	_, text := invite(t, r, time.Hour)
	n := node("a")
	for range 2 {
		if err := r.Admit(t.Context(), text, n); err != nil {
			t.Fatal(err)
		}
		*now = now.Add(2 * time.Hour) // the answer may be lost for longer than the token lasts
	}
	other := n
	other.TLSKey = bytes.Repeat([]byte{9}, members.KeySize)
	if err := r.Admit(t.Context(), text, other); code(err) != members.CodeTokenUsed {
		t.Errorf("the same id by another key: %v", err)
	}
	if err := r.SetVotes(t.Context(), "a", true); err != nil {
		t.Fatal(err)
	}
	if err := r.Tell(t.Context(), node("b")); err != nil {
		t.Fatal(err)
	}
	if err := r.Remove(t.Context(), "a", "stolen"); err != nil {
		t.Fatal(err)
	}
	if err := r.Admit(t.Context(), text, n); code(err) != members.CodeRemoved || !strings.Contains(err.Error(), "stolen") {
		t.Errorf("a node that was removed comes again: %v", err)
	}
	if err := r.Tell(t.Context(), n); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a node that was removed tells of itself: %v", err)
	}
	if got := names(t, r); got != "b" {
		t.Errorf("the nodes are %s", got)
	}
}

func code(err error) string {
	var refusal *members.Refusal
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}

func TestTokensThatAreNoGood(t *testing.T) {
	r, now := room(t)
	_, ended := invite(t, r, time.Hour)
	revoked, text := invite(t, r, 3*time.Hour)
	_, taken := invite(t, r, 3*time.Hour)
	if err := r.RevokeToken(t.Context(), revoked); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(2 * time.Hour)
	if err := r.Tell(t.Context(), node("a")); err != nil {
		t.Fatal(err)
	}
	for want, err := range map[string]error{
		members.CodeTokenExpired: r.Admit(t.Context(), ended, node("b")),
		members.CodeTokenUnknown: r.Admit(t.Context(), text, node("b")),
		members.CodeTaken:        r.Admit(t.Context(), taken, node("a")),
	} {
		if code(err) != want {
			t.Errorf("want %s: %v", want, err)
		}
	}
	if err := r.RevokeToken(t.Context(), "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("revoke what is not there: %v", err)
	}
	for _, text := range []string{"", "tc1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-00000000000000000000000000000000", "tn1-x-y"} {
		if _, err := members.ParseToken(text); !errors.Is(err, store.ErrInvalid) || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := r.NewToken(t.Context(), members.Token{Name: "x", Expires: start}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a token that ended: %v", err)
	}
}

func TestTheLastVoterStays(t *testing.T) {
	r, _ := room(t)
	quiet := node("b")
	quiet.Votes = false
	for _, n := range []members.Node{node("a"), quiet} {
		if err := r.Tell(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	for what, err := range map[string]error{"removed": r.Remove(t.Context(), "a", ""), "silenced": r.SetVotes(t.Context(), "a", false)} {
		if !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "only one that votes") {
			t.Errorf("the only voter is %s: %v", what, err)
		}
	}
	if err := r.Remove(t.Context(), "none", ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a node that is none: %v", err)
	}
	if err := r.SetVotes(t.Context(), "b", true); err != nil {
		t.Fatal(err)
	}
	if err := r.Remove(t.Context(), "a", "old"); err != nil {
		t.Fatal(err)
	}
	if got := names(t, r); got != "b" {
		t.Errorf("the nodes are %s", got)
	}
}

func TestFindNamesWhatIsNotUnique(t *testing.T) {
	r, _ := room(t)
	for _, id := range []string{"0123456789-a", "0123456789-b"} {
		n := node(id)
		n.Name = "same"
		if err := r.Tell(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	for _, what := range []string{"same", "01234567"} {
		if _, err := r.Find(t.Context(), what); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n, err := r.Find(t.Context(), "0123456789-b"); err != nil || n.ID != "0123456789-b" {
		t.Errorf("%+v, %v", n, err)
	}
	if _, err := r.Find(t.Context(), "0123"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a beginning that is too short: %v", err)
	}
}
