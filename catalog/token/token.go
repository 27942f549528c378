// Package token reads and writes the texts that a person hands to a computer or a site, so that it is let in once.
package token

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strings"
)

// Sizes of what a token is made of, in bytes.
const (
	SecretSize      = 20
	FingerprintSize = 16
)

// Token is one. Its text is
//
//	<kind>-<secret>-<fingerprint>
//
// where kind says what it is good for, secret is SecretSize random bytes in lower-case base32 (RFC 4648, no padding: 32
// characters of a-z and 2-7), and fingerprint is the first FingerprintSize bytes of the SHA-256 of the DER of the
// certificate of the authority of the site that made it, in lower-case hexadecimal (32 characters). By the fingerprint
// whoever brings it knows that site before anything is said to it.
type Token struct {
	Kind        string
	Secret      string // 32 characters
	Fingerprint [FingerprintSize]byte
}

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// New makes a token from SecretSize random bytes and the DER of the authority's certificate.
func New(kind string, secret [SecretSize]byte, authority []byte) Token {
	return Token{Kind: kind, Secret: encoding.EncodeToString(secret[:]), Fingerprint: Fingerprint(authority)}
}

// Fingerprint is the first FingerprintSize bytes of the SHA-256 of a certificate's DER.
func Fingerprint(certificate []byte) [FingerprintSize]byte {
	sum := sha256.Sum256(certificate)
	return [FingerprintSize]byte(sum[:FingerprintSize])
}

// String is the token's text.
func (t Token) String() string {
	return t.Kind + "-" + t.Secret + "-" + hex.EncodeToString(t.Fingerprint[:])
}

// Hash is what is kept of a token: the SHA-256 of its secret, which has 160 random bits.
func (t Token) Hash() []byte {
	sum := sha256.Sum256([]byte(t.Secret))
	return sum[:]
}

// Parse reads the text of a token of a kind; spaces around it and letter case are forgiven. The error does not repeat the
// text, which is a secret.
func Parse(kind, text string) (Token, error) {
	parts := strings.Split(strings.ToLower(strings.TrimSpace(text)), "-")
	if len(parts) != 3 || parts[0] != kind {
		return Token{}, fmt.Errorf("want %s-SECRET-FINGERPRINT as the site printed it", kind)
	}
	if raw, err := encoding.DecodeString(parts[1]); err != nil || len(raw) != SecretSize {
		return Token{}, fmt.Errorf("its secret is damaged, copy the token again")
	}
	raw, err := hex.DecodeString(parts[2])
	if err != nil || len(raw) != FingerprintSize {
		return Token{}, fmt.Errorf("its fingerprint is damaged, copy the token again")
	}
	return Token{Kind: kind, Secret: parts[1], Fingerprint: [FingerprintSize]byte(raw)}, nil
}
