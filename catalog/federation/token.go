package federation

import (
	"errors"
	"fmt"

	"thatch/catalog/token"
)

// Token is what a person hands to a site so that it may become a child of the site that made it: tc1-SECRET-FINGERPRINT.
type Token = token.Token

// Sizes of what a token is made of, in bytes.
const (
	SecretSize      = token.SecretSize
	FingerprintSize = token.FingerprintSize
)

const tokenKind = "tc1"

// ErrToken is wrapped by every error about a text that is no token.
var ErrToken = errors.New("not a child token")

// NewToken makes a token from SecretSize random bytes and the DER of the parent's authority.
func NewToken(secret [SecretSize]byte, authority []byte) Token {
	return token.New(tokenKind, secret, authority)
}

// Fingerprint is how a token names an authority.
func Fingerprint(certificate []byte) [FingerprintSize]byte { return token.Fingerprint(certificate) }

// ParseToken reads a token's text. The error wraps ErrToken and does not repeat the text, which is a secret.
func ParseToken(text string) (Token, error) {
	t, err := token.Parse(tokenKind, text)
	if err != nil {
		return t, fmt.Errorf("%w: %w (have one made at the parent with: thatch children tokens create)", ErrToken, err)
	}
	return t, nil
}
