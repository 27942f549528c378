package agentapi

import (
	"errors"
	"fmt"

	"thatch/catalog/token"
)

// Token is what a person hands to an agent so that it may enrol: tt1-SECRET-FINGERPRINT. It goes before the request, as
// its bearer (RFC 6750).
//
// The fingerprint lets the agent know its site before it says anything to it: nodes send their authority's
// certificate at the end of their TLS chain, and the agent goes on only when that certificate has the fingerprint and
// has issued the node's certificate for server authentication. Host names are not compared: whoever holds a server
// certificate of the site's own authority is a node of the site.
type Token = token.Token

// SecretSize is how many random bytes make a token's secret.
const SecretSize = token.SecretSize

const tokenKind = "tt1"

// ErrToken is wrapped by every error about a text that is no token.
var ErrToken = errors.New("not an enrolment token")

// NewToken makes a token from SecretSize random bytes and the DER of the authority's certificate.
func NewToken(secret [SecretSize]byte, authority []byte) Token {
	return token.New(tokenKind, secret, authority)
}

// Fingerprint is how a token names an authority.
func Fingerprint(certificate []byte) [token.FingerprintSize]byte {
	return token.Fingerprint(certificate)
}

// ParseToken reads a token's text. The error wraps ErrToken and does not repeat the text, which is a secret.
func ParseToken(text string) (Token, error) {
	t, err := token.Parse(tokenKind, text)
	if err != nil {
		return t, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return t, nil
}
