package membership

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"

	"thatch/node/identity"
	"thatch/node/members"
	"thatch/node/wire"
)

// Renew gets a new certificate for this node, which does not hold the site's keys, from one that does: the present one says who
// asks, and the key stays. Names are the host names and addresses under which this node is reached.
func (m *Membership) Renew(ctx context.Context, names []string) error {
	csr, err := m.creds.Request()
	if err != nil {
		return err
	}
	errs := []error{identity.ErrKeyless}
	for _, sister := range m.Sisters() {
		if n, known := m.find(sister.ID); known && !n.Votes {
			continue
		}
		var answer certifyAnswer
		call, cancel := context.WithTimeout(ctx, helloTimeout)
		err := m.caller.Call(call, sister.ID, wire.Call{Path: pathCertify, In: certifyRequest{names, csr}, Out: &answer})
		cancel()
		if err == nil {
			err = m.creds.Keep(answer.Chain)
		}
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("renew the certificate of this node: %w", errors.Join(errs...))
}

// certify makes a certificate for a node of the table that calls with the one it has.
func (m *Membership) certify(w http.ResponseWriter, r *http.Request, from wire.Peer) (any, error) {
	rooms, err := m.room()
	if err != nil {
		return nil, err
	}
	in, err := wire.Decode[certifyRequest](w, r, maxCall)
	if err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(in.CSR)
	if err != nil {
		return nil, &wire.Error{Status: http.StatusBadRequest, Code: codeInvalid, Text: "the certificate request: " + err.Error()}
	}
	if hash := sha256.Sum256(csr.RawSubjectPublicKeyInfo); !bytes.Equal(hash[:], from.KeyHash) {
		return nil, &wire.Error{Status: http.StatusBadRequest, Code: codeInvalid, Text: "the certificate request is for another key than the one that the node calls with"}
	}
	if _, known := m.find(from.ID); !known { // one that was removed is refused before
		return nil, members.Refuse(members.CodeStranger, "there is no node %s in this site, as far as is known here", from.ID)
	}
	chain, err := rooms.identity.CertifyNode(from.ID, in.CSR, in.Names)
	if err != nil {
		return nil, err
	}
	m.cfg.Log.Info("a node without a vote has a new certificate", "node", from.ID)
	return certifyAnswer{chain}, nil
}
