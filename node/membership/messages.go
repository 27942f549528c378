package membership

import (
	"time"

	"thatch/node/disk"
	"thatch/node/quorum"
	"thatch/node/store"
)

// Paths of calls between nodes, below wire.Prefix.
const (
	pathJoin    = "join"
	pathForward = "forward"
	pathHello   = "hello"
	pathLead    = "lead"
	pathCertify = "certify"
	kindPayload = "payload" // files, not calls
)

// JoinRequest is how a node asks to become one of the site's. It brings the token as a bearer token.
type JoinRequest struct {
	Node      string   `json:"node"` // id
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"` // HOST:PORT
	Names     []string `json:"names"`     // host names and addresses for its certificate
	Votes     bool     `json:"votes"`
	SealKey   []byte   `json:"seal_key"` // X25519
	CSR       []byte   `json:"csr"`      // certificate request, DER
	Version   string   `json:"version"`
	Schema    int      `json:"schema"`
}

// JoinAnswer is what a node needs to come to its site.
type JoinAnswer struct {
	Site  string   `json:"site"` // id
	Name  string   `json:"name"`
	Node  string   `json:"node"`  // id of the one that answers
	Chain [][]byte `json:"chain"` // the node's certificate and the authority's, DER
	Nodes []Known  `json:"nodes"` // of the site
}

// Known is where a node is reached.
type Known struct {
	ID        string   `json:"id"`
	Addresses []string `json:"addresses"`
}

// forwardAnswer is that to a batch.
type forwardAnswer struct {
	Index     uint64           `json:"index"`
	Conflicts []store.Conflict `json:"conflicts,omitempty"`
	Repeated  bool             `json:"repeated,omitempty"`
}

// hello is what nodes tell each other all the time.
type hello struct {
	Addresses []string `json:"addresses"`
	Version   string   `json:"version"`
	Schema    int      `json:"schema"`
}

// Local is what a node alone knows of itself.
type Local struct {
	State       string      `json:"state"`            // starting, running
	Reason      string      `json:"reason,omitempty"` // what it waits for
	Started     time.Time   `json:"started"`
	Certificate time.Time   `json:"certificate_ends"`
	Disk        *disk.Space `json:"disk,omitempty"` // of its data folder
	Database    int64       `json:"database_bytes"`
	Problem     string      `json:"problem,omitempty"`
}

// Status is how a node fares.
type Status struct {
	Local
	ID      string         `json:"id"`
	Version string         `json:"version"`
	Schema  int            `json:"schema"`      // newest that its program knows
	Held    int            `json:"schema_held"` // of its database
	Time    time.Time      `json:"time"`        // of its clock
	Quorum  *quorum.Status `json:"quorum,omitempty"`
	Heard   time.Time      `json:"heard,omitzero"` // when it last heard from the node that leads, by its own clock
}

// helloAnswer is that to a hello: how a node fares, and where it reaches others.
type helloAnswer struct {
	Status
	Others []Known `json:"others,omitempty"`
}

// certifyRequest asks for a certificate in the place of the one that the call comes with.
type certifyRequest struct {
	Names []string `json:"names"` // host names and addresses
	CSR   []byte   `json:"csr"`   // certificate request for the same key, DER
}

// certifyAnswer is a certificate with that of the authority, DER.
type certifyAnswer struct {
	Chain [][]byte `json:"chain"`
}

// leadRequest asks the node that leads to hand the lead to another.
type leadRequest struct {
	To string `json:"to"` // id; "" whichever is best
}
