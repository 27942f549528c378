package identity_test

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/node/identity"
	"thatch/node/identity/identitytest"
	"thatch/node/store"
)

const day = 24 * time.Hour

// peer is who calls with a certificate.
func (f fixture) peer(t *testing.T, der []byte) identity.Peer {
	t.Helper()
	p, err := f.Peer(t.Context(), identitytest.Connected(t, der, f.Authority()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// renew asks with a certificate, and records what is granted.
func (f fixture) renew(t *testing.T, der []byte) (identity.Issued, error) {
	t.Helper()
	_, csr := identitytest.Key(t)
	issued, err := f.Renew(t.Context(), f.peer(t, der), csr)
	if err != nil {
		return issued, err
	}
	applied, err := f.db.Write(t.Context(), store.Batch{Reason: "test", Statements: issued.Record})
	return issued, errors.Join(err, applied.Err())
}

// rows counts the certificates on record.
func (f fixture) rows(t *testing.T, computer string) (count int) {
	t.Helper()
	err := f.db.View(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM certificate WHERE computer = ?`, computer).Scan(&count)
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func TestRenew(t *testing.T) {
	f := open(t)
	first := f.issue(t, "c1")
	if p := f.peer(t, first.DER); p.Kind != identity.KindComputer || p.ID != "c1" || p.Serial != first.Serial {
		t.Fatalf("peer: %+v", p)
	}
	f.clock.Move(60 * day)
	second, err := f.renew(t, first.DER)
	if err != nil {
		t.Fatal(err)
	}
	f.peer(t, first.DER) // the answer may be lost, so the first stays good
	f.peer(t, second.DER)
	if !second.NotAfter.After(first.NotAfter) {
		t.Errorf("renewed until %s, was %s", second.NotAfter, first.NotAfter)
	}
	f.clock.Move(time.Hour)
	p := f.peer(t, first.DER)
	f.write(t, identity.RevokeComputer("c1", "retired", f.clock.Now()))
	_, csr := identitytest.Key(t)
	late, err := f.Renew(t.Context(), p, csr)
	if err != nil {
		t.Fatal(err)
	}
	applied, err := f.db.Write(t.Context(), store.Batch{Reason: "test", Statements: late.Record})
	if err = errors.Join(err, applied.Err()); !errors.Is(err, store.ErrConflict) {
		t.Errorf("renewing a revoked certificate: %v", err)
	}
}

// A certificate is renewed from the middle of its life on, and a few minutes after the last answer.
func TestRenewNotTooSoon(t *testing.T) {
	f := open(t)
	first := f.issue(t, "c1")
	f.issue(t, "c2") // another computer's is of no account
	born := f.clock.Now()
	half := first.NotAfter.Add(-(identity.AgentLifetime + time.Hour) / 2) // certificates begin an hour before they are made
	soon := func(what string, der []byte, when time.Time) {
		t.Helper()
		_, err := f.renew(t, der)
		var refused *identity.TooSoonError
		if !errors.As(err, &refused) || !refused.When.Equal(when) || refused.Wait != when.Sub(f.clock.Now()) {
			t.Errorf("%s: %v, want one that names %s", what, err, when)
		}
	}
	soon("at once", first.DER, half)
	f.clock.Move(half.Sub(born) - time.Second)
	soon("a second before the middle of its life", first.DER, half)
	if f.rows(t, "c1") != 1 {
		t.Errorf("%d rows: asking in vain made some", f.rows(t, "c1"))
	}
	f.clock.Move(time.Second)
	second, err := f.renew(t, first.DER)
	if err != nil {
		t.Fatalf("in the middle of its life: %v", err)
	}
	soon("the former again", first.DER, f.clock.Now().Add(5*time.Minute))
	soon("the new one", second.DER, second.NotAfter.Add(-(identity.AgentLifetime+time.Hour)/2))
	f.clock.Move(5*time.Minute - time.Second)
	soon("a second before five minutes are over", first.DER, f.clock.Now().Add(time.Second))
	f.clock.Move(time.Second)
	if _, err := f.renew(t, first.DER); err != nil {
		t.Errorf("after a lost answer: %v", err)
	}
	f.clock.Move(3 * time.Minute)
	f.issue(t, "c1")
	f.clock.Move(-2 * time.Minute) // set back: what was made in the future keeps nobody waiting
	if _, err := f.renew(t, first.DER); err != nil {
		t.Errorf("after the clock was set back: %v", err)
	}
}

// Two that ask at the same moment get one certificate between them.
func TestRenewTwiceAtOnce(t *testing.T) {
	f := open(t)
	first := f.issue(t, "c1")
	f.clock.Move(60 * day)
	p := f.peer(t, first.DER)
	var granted []identity.Issued
	for range 2 {
		_, csr := identitytest.Key(t)
		issued, err := f.Renew(t.Context(), p, csr)
		if err != nil {
			t.Fatal(err)
		}
		granted = append(granted, issued)
	}
	f.write(t, granted[0].Record...)
	applied, err := f.db.Write(t.Context(), store.Batch{Reason: "test", Statements: granted[1].Record})
	if err = errors.Join(err, applied.Err()); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the second: %v", err)
	}
	if f.rows(t, "c1") != 2 {
		t.Errorf("%d rows", f.rows(t, "c1"))
	}
}

// However a computer asks, and whichever answers it loses, it has at most three certificates, the one it calls with
// among them, and none is kept that ended.
func TestRenewKeepsFew(t *testing.T) {
	f := open(t)
	computers := 0
	rapid.Check(t, func(r *rapid.T) {
		computers++
		computer := fmt.Sprint("c", computers)
		latest := f.issue(t, computer) // whose answer arrived last
		for range rapid.IntRange(1, 25).Draw(r, "asks") {
			minutes := rapid.SampledFrom([]int{1, 10, 60 * 24, 60 * 24 * 20, 60 * 24 * 46}).Draw(r, "minutes")
			f.clock.Move(time.Duration(minutes) * time.Minute)
			if !latest.NotAfter.After(f.clock.Now()) {
				return // it stayed away too long
			}
			issued, err := f.renew(t, latest.DER)
			var refused *identity.TooSoonError
			if err != nil && !errors.As(err, &refused) {
				r.Fatal(err)
			}
			if count := f.rows(t, computer); count > 3 {
				r.Fatalf("%d certificates on record", count)
			}
			if _, err := f.Peer(t.Context(), identitytest.Connected(t, latest.DER, f.Authority())); err != nil {
				r.Fatalf("the certificate whose answer arrived last is refused: %v", err)
			}
			if err == nil && rapid.Bool().Draw(r, "arrives") {
				latest = issued
			}
		}
	})
}
