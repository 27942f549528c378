package hints_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/node/hints"
	"thatch/node/members"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

func start(t *testing.T) (*hints.Room, *members.Room) {
	t.Helper()
	db := storetest.Open(t)
	m := members.New(nil, db, db, time.Now)
	key := make([]byte, members.KeySize)
	for _, id := range []string{"n1", "n2"} {
		if err := m.Tell(t.Context(), members.Node{ID: id, Name: "node " + id, Votes: true, Addresses: []string{id + ":1"}, TLSKey: key, SealKey: key}); err != nil {
			t.Fatal(err)
		}
	}
	return hints.New(db, db, m, time.Now), m
}

func TestSetChangeRemove(t *testing.T) {
	r, m := start(t)
	ctx := t.Context()
	for _, h := range [][3]string{{"10.1.0.0/16", "n1", "Berlin"}, {" 192.168.7.1 ", "NODE N2", ""}, {"2001:db8::/32", "n1", ""}, {"10.1.0.0/16", "n2", "Paris"}} {
		if set, err := r.Set(ctx, "anna", h[0], h[1], h[2]); err != nil || set.Name == "" {
			t.Fatalf("%v: %+v, %v", h, set, err)
		}
	}
	all, err := r.All(ctx)
	if err != nil || len(all) != 3 || all[0].Subnet != "10.1.0.0/16" || all[0].Node != "n2" || all[0].Note != "Paris" || all[0].By != "anna" || all[1].Subnet != "192.168.7.1/32" {
		t.Fatalf("%+v, %v", all, err)
	}
	if err := r.Remove(ctx, "192.168.7.1"); err != nil {
		t.Fatal(err)
	}
	if err := r.Remove(ctx, "192.168.7.1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("removed again: %v", err)
	}
	if err := m.Remove(ctx, "n2", "broken"); err != nil {
		t.Fatal(err)
	}
	if all, err = r.All(ctx); err != nil || len(all) != 2 || !all[0].Gone() || all[1].Gone() {
		t.Errorf("%+v, %v", all, err)
	}
	if at := hints.NewTable(all).Of([]string{"10.1.1.1"}); at != "" {
		t.Errorf("a node that is gone is hinted at: %s", at)
	}
}

func TestWhatIsNoHint(t *testing.T) {
	r, _ := start(t)
	for subnet, says := range map[string]string{
		"": "no subnet", "berlin": "no subnet", "10.1.2.3/16": "did you mean 10.1.0.0/16", "10.0.0.0/40": "no subnet", "fe80::1%eth0": "no subnet",
		"::ffff:10.0.0.0/104": "no subnet",
	} {
		if _, err := r.Set(t.Context(), "anna", subnet, "n1", ""); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", subnet, err)
		}
	}
	if _, err := r.Set(t.Context(), "anna", "10.0.0.0/8", "n9", ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no such node: %v", err)
	}
	if _, err := r.Set(t.Context(), "anna", "10.0.0.0/8", "n1", strings.Repeat("x", 201)); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a long note: %v", err)
	}
}

// The table finds what looking at each hint would.
func TestSmallestSubnet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []hints.Hint
		seen := map[string]bool{}
		for range rapid.IntRange(0, 12).Draw(t, "hints") {
			at := netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, 3).Draw(t, "b")), byte(rapid.IntRange(0, 3).Draw(t, "c")), 0})
			prefix := netip.PrefixFrom(at, rapid.IntRange(0, 32).Draw(t, "bits")).Masked()
			if seen[prefix.String()] {
				continue
			}
			seen[prefix.String()] = true
			h := hints.Hint{Subnet: prefix.String(), Node: prefix.String(), Name: "x"}
			if rapid.IntRange(0, 5).Draw(t, "gone") == 0 {
				h.Name = ""
			}
			all = append(all, h)
		}
		address := netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, 3).Draw(t, "b")), byte(rapid.IntRange(0, 3).Draw(t, "c")), 0})
		want, bits := "", -1
		for _, h := range all {
			if p := netip.MustParsePrefix(h.Subnet); p.Contains(address) && p.Bits() > bits && !h.Gone() {
				want, bits = h.Node, p.Bits()
			}
		}
		if got := hints.NewTable(all).Of([]string{"nonsense", "::ffff:" + address.String()}); got != want {
			t.Fatalf("%s is in %q, found was %q", address, want, got)
		}
	})
}
