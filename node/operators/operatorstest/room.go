// Package operatorstest makes rooms of operators, and operators in them, for tests.
package operatorstest

import (
	"testing"
	"time"

	"thatch/node/identity"
	"thatch/node/identity/identitytest"
	"thatch/node/operators"
	"thatch/node/operators/password"
	"thatch/node/settings"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

// Password is the one of the operators that this package makes.
const Password = "correct horse battery"

// Room is a room with what it stands on.
type Room struct {
	*operators.Room
	DB       *store.DB
	Settings *settings.Room
	Identity *identity.Identity
}

// Open makes a room of its own, whose passwords cost little.
func Open(t testing.TB, now func() time.Time) Room {
	t.Helper()
	db := storetest.Open(t)
	id := identitytest.Open(t, t.TempDir(), db, now)
	writer := store.Signed(db, now, identity.Audited)
	set := settings.New(db, writer, id)
	return Room{operators.New(operators.Config{
		Site: "site-1", Reader: db, Writer: writer, Settings: set, Sealer: id, Cost: password.Cost{Memory: 8, Passes: 1, Threads: 1}, Now: now,
	}), db, set, id}
}

// Make makes an operator who has Password.
func Make(t testing.TB, r *operators.Room, d operators.Draft) operators.Operator {
	t.Helper()
	made, link, err := r.Create(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Accept(t.Context(), operators.Chosen{Code: link.Code, Password: Password}, operators.Origin{From: "192.0.2.1"}); err != nil {
		t.Fatal(err)
	}
	if err := r.EndSessions(t.Context(), made.ID, ""); err != nil {
		t.Fatal(err)
	}
	shown, err := r.Show(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	return shown
}

// SignIn opens a session of an operator who has Password.
func SignIn(t testing.TB, r *operators.Room, name string) (cookie string) {
	t.Helper()
	entry, err := r.SignIn(t.Context(), name, Password, operators.Origin{From: "192.0.2.1", Agent: "test"})
	if err != nil || entry.Pending {
		t.Fatalf("%+v, %v", entry, err)
	}
	return entry.Cookie
}
