package identity

import "crypto/tls"

// Holder is the id of the computer that a certificate of this site names, whether or not it is still good: it tells
// whoever is refused why. Only Peer lets anybody in.
func (id *Identity) Holder(state *tls.ConnectionState) (computer string, ok bool) {
	if state == nil || len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 || !rooted(state, id.authority.cert.Raw) {
		return "", false
	}
	kind, name, err := id.authority.holder(state.PeerCertificates[0])
	return name, err == nil && kind == KindComputer
}
