package agentapi

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Token is what a person hands to an agent so that it may enrol. Its text is
//
//	tt1-<secret>-<fingerprint>
//
// where secret is 20 random bytes in lower-case base32 (RFC 4648, no padding: 32 characters of a-z and 2-7), and
// fingerprint is the first 16 bytes of the SHA-256 of the DER of the site's authority certificate in lower-case
// hexadecimal (32 characters). EnrolRequest.Token carries the whole text; a site need keep no more of it than the
// SHA-256 of its secret.
//
// The fingerprint lets the agent know its site before it says anything to it: nodes send their authority's
// certificate at the end of their TLS chain, and the agent goes on only when that certificate has the fingerprint and
// has issued the node's certificate for server authentication. Host names are not compared: whoever holds a server
// certificate of the site's own authority is a node of the site.
type Token struct {
	Secret      string   // 32 characters
	Fingerprint [16]byte // of the site's authority
}

// SecretSize is how many random bytes make a token's secret.
const SecretSize = 20

const tokenPrefix = "tt1"

// ErrToken is wrapped by every error about a text that is no token.
var ErrToken = errors.New("not an enrolment token")

var secretEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewToken makes a token from SecretSize random bytes and the DER of the authority's certificate.
func NewToken(secret [SecretSize]byte, authority []byte) Token {
	return Token{Secret: secretEncoding.EncodeToString(secret[:]), Fingerprint: Fingerprint(authority)}
}

// Fingerprint is the first 16 bytes of the SHA-256 of a certificate's DER.
func Fingerprint(certificate []byte) [16]byte {
	sum := sha256.Sum256(certificate)
	return [16]byte(sum[:16])
}

// String is the token's text.
func (t Token) String() string {
	return tokenPrefix + "-" + t.Secret + "-" + hex.EncodeToString(t.Fingerprint[:])
}

// ParseToken reads a token's text; spaces around it and letter case are forgiven. The error wraps ErrToken and does
// not repeat the text, which is a secret.
func ParseToken(text string) (Token, error) {
	parts := strings.Split(strings.ToLower(strings.TrimSpace(text)), "-")
	if len(parts) != 3 || parts[0] != tokenPrefix {
		return Token{}, fmt.Errorf("%w: want %s-SECRET-FINGERPRINT as the site printed it", ErrToken, tokenPrefix)
	}
	if raw, err := secretEncoding.DecodeString(parts[1]); err != nil || len(raw) != SecretSize {
		return Token{}, fmt.Errorf("%w: its secret is damaged, copy the token again", ErrToken)
	}
	raw, err := hex.DecodeString(parts[2])
	if err != nil || len(raw) != 16 {
		return Token{}, fmt.Errorf("%w: its fingerprint is damaged, copy the token again", ErrToken)
	}
	return Token{Secret: parts[1], Fingerprint: [16]byte(raw)}, nil
}
