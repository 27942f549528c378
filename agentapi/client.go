package agentapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Limits of what an agent reads from a node, and how long it waits.
const (
	// MaxResponse bounds the body of every answer but a payload's, after decompression, in bytes.
	MaxResponse = 64 << 20
	maxError    = 64 << 10
	dialTimeout = 10 * time.Second
	waitTimeout = 90 * time.Second // a node holds waiting calls for up to a minute
	callTimeout = 3 * time.Minute
	// answerTimeout is how long a node may take to begin its answer: longer than it holds a waiting call.
	answerTimeout = 75 * time.Second
)

// ErrAddress says that a text is no address of a node.
var ErrAddress = errors.New("not an address of a node")

// ErrUntrusted says that whoever answered is no node of the agent's site.
var ErrUntrusted = errors.New("the node is not of this site")

// silence is how long nothing may come from the other end of a connection, in seconds, not even a word that it is there.
const silence = 5

// dialer notices soon that nobody is at the other end of a connection any more: calls wait for a long time. While nothing is on
// its way, TCP asks whether the other end is there; what was sent and is not acknowledged has its own limit.
var dialer = net.Dialer{
	Timeout:         dialTimeout,
	KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence / 2 * time.Second, Interval: time.Second, Count: silence - silence/2},
	Control: func(_, _ string, c syscall.RawConn) error {
		// A system that does not know the limit waits as long as it always does, some minutes.
		return c.Control(func(socket uintptr) { _ = limitUnacknowledged(socket, silence) })
	},
}

// Client calls the nodes of a site as one agent. It is safe for several goroutines; Close ends its idle connections.
type Client struct {
	base  *url.URL
	http  *http.Client
	plain *http.Transport
	nodes atomic.Pointer[string] // HeaderNodes of the last answer
}

// Trust is how an agent knows the nodes of its site: by the fingerprint of the site's authority, which a token
// carries, or by the authority's certificate, once enrolled.
type Trust struct {
	Fingerprint [16]byte          // used when Authority is nil
	Authority   *x509.Certificate // of the site
	Now         func() time.Time  // nil: time.Now
}

// NewClient makes a client of the node at an address such as https://node.example:8443. Without a certificate it can
// only enrol.
func NewClient(node string, trust Trust, certificate *tls.Certificate) (*Client, error) {
	base, err := parseNode(node)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		// The chain is judged by trust.verify, which knows the site's authority and no host names.
		InsecureSkipVerify: true,
		VerifyConnection:   trust.verify,
		ClientSessionCache: tls.NewLRUClientSessionCache(2),
	}
	if certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: answerTimeout,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   2,
	}
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: base, http: &http.Client{Transport: transport, CheckRedirect: refuse}, plain: transport}, nil
}

// CheckNode says what is wrong with an address of a node; the error wraps ErrAddress.
func CheckNode(node string) error {
	_, err := parseNode(node)
	return err
}

func parseNode(node string) (*url.URL, error) {
	if !strings.Contains(node, "://") {
		node = "https://" + node
	}
	base, err := url.Parse(node)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	switch {
	case base.Scheme == "http":
		return nil, fmt.Errorf("%w: %q: nodes speak TLS alone, write https://HOST:PORT", ErrAddress, node)
	case base.Scheme != "https" || base.Host == "":
		return nil, fmt.Errorf("%w: %q: want https://HOST:PORT", ErrAddress, node)
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	return base, nil
}

// verify accepts a connection to a node of the site: its certificate was issued for server authentication by the
// authority.
func (t Trust) verify(state tls.ConnectionState) error {
	certificates := state.PeerCertificates
	authority := t.Authority
	for _, certificate := range certificates {
		if authority == nil && Fingerprint(certificate.Raw) == t.Fingerprint && certificate.IsCA {
			authority = certificate
		}
	}
	if authority == nil {
		return fmt.Errorf("%w: its authority does not have the fingerprint of the token", ErrUntrusted)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(authority)
	for _, certificate := range certificates[1:] {
		between.AddCert(certificate)
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if t.Now != nil {
		options.CurrentTime = t.Now()
	}
	if _, err := certificates[0].Verify(options); err != nil {
		return fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return nil
}

// Node is the address of the node that the client calls.
func (c *Client) Node() string { return c.base.String() }

// Close ends idle connections. The client may be used again.
func (c *Client) Close() { c.plain.CloseIdleConnections() }

// Enrol makes the agent a computer of the site.
func (c *Client) Enrol(ctx context.Context, request EnrolRequest) (EnrolResponse, error) {
	return callWith[EnrolResponse](ctx, c, PathEnrol, request.Token, request)
}

// Renew asks for a new certificate.
func (c *Client) Renew(ctx context.Context, request RenewRequest) (RenewResponse, error) {
	return call[RenewResponse](ctx, c, PathRenew, request)
}

// Rules asks for one page of the rules that changed.
func (c *Client) Rules(ctx context.Context, request RulesRequest) (RulesResponse, error) {
	return call[RulesResponse](ctx, c, PathRules, request)
}

// Report says what changed on the computer.
func (c *Client) Report(ctx context.Context, request ReportRequest) (ReportResponse, error) {
	return call[ReportResponse](ctx, c, PathReport, request)
}

// Assignments asks what is ordered for the computer.
func (c *Client) Assignments(ctx context.Context, request AssignmentsRequest) (AssignmentsResponse, error) {
	return call[AssignmentsResponse](ctx, c, PathAssignments, request)
}

// Wait asks whether there is something to do now, and may take as long as the request says.
func (c *Client) Wait(ctx context.Context, request WaitRequest) (WaitResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	return call[WaitResponse](ctx, c, PathWait, request)
}

// Nodes asks for the nodes of the site.
func (c *Client) Nodes(ctx context.Context, request NodesRequest) (NodesResponse, error) {
	return call[NodesResponse](ctx, c, PathNodes, request)
}

// NodesVersion is the version of the list of nodes that came with the last answer, "" where none did.
func (c *Client) NodesVersion() string {
	if version := c.nodes.Load(); version != nil {
		return *version
	}
	return ""
}

// There is nil when the node answers.
func (c *Client) There(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.String()+PathHere, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", PathHere, err)
	}
	response, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("call the node: %w", err)
	}
	if response.StatusCode/100 != 2 {
		err = readError(response)
	}
	_ = response.Body.Close() // nothing is in it
	return err
}

// Here measures how long the node takes to answer, over a connection that stands.
func (c *Client) Here(ctx context.Context) (took time.Duration, err error) {
	if err := c.There(ctx); err != nil { // it makes the connection
		return 0, err
	}
	began := time.Now()
	err = c.There(ctx)
	return time.Since(began), err
}

func call[Answer any](ctx context.Context, c *Client, path string, request any) (Answer, error) {
	return callWith[Answer](ctx, c, path, "", request)
}

// callWith calls as the bearer of a token, "" none.
func callWith[Answer any](ctx context.Context, c *Client, path, token string, request any) (Answer, error) {
	var answer Answer
	body, err := json.Marshal(request)
	if err != nil {
		return answer, fmt.Errorf("encode %s: %w", path, err)
	}
	if len(body) > MaxRequest {
		return answer, fmt.Errorf("%s: the request has %d bytes, a node reads at most %d", path, len(body), MaxRequest)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return answer, fmt.Errorf("%s: %w", path, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.http.Do(req)
	if err != nil {
		return answer, fmt.Errorf("call the node: %w", err)
	}
	defer response.Body.Close()
	if version := response.Header.Get(HeaderNodes); version != "" {
		c.nodes.Store(&version)
	}
	if response.StatusCode/100 != 2 {
		return answer, readError(response)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, MaxResponse+1))
	if err != nil {
		return answer, fmt.Errorf("%s: read the answer of %s: %w", path, c.base.Host, err)
	}
	if len(raw) > MaxResponse {
		return answer, fmt.Errorf("%s: the answer of %s is larger than %d bytes", path, c.base.Host, MaxResponse)
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return answer, fmt.Errorf("%s: the answer of %s cannot be read: %w", path, c.base.Host, err)
	}
	return answer, nil
}

// PayloadURL is where the node serves the payload file with a SHA-256 (hexadecimal), with ranges. HTTP fetches it.
func (c *Client) PayloadURL(sha256 string) string {
	return c.base.String() + PathPayload + url.PathEscape(sha256)
}

// HTTP is the client's own connection to its node: it trusts nothing else and carries the agent's certificate.
func (c *Client) HTTP() *http.Client { return c.http }
