// Package identity knows who is who at a site: the site's authority and the certificates it made, the key that signs
// documents, enrolment tokens, API tokens, and the audit log.
package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"thatch/catalog/document"
	"thatch/node/identity/sealed"
	"thatch/node/store"
)

// Config is what the room needs.
type Config struct {
	Dir     string   // the data folder, where the node's key lies
	Site    string   // id
	Name    string   // of the site
	Node    string   // id of this node
	Names   []string // host names and addresses under which the node is reached
	Own     Own      // what the node is known by; nil: made at each start, and kept nowhere
	Keyless bool     // the node may lack the site's keys, having no vote
	Reader  store.Reader
	Writer  store.Writer
	Now     func() time.Time
}

// Identity is safe for use by several goroutines.
type Identity struct {
	cfg       Config
	authority *authority
	keys      atomic.Pointer[sealed.Keys] // nil: this node does not hold them
	local     atomic.Pointer[[]byte]      // hash of the local door's secret

	neighbours Neighbours
}

// Open opens the site's keys. The first start of a site makes them, records the authority, seals the keys to this node,
// and publishes the signing key as a document.
func Open(ctx context.Context, cfg Config) (*Identity, error) {
	id := &Identity{cfg: cfg}
	if cfg.Own == nil {
		own, err := newFleeting()
		if err != nil {
			return nil, err
		}
		id.cfg.Own = own
	}
	der, err := id.recorded(ctx)
	if err != nil {
		return nil, err
	}
	if der == nil {
		if err = id.found(ctx); err != nil {
			return nil, fmt.Errorf("make the site's authority and keys: %w", err)
		}
		return id, id.RenewNode()
	}
	k, err := id.openKeys(ctx, der)
	if err != nil {
		return nil, err
	}
	if id.authority, err = openAuthority(cfg.Site, der, id.authorityKey); err != nil {
		return nil, err
	}
	if k.Authority == nil {
		return id, nil
	}
	id.keys.Store(&k)
	return id, id.RenewNode()
}

// authorityKey is the authority's, where this node holds it.
func (id *Identity) authorityKey() (*ecdsa.PrivateKey, error) {
	if k := id.keys.Load(); k != nil {
		return k.Authority, nil
	}
	return nil, ErrKeyless
}

// signing is the key that signs documents. No node without it leads, and only leaders and doors that ask HoldsKeys before
// make documents.
func (id *Identity) signing() ed25519.PrivateKey {
	k := id.keys.Load()
	if k == nil {
		panic(ErrKeyless)
	}
	return k.Signing
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

// found makes the keys of a new site. All of it is one batch: a crash before leaves the node's key alone, which stays.
func (id *Identity) found(ctx context.Context) error {
	k, err := sealed.NewKeys()
	if err != nil {
		return err
	}
	id.keys.Store(&k)
	if id.authority, err = newAuthority(id.cfg.Site, id.cfg.Name, id.authorityKey, id.cfg.Now()); err != nil {
		return err
	}
	public, ok := k.Signing.Public().(ed25519.PublicKey)
	if !ok {
		return fmt.Errorf("the signing key is of another kind: %T", k.Signing.Public())
	}
	doc, err := document.NewKey(id.cfg.Site, public, k.Signing)
	if err != nil {
		return err
	}
	mine, err := sealed.NodeKey(id.cfg.Dir)
	if err != nil {
		return err
	}
	seal, err := k.SealTo(id.cfg.Site, id.cfg.Node, mine.Public(), id.cfg.Now())
	if err != nil {
		return err
	}
	return id.write(ctx, "make the site's authority and signing key", append([]store.Statement{{
		SQL:  `INSERT INTO authority (one, certificate) VALUES (1, ?) ON CONFLICT DO NOTHING`,
		Args: []any{id.authority.cert.Raw}, Want: 1,
	}, seal}, store.Put(doc, "", store.Former{Absent: true})...)...)
}

// Authority is the certificate of the site's authority, DER.
func (id *Identity) Authority() []byte { return id.authority.cert.Raw }

// Sign makes a document the site's own.
func (id *Identity) Sign(doc *document.Document) { doc.Sign(id.cfg.Site, id.signing()) }

// SignAll makes many documents the site's own, which costs less than one by one.
func (id *Identity) SignAll(docs []*document.Document) {
	document.SignAll(id.cfg.Site, id.signing(), docs)
}

// TLS is the configuration of the node's listener: TLS 1.3, certificates of computers verified where they are given, and
// those of nodes of children taken as they are where the caller says that it is one (see LinkProtocol). Whether a call
// needs one is decided by its path.
func (id *Identity) TLS() *tls.Config {
	plain := &tls.Config{
		MinVersion:     tls.VersionTLS13,
		ClientAuth:     tls.VerifyClientCertIfGiven,
		ClientCAs:      id.authority.pool(),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return id.cfg.Own.Certificate(), nil },
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
