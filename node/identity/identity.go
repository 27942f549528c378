// Package identity knows who is who at a site: the site's authority and the certificates it made, the key that signs
// documents, enrolment tokens, API tokens, and the audit log.
package identity

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"thatch/catalog/document"
	"thatch/node/store"
)

// Config is what the room needs.
type Config struct {
	Dir    string   // the data folder, where the private keys lie
	Site   string   // id
	Name   string   // of the site
	Node   string   // id of this node
	Names  []string // host names and addresses under which the node is reached
	Reader store.Reader
	Writer store.Writer
	Now    func() time.Time
}

// Identity is safe for use by several goroutines.
type Identity struct {
	cfg       Config
	authority *authority
	signing   ed25519.PrivateKey
	cert      atomic.Pointer[tls.Certificate]
	local     atomic.Pointer[[]byte] // hash of the local door's secret

	neighbours Neighbours
}

// Open reads the site's keys. The first start of a site makes them, records the authority, and publishes the signing
// key as a document.
func Open(ctx context.Context, cfg Config) (*Identity, error) {
	id := &Identity{cfg: cfg}
	der, err := id.recorded(ctx)
	if err != nil {
		return nil, err
	}
	k, err := openKeys(cfg.Dir, der == nil)
	if err != nil {
		return nil, err
	}
	id.signing = k.signing
	if der != nil {
		id.authority, err = openAuthority(cfg.Site, der, k.authority)
	} else {
		id.authority, err = id.found(ctx, k)
	}
	if err != nil {
		return nil, err
	}
	return id, id.RenewNode()
}

// recorded is the certificate of the authority in the database, nil before the first start.
func (id *Identity) recorded(ctx context.Context) ([]byte, error) {
	var der []byte
	err := id.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT certificate FROM authority`).Scan(&der)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the site's authority: %w", err)
	}
	return der, nil
}

func (id *Identity) found(ctx context.Context, k keys) (*authority, error) {
	a, err := newAuthority(id.cfg.Site, id.cfg.Name, k.authority, id.cfg.Now())
	if err != nil {
		return nil, err
	}
	public, ok := k.signing.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the site's signing key is of another kind: %T", k.signing.Public())
	}
	doc, err := document.NewKey(id.cfg.Site, public, k.signing)
	if err != nil {
		return nil, err
	}
	statements := append([]store.Statement{{
		SQL:  `INSERT INTO authority (one, certificate) VALUES (1, ?) ON CONFLICT DO NOTHING`,
		Args: []any{a.cert.Raw}, Want: 1,
	}}, store.Put(doc, "", store.Former{Absent: true})...)
	if err := id.write(ctx, "make the site's authority and signing key", statements...); err != nil {
		return nil, fmt.Errorf("record the site's authority: %w", err)
	}
	return a, nil
}

// Authority is the certificate of the site's authority, DER.
func (id *Identity) Authority() []byte { return id.authority.cert.Raw }

// Sign makes a document the site's own.
func (id *Identity) Sign(doc *document.Document) { doc.Sign(id.cfg.Site, id.signing) }

// SignAll makes many documents the site's own, which costs less than one by one.
func (id *Identity) SignAll(docs []*document.Document) {
	document.SignAll(id.cfg.Site, id.signing, docs)
}

// TLS is the configuration of the node's listener: TLS 1.3, certificates of computers verified where they are given, and
// those of nodes of children taken as they are where the caller says that it is one (see LinkProtocol). Whether a call
// needs one is decided by its path.
func (id *Identity) TLS() *tls.Config {
	plain := &tls.Config{
		MinVersion:     tls.VersionTLS13,
		ClientAuth:     tls.VerifyClientCertIfGiven,
		ClientCAs:      id.authority.pool(),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return id.cert.Load(), nil },
		Time:           id.cfg.Now,
	}
	plain.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if id.neighbours == nil || !slices.Contains(hello.SupportedProtos, LinkProtocol) {
			return nil, nil
		}
		return linkConfig(plain), nil
	}
	return plain
}

// RenewNode makes a new key and certificate for this node; connections from then on get it.
func (id *Identity) RenewNode() error {
	cert, err := id.authority.node(id.cfg.Node, id.cfg.Names, id.cfg.Now())
	if err != nil {
		return err
	}
	id.cert.Store(cert)
	return nil
}

// NodeCertificate is the one in use.
func (id *Identity) NodeCertificate() *x509.Certificate { return id.cert.Load().Leaf }
