package demo

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/sassoftware/relic/v7/lib/authenticode"
	"github.com/sassoftware/relic/v7/lib/certloader"
)

// publisher is the made-up vendor's code-signing identity: a root of its own and a leaf that signs set-up programs.
type publisher struct {
	leaf *certloader.Certificate
}

// newPublisher makes an identity that is valid around now. A new one is made for every demo: nothing outside it
// trusts it.
func newPublisher(now time.Time) (*publisher, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the sample vendor's root key: %w", err)
	}
	rootTemplate := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Example Software Root"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root, err := issue(rootTemplate, rootTemplate, rootKey.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the sample vendor's signing key: %w", err)
	}
	leafTemplate := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Example Software", Organization: []string{"Example Software"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	leaf, err := issue(leafTemplate, root, leafKey.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	return &publisher{leaf: &certloader.Certificate{
		Leaf: leaf, Certificates: []*x509.Certificate{leaf}, PrivateKey: leafKey,
	}}, nil
}

func issue(template, parent *x509.Certificate, public, signer any) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, fmt.Errorf("make the sample vendor's certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// fingerprint is the SHA-256 of the signing certificate, in hexadecimal: what an administrator puts on the trust list.
func (p *publisher) fingerprint() string {
	sum := sha256.Sum256(p.leaf.Leaf.Raw)
	return hex.EncodeToString(sum[:])
}

// writeProgram writes a Windows program that carries content in its data section. With sign it carries the
// publisher's Authenticode signature too.
func (p *publisher) writeProgram(ctx context.Context, path string, content []byte, sign bool) error {
	if !sign {
		return os.WriteFile(path, program(content), 0o600)
	}
	plain := path + ".unsigned"
	if err := os.WriteFile(plain, program(content), 0o600); err != nil {
		return err
	}
	defer os.Remove(plain)
	file, err := os.Open(plain)
	if err != nil {
		return err
	}
	defer file.Close()
	digest, err := authenticode.DigestPE(file, crypto.SHA256, false)
	if err != nil {
		return fmt.Errorf("digest %s: %w", filepath.Base(path), err)
	}
	patch, _, err := digest.Sign(ctx, p.leaf, &authenticode.OpusParams{Description: "Example Software set-up"})
	if err != nil {
		return fmt.Errorf("sign %s: %w", filepath.Base(path), err)
	}
	return patch.Apply(file, path)
}

// program lays out the smallest 64-bit Windows program: a DOS stub that only points on, the PE headers, one code
// section that returns 0, and one data section with the content. The layout is that of Microsoft's "PE Format".
func program(content []byte) []byte {
	const fileAlign, codeAddr, headers = 0x200, 0x1000, 0x400
	dataSize := (len(content) + fileAlign - 1) / fileAlign * fileAlign
	out := make([]byte, headers+fileAlign+dataSize)
	put16 := func(at int, v uint16) { binary.LittleEndian.PutUint16(out[at:], v) }
	put32 := func(at int, v uint32) { binary.LittleEndian.PutUint32(out[at:], v) }
	copy(out, "MZ")
	put32(0x3C, 0x80)
	copy(out[0x80:], "PE\x00\x00")
	put16(0x84, 0x8664) // x64
	put16(0x86, 2)      // sections
	put16(0x94, 240)    // size of the optional header
	put16(0x96, 0x22)   // executable, large addresses
	const opt = 0x98
	put16(opt, 0x20B) // PE32+
	put32(opt+4, fileAlign)
	put32(opt+8, uint32(dataSize))
	put32(opt+16, codeAddr) // entry point
	put32(opt+20, codeAddr)
	binary.LittleEndian.PutUint64(out[opt+24:], 0x140000000)
	put32(opt+32, 0x1000) // section alignment in memory
	put32(opt+36, fileAlign)
	put16(opt+40, 6) // operating system version
	put16(opt+48, 6) // subsystem version
	put32(opt+56, 0x2000+uint32((dataSize+0xFFF)/0x1000*0x1000))
	put32(opt+60, headers)
	put16(opt+68, 3) // console
	put32(opt+108, 16)
	const sections = opt + 240
	copy(out[sections:], ".text")
	put32(sections+8, 3)
	put32(sections+12, codeAddr)
	put32(sections+16, fileAlign)
	put32(sections+20, headers)
	put32(sections+36, 0x60000020)
	copy(out[sections+40:], ".data")
	put32(sections+48, uint32(max(len(content), 1)))
	put32(sections+52, 0x2000)
	put32(sections+56, uint32(dataSize))
	put32(sections+60, headers+fileAlign)
	put32(sections+76, 0x40000040)
	copy(out[headers:], []byte{0x31, 0xC0, 0xC3}) // xor eax, eax; ret
	copy(out[headers+fileAlign:], content)
	return bytes.Clone(out)
}
