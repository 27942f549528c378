package identity_test

import (
	"testing"
	"time"

	"thatch/node/identity"
	"thatch/node/identity/identitytest"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

// BenchmarkPeer is what every call of an agent pays to be told from a stranger.
func BenchmarkPeer(b *testing.B) {
	db := storetest.Open(b)
	id := identitytest.Open(b, b.TempDir(), db, time.Now)
	_, csr := identitytest.Key(b)
	issued, err := id.Issue(csr, "c1")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := db.Write(b.Context(), store.Batch{Reason: "bench", Statements: issued.Record}); err != nil {
		b.Fatal(err)
	}
	state := identitytest.Connected(b, issued.DER, id.Authority())
	for b.Loop() {
		if _, err := id.Peer(b.Context(), state); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOperator is what every call of the API pays.
func BenchmarkOperator(b *testing.B) {
	db := storetest.Open(b)
	id := identitytest.Open(b, b.TempDir(), db, time.Now)
	made, err := id.NewAPIToken(b.Context(), identity.APIToken{Name: "x", Scope: identity.Viewer, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := id.Operator(b.Context(), made.Token); err != nil {
			b.Fatal(err)
		}
	}
}
