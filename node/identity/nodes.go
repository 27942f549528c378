package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"
)

// Own is what a node is known by to everybody: the key of its certificates, and the one that it shows. See node/wire.
type Own interface {
	Key() *ecdsa.PrivateKey
	Certificate() *tls.Certificate // nil: none yet
	Keep(chain [][]byte) error     // takes a certificate for the key, and its authority's (DER)
}

// RenewNode makes a new certificate for this node; connections from then on get it. The error is ErrKeyless where another
// node has to make it, see CertifyNode.
func (id *Identity) RenewNode() error {
	chain, err := id.authority.node(id.cfg.Node, id.cfg.Own.Key().Public(), id.cfg.Names, id.cfg.Now())
	if err != nil {
		return err
	}
	return id.cfg.Own.Keep(chain)
}

// CertifyNode makes a certificate for another node of the site from its certificate request (DER), of which the key alone is
// taken over; names are the host names and addresses under which it is reached. It is for who is admitted: see node/members.
func (id *Identity) CertifyNode(node string, csr []byte, names []string) (chain [][]byte, err error) {
	request, err := checkRequest(csr)
	if err != nil {
		return nil, fmt.Errorf("certificate for node %s: %w", node, err)
	}
	return id.authority.node(node, request.PublicKey, names, id.cfg.Now())
}

// SiteName is what the site was called when the node started.
func (id *Identity) SiteName() string { return id.cfg.Name }

// NodeCertificate is the one in use.
func (id *Identity) NodeCertificate() *x509.Certificate { return id.cfg.Own.Certificate().Leaf }

// fleeting is an Own that ends with the process.
type fleeting struct {
	key  *ecdsa.PrivateKey
	cert atomic.Pointer[tls.Certificate]
}

func newFleeting() (*fleeting, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the node's key: %w", err)
	}
	return &fleeting{key: key}, nil
}

// Key implements Own.
func (f *fleeting) Key() *ecdsa.PrivateKey { return f.key }

// Certificate implements Own.
func (f *fleeting) Certificate() *tls.Certificate { return f.cert.Load() }

// Keep implements Own.
func (f *fleeting) Keep(chain [][]byte) error {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return fmt.Errorf("node certificate: %w", err)
	}
	f.cert.Store(&tls.Certificate{Certificate: chain, PrivateKey: f.key, Leaf: leaf})
	return nil
}
