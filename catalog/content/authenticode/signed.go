package authenticode

import (
	"bytes"
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"

	"github.com/sassoftware/relic/v7/lib/cabfile"
	"github.com/sassoftware/relic/v7/lib/pkcs7"
	"github.com/sassoftware/relic/v7/lib/pkcs9"
	"github.com/sassoftware/relic/v7/lib/x509tools"
)

var (
	// oidIndirect is the type of what Authenticode signs: not a file, but its digest (SpcIndirectDataContent).
	oidIndirect = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 4}
	// oidNested is the attribute in which a signature carries further ones (a SHA-256 signature inside a SHA-1 one).
	oidNested = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 4, 1}
)

// indirect is SpcIndirectDataContent; its data says of what kind the file is, which the file says itself.
type indirect struct {
	Data          asn1.RawValue
	MessageDigest struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
}

// signed is a signature that holds over a digest. Whether the file has that digest is another question.
type signed struct {
	pkcs9.TimestampedSignature
	hash   crypto.Hash
	digest []byte
}

func readSigned(der []byte) (signed, error) {
	whole, err := pkcs7.Unmarshal(der)
	if err != nil {
		return signed{}, fmt.Errorf("signature: %w", err)
	}
	return verifySigned(whole)
}

func verifySigned(whole *pkcs7.ContentInfoSignedData) (signed, error) {
	var s signed
	content := &whole.Content.ContentInfo
	if !content.ContentType.Equal(oidIndirect) {
		return s, errors.New("signature: it signs something else than a file's digest")
	}
	verified, err := whole.Content.Verify(nil, false)
	if err != nil {
		return s, fmt.Errorf("signature: %w", err)
	}
	if s.TimestampedSignature, err = pkcs9.VerifyOptionalTimestamp(verified); err != nil {
		return s, fmt.Errorf("time stamp: %w", err)
	}
	var of indirect
	if err := content.Unmarshal(&of); err != nil {
		return s, fmt.Errorf("signature: %w", err)
	}
	if s.hash, err = x509tools.PkixDigestToHashE(of.MessageDigest.Algorithm); err != nil {
		return s, fmt.Errorf("signature: %w", err)
	}
	if s.digest = of.MessageDigest.Digest; len(s.digest) != s.hash.Size() {
		return s, fmt.Errorf("signature: a digest of %d bytes by %s", len(s.digest), s.hash)
	}
	return s, nil
}

// covers holds the digest that was signed against that of the file.
func (s *signed) covers(digest []byte) error {
	if !bytes.Equal(digest, s.digest) {
		return fmt.Errorf("digest mismatch: the file has %x, signed was %x", digest, s.digest)
	}
	return nil
}

// nested reads the signatures inside one.
func (s *signed) nested() ([]signed, error) {
	var found []signed
	for _, attribute := range s.SignerInfo.UnauthenticatedAttributes {
		if !attribute.Type.Equal(oidNested) {
			continue
		}
		for der := attribute.Values.Bytes; len(der) > 0; {
			var whole pkcs7.ContentInfoSignedData
			var err error
			if der, err = asn1.Unmarshal(der, &whole); err != nil {
				return nil, fmt.Errorf("signature within a signature: %w", err)
			}
			inner, err := verifySigned(&whole)
			if err != nil {
				return nil, fmt.Errorf("signature within a signature: %w", err)
			}
			if found = append(found, inner); len(found) > maxNested {
				return nil, fmt.Errorf("more than %d signatures within a signature", maxNested)
			}
		}
	}
	return found, nil
}

func checkCab(r io.ReaderAt, size int64) ([]pkcs9.TimestampedSignature, error) {
	if err := checkCabinet(r, size); err != nil {
		return nil, err
	}
	cabinet, err := cabfile.Parse(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, err
	}
	if len(cabinet.Signature) == 0 {
		return nil, ErrUnsigned
	}
	s, err := readSigned(cabinet.Signature)
	if err != nil {
		return nil, err
	}
	digest, err := cabfile.Digest(io.NewSectionReader(r, 0, size), s.hash)
	if err != nil {
		return nil, err
	}
	return []pkcs9.TimestampedSignature{s.TimestampedSignature}, s.covers(digest.Imprint)
}
