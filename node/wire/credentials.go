package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"thatch/node/identity"
	"thatch/node/identity/sealed"
)

// Files of a node's own, in the data folder.
const (
	keyFile  = "tls.key" // its private key, PEM; made once, so that what is on record of it holds for its life
	certFile = "tls.crt" // its certificate and that of the site's authority, PEM
)

// Credentials are by what a node is known to the others of its site. They are safe for use by several goroutines.
type Credentials struct {
	dir  string
	id   string // of the node
	key  *ecdsa.PrivateKey
	held atomic.Pointer[held] // nil: none yet
}

// held is a certificate with what follows from it.
type held struct {
	cert      *tls.Certificate
	authority *x509.Certificate
	site      string
}

// OpenCredentials reads what a data folder holds of a node's credentials, and makes its key where there is none.
func OpenCredentials(dir, id string) (*Credentials, error) {
	c := &Credentials{dir: dir, id: id}
	if err := c.openKey(); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, certFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the node's certificate: %w", err)
	}
	var chain [][]byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		chain = append(chain, block.Bytes)
	}
	h, err := c.read(chain)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; put the file back from a backup of the data folder", path, err)
	}
	c.held.Store(h)
	return c, nil
}

func (c *Credentials) openKey() error {
	path := filepath.Join(c.dir, keyFile)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c.makeKey(path)
	case err != nil:
		return fmt.Errorf("read the node's key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return fmt.Errorf("%s holds no PEM block: put the file back from a backup of the data folder", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var ok bool
	if c.key, ok = key.(*ecdsa.PrivateKey); !ok || c.key.Curve != elliptic.P256() {
		return fmt.Errorf("%s holds a key of another kind: want ECDSA P-256", path)
	}
	return nil
}

func (c *Credentials) makeKey(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the node's key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the node's key: %w", err)
	}
	c.key = key
	return sealed.WriteSecret(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// read makes out what a chain of a certificate and its authority (DER) says of this node.
func (c *Credentials) read(chain [][]byte) (*held, error) {
	if len(chain) != 2 {
		return nil, fmt.Errorf("it holds %d certificates, not the node's and its authority's", len(chain))
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, err
	}
	authority, err := x509.ParseCertificate(chain[1])
	if err != nil {
		return nil, err
	}
	site := authority.Subject.SerialNumber
	// Whether its time has come or passed is judged by whoever is shown it.
	id, err := identity.VerifyNode(leaf, site, authority, leaf.NotBefore.Add(time.Minute))
	public, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	switch {
	case err != nil:
		return nil, err
	case id != c.id:
		return nil, fmt.Errorf("the certificate is that of node %s, and this is node %s", id, c.id)
	case !ok || !public.Equal(c.key.Public()):
		return nil, errors.New("the certificate is not for this node's key")
	}
	return &held{&tls.Certificate{Certificate: chain, PrivateKey: c.key, Leaf: leaf}, authority, site}, nil
}

// Keep takes a certificate with its authority's (DER) and keeps both on disk. Connections from then on show it.
func (c *Credentials) Keep(chain [][]byte) error {
	h, err := c.read(chain)
	if err != nil {
		return fmt.Errorf("the certificate for this node: %w", err)
	}
	var text bytes.Buffer
	for _, der := range chain {
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return fmt.Errorf("encode the node's certificate: %w", err)
		}
	}
	if err := sealed.WriteSecret(filepath.Join(c.dir, certFile), text.Bytes()); err != nil {
		return err
	}
	c.held.Store(h)
	return nil
}

// Known says whether there is a certificate: the node is one of a site.
func (c *Credentials) Known() bool { return c.held.Load() != nil }

// ID is that of the node.
func (c *Credentials) ID() string { return c.id }

// Site is the id of the site, "" where there is no certificate yet.
func (c *Credentials) Site() string {
	if h := c.held.Load(); h != nil {
		return h.site
	}
	return ""
}

// Authority is the certificate of the site's authority, nil where there is none yet.
func (c *Credentials) Authority() *x509.Certificate {
	if h := c.held.Load(); h != nil {
		return h.authority
	}
	return nil
}

// Certificate is the one to show, nil where there is none yet.
func (c *Credentials) Certificate() *tls.Certificate {
	if h := c.held.Load(); h != nil {
		return h.cert
	}
	return nil
}

// Key is the node's private key.
func (c *Credentials) Key() *ecdsa.PrivateKey { return c.key }

// KeyHash is by what the site keeps the node's key on record.
func (c *Credentials) KeyHash() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(c.key.Public())
	if err != nil {
		return nil, fmt.Errorf("encode the node's public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}

// Request is a certificate request (DER) for the node's key.
func (c *Credentials) Request() ([]byte, error) {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, c.key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate request: %w", err)
	}
	return csr, nil
}

// Peer is a node at the other end of a connection.
type Peer struct {
	ID       string
	KeyHash  []byte // SHA-256 of the public key of its certificate
	NotAfter time.Time
}

// peer tells which node of the site stands at the other end.
func (c *Credentials) peer(state tls.ConnectionState, now time.Time) (Peer, error) {
	h := c.held.Load()
	if h == nil || len(state.PeerCertificates) == 0 {
		return Peer{}, identity.Unauthorised("nodes of a site know each other by certificate, and none was shown")
	}
	leaf := state.PeerCertificates[0]
	id, err := identity.VerifyNode(leaf, h.site, h.authority, now)
	if err != nil {
		return Peer{}, err
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return Peer{ID: id, KeyHash: sum[:], NotAfter: leaf.NotAfter}, nil
}
