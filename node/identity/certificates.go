package identity

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"thatch/catalog/document"
	"thatch/node/store"
)

// Issued is a certificate made for a computer. It is good from the moment that the statements of Record are applied.
type Issued struct {
	DER      []byte
	Serial   string // hexadecimal
	NotAfter time.Time
	Record   []store.Statement
}

// Issue makes a certificate for a computer from a certificate request (DER). The error wraps store.ErrInvalid when the
// request is at fault.
func (id *Identity) Issue(csr []byte, computer string) (Issued, error) {
	now := id.cfg.Now()
	cert, err := id.authority.computer(csr, computer, now)
	if err != nil {
		return Issued{}, fmt.Errorf("certificate for computer %s: %w", computer, err)
	}
	serial := serialText(cert.SerialNumber)
	return Issued{DER: cert.Raw, Serial: serial, NotAfter: cert.NotAfter, Record: []store.Statement{{
		SQL:  `INSERT INTO certificate (serial, computer, not_after, issued) VALUES (?, ?, ?, ?)`,
		Args: []any{serial, computer, stamp(cert.NotAfter), stamp(now)}, Want: 1,
	}}}, nil
}

// Renew makes a new certificate for the computer that calls, and records it. The present one stays good until its end,
// so that an answer that is lost locks nobody out.
func (id *Identity) Renew(ctx context.Context, p Peer, csr []byte) (Issued, error) {
	issued, err := id.Issue(csr, p.ID)
	if err != nil {
		return issued, err
	}
	// The present certificate may be revoked in this very moment.
	guard := store.Statement{
		SQL: `UPDATE certificate SET reason = 'renewed' WHERE serial = ? AND revoked = ''`, Args: []any{p.Serial}, Want: 1,
	}
	return issued, id.write(ctx, "renew the certificate of computer "+p.ID, append([]store.Statement{guard}, issued.Record...)...)
}

// RevokeCertificate returns the statement that ends one certificate.
func RevokeCertificate(serial, reason string, at time.Time) store.Statement {
	return store.Statement{
		SQL:  `UPDATE certificate SET revoked = ?, reason = ? WHERE serial = ? AND revoked = ''`,
		Args: []any{stamp(at), reason, serial},
	}
}

// RevokeComputer returns the statement that ends every certificate of a computer.
func RevokeComputer(computer, reason string, at time.Time) store.Statement {
	return store.Statement{
		SQL:  `UPDATE certificate SET revoked = ?, reason = ? WHERE computer = ? AND revoked = ''`,
		Args: []any{stamp(at), reason, computer},
	}
}

// DropEnded returns the statement that forgets certificates that ended long ago: they are refused by their date.
func DropEnded(before time.Time) store.Statement {
	return store.Statement{SQL: `DELETE FROM certificate WHERE not_after < ?`, Args: []any{stamp(before)}}
}

// Peer is who stands at the other end of a TLS connection.
type Peer struct {
	Kind     string // KindComputer or KindNode
	ID       string
	Serial   string
	NotAfter time.Time
}

// Peer tells who calls with a certificate. It must be one that this site made, is on record, and was not revoked, now;
// else the error wraps ErrUnauthorised.
func (id *Identity) Peer(ctx context.Context, state *tls.ConnectionState) (Peer, error) {
	if state == nil || len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return Peer{}, Unauthorised("this path takes a certificate of this site: enrol first")
	}
	cert := state.PeerCertificates[0]
	kind, name, err := id.authority.holder(cert)
	if err != nil {
		return Peer{}, err
	}
	p := Peer{Kind: kind, ID: name, Serial: serialText(cert.SerialNumber), NotAfter: cert.NotAfter}
	if !cert.NotAfter.After(id.cfg.Now()) { // the connection may be older than the end
		return Peer{}, Unauthorised("the certificate of %s %s ended at %s: enrol again", kind, name, stamp(cert.NotAfter))
	}
	if kind == KindNode {
		return p, nil
	}
	return p, id.onRecord(ctx, p)
}

func (id *Identity) onRecord(ctx context.Context, p Peer) error {
	var computer, revoked, reason string
	err := id.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT computer, revoked, reason FROM certificate WHERE serial = ?`, p.Serial).
			Scan(&computer, &revoked, &reason)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Unauthorised("the certificate %s is not on this site's record: enrol again", p.Serial)
	case err != nil:
		return fmt.Errorf("look up certificate %s: %w", p.Serial, err)
	case revoked != "":
		return Unauthorised("the certificate of computer %s was revoked at %s (%s)", computer, revoked, reason)
	case computer != p.ID:
		return Unauthorised("the certificate %s was made for computer %s, not %s", p.Serial, computer, p.ID)
	}
	return nil
}

// Keys are the signing keys of all sites that this site knows, its own among them: documents of kind signing-key.
func (id *Identity) Keys(ctx context.Context) ([]document.Document, error) {
	var keys []document.Document
	err := id.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		keys = keys[:0]
		all, err := store.Documents(ctx, tx, document.SigningKey, "", maxSites)
		for _, key := range all {
			keys = append(keys, key.Document)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the signing keys: %w", err)
	}
	return keys, nil
}

const maxSites = 100_000
