package sealed

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
)

// A recovery key is 160 random bits that people write down: 32 characters in 8 groups of 4, and behind each group one
// that is computed from it and its place. So a mistake is found, and in which group.
const (
	recoverySize  = 20
	groups        = 8
	groupSize     = 4
	recoveryLabel = "thatch: recovery key, 1"
	letters       = "0123456789ABCDEFGHJKMNPQRSTVWXYZ" // Crockford's, without I, L, O, U
)

// NewRecovery makes a recovery key: its text for people, which is told once, and the key.
func NewRecovery() (text string, key *Key, err error) {
	secret := make([]byte, recoverySize)
	if _, err := rand.Read(secret); err != nil {
		return "", nil, fmt.Errorf("make a recovery key: %w", err)
	}
	key, err = recoveryKey(secret)
	return recoveryText(secret), key, err
}

// ParseRecovery reads a recovery key as people type it: in either case, with or without hyphens and spaces, O for 0, I and
// L for 1. The error says which group is mistyped.
func ParseRecovery(text string) (*Key, error) {
	digits := make([]byte, 0, groups*(groupSize+1))
	for _, c := range strings.ToUpper(text) {
		switch c {
		case '-', ' ', '\t', '\n', '\r':
			continue
		case 'O':
			c = '0'
		case 'I', 'L':
			c = '1'
		}
		at := strings.IndexRune(letters, c)
		if at < 0 {
			return nil, fmt.Errorf("the recovery key holds %q in group %d, which is no character of one", c, len(digits)/(groupSize+1)+1)
		}
		digits = append(digits, byte(at))
	}
	secret := make([]byte, 0, recoverySize)
	for g := range groups {
		if len(digits) < (g+1)*(groupSize+1) {
			return nil, fmt.Errorf("the recovery key has %d characters, want %d groups of %d: group %d is missing or cut",
				len(digits), groups, groupSize+1, g+1)
		}
		group := digits[g*(groupSize+1) : (g+1)*(groupSize+1)]
		if check(g, group[:groupSize]) != group[groupSize] {
			return nil, fmt.Errorf("group %d of the recovery key (%s) is mistyped, or not in its place", g+1, spell(group))
		}
		secret = addGroup(secret, group[:groupSize])
	}
	if len(digits) > groups*(groupSize+1) {
		return nil, fmt.Errorf("the recovery key has %d characters, want %d groups of %d", len(digits), groups, groupSize+1)
	}
	return recoveryKey(secret)
}

func recoveryKey(secret []byte) (*Key, error) {
	seed, err := hkdf.Key(sha256.New, secret, nil, recoveryLabel, 32)
	if err != nil {
		return nil, fmt.Errorf("derive the recovery key: %w", err)
	}
	private, err := ecdh.X25519().NewPrivateKey(seed)
	if err != nil {
		return nil, fmt.Errorf("derive the recovery key: %w", err)
	}
	return &Key{private}, nil
}

func recoveryText(secret []byte) string {
	parts := make([]string, groups)
	for g := range parts {
		// 20 bits of the secret are two and a half bytes.
		at := g * 5 / 2
		bits := uint32(secret[at])<<16 | uint32(secret[at+1])<<8
		if at+2 < len(secret) {
			bits |= uint32(secret[at+2])
		}
		if g%2 == 0 {
			bits >>= 4
		}
		bits &= 1<<20 - 1
		group := []byte{byte(bits >> 15 & 31), byte(bits >> 10 & 31), byte(bits >> 5 & 31), byte(bits & 31)}
		parts[g] = spell(append(group, check(g, group)))
	}
	return strings.Join(parts, "-")
}

// addGroup adds the 20 bits of a group: those at even places begin a byte, those at odd ones in the middle of one.
func addGroup(secret, group []byte) []byte {
	bits := uint32(group[0])<<15 | uint32(group[1])<<10 | uint32(group[2])<<5 | uint32(group[3])
	if len(secret)%5 == 0 {
		return append(secret, byte(bits>>12), byte(bits>>4), byte(bits<<4))
	}
	secret[len(secret)-1] |= byte(bits >> 16)
	return append(secret, byte(bits>>8), byte(bits))
}

func spell(digits []byte) string {
	text := make([]byte, len(digits))
	for i, d := range digits {
		text[i] = letters[d]
	}
	return string(text)
}

// check is the last character of a group, computed in the field of 32 elements: each place has a weight of its own, so
// that one wrong character and two that changed places are always found; and each group begins elsewhere, so that one in the place of another is.
func check(group int, digits []byte) byte {
	sum, weight := byte(group+1), byte(1)
	for _, d := range digits {
		weight = times(weight, 2)
		sum ^= times(weight, d)
	}
	return sum
}

// times multiplies in the field of 32 elements, modulo x^5 + x^2 + 1.
func times(a, b byte) byte {
	var product byte
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			product ^= a
		}
		if a <<= 1; a&32 != 0 {
			a ^= 0b100101
		}
	}
	return product
}
