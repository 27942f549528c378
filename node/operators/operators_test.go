package operators_test

import (
	"database/sql"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"thatch/node/identity"
	"thatch/node/nodetest"
	"thatch/node/operators"
	"thatch/node/operators/operatorstest"
	"thatch/node/operators/totp"
	"thatch/node/store"
	"thatch/node/store/sweep"
)

var here = operators.Origin{From: "192.0.2.1:4711", Agent: "test"}

func from(address string) operators.Origin { return operators.Origin{From: address, Agent: "test"} }

func open(t *testing.T) (operatorstest.Room, *nodetest.Clock) {
	t.Helper()
	clock := nodetest.NewClock()
	return operatorstest.Open(t, clock.Now), clock
}

func make1(t *testing.T, r operatorstest.Room, name string, scope identity.Scope) operators.Operator {
	t.Helper()
	return operatorstest.Make(t, r.Room, operators.Draft{Name: name, Scope: scope})
}

// audit is the audit log's actions, oldest first.
func audit(t *testing.T, r operatorstest.Room) string {
	t.Helper()
	all, _, err := r.Identity.Audit(t.Context(), store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range all {
		lines = append([]string{e.Actor + ": " + e.Action + " " + e.Detail}, lines...)
	}
	return strings.Join(lines, "\n")
}

func TestSignIn(t *testing.T) {
	r, clock := open(t)
	anna := make1(t, r, "Anna", identity.Operate)
	if anna.Name != "anna" || !anna.Password || anna.SecondFactor {
		t.Fatalf("%+v", anna)
	}
	entry, err := r.SignIn(t.Context(), " ANNA ", operatorstest.Password, here)
	if err != nil || entry.Pending {
		t.Fatalf("%+v, %v", entry, err)
	}
	s, err := r.Session(t.Context(), entry.Cookie)
	if err != nil || s.Operator.ID != anna.ID || s.Operator.Scope != identity.Operate || s.Method != operators.ByPassword || !s.Created.Equal(clock.Now()) {
		t.Fatalf("%+v, %v", s, err)
	}
	other := operatorstest.SignIn(t, r.Room, "anna")
	o, err := r.Session(t.Context(), other)
	if err != nil || s.CSRF == "" || o.CSRF == s.CSRF || o.ID == s.ID || strings.Contains(entry.Cookie, s.CSRF) {
		t.Errorf("two sessions: %+v and %+v, %v", s, o, err)
	}
	list, err := r.Sessions(t.Context(), "anna")
	if err != nil || len(list) != 2 || list[0].From != "192.0.2.1" || list[0].Agent != "test" {
		t.Errorf("%+v, %v", list, err)
	}
	if err := r.SignOut(t.Context(), entry.Cookie); err != nil {
		t.Fatal(err)
	}
	if err := r.SignOut(t.Context(), entry.Cookie); err != nil {
		t.Errorf("signed out twice: %v", err)
	}
	if _, err := r.Session(t.Context(), entry.Cookie); !errors.Is(err, operators.ErrNoSession) {
		t.Errorf("after signing out: %v", err)
	}
	if err := r.EndSession(t.Context(), "anna", o.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Session(t.Context(), other); !errors.Is(err, identity.ErrUnauthorised) {
		t.Errorf("a session that was ended elsewhere: %v", err)
	}
	if err := r.EndSession(t.Context(), "anna", o.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("ended twice: %v", err)
	}
	log := audit(t, r)
	for _, want := range []string{"operator anna: sign in by password from 192.0.2.1", "operator anna: sign out", "create operator anna as operator of the whole site"} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit log lacks %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, operatorstest.Password) || strings.Contains(log, entry.Cookie) {
		t.Errorf("the audit log tells secrets:\n%s", log)
	}
}

func TestNoSession(t *testing.T) {
	r, _ := open(t)
	for _, cookie := range []string{"", "x", strings.Repeat("A", 43), strings.Repeat("ä", 30), strings.Repeat("x", 100_000)} {
		if _, err := r.Session(t.Context(), cookie); !errors.Is(err, operators.ErrNoSession) {
			t.Errorf("%.20q: %v", cookie, err)
		}
	}
}

func TestSessionsEnd(t *testing.T) {
	r, clock := open(t)
	make1(t, r, "anna", identity.Viewer)
	idle := operatorstest.SignIn(t, r.Room, "anna")
	busy := operatorstest.SignIn(t, r.Room, "anna")
	for range 14 {
		clock.Move(290 * time.Second)
		if _, err := r.Session(t.Context(), busy); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Session(t.Context(), idle); !errors.Is(err, operators.ErrNoSession) {
		t.Errorf("idle for more than an hour: %v", err)
	}
	if list, err := r.Sessions(t.Context(), "anna"); err != nil || len(list) != 1 {
		t.Errorf("sessions that have ended are listed: %+v, %v", list, err)
	}
	for range 11 * 4 {
		clock.Move(15 * time.Minute)
		_, _ = r.Session(t.Context(), busy)
	}
	if _, err := r.Session(t.Context(), busy); !errors.Is(err, operators.ErrNoSession) {
		t.Errorf("busy for twelve hours: %v", err)
	}
	if err := r.Prune(t.Context(), sweep.New(r.DB, r.DB)); err != nil {
		t.Fatal(err)
	}
	if n := storeCount(t, r, "session"); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// TestGuessing: a wrong password, an unknown name and an operator who is kept out are answered alike, and each name waits
// after some wrong answers, whoever gives them from wherever.
func TestGuessing(t *testing.T) {
	r, clock := open(t)
	make1(t, r, "anna", identity.Viewer)
	for _, name := range []string{"anna", "nobody"} {
		for i := range 5 {
			if _, err := r.SignIn(t.Context(), name, fmt.Sprint("wrong password ", i), from(fmt.Sprintf("198.51.100.%d", i))); err.Error() != operators.ErrRefused.Error() {
				t.Fatalf("%s, attempt %d: %v", name, i, err)
			}
		}
		if _, err := r.SignIn(t.Context(), name, operatorstest.Password, from("203.0.113.1")); err == nil || err.Error() != operators.ErrRefused.Error() {
			t.Errorf("%s is locked: %v", name, err)
		}
	}
	if shown, err := r.Show(t.Context(), "anna"); err != nil || !shown.Locked.After(clock.Now()) {
		t.Errorf("the lock is not shown: %+v, %v", shown, err)
	}
	// What one node locked, another one keeps locked, and so does the next start.
	elsewhere := operators.New(operators.Config{
		Reader: r.DB, Writer: store.Signed(r.DB, clock.Now, nil), Settings: r.Settings, Sealer: r.Identity, Cost: nodetest.Cheap, Now: clock.Now,
	})
	if _, err := elsewhere.SignIn(t.Context(), "anna", operatorstest.Password, here); !errors.Is(err, operators.ErrRefused) {
		t.Errorf("another node lets in whom this one locked: %v", err)
	}
	clock.Move(time.Minute)
	if _, err := r.SignIn(t.Context(), "anna", "wrong again!", here); !errors.Is(err, operators.ErrRefused) {
		t.Error(err)
	}
	clock.Move(time.Minute)
	if _, err := r.SignIn(t.Context(), "anna", operatorstest.Password, here); !errors.Is(err, operators.ErrRefused) {
		t.Errorf("the second wait is as long as the first: %v", err)
	}
	clock.Move(time.Minute)
	if _, err := r.SignIn(t.Context(), "anna", operatorstest.Password, here); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	if log := audit(t, r); !strings.Contains(log, "lock the sign-in of anna until") || !strings.Contains(log, "lock the sign-in of nobody until") {
		t.Errorf("the audit log does not tell of guesses:\n%s", log)
	}
}

func TestGuessingFromOneAddress(t *testing.T) {
	r, clock := open(t)
	make1(t, r, "anna", identity.Viewer)
	for i := range 20 {
		// Others of the same network of 64 bits are the same person.
		if _, err := r.SignIn(t.Context(), fmt.Sprint("somebody", i), "whatever it is", from(fmt.Sprintf("[2001:db8::%d]:99", i+1))); !errors.Is(err, operators.ErrRefused) {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	var many operators.TooMany
	if _, err := r.SignIn(t.Context(), "anna", operatorstest.Password, from("[2001:db8::abc]:1")); !errors.As(err, &many) || many.Wait != time.Second {
		t.Errorf("too many from one network: %v", err)
	}
	if _, err := r.SignIn(t.Context(), "anna", operatorstest.Password, from("[2001:db8:0:1::1]:1")); err != nil {
		t.Errorf("from another network: %v", err)
	}
	clock.Move(time.Second)
	if _, err := r.SignIn(t.Context(), "anna", operatorstest.Password, from("[2001:db8::abc]:1")); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

// TestGuessingAtOnce: many guesses side by side are not judged more often than one after the other.
func TestGuessingAtOnce(t *testing.T) {
	r, _ := open(t)
	make1(t, r, "anna", identity.Viewer)
	judged := make(chan bool, 100)
	for i := range 100 {
		go func() {
			_, err := r.SignIn(t.Context(), "anna", operatorstest.Password+fmt.Sprint(i), from(fmt.Sprintf("198.51.%d.1", i)))
			judged <- err != nil
		}()
	}
	for range 100 {
		if !<-judged {
			t.Error("a wrong password was let in")
		}
	}
	if _, err := r.SignIn(t.Context(), "anna", operatorstest.Password, from("203.0.113.9")); !errors.Is(err, operators.ErrRefused) {
		t.Errorf("after a hundred guesses at once: %v", err)
	}
}

func TestLockAndUnlock(t *testing.T) {
	r, _ := open(t)
	make1(t, r, "root", identity.Administrator)
	make1(t, r, "anna", identity.Viewer)
	cookie := operatorstest.SignIn(t, r.Room, "anna")
	if o, err := r.Lock(t.Context(), "anna"); err != nil || !o.Disabled {
		t.Fatalf("%+v, %v", o, err)
	}
	if _, err := r.Session(t.Context(), cookie); !errors.Is(err, operators.ErrNoSession) {
		t.Errorf("the session of a locked operator: %v", err)
	}
	if _, err := r.SignIn(t.Context(), "anna", operatorstest.Password, here); err == nil || err.Error() != operators.ErrRefused.Error() {
		t.Errorf("sign-in of a locked operator: %v", err)
	}
	if o, err := r.Unlock(t.Context(), "anna"); err != nil || o.Disabled {
		t.Fatalf("%+v, %v", o, err)
	}
	operatorstest.SignIn(t, r.Room, "anna")
	for range 6 {
		_, _ = r.SignIn(t.Context(), "anna", "wrong password", here)
	}
	if _, err := r.Unlock(t.Context(), "anna"); err != nil {
		t.Fatal(err)
	}
	operatorstest.SignIn(t, r.Room, "anna")
}

// TestLastAdministrator: somebody can always do everything.
func TestLastAdministrator(t *testing.T) {
	r, _ := open(t)
	make1(t, r, "root", identity.Administrator)
	operatorstest.Make(t, r.Room, operators.Draft{Name: "berlin", Scope: identity.Administrator, Part: identity.Part{Groups: []string{"berlin"}}})
	viewer, part := identity.Viewer, identity.Part{Groups: []string{"x"}}
	verbs := map[string]func() error{
		"delete": func() error { return r.Delete(t.Context(), "root") },
		"lock":   func() error { _, err := r.Lock(t.Context(), "root"); return err },
		"demote": func() error { _, err := r.Change(t.Context(), "root", 0, operators.Edit{Scope: &viewer}); return err },
		"limit":  func() error { _, err := r.Change(t.Context(), "root", 0, operators.Edit{Part: &part}); return err },
	}
	for name, verb := range verbs {
		if err := verb(); !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "only administrator") {
			t.Errorf("%s the last administrator: %v", name, err)
		}
	}
	make1(t, r, "other", identity.Administrator)
	if err := verbs["demote"](); err != nil {
		t.Error(err)
	}
}

// TestFixation: what may do more than before has another cookie than before.
func TestFixation(t *testing.T) {
	r, clock := open(t)
	make1(t, r, "root", identity.Administrator)
	anna := make1(t, r, "anna", identity.Viewer)
	secret := withSecondFactor(t, r, clock, anna)
	entry, err := r.SignIn(t.Context(), "anna", operatorstest.Password, here)
	if err != nil || !entry.Pending {
		t.Fatalf("%+v, %v", entry, err)
	}
	if _, err := r.Session(t.Context(), entry.Cookie); !errors.Is(err, operators.ErrNoSession) {
		t.Errorf("without the second factor: %v", err)
	}
	whole, err := r.SecondFactor(t.Context(), entry.Cookie, totp.Code(secret, clock.Now()), here)
	if err != nil || whole.Cookie == entry.Cookie {
		t.Fatalf("%+v, %v", whole, err)
	}
	for _, again := range []string{entry.Cookie, whole.Cookie} {
		if _, err := r.SecondFactor(t.Context(), again, totp.Code(secret, clock.Now()), here); !errors.Is(err, operators.ErrNoSession) {
			t.Errorf("a cookie that was used up: %v", err)
		}
	}
	if s, err := r.Session(t.Context(), whole.Cookie); err != nil || !s.SecondFactor {
		t.Errorf("%+v, %v", s, err)
	}
	renewed, err := r.Renew(t.Context(), whole.Cookie)
	if err != nil || renewed == whole.Cookie {
		t.Fatal(renewed, err)
	}
	if _, err := r.Session(t.Context(), whole.Cookie); !errors.Is(err, operators.ErrNoSession) {
		t.Errorf("the cookie before the renewal: %v", err)
	}
	scope := identity.Operate
	if _, err := r.Change(t.Context(), "anna", 0, operators.Edit{Scope: &scope}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Session(t.Context(), renewed); !errors.Is(err, operators.ErrNoSession) {
		t.Errorf("a session from before the role changed: %v", err)
	}
}

// withSecondFactor gives an operator a second factor, and answers with its secret.
func withSecondFactor(t *testing.T, r operatorstest.Room, clock *nodetest.Clock, o operators.Operator) []byte {
	t.Helper()
	begun, err := r.BeginSecondFactor(t.Context(), o.ID, operatorstest.Password)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(begun.Secret, " ", ""))
	if err != nil || !strings.Contains(begun.URI, "secret="+strings.ReplaceAll(begun.Secret, " ", "")) {
		t.Fatalf("%+v, %v", begun, err)
	}
	codes, err := r.ConfirmSecondFactor(t.Context(), operators.Caller{ID: o.ID}, totp.Code(secret, clock.Now()))
	if err != nil || len(codes) != 10 {
		t.Fatal(codes, err)
	}
	clock.Move(time.Minute)
	return secret
}

func storeCount(t *testing.T, r operatorstest.Room, table string) int {
	t.Helper()
	return count(t, r, `SELECT count(*) FROM `+table)
}

func count(t *testing.T, r operatorstest.Room, query string) (n int) {
	t.Helper()
	err := r.DB.View(t.Context(), func(tx *sql.Tx) error { return tx.QueryRowContext(t.Context(), query).Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What strangers write stands in no log: names that nobody can have are refused before anything is counted of them.
func TestStrangersNamesAreNotKept(t *testing.T) {
	r, _ := open(t)
	make1(t, r, "anna", identity.Viewer)
	for range 30 {
		for _, name := range []string{"<script>alert(1)</script>", "my password 123", "local", "a\nb", strings.Repeat("x", 65)} {
			if _, err := r.SignIn(t.Context(), name, "x", here); !errors.Is(err, operators.ErrRefused) {
				t.Fatalf("%q: %v", name, err)
			}
		}
	}
	if text := audit(t, r); strings.Contains(text, "script") || strings.Contains(text, "my password") {
		t.Errorf("the audit log holds what a stranger wrote:\n%s", text)
	}
	operatorstest.SignIn(t, r.Room, "anna")
}

// The provider of the moment vouches, and nobody else; and what it says takes the last administrator's role from nobody.
func TestSignInByAnotherProvider(t *testing.T) {
	r, _ := open(t)
	set := func(issuer string) {
		t.Helper()
		if _, err := r.Settings.Set(t.Context(), "oidc.issuer", fmt.Appendf(nil, "%q", issuer), -1); err != nil {
			t.Fatal(err)
		}
	}
	const issuer = "https://one.example"
	subject := "s1"
	if _, err := r.Change(t.Context(), make1(t, r, "anna", identity.Viewer).ID, 0, operators.Edit{Subject: &subject}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a subject was taken although no provider knows it: %v", err)
	}
	set(issuer)
	claims := operators.Claims{Issuer: issuer, Subject: "s2", Name: "root", Scope: identity.Administrator}
	if _, err := r.SignInBy(t.Context(), claims, here); err != nil {
		t.Fatal(err)
	}
	claims.Scope = identity.Viewer
	if _, err := r.SignInBy(t.Context(), claims, here); err != nil {
		t.Fatal(err)
	}
	if o, err := r.Show(t.Context(), "root"); err != nil || o.Scope != identity.Administrator {
		t.Errorf("the last administrator is %s now, %v", o.Scope, err)
	}
	make1(t, r, "other", identity.Administrator)
	if _, err := r.SignInBy(t.Context(), claims, here); err != nil {
		t.Fatal(err)
	}
	if o, err := r.Show(t.Context(), "root"); err != nil || o.Scope != identity.Viewer {
		t.Errorf("with another administrator there, root is %s, %v", o.Scope, err)
	}
	set("https://two.example")
	if _, err := r.SignInBy(t.Context(), claims, here); !errors.Is(err, identity.ErrUnauthorised) {
		t.Errorf("a provider that the site has no more was believed: %v", err)
	}
}

// A site that asks for a second factor opens nothing else before it is set up, and lets nobody take it away again; tokens of
// the provider's people are not asked.
func TestSecondFactorRequired(t *testing.T) {
	r, clock := open(t)
	o := make1(t, r, "anna", identity.Operate)
	cookie := operatorstest.SignIn(t, r.Room, "anna")
	lacks := func(cookie string) bool {
		t.Helper()
		s, err := r.Session(t.Context(), cookie)
		if err != nil {
			t.Fatal(err)
		}
		return s.Lacks
	}
	if lacks(cookie) {
		t.Error("a second factor lacks where the site asks for none")
	}
	if _, err := r.Settings.Set(t.Context(), "operators.second_factor", []byte("true"), -1); err != nil {
		t.Fatal(err)
	}
	if !lacks(cookie) {
		t.Error("an open session goes on without the second factor that the site asks for")
	}
	withSecondFactor(t, r, clock, o)
	if err := r.RemoveSecondFactor(t.Context(), o.ID, operatorstest.Password); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("the second factor was taken away: %v", err)
	}
	if _, err := r.Reset(t.Context(), "anna", true); err != nil { // by an administrator, for who has lost it
		t.Fatal(err)
	}
	if !lacks(operatorstest.SignIn(t, r.Room, "anna")) {
		t.Error("after a reset nothing is to be set up")
	}
}

// Looking at a session does not keep it from ending.
func TestLookKeepsNothingAlive(t *testing.T) {
	r, clock := open(t)
	make1(t, r, "anna", identity.Viewer)
	looked, used := operatorstest.SignIn(t, r.Room, "anna"), operatorstest.SignIn(t, r.Room, "anna")
	for range 30 {
		clock.Move(5 * time.Minute)
		_, _ = r.Look(t.Context(), looked) // until it has ended
		if _, err := r.Session(t.Context(), used); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Look(t.Context(), looked); !errors.Is(err, operators.ErrNoSession) {
		t.Errorf("a page that asks by itself keeps a session alive: %v", err)
	}
}
