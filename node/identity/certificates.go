package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"thatch/catalog/document"
	"thatch/node/store"
	"thatch/node/store/rows"
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
		Args: []any{serial, computer, rows.Stamp(cert.NotAfter), rows.Stamp(now)}, Want: 1,
	}}}, nil
}

// Limits of renewal: what a computer may ask for does not grow with how often it asks.
const (
	// renewAgain is how long after a certificate was made for a computer it may ask for the next one. It is the least
	// that keeps an answer that was lost from locking a computer out that comes late.
	renewAgain = 5 * time.Minute
	// maxLiving is how many certificates of a computer are good at a time: the one it calls with, one whose answer may
	// have been lost, and the new one.
	maxLiving = 3
)

// TooSoonError refuses a renewal that would be granted later.
type TooSoonError struct {
	Computer string
	When     time.Time // from then on it is granted
	Wait     time.Duration
}

func (e *TooSoonError) Error() string {
	return fmt.Sprintf("the certificate of computer %s may be renewed from %s on; to have another key before, enrol again with a token",
		e.Computer, rows.Stamp(e.When))
}

// Renew makes a new certificate for the computer that calls, from the middle of the life of the one that it calls with.
// Before, and shortly after the last one was made, the error is a *TooSoonError. The present certificate stays good until
// its end, so that an answer that is lost locks nobody out; what Record replaces are ended ones, and those beyond the
// limit of living ones, the oldest first. Record conflicts when the present one is revoked in this very moment, or when
// another renewal came first.
func (id *Identity) Renew(ctx context.Context, p Peer, csr []byte) (Issued, error) {
	now := id.cfg.Now()
	last, err := id.lastIssued(ctx, p.ID)
	if err != nil {
		return Issued{}, err
	}
	when := p.NotBefore.Add(p.NotAfter.Sub(p.NotBefore) / 2)
	if next := last.Add(renewAgain); next.After(when) && !last.After(now) { // a clock set back locks nobody out
		when = next
	}
	if now.Before(when) {
		return Issued{}, &TooSoonError{Computer: p.ID, When: when, Wait: when.Sub(now)}
	}
	issued, err := id.Issue(csr, p.ID)
	if err != nil {
		return issued, err
	}
	issued.Record = slices.Concat([]store.Statement{{
		SQL: `UPDATE certificate SET reason = 'renewed' WHERE serial = ? AND revoked = ''
AND (SELECT max(issued) FROM certificate WHERE computer = ? AND revoked = '') = ?`,
		Args: []any{p.Serial, p.ID, rows.Stamp(last)}, Want: 1,
	}, {
		SQL: `DELETE FROM certificate WHERE computer = ? AND not_after < ?`, Args: []any{p.ID, rows.Stamp(now)},
	}, {
		SQL: `DELETE FROM certificate WHERE serial IN (SELECT serial FROM certificate
WHERE computer = ? AND revoked = '' AND serial <> ? ORDER BY issued DESC, serial LIMIT -1 OFFSET ?)`,
		Args: []any{p.ID, p.Serial, maxLiving - 2},
	}}, issued.Record)
	return issued, nil
}

// lastIssued is when the youngest certificate in force of a computer was made.
func (id *Identity) lastIssued(ctx context.Context, computer string) (time.Time, error) {
	var last sql.NullString
	err := id.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT max(issued) FROM certificate WHERE computer = ? AND revoked = ''`, computer).Scan(&last)
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("look up the certificates of computer %s: %w", computer, err)
	}
	return rows.Unstamp(last.String), nil
}

// RevokeComputer returns the statement that ends every certificate of a computer.
func RevokeComputer(computer, reason string, at time.Time) store.Statement {
	return store.Statement{
		SQL:  `UPDATE certificate SET revoked = ?, reason = ? WHERE computer = ? AND revoked = ''`,
		Args: []any{rows.Stamp(at), reason, computer},
	}
}

// Peer is who stands at the other end of a TLS connection.
type Peer struct {
	Kind      string // KindComputer or KindNode
	Site      string // id; of this site, or of the child whose node calls
	ID        string
	Serial    string
	NotBefore time.Time
	NotAfter  time.Time
}

// Peer tells who calls with a certificate. It must be one that this site made, is on record, and was not revoked, or one
// of a node of a child that still is one, now; else the error wraps ErrUnauthorised.
func (id *Identity) Peer(ctx context.Context, state *tls.ConnectionState) (Peer, error) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return Peer{}, Unauthorised("this path takes a certificate of this site: enrol first")
	}
	p, err := id.peer(ctx, state)
	if err != nil {
		return Peer{}, err
	}
	if !p.NotAfter.After(id.cfg.Now()) { // the connection may be older than the end
		return Peer{}, Unauthorised("the certificate of %s %s ended at %s: enrol again", p.Kind, p.ID, rows.Stamp(p.NotAfter))
	}
	if p.Kind == KindNode {
		return p, nil
	}
	return p, id.onRecord(ctx, p)
}

func (id *Identity) peer(ctx context.Context, state *tls.ConnectionState) (Peer, error) {
	if !rooted(state, id.authority.cert.Raw) {
		return id.neighbour(ctx, state.PeerCertificates[0])
	}
	cert := state.PeerCertificates[0]
	kind, name, err := id.authority.holder(cert)
	return peerOf(cert, id.cfg.Site, kind, name), err
}

func peerOf(cert *x509.Certificate, site, kind, id string) Peer {
	return Peer{
		Kind: kind, Site: site, ID: id, Serial: serialText(cert.SerialNumber), NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
	}
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
