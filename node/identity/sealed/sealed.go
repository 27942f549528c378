// Package sealed keeps secrets for whoever holds a key: HPKE (RFC 9180) with X25519, HKDF-SHA256 and AES-256-GCM. What a
// thing is sealed for (purpose, site, holder) is bound in, so that it opens for nothing else.
package sealed

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// ErrOther says that something was sealed to another key, for another purpose, or was altered since.
var ErrOther = errors.New("it was sealed to another key, for another purpose, or altered since")

// Key is an X25519 key to which secrets are sealed.
type Key struct{ private *ecdh.PrivateKey }

// NewKey makes one.
func NewKey() (*Key, error) {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an X25519 key: %w", err)
	}
	return &Key{private}, nil
}

// ParseKey reads what PEM wrote.
func ParseKey(text []byte) (*Key, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it holds no PEM block")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	private, ok := parsed.(*ecdh.PrivateKey)
	if !ok || private.Curve() != ecdh.X25519() {
		return nil, fmt.Errorf("it holds a key of another kind: %T", parsed)
	}
	return &Key{private}, nil
}

// PEM is the key in PKCS #8.
func (k *Key) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("encode an X25519 key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Public is the public half: 32 bytes.
func (k *Key) Public() []byte { return k.private.PublicKey().Bytes() }

// Open opens what was sealed to this key for the same purpose.
func (k *Key) Open(purpose, sealed []byte) ([]byte, error) {
	private, err := hpke.NewDHKEMPrivateKey(k.private)
	if err != nil {
		return nil, err
	}
	secret, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), purpose, sealed)
	if err != nil {
		return nil, ErrOther
	}
	return secret, nil
}

// Seal seals a secret to a public key of 32 bytes, for a purpose.
func Seal(public, purpose, secret []byte) ([]byte, error) {
	point, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("public key of %d bytes, want one of X25519: %w", len(public), err)
	}
	to, err := hpke.NewDHKEMPublicKey(point)
	if err != nil {
		return nil, err
	}
	sealed, err := hpke.Seal(to, hpke.HKDFSHA256(), hpke.AES256GCM(), purpose, secret)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err) // a point of low order gives no secret
	}
	return sealed, nil
}

// For joins what a secret is sealed for; no two lists give the same.
func For(parts ...string) []byte {
	var purpose []byte
	for _, part := range parts {
		purpose = fmt.Appendf(purpose, "%d:%s,", len(part), part)
	}
	return purpose
}

// Name is a public key as people tell it from others: XXXX-XXXX-XXXX, of its SHA-256.
func Name(public []byte) string {
	sum := sha256.Sum256(public)
	text := strings.ToUpper(hex.EncodeToString(sum[:6]))
	return text[:4] + "-" + text[4:8] + "-" + text[8:]
}
