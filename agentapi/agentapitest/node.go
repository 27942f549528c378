package agentapitest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/agentapi"
	"thatch/catalog"
	"thatch/catalog/document"
)

// Node is one node of a site, with one computer. Its fields may be changed while it runs, under Lock.
type Node struct {
	sync.Mutex
	Site      agentapi.Site
	Authority *Authority
	Token     agentapi.Token
	Uses      int // enrolments left for Token
	Lifetime  time.Duration
	PageSize  int
	Settings  agentapi.Settings
	Payloads  map[string][]byte
	// Fault is asked before each call; a non-nil answer is sent instead.
	Fault func(path string) *agentapi.Error
	// Wait answers waiting calls; nil: the node is of a version that does not know them.
	Wait func(agentapi.WaitRequest) (*agentapi.WaitResponse, error)
	// Nodes is the list of the site's nodes; its version comes with every answer.
	Nodes agentapi.NodesResponse
	// Serve, when set, answers payload requests.
	Serve http.HandlerFunc

	Computer *Computer
	Calls    []string // paths, in order

	now      func() time.Time
	server   *httptest.Server
	signing  ed25519.PrivateKey
	changes  []change
	policies []agentapi.AssignedPolicy
	windows  []document.Document
}

// Computer is what the node knows of its computer.
type Computer struct {
	ID                             string
	Enrolled                       agentapi.EnrolRequest
	Counter                        uint64
	Applicable, Installed, Unknown map[uint32]bool
	Reasons                        map[uint32]string
	Facts                          *agentapi.Facts
	States                         map[uint32]agentapi.UpdateState
	Attempts                       map[string]agentapi.Attempt
	Cursor                         string
	Reports                        int
	Serial                         string // of the certificate it last called with
}

type change struct {
	number uint32
	update *agentapi.NumberedUpdate // nil: removed
}

// NewNode starts a node that ends with the test.
func NewNode(t testing.TB, now func() time.Time) *Node {
	t.Helper()
	_, signing, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{
		Site:      agentapi.Site{ID: "site-1", Name: "Test", Epoch: "e1"},
		Authority: NewAuthority(t, "site-1", now()), Uses: 1, Lifetime: 90 * 24 * time.Hour, PageSize: 3,
		Settings: agentapi.Settings{CheckInSeconds: 600, ScanSeconds: 3600, Attempts: 3},
		Payloads: map[string][]byte{}, now: now, signing: signing,
	}
	n.Token = agentapi.NewToken([agentapi.SecretSize]byte{1, 2, 3}, n.Authority.Certificate.Raw)
	n.server = httptest.NewUnstartedServer(http.HandlerFunc(n.handle))
	pool := x509.NewCertPool()
	pool.AddCert(n.Authority.Certificate)
	n.server.TLS = &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool, Time: now,
		Certificates: []tls.Certificate{n.Authority.Server(t, x509.ExtKeyUsageServerAuth, now())},
	}
	n.server.StartTLS()
	t.Cleanup(n.server.Close)
	return n
}

// URL is the node's address.
func (n *Node) URL() string { return n.server.URL }

// CutConnections ends all that are open.
func (n *Node) CutConnections() { n.server.CloseClientConnections() }

// Document makes a document of the site, signed.
func (n *Node) Document(t testing.TB, kind document.Kind, id string, languages []string, body any) document.Document {
	t.Helper()
	raw, err := catalog.Encode(body)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := document.New(kind, id, languages, raw)
	if err != nil {
		t.Fatal(err)
	}
	doc.Sign(n.Site.ID, n.signing)
	return doc
}

// Key is the site's signing-key document.
func (n *Node) Key(t testing.TB) document.Document {
	t.Helper()
	doc, err := document.NewKey(n.Site.ID, n.signing.Public().(ed25519.PublicKey), n.signing)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// SetUpdate makes an update document the current one of a number.
func (n *Node) SetUpdate(number uint32, doc document.Document) {
	n.Lock()
	defer n.Unlock()
	n.changes = append(n.changes, change{number, &agentapi.NumberedUpdate{Number: number, Document: doc}})
}

// RemoveUpdate withdraws a number.
func (n *Node) RemoveUpdate(number uint32) {
	n.Lock()
	defer n.Unlock()
	n.changes = append(n.changes, change{number: number})
}

// Order replaces everything that is ordered.
func (n *Node) Order(policies []agentapi.AssignedPolicy, windows ...document.Document) {
	n.Lock()
	defer n.Unlock()
	n.policies, n.windows = policies, windows
}

// TakeOrders takes back everything that is ordered, and returns it.
func (n *Node) TakeOrders() []agentapi.AssignedPolicy {
	n.Lock()
	defer n.Unlock()
	ordered := n.policies
	n.policies = nil
	return ordered
}

// PutPayload serves bytes under their SHA-256, which it returns in hexadecimal.
func (n *Node) PutPayload(content []byte) string {
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	n.Lock()
	defer n.Unlock()
	n.Payloads[digest] = content
	return digest
}

// View is a copy of what the node knows of its computer.
func (n *Node) View() Computer {
	n.Lock()
	defer n.Unlock()
	view := *n.Computer
	view.Applicable, view.Installed, view.Unknown = maps.Clone(view.Applicable), maps.Clone(view.Installed), maps.Clone(view.Unknown)
	view.Reasons, view.States, view.Attempts = maps.Clone(view.Reasons), maps.Clone(view.States), maps.Clone(view.Attempts)
	return view
}

func (n *Node) handle(w http.ResponseWriter, r *http.Request) {
	n.Lock()
	n.Calls = append(n.Calls, r.URL.Path)
	fault := n.Fault
	serve := n.Serve
	if n.Nodes.Version != "" {
		w.Header().Set(agentapi.HeaderNodes, n.Nodes.Version)
	}
	n.Unlock()
	if fault != nil {
		if answer := fault(r.URL.Path); answer != nil {
			refuse(w, http.StatusServiceUnavailable, answer)
			return
		}
	}
	switch {
	case r.URL.Path == agentapi.PathHere:
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Path != agentapi.PathEnrol && len(r.TLS.PeerCertificates) == 0:
		refuse(w, http.StatusUnauthorized, &agentapi.Error{Code: "unauthorised", Text: "no certificate"})
	case strings.HasPrefix(r.URL.Path, agentapi.PathPayload):
		if serve == nil {
			serve = n.payload
		}
		serve(w, r)
	default:
		n.call(w, r)
	}
}

func (n *Node) payload(w http.ResponseWriter, r *http.Request) {
	digest := strings.TrimPrefix(r.URL.Path, agentapi.PathPayload)
	n.Lock()
	content, held := n.Payloads[digest]
	n.Unlock()
	if !held {
		refuse(w, http.StatusNotFound, &agentapi.Error{Code: agentapi.CodeNotHeld, Text: "payload " + digest + " is not held here"})
		return
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content)))
}

func (n *Node) call(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, agentapi.MaxRequest))
	if err != nil {
		refuse(w, http.StatusBadRequest, &agentapi.Error{Code: agentapi.CodeInvalid, Text: err.Error()})
		return
	}
	n.Lock()
	defer n.Unlock()
	if len(r.TLS.PeerCertificates) > 0 && n.Computer != nil {
		n.Computer.Serial = r.TLS.PeerCertificates[0].SerialNumber.String()
	}
	var answer any
	switch r.URL.Path {
	case agentapi.PathEnrol:
		answer, err = decodeThen(raw, func(q agentapi.EnrolRequest) (*agentapi.EnrolResponse, error) {
			q.Token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			return n.enrol(q)
		})
	case agentapi.PathRenew:
		answer, err = decodeThen(raw, n.renew)
	case agentapi.PathRules:
		answer, err = decodeThen(raw, n.rules)
	case agentapi.PathReport:
		answer, err = decodeThen(raw, n.report)
	case agentapi.PathAssignments:
		answer, err = decodeThen(raw, n.assignments)
	case agentapi.PathNodes:
		answer = n.Nodes
	case agentapi.PathWait:
		if n.Wait != nil {
			answer, err = decodeThen(raw, n.Wait)
			break
		}
		fallthrough
	default:
		err = &agentapi.Error{Code: agentapi.CodeInvalid, Text: "no such path"}
	}
	if err != nil {
		refused, ok := err.(*agentapi.Error)
		if !ok {
			refused = &agentapi.Error{Code: agentapi.CodeInvalid, Text: err.Error()}
		}
		refuse(w, http.StatusBadRequest, refused)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func decodeThen[Q, A any](raw []byte, do func(Q) (A, error)) (any, error) {
	var request Q
	if err := json.Unmarshal(raw, &request); err != nil {
		return nil, err
	}
	return do(request)
}

func refuse(w http.ResponseWriter, status int, answer *agentapi.Error) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func (n *Node) enrol(q agentapi.EnrolRequest) (*agentapi.EnrolResponse, error) {
	if q.Token != n.Token.String() {
		return nil, &agentapi.Error{Code: agentapi.CodeTokenUnknown, Text: "this token was never made here"}
	}
	if n.Uses == 0 {
		return nil, &agentapi.Error{Code: agentapi.CodeTokenUsed, Text: "this token has been used as often as it may"}
	}
	certificate, err := n.Authority.sign(q.CSR, "computer-1", n.now().Add(-time.Minute), n.now().Add(n.Lifetime))
	if err != nil {
		return nil, err
	}
	n.Uses--
	n.Computer = &Computer{ID: "computer-1", Enrolled: q}
	n.Computer.clear()
	key, err := document.NewKey(n.Site.ID, n.signing.Public().(ed25519.PublicKey), n.signing)
	return &agentapi.EnrolResponse{
		Computer: "computer-1", Certificate: certificate, Authority: n.Authority.Certificate.Raw, Site: n.Site,
		Keys: []document.Document{key},
	}, err
}

func (n *Node) renew(q agentapi.RenewRequest) (*agentapi.RenewResponse, error) {
	certificate, err := n.Authority.sign(q.CSR, "computer-1", n.now().Add(-time.Minute), n.now().Add(n.Lifetime))
	return &agentapi.RenewResponse{Certificate: certificate, Authority: n.Authority.Certificate.Raw}, err
}

func (n *Node) rules(q agentapi.RulesRequest) (*agentapi.RulesResponse, error) {
	answer := &agentapi.RulesResponse{Epoch: n.Site.Epoch}
	from, err := strconv.Atoi(q.Cursor)
	if q.Epoch != n.Site.Epoch || q.Cursor == "" || err != nil || from > len(n.changes) {
		from, answer.Reset = 0, true
	}
	to := min(from+n.PageSize, len(n.changes))
	for _, c := range n.changes[from:to] {
		if c.update == nil {
			answer.Removed = append(answer.Removed, c.number)
		} else {
			answer.Updates = append(answer.Updates, *c.update)
		}
	}
	answer.Cursor, answer.More = strconv.Itoa(to), to < len(n.changes)
	return answer, nil
}

func (c *Computer) clear() {
	c.Counter = 0
	c.Applicable, c.Installed, c.Unknown = map[uint32]bool{}, map[uint32]bool{}, map[uint32]bool{}
	c.Reasons, c.States = map[uint32]string{}, map[uint32]agentapi.UpdateState{}
	if c.Attempts == nil {
		c.Attempts = map[string]agentapi.Attempt{}
	}
}

func (n *Node) report(q agentapi.ReportRequest) (*agentapi.ReportResponse, error) {
	c := n.Computer
	c.Reports++
	if q.Epoch != n.Site.Epoch || q.Base != 0 && q.Base != c.Counter {
		return &agentapi.ReportResponse{Counter: c.Counter, Resend: true}, nil
	}
	counter := c.Counter
	if q.Base == 0 {
		c.clear()
	}
	c.Counter = counter + 1
	for _, set := range []struct {
		held   map[uint32]bool
		change agentapi.Change
	}{{c.Applicable, q.Applicable}, {c.Installed, q.Installed}, {c.Unknown, q.Unknown}} {
		if !slices.IsSorted(set.change.Add) || !slices.IsSorted(set.change.Remove) {
			return nil, fmt.Errorf("a set is not sorted: %v", set.change)
		}
		for _, number := range set.change.Remove {
			delete(set.held, number)
		}
		for _, number := range set.change.Add {
			set.held[number] = true
		}
	}
	maps.Copy(c.Reasons, q.Reasons)
	if q.Facts != nil {
		c.Facts = q.Facts
	}
	for _, state := range q.States {
		c.States[state.Number] = state
	}
	for _, attempt := range q.Attempts {
		c.Attempts[attempt.ID] = attempt
	}
	c.Cursor = q.Cursor
	return &agentapi.ReportResponse{Counter: c.Counter, CheckIn: n.Settings.CheckInSeconds}, nil
}

func (n *Node) assignments(q agentapi.AssignmentsRequest) (*agentapi.AssignmentsResponse, error) {
	answer := &agentapi.AssignmentsResponse{Policies: n.policies, Windows: n.windows, Settings: n.Settings}
	raw, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append(raw, n.Site.Epoch...))
	answer.Tag = hex.EncodeToString(sum[:8])
	if q.Tag == answer.Tag {
		return &agentapi.AssignmentsResponse{Tag: answer.Tag, Unchanged: true, Settings: n.Settings}, nil
	}
	return answer, nil
}
