package document_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"testing"

	"thatch/catalog/document"
)

// Signed together, documents bear the very signatures that they bear signed one by one: RFC 8032 leaves no choice.
func TestSignedTogetherAsOneByOne(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, count := range []int{0, 1, 2, 3, 40, 500} {
		seed := make([]byte, ed25519.SeedSize)
		for i := range seed {
			seed[i] = byte(r.Uint32())
		}
		key := ed25519.NewKeyFromSeed(seed)
		var docs []*document.Document
		for i := range count {
			doc, err := document.New(document.Update, fmt.Sprint("msrc/", r.Uint64(), i), nil, []byte(`{"name":"x"}`))
			if err != nil {
				t.Fatal(err)
			}
			docs = append(docs, &doc)
		}
		document.SignAll("site", key, docs)
		for i, doc := range docs {
			alone := *doc
			alone.Sign("site", key)
			if doc.Origin != "site" || !bytes.Equal(doc.Signature, alone.Signature) || cap(doc.Signature) != ed25519.SignatureSize {
				t.Fatalf("document %d of %d: %q, %x; alone it is %x", i, count, doc.Origin, doc.Signature, alone.Signature)
			}
			if err := doc.Verify(key.Public().(ed25519.PublicKey)); err != nil {
				t.Fatalf("document %d of %d: %v", i, count, err)
			}
		}
	}
}

func BenchmarkSign(b *testing.B) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	var docs []*document.Document
	for i := range 100 {
		docs = append(docs, &document.Document{Head: document.Head{Digest: document.Digest{byte(i)}}})
	}
	b.Run("alone", func(b *testing.B) {
		for i := range b.N {
			docs[i%len(docs)].Sign("site", key)
		}
	})
	b.Run("together", func(b *testing.B) {
		for left := b.N; left > 0; left -= len(docs) {
			document.SignAll("site", key, docs[:min(left, len(docs))])
		}
	})
}
