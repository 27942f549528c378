// Package authenticodetest makes certificates and signs programs, installer packages and cabinets for tests.
package authenticodetest

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
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"os"
	"slices"
	"testing"
	"time"

	relic "github.com/sassoftware/relic/v7/lib/authenticode"
	"github.com/sassoftware/relic/v7/lib/binpatch"
	"github.com/sassoftware/relic/v7/lib/cabfile"
	"github.com/sassoftware/relic/v7/lib/certloader"
	"github.com/sassoftware/relic/v7/lib/comdoc"
	"github.com/sassoftware/relic/v7/lib/pkcs7"
	"github.com/sassoftware/relic/v7/lib/pkcs9"
	"github.com/sassoftware/relic/v7/lib/x509tools"
)

// Pair is a certificate with its key and, for what it signs, the certificates above it and a time stamper.
type Pair struct {
	Cert    *x509.Certificate
	Key     *ecdsa.PrivateKey
	Above   []*x509.Certificate
	Stamper pkcs9.Timestamper
}

// Authority makes a self-signed root.
func Authority(t testing.TB, name string) *Pair {
	t.Helper()
	return issue(t, nil, template(name, func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	}))
}

// Signer makes a code-signing certificate under an authority; nil: signed by itself. Changes apply to its template.
func Signer(t testing.TB, above *Pair, name string, changes ...func(*x509.Certificate)) *Pair {
	t.Helper()
	changes = slices.Concat([]func(*x509.Certificate){func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageDigitalSignature
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	}}, changes)
	return issue(t, above, template(name, changes...))
}

func template(name string, changes ...func(*x509.Certificate)) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		panic(err)
	}
	cert := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"Thatch tests"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), BasicConstraintsValid: true,
	}
	for _, change := range changes {
		change(cert)
	}
	return cert
}

func issue(t testing.TB, above *Pair, cert *x509.Certificate) *Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	parent, signing := cert, key
	made := &Pair{Key: key}
	if above != nil {
		parent, signing = above.Cert, above.Key
		made.Above = append([]*x509.Certificate{above.Cert}, above.Above...)
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), signing)
	must(t, err)
	made.Cert, err = x509.ParseCertificate(der)
	must(t, err)
	return made
}

// PEM is the certificate as a trust list takes it.
func (p *Pair) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Cert.Raw}))
}

func (p *Pair) bundle() *certloader.Certificate {
	chain := append([]*x509.Certificate{p.Cert}, p.Above...)
	return &certloader.Certificate{Leaf: p.Cert, Certificates: chain, PrivateKey: p.Key, Timestamper: p.Stamper}
}

// Sign signs a program, an installer package or a cabinet, told by its first byte, and returns the signed file.
func (p *Pair) Sign(t testing.TB, file []byte) []byte {
	t.Helper()
	switch file[0] {
	case 'M':
		if file[1] == 'S' {
			digest, err := cabfile.Digest(bytes.NewReader(file), crypto.SHA256)
			must(t, err)
			patch, _, err := relic.SignCabImprint(context.Background(), digest, p.bundle(), nil)
			must(t, err)
			return apply(file, patch)
		}
		digest, err := relic.DigestPE(bytes.NewReader(file), crypto.SHA256, false)
		must(t, err)
		patch, _, err := digest.Sign(context.Background(), p.bundle(), nil)
		must(t, err)
		return apply(file, patch)
	}
	return p.signMSI(t, file)
}

func (p *Pair) signMSI(t testing.TB, file []byte) []byte {
	t.Helper()
	place, err := os.CreateTemp("", "signed-*.msi") // not t.TempDir, whose removal fails under Wine
	must(t, err)
	path := place.Name()
	t.Cleanup(func() { _ = os.Remove(path) })
	must(t, place.Close())
	must(t, os.WriteFile(path, file, 0o600))
	doc, err := comdoc.WritePath(path)
	must(t, err)
	imprint, extended, err := relic.DigestMSI(doc, crypto.SHA256, true)
	must(t, err)
	signature, err := relic.SignMSIImprint(context.Background(), imprint, crypto.SHA256, p.bundle(), nil)
	must(t, err)
	must(t, relic.InsertMSISignature(doc, signature.Raw, extended))
	must(t, doc.Close())
	signed, err := os.ReadFile(path)
	must(t, err)
	return signed
}

func apply(file []byte, patch *binpatch.PatchSet) []byte {
	var out []byte
	at := int64(0)
	for i, edit := range patch.Patches {
		out = append(out, file[at:edit.Offset]...)
		out = append(out, patch.Blobs[i]...)
		at = edit.Offset + int64(edit.OldSize)
	}
	return append(out, file[at:]...)
}

// Program makes a 64-bit Windows program with one section of the given text, which does nothing.
func Program(text string) []byte {
	const headers = 0x200
	code := make([]byte, (len(text)+0x1ff)/0x200*0x200)
	copy(code, text)
	file := make([]byte, headers)
	copy(file, "MZ")
	le := binary.LittleEndian
	le.PutUint32(file[0x3c:], 0x40)
	copy(file[0x40:], "PE\x00\x00")
	le.PutUint16(file[0x44:], 0x8664) // x64
	le.PutUint16(file[0x46:], 1)      // sections
	le.PutUint16(file[0x54:], 240)    // optional header
	le.PutUint16(file[0x56:], 0x22)   // executable, large addresses
	optional := file[0x58:]
	le.PutUint16(optional, 0x20b)
	le.PutUint32(optional[16:], 0x1000) // entry point
	le.PutUint64(optional[24:], 0x140000000)
	le.PutUint32(optional[32:], 0x1000)
	le.PutUint32(optional[36:], 0x200)
	le.PutUint16(optional[48:], 6)
	le.PutUint32(optional[56:], 0x2000)
	le.PutUint32(optional[60:], headers)
	le.PutUint16(optional[68:], 3) // console
	le.PutUint32(optional[108:], 16)
	section := file[0x58+240:]
	copy(section, ".text")
	le.PutUint32(section[8:], uint32(len(text)))
	le.PutUint32(section[12:], 0x1000)
	le.PutUint32(section[16:], uint32(len(code)))
	le.PutUint32(section[20:], headers)
	le.PutUint32(section[36:], 0x60000020)
	return append(file, code...)
}

// Clock stamps signatures with a time of its own, under a time-stamping certificate.
type Clock struct {
	Pair *Pair
	At   time.Time
}

// NewClock makes a time stamper under an authority.
func NewClock(t testing.TB, above *Pair, at time.Time) *Clock {
	t.Helper()
	pair := Signer(t, above, "Clock", func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}
		c.NotBefore, c.NotAfter = at.Add(-time.Hour), at.Add(time.Hour)
	})
	return &Clock{Pair: pair, At: at}
}

// Timestamp implements pkcs9.Timestamper (RFC 3161).
func (c *Clock) Timestamp(_ context.Context, req *pkcs9.Request) (*pkcs7.ContentInfoSignedData, error) {
	algorithm, _ := x509tools.PkixDigestAlgorithm(crypto.SHA256)
	sum := sha256.Sum256(req.EncryptedDigest)
	at, err := asn1.MarshalWithParams(c.At.UTC(), "generalized")
	if err != nil {
		return nil, err
	}
	info := pkcs9.TSTInfo{
		Version: 1, Policy: asn1.ObjectIdentifier{1, 2, 3}, SerialNumber: big.NewInt(1),
		MessageImprint: pkcs9.MessageImprint{HashAlgorithm: algorithm, HashedMessage: sum[:]},
		GenTime:        asn1.RawValue{FullBytes: at},
	}
	der, err := asn1.Marshal(info)
	if err != nil {
		return nil, err
	}
	builder := pkcs7.NewBuilder(c.Pair.Key, append([]*x509.Certificate{c.Pair.Cert}, c.Pair.Above...), crypto.SHA256)
	if err := builder.SetContent(pkcs9.OidTSTInfo, der); err != nil {
		return nil, err
	}
	return builder.Sign()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
