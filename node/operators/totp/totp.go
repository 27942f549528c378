// Package totp makes and checks one-time passwords by time (RFC 6238): six digits, HMAC-SHA-1, steps of 30 seconds, as
// every authenticator app reads them.
package totp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" // RFC 6238 and the apps ask for it; HMAC does not rest on what SHA-1 lost
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

const (
	secretBytes = 20 // RFC 4226, section 4: 160 bits
	step        = 30 * time.Second
	digits      = 6
	modulus     = 1_000_000
	drift       = 1 // steps that a clock may be wrong by, either way
)

var plain = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewSecret makes a secret.
func NewSecret() ([]byte, error) {
	secret := make([]byte, secretBytes)
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("make a secret: %w", err)
	}
	return secret, nil
}

// Text is a secret as people type it: base32.
func Text(secret []byte) string { return plain.EncodeToString(secret) }

// Grouped is Text in groups of four.
func Grouped(secret []byte) string {
	var groups []string
	for text := Text(secret); text != ""; {
		n := min(4, len(text))
		groups, text = append(groups, text[:n]), text[n:]
	}
	return strings.Join(groups, " ")
}

// URI is the secret as apps take it over: otpauth://totp/ISSUER:ACCOUNT?secret=...
func URI(secret []byte, issuer, account string) string {
	query := url.Values{"secret": {Text(secret)}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
	// Apps want %20, not +.
	return "otpauth://totp/" + url.PathEscape(issuer+":"+account) + "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
}

// Code is the one of a moment.
func Code(secret []byte, at time.Time) string { return code(secret, StepOf(at)) }

// StepOf is the number of a moment's step.
func StepOf(at time.Time) int64 { return at.Unix() / int64(step/time.Second) }

func code(secret []byte, number int64) string {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(number))
	mac := hmac.New(sha1.New, secret)
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	value := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", digits, value%modulus)
}

// Match finds the step that a code is of, around a moment, later than the last one that was taken. What people put
// between the digits is left out.
func Match(secret []byte, typed string, at time.Time, last int64) (number int64, ok bool) {
	typed = strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\u00a0' {
			return -1
		}
		return r
	}, typed)
	now := StepOf(at)
	for n := now - drift; n <= now+drift; n++ {
		if subtle.ConstantTimeCompare([]byte(code(secret, n)), []byte(typed)) == 1 && n > last {
			number, ok = n, true
		}
	}
	return number, ok
}
