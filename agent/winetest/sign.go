package winetest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"thatch/ringtest"
)

// Publisher signs packages with Authenticode, under a root of its own.
type Publisher struct {
	Root, Leaf *x509.Certificate
	chain, key string // files in PEM
}

// NewPublisher makes a publisher, or skips the test where osslsigncode is missing.
func NewPublisher(t testing.TB, name string) *Publisher {
	t.Helper()
	ringtest.Need(t, ringtest.Signing)
	dir := t.TempDir()
	rootKey, leafKey := rsaKey(t), rsaKey(t)
	now := time.Now()
	rootTemplate := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name + " Root"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root := issue(t, rootTemplate, rootTemplate, &rootKey.PublicKey, rootKey)
	leaf := issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}, root, &leafKey.PublicKey, rootKey)
	p := &Publisher{Root: root, Leaf: leaf, chain: filepath.Join(dir, "chain.pem"), key: filepath.Join(dir, "key.pem")}
	chain := append(encode("CERTIFICATE", leaf.Raw), encode("CERTIFICATE", root.Raw)...)
	private, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{p.chain: chain, p.key: encode("PRIVATE KEY", private)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func issue(t testing.TB, template, parent *x509.Certificate, public *rsa.PublicKey, signer *rsa.PrivateKey) *x509.Certificate {
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func encode(kind string, raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
}

// Fingerprint is the SHA-256 of the root, as trust lists name it.
func (p *Publisher) Fingerprint() string {
	sum := sha256.Sum256(p.Root.Raw)
	return hex.EncodeToString(sum[:])
}

// Sign signs a file in place.
func (p *Publisher) Sign(t testing.TB, path string) {
	t.Helper()
	signed := path + ".signed"
	cmd := exec.Command("osslsigncode", "sign", "-certs", p.chain, "-key", p.key, "-h", "sha256", "-n", filepath.Base(path), "-in", path, "-out", signed)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sign %s: %v\n%s", filepath.Base(path), err, out)
	}
	if err := os.Rename(signed, path); err != nil {
		t.Fatal(err)
	}
}
