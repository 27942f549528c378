package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"thatch/node/places"
)

// Prefix is below what nodes call each other.
const Prefix = "/node/v1/"

// Limits of calls, in bytes.
const (
	maxAnswer = 4 << 20
	maxError  = 16 << 10
)

// Error is how a call is refused.
type Error struct {
	Status int    `json:"-"`
	Code   string `json:"code"`
	Text   string `json:"error"`
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// CodeOf is the code with which a call was refused, "" where it was not.
func CodeOf(err error) string {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}

// Caller calls other nodes. It is safe for use by several goroutines.
type Caller struct{ http *http.Client }

// Caller makes calls from this node, with its certificate.
func (p *Port) Caller() *Caller {
	transport := &http.Transport{
		// The host in the address of a call is a node's id.
		DialTLSContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			id, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return p.Dial(ctx, ProtocolCalls, id)
		},
		MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute, DisableCompression: true,
	}
	context.AfterFunc(p.ctx, transport.CloseIdleConnections)
	return &Caller{&http.Client{Transport: transport}}
}

// CallAt calls a node at an address, HOST:PORT, before it is known by anything but what the configuration verifies.
func CallAt(ctx context.Context, address string, config *tls.Config, call Call) error {
	config = config.Clone()
	config.NextProtos = []string{ProtocolCalls}
	transport := &http.Transport{
		Proxy: nil, TLSClientConfig: config, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}, DisableKeepAlives: true,
	}
	return (&Caller{&http.Client{Transport: transport}}).Call(ctx, address, call)
}

// Call is one: In is sent as JSON, or Raw as it is; Out takes the JSON of the answer.
type Call struct {
	Path  string // below Prefix
	Token string // bearer token, of a node that joins
	In    any
	Raw   []byte
	Out   any
}

// Call calls a node by its id. The error is an *Error where the node refuses, and wraps ErrUnreached where nothing was said.
func (c *Caller) Call(ctx context.Context, id string, call Call) error {
	body, kind := call.Raw, "application/octet-stream"
	if body == nil {
		kind = "application/json"
		var err error
		if body, err = json.Marshal(call.In); err != nil {
			return fmt.Errorf("encode a call of %s: %w", call.Path, err)
		}
	}
	at := url.URL{Scheme: "https", Host: id, Path: Prefix + call.Path}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call %s: %w", call.Path, err)
	}
	request.Header.Set("Content-Type", kind)
	if call.Token != "" {
		request.Header.Set("Authorization", "Bearer "+call.Token)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		var wrapped *url.Error // repeats the address
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		if errors.Is(err, ErrUnreached) {
			return err
		}
		return fmt.Errorf("call %s of node %s: %w", call.Path, id, err)
	}
	defer answer.Body.Close()
	return read(answer, call.Out)
}

func read(answer *http.Response, out any) error {
	if answer.StatusCode != http.StatusOK {
		refused := &Error{Status: answer.StatusCode}
		text, err := io.ReadAll(io.LimitReader(answer.Body, maxError))
		if err != nil || json.Unmarshal(text, refused) != nil || refused.Text == "" {
			refused.Text = "the node answers " + answer.Status
		}
		return refused
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("read the answer: %w", err)
	case len(text) > maxAnswer:
		return fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("the answer makes no sense: %w", err)
	}
	return nil
}

// File is where a node is asked for a file of a kind, with the client to ask with.
func (c *Caller) File(id, kind, name string) (address string, client *http.Client) {
	at := url.URL{Scheme: "https", Host: id, Path: Prefix + kind + "/" + name}
	return at.String(), c.http
}

// Door answers calls by path below Prefix. Every one is judged anew, but for those of Open, which see to it themselves.
type Door struct {
	Port  *Port
	Files map[string]func(w http.ResponseWriter, r *http.Request, name string) error // GET of KIND/NAME; an error is answered here
	Calls map[string]func(w http.ResponseWriter, r *http.Request, from Peer) (any, error)
	Open  map[string]func(w http.ResponseWriter, r *http.Request) (any, error)
	Fail  func(err error) *Error // what a call is answered with that fails
}

// ServeHTTP implements http.Handler.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out, err := d.answer(w, r)
	if err == nil && out == sent {
		return
	}
	if err != nil {
		places.Unread(w)
		refused := d.Fail(err)
		writeJSON(w, refused.Status, refused)
		return
	}
	writeJSON(w, http.StatusOK, out)
}

type connKey struct{}

// sent is the answer that was given already.
var sent = new(struct{ _ byte })

// Serve answers calls until the port is closed, or the server.
func (d *Door) Serve(server *http.Server) error {
	server.Handler = d
	// The server is not shown that this is TLS: it knows no protocol but its own.
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, conn)
	}
	return server.Serve(d.Port.Listener(ProtocolCalls))
}

func (d *Door) answer(w http.ResponseWriter, r *http.Request) (any, error) {
	path, below := strings.CutPrefix(r.URL.Path, Prefix)
	kind, name, _ := strings.Cut(path, "/")
	file, files := d.Files[kind]
	call, calls := d.Calls[path]
	switch {
	case below && r.Method == http.MethodGet && files && name != "":
		if _, err := d.judge(r); err != nil {
			return nil, err
		}
		return sent, file(w, r, name)
	case below && r.Method == http.MethodPost && calls:
		from, err := d.judge(r)
		if err != nil {
			return nil, err
		}
		return call(w, r, from)
	case below && r.Method == http.MethodPost && d.Open[path] != nil:
		return d.Open[path](w, r)
	}
	return nil, &Error{http.StatusNotFound, "not_found", "nodes call nothing of the kind: " + r.Method + " " + r.URL.Path}
}

// judge tells which node calls, and whether it is let in, now.
func (d *Door) judge(r *http.Request) (Peer, error) {
	conn, ok := r.Context().Value(connKey{}).(*stream)
	if !ok {
		return Peer{}, errors.New("nodes call each other over TLS alone")
	}
	return d.Port.Judge(conn.ConnectionState())
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller went away: nobody to tell
}

// Decode reads the JSON of a call, of at most so many bytes.
func Decode[T any](w http.ResponseWriter, r *http.Request, limit int64) (T, error) {
	var in T
	body, err := places.Read(w, r, limit)
	if err != nil {
		return in, &Error{http.StatusBadRequest, "invalid", err.Error()}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return in, &Error{http.StatusBadRequest, "invalid", "the call makes no sense: " + err.Error()}
	}
	return in, nil
}
