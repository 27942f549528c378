package document_test

import (
	"crypto/ed25519"
	"errors"
	"testing"

	"thatch/catalog/document"
)

func keyPair(t *testing.T) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func mustKey(t *testing.T, site string, public ed25519.PublicKey, signer ed25519.PrivateKey) document.Document {
	t.Helper()
	doc, err := document.NewKey(site, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestKeyring(t *testing.T) {
	first, firstPrivate := keyPair(t)
	second, secondPrivate := keyPair(t)
	ring := document.Keyring{}
	if changed, err := ring.Learn(mustKey(t, "s1", first, firstPrivate)); err != nil || !changed {
		t.Fatalf("first sight: %v %v", changed, err)
	}
	if changed, err := ring.Learn(mustKey(t, "s1", first, firstPrivate)); err != nil || changed {
		t.Fatalf("again: %v %v", changed, err)
	}
	if _, err := ring.Learn(mustKey(t, "s1", second, secondPrivate)); !errors.Is(err, document.ErrSignature) {
		t.Fatalf("a key that only itself vouches for replaced one: %v", err)
	}
	doc, err := document.New(document.Update, "u", nil, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	doc.Sign("s1", firstPrivate)
	if err := ring.Verify(&doc); err != nil {
		t.Fatal(err)
	}
	if changed, err := ring.Learn(mustKey(t, "s1", second, firstPrivate)); err != nil || !changed {
		t.Fatalf("rotation: %v %v", changed, err)
	}
	if err := ring.Verify(&doc); !errors.Is(err, document.ErrSignature) {
		t.Fatalf("signed by the former key: %v", err)
	}
	doc.Sign("s2", firstPrivate)
	if err := ring.Verify(&doc); !errors.Is(err, document.ErrNoKey) {
		t.Fatalf("unknown site: %v", err)
	}
}

func TestKeyRefusesWhatIsNoKey(t *testing.T) {
	public, private := keyPair(t)
	good := mustKey(t, "s1", public, private)
	other := good
	other.Origin = "s2"
	if _, err := other.Key(); err == nil {
		t.Error("a key of another site's making was read")
	}
	bent := good
	bent.Body = append([]byte(nil), good.Body...)
	bent.Body[len(bent.Body)-4] ^= 1
	if _, err := bent.Key(); !errors.Is(err, document.ErrDigest) {
		t.Errorf("bent body: %v", err)
	}
	for _, body := range []string{`{"algorithm":"rsa","public":"AAAA"}`, `{"algorithm":"ed25519","public":"AAAA"}`, `[]`, ``} {
		doc, err := document.New(document.SigningKey, "s1", nil, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		doc.Sign("s1", private)
		if _, err := doc.Key(); err == nil {
			t.Errorf("%s was read as a key", body)
		}
	}
}
