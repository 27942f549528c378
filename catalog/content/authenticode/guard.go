package authenticode

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	relic "github.com/sassoftware/relic/v7/lib/authenticode"
	"github.com/sassoftware/relic/v7/lib/pkcs7"
	"github.com/sassoftware/relic/v7/lib/pkcs9"
	"github.com/sassoftware/relic/v7/lib/x509tools"
)

// The checks of this file come before a parser that allocates what a header claims.

const (
	maxSignature  = 16 << 20  // bytes of a signature; real ones have tens of kilobytes
	maxMiniStream = 16 << 20  // bytes of a compound file's small streams; reading them takes time by the square
	maxCompound   = 256 << 20 // bytes of a compound file's allocation table: a file of 32 GB
)

// oidNested is the attribute in which a signature carries further ones (a SHA-256 signature inside a SHA-1 one).
var oidNested = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 4, 1}

// checkTable holds the size of a program's certificate table against the file.
func checkTable(r io.ReaderAt, size int64) error {
	var dos [64]byte
	if _, err := r.ReadAt(dos[:], 0); err != nil {
		return fmt.Errorf("program header: %w", err)
	}
	start := int64(binary.LittleEndian.Uint32(dos[0x3c:]))
	var head [24 + 152]byte // signature, file header, optional header up to the fifth directory of a 64-bit program
	if n, err := r.ReadAt(head[:], start); err != nil && n < 24+136 {
		return fmt.Errorf("program header at %d: %w", start, err)
	}
	directory := head[24+128:]
	if binary.LittleEndian.Uint16(head[24:]) == 0x20b {
		directory = head[24+144:]
	}
	at, length := int64(binary.LittleEndian.Uint32(directory)), int64(binary.LittleEndian.Uint32(directory[4:]))
	if length > maxSignature || at+length > size {
		return fmt.Errorf("certificate table of %d bytes at %d in a file of %d", length, at, size)
	}
	return nil
}

// checkNested verifies the signatures inside the given ones against the same image.
func checkNested(signatures []relic.PESignature, image io.ReadSeeker) ([]pkcs9.TimestampedSignature, error) {
	var found []pkcs9.TimestampedSignature
	for _, outer := range signatures {
		var nested []pkcs7.ContentInfoSignedData
		for _, attribute := range outer.SignerInfo.UnauthenticatedAttributes {
			if attribute.Type.Equal(oidNested) {
				var err error
				if nested, err = readNested(attribute.Values.Bytes); err != nil {
					return nil, err
				}
			}
		}
		if len(nested) > 8 {
			return nil, fmt.Errorf("%d signatures within a signature", len(nested))
		}
		for i := range nested {
			signature, err := verifyNested(&nested[i], image)
			if err != nil {
				return nil, fmt.Errorf("signature within a signature: %w", err)
			}
			found = append(found, signature)
		}
	}
	return found, nil
}

func readNested(der []byte) (nested []pkcs7.ContentInfoSignedData, err error) {
	for len(der) > 0 {
		var one pkcs7.ContentInfoSignedData
		if der, err = asn1.Unmarshal(der, &one); err != nil {
			return nil, fmt.Errorf("signature within a signature: %w", err)
		}
		nested = append(nested, one)
	}
	return nested, nil
}

func verifyNested(nested *pkcs7.ContentInfoSignedData, image io.ReadSeeker) (pkcs9.TimestampedSignature, error) {
	var none pkcs9.TimestampedSignature
	if !nested.Content.ContentInfo.ContentType.Equal(relic.OidSpcIndirectDataContent) {
		return none, errors.New("it signs something else")
	}
	verified, err := nested.Content.Verify(nil, false)
	if err != nil {
		return none, err
	}
	var indirect relic.SpcIndirectDataContentPe
	if err := nested.Content.ContentInfo.Unmarshal(&indirect); err != nil {
		return none, err
	}
	hash, err := x509tools.PkixDigestToHashE(indirect.MessageDigest.DigestAlgorithm)
	if err != nil {
		return none, err
	}
	if _, err := image.Seek(0, io.SeekStart); err != nil {
		return none, err
	}
	digest, err := relic.DigestPE(image, hash, false)
	if err != nil {
		return none, err
	}
	if !bytes.Equal(digest.Imprint, indirect.MessageDigest.Digest) {
		return none, fmt.Errorf("digest mismatch: %x != %x", digest.Imprint, indirect.MessageDigest.Digest)
	}
	return pkcs9.VerifyOptionalTimestamp(verified)
}

// checkCabinet holds what a cabinet's header claims against the file.
func checkCabinet(r io.ReaderAt, size int64) error {
	var head [0x38]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return fmt.Errorf("cabinet header: %w", err)
	}
	total, files := int64(binary.LittleEndian.Uint32(head[8:])), int64(binary.LittleEndian.Uint32(head[16:]))
	if total > size || files > total {
		return fmt.Errorf("cabinet of %d bytes with its files at %d, in a file of %d", total, files, size)
	}
	const reserved = 4
	if binary.LittleEndian.Uint16(head[0x1e:])&reserved == 0 {
		return nil // no room for a signature, so there is none
	}
	at, length := int64(binary.LittleEndian.Uint32(head[0x2c:])), int64(binary.LittleEndian.Uint32(head[0x30:]))
	if length > maxSignature || at+length > size {
		return fmt.Errorf("signature of %d bytes at %d in a cabinet of %d", length, at, size)
	}
	return nil
}
