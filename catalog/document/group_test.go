package document_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"thatch/catalog/document"
)

func group(t testing.TB, count int) []*document.Document {
	t.Helper()
	var all []*document.Document
	for i := range count {
		doc, err := document.New(document.Update, fmt.Sprintf("u/%d", i), nil, fmt.Appendf(nil, `{"n":%d}`, i))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &doc)
	}
	return all
}

func TestEachDocumentOfAGroupIsSignedByItself(t *testing.T) {
	public, private, _ := ed25519.GenerateKey(nil)
	stranger, _, _ := ed25519.GenerateKey(nil)
	for count := range 3*document.MaxGroup + 2 {
		all := group(t, count)
		document.SignGroup(all, "s1", private)
		made := map[string]bool{}
		for i, doc := range all {
			made[string(doc.Signature[:ed25519.SignatureSize])] = true
			if err := doc.Verify(public); err != nil || doc.Origin != "s1" {
				t.Fatalf("%d of %d: %v, of %q", i, count, err, doc.Origin)
			}
			if doc.Verify(stranger) == nil {
				t.Fatalf("%d of %d: another key's", i, count)
			}
		}
		if most := count/document.MaxGroup + 3; len(made) > most {
			t.Errorf("%d documents cost %d signatures, at most %d are wanted", count, len(made), most)
		}
	}
}

func TestSignaturesOfGroupsAreWorthNothingElsewhere(t *testing.T) {
	public, private, _ := ed25519.GenerateKey(nil)
	all := group(t, document.MaxGroup)
	document.SignGroup(all, "s1", private)
	other := group(t, document.MaxGroup+1)[document.MaxGroup]
	for i, doc := range all {
		for j, neighbour := range all {
			if i != j && document.SignedBy(public, neighbour.Digest, doc.Signature) {
				t.Errorf("the signature of %d is one of %d", i, j)
			}
		}
		if document.SignedBy(public, other.Digest, doc.Signature) {
			t.Errorf("the signature of %d is one of a document outside the group", i)
		}
		for at := range doc.Signature {
			for bit := range 8 {
				bad := slices.Clone(doc.Signature)
				bad[at] ^= 1 << bit
				if document.SignedBy(public, doc.Digest, bad) {
					t.Fatalf("byte %d, bit %d changed, and it holds", at, bit)
				}
			}
		}
		for size := range len(doc.Signature) {
			if document.SignedBy(public, doc.Digest, doc.Signature[:size]) {
				t.Fatalf("cut to %d bytes, it holds", size)
			}
		}
		if document.SignedBy(public, doc.Digest, append(slices.Clone(doc.Signature), 0)) || document.SignedBy(nil, doc.Digest, doc.Signature) {
			t.Error("a longer one, or one for no key, holds")
		}
	}
	alone := group(t, 1)[0]
	alone.Sign("s1", private)
	if document.SignedBy(public, alone.Digest, append(slices.Clone(alone.Signature), 0)) {
		t.Error("a single signature with a place but no siblings holds")
	}
}

// A node of the tree is signed for nobody, whatever is cut from the proof.
func TestNodesOfATreeAreNoDocuments(t *testing.T) {
	public, private, _ := ed25519.GenerateKey(nil)
	all := group(t, 2)
	document.SignGroup(all, "s1", private)
	both := slices.Concat([]byte{1}, all[0].Digest[:], all[1].Digest[:])
	root := document.Digest(sha256.Sum256(both))
	if document.SignedBy(public, root, all[0].Signature[:ed25519.SignatureSize]) {
		t.Error("the root is taken for a document")
	}
}

func FuzzSignedBy(f *testing.F) {
	public, private, _ := ed25519.GenerateKey(nil)
	all := group(f, 11)
	document.SignGroup(all, "s1", private)
	for _, doc := range all {
		f.Add(doc.Signature)
	}
	target := all[3]
	f.Fuzz(func(t *testing.T, signature []byte) {
		if document.SignedBy(public, target.Digest, signature) && !slices.Equal(signature, target.Signature) {
			t.Errorf("%x holds as well as %x", signature, target.Signature)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	_, private, _ := ed25519.GenerateKey(nil)
	all := group(b, document.MaxGroup)
	b.Run("single", func(b *testing.B) {
		for b.Loop() {
			for _, doc := range all {
				doc.Sign("s1", private)
			}
		}
	})
	b.Run("group", func(b *testing.B) {
		for b.Loop() {
			document.SignGroup(all, "s1", private)
		}
	})
}
