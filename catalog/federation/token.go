package federation

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Token is what a person hands to a site so that it may become a child of another. Its text is
//
//	tc1-<secret>-<fingerprint>
//
// where secret is SecretSize random bytes in lower-case base32 (RFC 4648, no padding: 32 characters of a-z and 2-7), and
// fingerprint is the first FingerprintSize bytes of the SHA-256 of the DER of the parent's authority certificate, in
// lower-case hexadecimal (32 characters). By the fingerprint the child knows its parent before it says anything to it.
type Token struct {
	Secret      string // 32 characters
	Fingerprint [FingerprintSize]byte
}

// Sizes of what a token is made of, in bytes.
const (
	SecretSize      = 20
	FingerprintSize = 16
)

const tokenPrefix = "tc1"

// ErrToken is wrapped by every error about a text that is no token.
var ErrToken = errors.New("not a child token")

var secretEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewToken makes a token from SecretSize random bytes and the DER of the parent's authority.
func NewToken(secret [SecretSize]byte, authority []byte) Token {
	return Token{Secret: secretEncoding.EncodeToString(secret[:]), Fingerprint: Fingerprint(authority)}
}

// Fingerprint is the first FingerprintSize bytes of the SHA-256 of a certificate's DER.
func Fingerprint(certificate []byte) [FingerprintSize]byte {
	sum := sha256.Sum256(certificate)
	return [FingerprintSize]byte(sum[:FingerprintSize])
}

// String is the token's text.
func (t Token) String() string {
	return tokenPrefix + "-" + t.Secret + "-" + hex.EncodeToString(t.Fingerprint[:])
}

// Hash is what the parent keeps of a token: the SHA-256 of its secret.
func (t Token) Hash() []byte {
	sum := sha256.Sum256([]byte(t.Secret))
	return sum[:]
}

// ParseToken reads a token's text; spaces around it and letter case are forgiven. The error wraps ErrToken and does not
// repeat the text, which is a secret.
func ParseToken(text string) (Token, error) {
	parts := strings.Split(strings.ToLower(strings.TrimSpace(text)), "-")
	if len(parts) != 3 || parts[0] != tokenPrefix {
		return Token{}, fmt.Errorf("%w: want %s-SECRET-FINGERPRINT as the parent printed it (make one there with: thatch children tokens create)", ErrToken, tokenPrefix)
	}
	if raw, err := secretEncoding.DecodeString(parts[1]); err != nil || len(raw) != SecretSize {
		return Token{}, fmt.Errorf("%w: its secret is damaged, copy the token again", ErrToken)
	}
	raw, err := hex.DecodeString(parts[2])
	if err != nil || len(raw) != FingerprintSize {
		return Token{}, fmt.Errorf("%w: its fingerprint is damaged, copy the token again", ErrToken)
	}
	return Token{Secret: parts[1], Fingerprint: [FingerprintSize]byte(raw)}, nil
}
