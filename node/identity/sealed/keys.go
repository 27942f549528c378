package sealed

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"thatch/catalog/document"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Recovery is who holds the key that is kept off the site, among the holders of sealed keys.
const Recovery = "recovery"

// Keys are the site's private keys.
type Keys struct {
	Authority *ecdsa.PrivateKey
	Signing   ed25519.PrivateKey
}

// NewKeys makes those of a new site.
func NewKeys() (k Keys, err error) {
	if k.Authority, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return k, fmt.Errorf("make the authority's key: %w", err)
	}
	if _, k.Signing, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return k, fmt.Errorf("make the signing key: %w", err)
	}
	return k, nil
}

// encode is what is sealed: both keys as PEM.
func (k Keys) encode() ([]byte, error) {
	var text []byte
	for _, key := range []any{k.Authority, k.Signing} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, fmt.Errorf("encode the site's keys: %w", err)
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	}
	return text, nil
}

// decodeKeys reads what encode wrote.
func decodeKeys(text []byte) (k Keys, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return k, err
		}
		switch key := key.(type) {
		case *ecdsa.PrivateKey:
			k.Authority = key
		case ed25519.PrivateKey:
			k.Signing = key
		default:
			return k, fmt.Errorf("a key of another kind: %T", key)
		}
	}
	if k.Authority == nil || k.Signing == nil {
		return k, errors.New("the authority's key and the signing key are wanted, one is missing")
	}
	return k, nil
}

// SealTo returns the statement that seals the site's keys to a holder's public key, in the place of what was sealed to
// it before.
func (k Keys) SealTo(site, holder string, public []byte, at time.Time) (store.Statement, error) {
	text, err := k.encode()
	if err != nil {
		return store.Statement{}, err
	}
	sealed, err := Seal(public, sealedFor(site, holder), text)
	if err != nil {
		return store.Statement{}, fmt.Errorf("seal the site's keys to %s: %w", holder, err)
	}
	return store.Statement{
		SQL: `INSERT INTO sealed_keys (holder, recipient, sealed, at) VALUES (?, ?, ?, ?)
ON CONFLICT (holder) DO UPDATE SET recipient = excluded.recipient, sealed = excluded.sealed, at = excluded.at`,
		Args: []any{holder, public, sealed, rows.Stamp(at)}, Want: 1,
	}, nil
}

func sealedFor(site, holder string) []byte {
	return For("thatch: the site's keys, 1", site, holder)
}

// Box is what is sealed to one holder.
type Box struct {
	Recipient []byte // public key
	At        time.Time
	sealed    []byte
}

// BoxOf reads what is sealed to a holder; nil: nothing.
func BoxOf(ctx context.Context, tx *sql.Tx, holder string) (*Box, error) {
	var b Box
	var at string
	err := tx.QueryRowContext(ctx, `SELECT recipient, sealed, at FROM sealed_keys WHERE holder = ?`, holder).
		Scan(&b.Recipient, &b.sealed, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	b.At = rows.Unstamp(at)
	return &b, err
}

// Open opens the box with a holder's key.
func (b *Box) Open(site, holder string, key *Key) (Keys, error) {
	if !bytes.Equal(b.Recipient, key.Public()) {
		return Keys{}, fmt.Errorf("the site's keys are sealed to key %s of %s, and this is key %s",
			Name(b.Recipient), holder, Name(key.Public()))
	}
	text, err := key.Open(sealedFor(site, holder), b.sealed)
	if err != nil {
		return Keys{}, fmt.Errorf("open what is sealed to %s: %w", holder, err)
	}
	k, err := decodeKeys(text)
	if err != nil {
		return k, fmt.Errorf("what is sealed to %s: %w", holder, err)
	}
	return k, nil
}

// Belong checks that the keys are those of the site: of the authority's certificate, and of the document that tells the
// signing key.
func (k Keys) Belong(ctx context.Context, tx *sql.Tx, site string, authority []byte) error {
	cert, err := x509.ParseCertificate(authority)
	if err != nil {
		return fmt.Errorf("certificate of the site's authority: %w", err)
	}
	sum := sha256.Sum256(authority)
	if !k.Authority.PublicKey.Equal(cert.PublicKey) {
		return fmt.Errorf("the key of the site's authority does not belong to its certificate %s", hex.EncodeToString(sum[:]))
	}
	doc, err := store.Document(ctx, tx, document.SigningKey, site)
	if err != nil {
		return fmt.Errorf("read the document of the site's signing key: %w", err)
	}
	// A document that was damaged on disk tells nothing, and stops nobody.
	if public, err := doc.Key(); err == nil && !public.Equal(k.Signing.Public()) {
		return errors.New("the site's signing key is not the one that its document tells")
	}
	return nil
}
