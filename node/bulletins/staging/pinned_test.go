package staging_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/staging"
	"thatch/node/store"
)

// What a policy pins comes back when it is lost, though the package left the catalog or has another payload since, and
// though nothing is staged any more; what nobody pins does not.
func TestLostPinsComeBack(t *testing.T) {
	b := newBench(t)
	former, other := []byte("as it was pinned"), []byte("of no policy")
	b.vendor.set("former.msi", former)
	b.vendor.set("other.msi", other)
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), update(t, "U2", "B1"),
		pack(t, "P1", "U1", nil, b.vendor.file("former.msi")), pack(t, "P2", "U2", nil, b.vendor.file("other.msi")))
	b.stage(t, "B1")
	b.run(t)
	ps := b.status(t, "U1").Packages[0]
	bulletinstest.Write(t, b.db, store.Pin("policy-1", ps.Package.Digest, true), store.Pin("policy-1", ps.Payload.Digest, true))
	if err := b.Unstage(t.Context(), "B1"); err != nil {
		t.Fatal(err)
	}
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U2", "B1"), pack(t, "P2", "U2", nil, b.vendor.file("other.msi")))
	sum, gone := b.vendor.file("former.msi").SHA256, b.vendor.file("other.msi").SHA256
	b.removeFile(t, sum, gone)
	b.wantOutstanding(t, true)
	if got := b.run(t); got.Restored != 1 || len(got.Failed) != 0 || !b.content.Has(sum) || b.content.Has(gone) || !b.holds(t, sum) {
		t.Fatalf("%+v, held %v, unpinned held %v", got, b.content.Has(sum), b.content.Has(gone))
	}
	b.wantOutstanding(t, false)

	// The vendor sends something else meanwhile: nothing but the very bytes is taken, and nobody asks in a circle.
	b.removeFile(t, sum)
	b.vendor.set("former.msi", []byte("something else!!"))
	b.wantOutstanding(t, true)
	if got := b.run(t); len(got.Failed) != 1 || got.Failed[0].Reason != staging.Digest || got.Restored != 0 || b.holds(t, sum) {
		t.Errorf("%+v", got)
	}
	b.wantOutstanding(t, false)
	b.vendor.set("former.msi", former)
	if got := b.run(t); got.Restored != 1 {
		t.Errorf("the next run: %+v", got)
	}

	// A disk that is put back is believed by its bytes.
	path := filepath.Join(b.dir, "payloads", sum[:2], sum)
	b.removeFile(t, sum)
	if err := os.WriteFile(path, former, 0o600); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	if err := b.Reconcile(t.Context()); err != nil || !b.holds(t, sum) {
		t.Errorf("a payload that came back does not count: %v", err)
	}
}

// A file that was added by hand has no address: that it is lost is said, and nothing else is held up.
func TestLostPinWithoutAddress(t *testing.T) {
	b := newBench(t)
	b.vendor.set("a.msi", []byte("added by hand"))
	b.vendor.set("b.msi", []byte("downloaded"))
	hand := b.vendor.file("a.msi")
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), pack(t, "P1", "U1", nil, hand, b.vendor.file("b.msi")))
	b.stage(t, "B1")
	b.run(t)
	ps := b.status(t, "U1").Packages[0]
	payload := bulletinstest.Doc(t, "payload", "P1", nil, catalog.Payload{Package: "P1", Files: ps.Payload.Files[:1]}) // of a package that is not pinned
	bulletinstest.Signer{}.Sign(&payload)
	bulletinstest.Write(t, b.db, store.Hold(payload), store.Pin("policy-1", payload.Digest, true))
	if err := b.Unstage(t.Context(), "B1"); err != nil {
		t.Fatal(err)
	}
	b.removeFile(t, hand.SHA256)
	if got := b.run(t); len(got.Failed) != 1 || got.Failed[0].Reason != staging.Location ||
		!strings.Contains(got.Failed[0].Text, "add it again with its file") {
		t.Errorf("%+v", got)
	}
	b.wantOutstanding(t, false)
}

func (b *bench) removeFile(t *testing.T, sums ...string) {
	t.Helper()
	for _, sum := range sums {
		if err := os.Remove(filepath.Join(b.dir, "payloads", sum[:2], sum)); err != nil {
			t.Fatal(err)
		}
	}
	b.open(t)
	if err := b.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) wantOutstanding(t *testing.T, want bool) {
	t.Helper()
	if more, err := b.Outstanding(t.Context()); more != want || err != nil {
		t.Errorf("outstanding %v, %v; want %v", more, err, want)
	}
}

func (b *bench) holds(t *testing.T, sum string) bool {
	t.Helper()
	state, err := staging.Load(t.Context(), b.db)
	if err != nil {
		t.Fatal(err)
	}
	return state.Held(sum)
}
