package document

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrNoKey says that a document's origin is a site whose signing key is not known.
var ErrNoKey = errors.New("no signing key of the document's origin is known")

// keyBody is the body of a document of kind signing-key, whose id is the site's id.
type keyBody struct {
	Algorithm string `json:"algorithm"` // "ed25519"
	Public    []byte `json:"public"`
}

// NewKey makes the signing-key document of a site. It is signed by the key itself, or when it replaces a former key,
// by that one.
func NewKey(site string, public ed25519.PublicKey, signer ed25519.PrivateKey) (Document, error) {
	body, err := json.Marshal(keyBody{Algorithm: "ed25519", Public: public})
	if err != nil {
		return Document{}, fmt.Errorf("encode the signing key of site %q: %w", site, err)
	}
	doc, err := New(SigningKey, site, nil, body)
	if err != nil {
		return Document{}, err
	}
	doc.Sign(site, signer)
	return doc, nil
}

// Key reads the public key out of a signing-key document, after its digest was found right. It does not judge who
// signed it.
func (d *Document) Key() (ed25519.PublicKey, error) {
	if d.Kind != SigningKey || d.Origin != d.ID {
		return nil, fmt.Errorf("%s %q of site %q is no signing key of its own site", d.Kind, d.ID, d.Origin)
	}
	if err := d.VerifyDigest(); err != nil {
		return nil, err
	}
	var body keyBody
	if err := json.Unmarshal(d.Body, &body); err != nil {
		return nil, fmt.Errorf("signing key of site %q: %w", d.ID, err)
	}
	if body.Algorithm != "ed25519" || len(body.Public) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("signing key of site %q: %.20q with %d bytes, want ed25519 with %d", d.ID, body.Algorithm, len(body.Public), ed25519.PublicKeySize)
	}
	return ed25519.PublicKey(body.Public), nil
}

// Keyring holds the signing keys of sites by site id.
type Keyring map[string]ed25519.PublicKey

// Learn takes a signing-key document. The first key of a site is believed, because the neighbour that passes it on
// vouches for it; another key must be signed by the one it replaces. It returns whether the ring changed.
func (k Keyring) Learn(doc Document) (changed bool, err error) {
	key, err := doc.Key()
	if err != nil {
		return false, err
	}
	former, known := k[doc.ID]
	if known && bytes.Equal(former, key) {
		return false, nil
	}
	if known {
		if err := doc.Verify(former); err != nil {
			return false, fmt.Errorf("new signing key of site %q is not vouched for by the former one: %w", doc.ID, err)
		}
	}
	k[doc.ID] = key
	return true, nil
}

// Verify checks a document's digest, and its signature with the key of its origin. The error wraps ErrDigest,
// ErrSignature or ErrNoKey.
func (k Keyring) Verify(doc *Document) error {
	key, ok := k[doc.Origin]
	if !ok {
		return fmt.Errorf("%s %q of site %q: %w", doc.Kind, doc.ID, doc.Origin, ErrNoKey)
	}
	return doc.Verify(key)
}
