package identity

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"thatch/catalog/federation"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// LinkProtocol is offered (ALPN) beside those of HTTP by a node that calls a node of its parent. The listener takes any
// certificate from such a caller, and Peer judges it at every call: so whoever is refused hears why, a child that joined or
// was revoked needs no new connection to count, and others hear nothing of the children.
const LinkProtocol = "thatch-link/1"

// Neighbours are the sites whose authorities are trusted beside the site's own, each for its own site's name alone.
type Neighbours interface {
	// ChildAuthority is that of one child, DER. The error says why the site may not call: it is no child, or was revoked.
	ChildAuthority(ctx context.Context, site string) ([]byte, error)
}

// Trust has nodes of other sites let in. Call it before the node listens.
func (id *Identity) Trust(of Neighbours) { id.neighbours = of }

// linkConfig is the configuration of the listener for a node that may be one of a child.
func linkConfig(plain *tls.Config) *tls.Config {
	config := plain.Clone()
	config.GetConfigForClient = nil
	config.ClientAuth, config.ClientCAs = tls.RequestClientCert, nil
	config.NextProtos = []string{"h2", "http/1.1"}
	return config
}

// rooted says whether a connection's certificate was verified up to one authority. Names of issuers prove nothing:
// anybody may give an authority of his own the name of another.
func rooted(state *tls.ConnectionState, authority []byte) bool {
	return slices.ContainsFunc(state.VerifiedChains, func(chain []*x509.Certificate) bool {
		return len(chain) > 1 && bytes.Equal(chain[len(chain)-1].Raw, authority)
	})
}

// neighbour tells which child's node calls. Nothing of the certificate was verified before but that the caller holds its
// key.
func (id *Identity) neighbour(ctx context.Context, cert *x509.Certificate) (Peer, error) {
	site, kind, name, err := holderOf(cert)
	switch {
	case err != nil:
		return Peer{}, err
	case site == id.cfg.Site || id.neighbours == nil:
		return Peer{}, Unauthorised("the certificate claims to be of this site (%s), and was not verified to be by its authority", site)
	case kind != KindNode:
		return Peer{}, Unauthorised("the certificate is that of a %s of site %s: only nodes call across sites", kind, site)
	}
	authority, err := id.neighbours.ChildAuthority(ctx, site)
	if err != nil {
		return Peer{}, err
	}
	root, err := x509.ParseCertificate(authority)
	if err != nil {
		return Peer{}, fmt.Errorf("authority of site %s: %w", site, err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	options := x509.VerifyOptions{Roots: roots, CurrentTime: id.cfg.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := cert.Verify(options); err != nil {
		return Peer{}, Unauthorised("the certificate claims to be of site %s, and is not good: %v", site, err)
	}
	return peerOf(cert, site, kind, name), nil
}

// holderOf reads whom a certificate names, whoever made it.
func holderOf(cert *x509.Certificate) (site, kind, id string, err error) {
	if len(cert.URIs) != 1 || cert.URIs[0].Scheme != "thatch" || !federation.IsSiteID(cert.URIs[0].Host) {
		return "", "", "", Unauthorised("the certificate names no holder thatch://SITE/KIND/ID")
	}
	kind, id, ok := splitHolder(cert.URIs[0])
	if !ok {
		return "", "", "", Unauthorised("the certificate's holder %.80q is neither a computer nor a node", cert.URIs[0].Path)
	}
	return cert.URIs[0].Host, kind, id, nil
}

func splitHolder(uri *url.URL) (kind, id string, ok bool) {
	kind, id, ok = strings.Cut(strings.TrimPrefix(uri.Path, "/"), "/")
	return kind, id, ok && id != "" && slices.Contains([]string{KindComputer, KindNode}, kind)
}

// ParentTLS is the configuration of this node's connections to the nodes of another site: it shows the node's own
// certificate and goes on only with a node of that site by that authority. Host names are not compared.
func (id *Identity) ParentTLS(site string, authority []byte) (*tls.Config, error) {
	if _, err := x509.ParseCertificate(authority); err != nil {
		return nil, fmt.Errorf("authority of site %s: %w", site, err)
	}
	return id.callTLS(func(state tls.ConnectionState) error {
		return verifyNode(state, site, authority, id.cfg.Now())
	}, true), nil
}

// JoinTLS is the configuration of a connection to a site that is known by the fingerprint of its authority alone, as a
// child token carries it. Found is told, before anything is sent, which site by which authority answers.
func (id *Identity) JoinTLS(fingerprint [federation.FingerprintSize]byte, found func(site string, authority []byte)) *tls.Config {
	return id.callTLS(verifyJoin(fingerprint, found, id.cfg.Now), false)
}

// FirstTLS is JoinTLS for whoever has no identity yet, such as a node that joins a site.
func FirstTLS(fingerprint [federation.FingerprintSize]byte, found func(site string, authority []byte), now func() time.Time) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, VerifyConnection: verifyJoin(fingerprint, found, now), Time: now}
}

func verifyJoin(fingerprint [federation.FingerprintSize]byte, found func(string, []byte), now func() time.Time) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		for _, cert := range state.PeerCertificates {
			if !cert.IsCA || federation.Fingerprint(cert.Raw) != fingerprint {
				continue
			}
			site, _, _, err := holderOf(state.PeerCertificates[0])
			if err == nil {
				err = verifyNode(state, site, cert.Raw, now())
			}
			if err == nil {
				found(site, cert.Raw)
			}
			return err
		}
		return fmt.Errorf("%w: its authority does not have the fingerprint of the token: is this the site that made it?", ErrUntrusted)
	}
}

// ErrUntrusted says that whoever answers is no node of the site that was called.
var ErrUntrusted = errors.New("the node that answers is not one of the site that was called")

func (id *Identity) callTLS(verify func(tls.ConnectionState) error, show bool) *tls.Config {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // verify knows the site's authority, and no host names
		VerifyConnection:   verify,
		NextProtos:         []string{"http/1.1", LinkProtocol},
		Time:               id.cfg.Now,
	}
	if show {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return id.cfg.Own.Certificate(), nil }
	}
	return config
}

// verifyNode accepts a node of a site, by its authority (DER).
func verifyNode(state tls.ConnectionState, site string, authority []byte, now time.Time) error {
	root, err := x509.ParseCertificate(authority)
	if err != nil {
		return fmt.Errorf("authority of site %s: %w", site, err)
	}
	_, err = VerifyNode(state.PeerCertificates[0], site, root, now)
	return err
}

// VerifyNode tells which node of a site a certificate was made for, as a server, by the site's authority. The error wraps
// ErrUntrusted.
func VerifyNode(cert *x509.Certificate, site string, authority *x509.Certificate, now time.Time) (id string, err error) {
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	options := x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if _, err := cert.Verify(options); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	named, kind, id, err := holderOf(cert)
	if err != nil || named != site || kind != KindNode {
		return "", fmt.Errorf("%w: its certificate is not that of a node of site %s", ErrUntrusted, site)
	}
	return id, nil
}

// ParseAuthority reads the certificate of another site's authority. It must be one as sites make them: self-signed,
// ECDSA P-256, for that site, for certificates of holders alone.
func ParseAuthority(site string, der []byte, now time.Time) (*x509.Certificate, error) {
	if len(der) > federation.MaxAuthority {
		return nil, store.Invalid("the authority of site %s has %d bytes, at most %d are allowed", site, len(der), federation.MaxAuthority)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, store.Invalid("the authority of site %s: %v", site, err)
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	switch {
	case !ok || key.Curve != elliptic.P256():
		err = errors.New("its key is not ECDSA P-256")
	case !cert.IsCA || !cert.BasicConstraintsValid || !cert.MaxPathLenZero || cert.KeyUsage&x509.KeyUsageCertSign == 0:
		err = errors.New("it is no authority for certificates of holders alone")
	case cert.Subject.SerialNumber != site:
		err = fmt.Errorf("it was made for site %.80q", cert.Subject.SerialNumber)
	case len(cert.UnhandledCriticalExtensions) > 0:
		err = errors.New("it has extensions that are not understood")
	case now.Before(cert.NotBefore) || now.After(cert.NotAfter):
		err = fmt.Errorf("it is good from %s to %s, and it is %s here", rows.Stamp(cert.NotBefore), rows.Stamp(cert.NotAfter), rows.Stamp(now))
	default:
		err = cert.CheckSignatureFrom(cert)
	}
	if err != nil {
		return nil, store.Invalid("the authority of site %s: %v", site, err)
	}
	return cert, nil
}

// Vouch signs a message for a purpose with the key of the site's authority: proof that whoever shows the authority's
// certificate is that site.
func (id *Identity) Vouch(purpose string, message []byte) ([]byte, error) {
	key, err := id.authority.key()
	if err != nil {
		return nil, err
	}
	sum := vouched(purpose, message)
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		return nil, fmt.Errorf("sign with the site's authority: %w", err)
	}
	return signature, nil
}

// VerifyVouch checks what Vouch made at the site of an authority.
func VerifyVouch(authority *x509.Certificate, purpose string, message, signature []byte) error {
	key, ok := authority.PublicKey.(*ecdsa.PublicKey)
	sum := vouched(purpose, message)
	if !ok || !ecdsa.VerifyASN1(key, sum[:], signature) {
		return Unauthorised("the caller does not hold the key of the authority that it shows")
	}
	return nil
}

// vouched is what is signed. No certificate begins like it, so a signature can never be taken for one's.
func vouched(purpose string, message []byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte("thatch vouches\x00"+purpose+"\x00"), message...))
}
