// Package identitytest makes identities and what is held against them for tests.
package identitytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"thatch/node/identity"
	"thatch/node/store"
)

// Database is what an identity stands on.
type Database interface {
	store.Reader
	store.Writer
}

// Open opens the identity of site "site-1" over a database, with its keys in dir.
func Open(t testing.TB, dir string, db Database, now func() time.Time) *identity.Identity {
	t.Helper()
	id, err := identity.Open(t.Context(), Config(dir, db, now))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Config is the one that Open uses.
func Config(dir string, db Database, now func() time.Time) identity.Config {
	return identity.Config{
		Dir: dir, Site: "site-1", Name: "Test", Node: "node-1", Names: []string{"localhost", "127.0.0.1"},
		Reader: db, Writer: store.Signed(db, now, identity.Audited), Now: now,
	}
}

// Key makes a computer's key and a certificate request for it, which claims to be somebody else.
func Key(t testing.TB) (key *ecdsa.PrivateKey, csr []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"localhost"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return key, csr
}

// Connected is the state of a TLS connection over which a certificate was shown and found good.
func Connected(t testing.TB, der, authority []byte) *tls.ConnectionState {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(authority)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{cert}, VerifiedChains: [][]*x509.Certificate{{cert, root}},
	}
}
