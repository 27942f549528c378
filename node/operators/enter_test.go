package operators_test

import (
	"errors"
	"testing"
	"time"

	"thatch/node/identity"
	"thatch/node/operators"
	"thatch/node/operators/operatorstest"
	"thatch/node/store"
)

func TestEnterByLink(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := operatorstest.Open(t, func() time.Time { return now })
	operatorstest.Make(t, r.Room, operators.Draft{Name: "ada", Scope: identity.Operate})
	from := operators.Origin{From: "192.0.2.7"}
	link, err := r.EnterLink(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	// It chooses no password.
	if _, err := r.Accept(t.Context(), operators.Chosen{Code: link.Code, Password: "another password"}, from); !errors.Is(err, operators.ErrLink) {
		t.Errorf("a link that opens a session was taken for one that chooses a password: %v", err)
	}
	entry, err := r.Enter(t.Context(), link.Code, from)
	if err != nil || entry.Pending {
		t.Fatalf("%+v, %v", entry, err)
	}
	if s, err := r.Session(t.Context(), entry.Cookie); err != nil || s.Operator.Name != "ada" || s.Operator.Scope != identity.Operate {
		t.Errorf("the session is %+v, %v", s, err)
	}
	if _, err := r.Enter(t.Context(), link.Code, from); !errors.Is(err, operators.ErrLink) {
		t.Errorf("a link opened a second session: %v", err)
	}
	if _, err := r.Enter(t.Context(), "nonsense", from); !errors.Is(err, operators.ErrLink) {
		t.Errorf("nonsense: %v", err)
	}
	late, err := r.EnterLink(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(10 * time.Minute)
	if _, err := r.Enter(t.Context(), late.Code, from); !errors.Is(err, operators.ErrLink) {
		t.Errorf("a link that has ended: %v", err)
	}
	// A link that chooses a password opens nothing by itself, and takes the other's place.
	reset, err := r.Reset(t.Context(), "ada", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Enter(t.Context(), reset.Code, from); !errors.Is(err, operators.ErrLink) {
		t.Errorf("a link that chooses a password opened a session: %v", err)
	}
	if _, err := r.Lock(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.EnterLink(t.Context(), "ada"); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a link for somebody who is kept out: %v", err)
	}
	if _, err := r.EnterLink(t.Context(), "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
}

// TestLinksEnd: a link is good for nothing once its operator chose another password, or was kept out; and nobody bears a
// name that is another's id.
func TestLinksEnd(t *testing.T) {
	r := operatorstest.Open(t, func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) })
	made := operatorstest.Make(t, r.Room, operators.Draft{Name: "ada", Scope: identity.Viewer})
	from := operators.Origin{From: "192.0.2.7"}
	for what, end := range map[string]func() error{
		"another password": func() error {
			return r.ChangePassword(t.Context(), operators.Caller{ID: made.ID}, operatorstest.Password, "another long password")
		},
		"kept out and let in": func() error {
			_, lock := r.Lock(t.Context(), "ada")
			_, unlock := r.Unlock(t.Context(), "ada")
			return errors.Join(lock, unlock)
		},
	} {
		link, err := r.EnterLink(t.Context(), "ada")
		if err = errors.Join(err, end()); err != nil {
			t.Fatal(what, err)
		}
		if _, err := r.Enter(t.Context(), link.Code, from); !errors.Is(err, operators.ErrLink) {
			t.Errorf("%s: the link before is still good: %v", what, err)
		}
	}
	if _, _, err := r.Create(t.Context(), operators.Draft{Name: made.ID, Scope: identity.Viewer}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a name that is another's id: %v", err)
	}
}
