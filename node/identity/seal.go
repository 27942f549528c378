package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

const sealLabel = "thatch: what the site's database keeps sealed, 1"

// Seal encrypts a secret that the database is to keep, for a purpose that Unseal must name too. The key is derived from
// the site's signing key, so every node of the site can open it, and nobody with the database alone.
func (id *Identity) Seal(purpose string, secret []byte) ([]byte, error) {
	box, err := id.box()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, box.NonceSize(), box.NonceSize()+len(secret)+box.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return box.Seal(nonce, nonce, secret, []byte(purpose)), nil
}

// Unseal decrypts what Seal made for the same purpose.
func (id *Identity) Unseal(purpose string, sealed []byte) ([]byte, error) {
	box, err := id.box()
	if err != nil {
		return nil, err
	}
	if len(sealed) < box.NonceSize() {
		return nil, errors.New("what was sealed is cut")
	}
	secret, err := box.Open(nil, sealed[:box.NonceSize()], sealed[box.NonceSize():], []byte(purpose))
	if err != nil {
		return nil, errors.New("what was sealed cannot be opened with this site's signing key")
	}
	return secret, nil
}

func (id *Identity) box() (cipher.AEAD, error) {
	k := id.keys.Load()
	if k == nil {
		return nil, ErrKeyless
	}
	key, err := hkdf.Key(sha256.New, k.Signing.Seed(), nil, sealLabel, 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key that seals: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make the cipher that seals: %w", err)
	}
	return cipher.NewGCM(block)
}
