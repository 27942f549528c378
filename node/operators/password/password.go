// Package password keeps passwords as argon2id hashes in PHC form, "$argon2id$v=19$m=65536,t=3,p=4$SALT$HASH" (RFC 9106;
// salt and hash in base64 without padding), and judges those that people choose.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Limits of a password.
const (
	MinRunes = 12
	MaxBytes = 1000
)

const (
	saltBytes = 16
	hashBytes = 32
	atOnce    = 2 // hashes that are computed at a time: each takes the memory of its cost
)

// Cost is what a hash costs whoever computes it.
type Cost struct {
	Memory  uint32 // KiB
	Passes  uint32
	Threads uint8
}

// Standard is the second recommendation of RFC 9106, section 4.
var Standard = Cost{Memory: 64 << 10, Passes: 3, Threads: 4}

// Limits of what a hash in the database may ask for, so that a damaged one takes no node down.
const (
	maxMemory = 1 << 20
	maxPasses = 64
)

// Hasher makes and verifies hashes, a few at a time. It is safe for use by several goroutines.
type Hasher struct {
	cost  Cost
	turns chan struct{}
}

// New makes a hasher whose hashes have a cost.
func New(cost Cost) *Hasher { return &Hasher{cost: cost, turns: make(chan struct{}, atOnce)} }

// Hash makes the hash of a password. The error is that of the context, or of the machine's source of randomness.
func (h *Hasher) Hash(ctx context.Context, plain string) (string, error) {
	salt := make([]byte, saltBytes)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	sum, err := h.sum(ctx, plain, salt, h.cost)
	if err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.cost.Memory, h.cost.Passes, h.cost.Threads,
		b64.EncodeToString(salt), b64.EncodeToString(sum)), nil
}

// Verify says whether a password is the one of a hash, and whether the hash should be made anew at today's cost. A hash
// that is none, such as "", costs the same and fits no password.
func (h *Hasher) Verify(ctx context.Context, plain, hash string) (right, old bool, err error) {
	cost, salt, want, ok := parse(hash)
	if !ok {
		cost, salt, want = h.cost, make([]byte, saltBytes), make([]byte, hashBytes)
	}
	got, err := h.sum(ctx, plain, salt, cost)
	if err != nil {
		return false, false, err
	}
	right = subtle.ConstantTimeCompare(got, want) == 1 && ok
	return right, cost != h.cost, nil
}

func (h *Hasher) sum(ctx context.Context, plain string, salt []byte, cost Cost) ([]byte, error) {
	select {
	case h.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.turns }()
	return argon2.IDKey([]byte(plain), salt, cost.Passes, cost.Memory, cost.Threads, hashBytes), nil
}

func parse(hash string) (cost Cost, salt, sum []byte, ok bool) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return cost, nil, nil, false
	}
	_, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &cost.Memory, &cost.Passes, &cost.Threads)
	if err != nil || cost.Memory > maxMemory || cost.Passes == 0 || cost.Passes > maxPasses || cost.Threads == 0 {
		return cost, nil, nil, false
	}
	salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil || len(salt) < 8 {
		return cost, nil, nil, false
	}
	sum, err = base64.RawStdEncoding.DecodeString(parts[5])
	return cost, salt, sum, err == nil && len(sum) == hashBytes
}

// Check says what is wrong with a password that somebody called so chooses, "" if nothing is.
func Check(plain, name string) string {
	different := map[rune]bool{}
	for _, r := range plain {
		different[r] = true
	}
	switch {
	case utf8.RuneCountInString(plain) < MinRunes:
		return fmt.Sprintf("a password has at least %d characters", MinRunes)
	case len(plain) > MaxBytes:
		return fmt.Sprintf("a password has at most %d bytes", MaxBytes)
	case !utf8.ValidString(plain):
		return "a password is text"
	case len(different) < 5:
		return "a password has at least five different characters"
	case len(name) > 2 && strings.Contains(strings.ToLower(plain), strings.ToLower(name)):
		return "a password does not contain the name"
	}
	return ""
}
