package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"

	"thatch/node/store"
)

// Lifetimes of certificates. A holder renews when a third is left.
const (
	authorityLifetime = 20 * 365 * 24 * time.Hour
	NodeLifetime      = 90 * 24 * time.Hour
	AgentLifetime     = 90 * 24 * time.Hour
	backdated         = time.Hour      // clocks of computers are off
	nodeBackdated     = 48 * time.Hour // sites work together though a clock is off by a day
)

// The kinds of holders. Holder and kind stand in a URI of the certificate: thatch://SITE/computer/ID.
const (
	KindComputer = "computer"
	KindNode     = "node"
)

const maxCSR = 16 << 10

// authority is the site's own: an ECDSA P-256 key, where this node holds it, and its self-signed certificate.
type authority struct {
	site string // id
	cert *x509.Certificate
	key  func() (*ecdsa.PrivateKey, error)
}

// Fingerprint is the SHA-256 of a certificate, in lower-case hexadecimal.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}

func newAuthority(site, name string, held func() (*ecdsa.PrivateKey, error), now time.Time) (*authority, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	key, err := held()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Authority of site " + name, Organization: []string{"Thatch"}, SerialNumber: site},
		NotBefore:             now.Add(-nodeBackdated),
		NotAfter:              now.Add(authorityLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the site's authority: %w", err)
	}
	return openAuthority(site, der, held)
}

func openAuthority(site string, der []byte, held func() (*ecdsa.PrivateKey, error)) (*authority, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate of the site's authority: %w", err)
	}
	return &authority{site: site, cert: cert, key: held}, nil
}

// holderURI names a holder in a certificate.
func (a *authority) holderURI(kind, id string) *url.URL {
	return &url.URL{Scheme: "thatch", Host: a.site, Path: "/" + kind + "/" + id}
}

// node makes a certificate for the key of a node under the given names and addresses. The chain ends with the authority's.
func (a *authority) node(id string, public crypto.PublicKey, names []string, now time.Time) (chain [][]byte, err error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "Node " + id, Organization: []string{"Thatch"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{a.holderURI(KindNode, id)},
		NotBefore:   now.Add(-nodeBackdated),
		NotAfter:    now.Add(NodeLifetime),
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := a.sign(template, public, now)
	if err != nil {
		return nil, fmt.Errorf("certificate for node %s: %w", id, err)
	}
	return [][]byte{der, a.cert.Raw}, nil
}

// computer makes a certificate for the key of a request. What the request says of itself is ignored.
func (a *authority) computer(csr []byte, id string, now time.Time) (*x509.Certificate, error) {
	request, err := checkRequest(csr)
	if err != nil {
		return nil, err
	}
	der, err := a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: id, Organization: []string{"Thatch"}, OrganizationalUnit: []string{KindComputer}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{a.holderURI(KindComputer, id)},
		NotAfter:    now.Add(AgentLifetime),
	}, request.PublicKey, now)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// checkRequest reads a certificate request, of which the key alone is taken over.
func checkRequest(csr []byte) (*x509.CertificateRequest, error) {
	if len(csr) > maxCSR {
		return nil, store.Invalid("the certificate request has %d bytes, at most %d are allowed", len(csr), maxCSR)
	}
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, store.Invalid("the certificate request: %v", err)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, store.Invalid("the certificate request is not signed by its own key: %v", err)
	}
	if key, ok := request.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		return nil, store.Invalid("the certificate request's key must be ECDSA P-256")
	}
	return request, nil
}

func (a *authority) sign(template *x509.Certificate, public crypto.PublicKey, now time.Time) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	key, err := a.key()
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	template.SerialNumber = serial
	if template.NotBefore.IsZero() {
		template.NotBefore = now.Add(-backdated)
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return der, nil
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// holder reads who a certificate of this authority was made for.
func (a *authority) holder(cert *x509.Certificate) (kind, id string, err error) {
	site, kind, id, err := holderOf(cert)
	if err == nil && site != a.site {
		err = Unauthorised("the certificate names no holder of site %s", a.site)
	}
	return kind, id, err
}

func serialText(serial *big.Int) string { return serial.Text(16) }
