package wire

import (
	"bufio"
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
	"sync/atomic"
	"time"

	"thatch/catalog/document"
	"thatch/node/replicas/alike"
)

const (
	// Silence is how long a stream may say nothing, not even that it lives, before it counts as cut.
	Silence = 45 * time.Second
	// Alive is how often the parent gives a sign of life.
	Alive = 15 * time.Second
)

// Client calls the parent as one node of a child. It is safe for several goroutines; Close ends its connections.
type Client struct {
	base      *url.URL
	http      *http.Client
	transport *http.Transport
	bytes     atomic.Int64
	known     func(ctx context.Context, runs []alike.Run) ([]document.Document, error)
	plain     atomic.Int32 // so many pages are asked for without what is known
	patience  time.Duration
}

// NewClient makes a client of the parent's node at an address such as https://parent.example:8743. The TLS configuration
// knows the parent's authority and carries the child's certificate (see node/identity). Pace, where given, is asked before
// bytes are read from or written to a connection.
func NewClient(address string, config *tls.Config, pace Pace) (*Client, error) {
	base, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil || pace == nil {
				return conn, err
			}
			return &pacedConn{Conn: conn, pace: pace}, nil
		},
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: callTimeout,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   4,
		DisableCompression:    true, // pages are compressed already
	}
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: base, http: &http.Client{Transport: transport, CheckRedirect: refuse}, transport: transport, patience: callTimeout}, nil
}

// keepAlive has a parent's node that is gone without a word found out in seconds, for a few bytes and none of TLS's.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 4 * time.Second, Interval: 2 * time.Second, Count: 3}

// Pace waits until a number of bytes may pass.
type Pace interface {
	Wait(ctx context.Context, bytes int) error
}

// pacedConn asks before it passes bytes on, in small portions.
type pacedConn struct {
	net.Conn
	pace Pace
}

const portion = 16 << 10

// Read implements io.Reader.
func (c *pacedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), portion)])
	if n > 0 {
		if waited := c.pace.Wait(context.Background(), n); waited != nil && err == nil {
			err = waited
		}
	}
	return n, err
}

// Write implements io.Writer.
func (c *pacedConn) Write(p []byte) (done int, err error) {
	for done < len(p) {
		part := p[done:min(len(p), done+portion)]
		if err := c.pace.Wait(context.Background(), len(part)); err != nil {
			return done, err
		}
		n, err := c.Conn.Write(part)
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Address is that of the parent's node.
func (c *Client) Address() string { return c.base.String() }

// Bytes counts the bodies of requests and answers so far, as they were on the wire before TLS.
func (c *Client) Bytes() int64 { return c.bytes.Load() }

// Close ends the connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Know has pages compressed against documents that are held here, which recall reads. It is called before the first Fetch.
func (c *Client) Know(recall func(ctx context.Context, runs []alike.Run) ([]document.Document, error)) {
	c.known = recall
}

// Portion is how many bytes are pushed at once over a link that is for so many bytes a second: what is cut is sent again whole.
func Portion(rate int64, most int) int {
	if rate <= 0 {
		return most
	}
	return int(min(int64(most), min(max(rate, 256), int64(most))*portionSeconds))
}

const portionSeconds = 60

// plainly is how many pages are asked for without what is known after one whose sender took for known what is not here: a
// document in quarantine, for instance.
const plainly = 20

// HTTP is the client's own connection to the parent: it trusts nothing else and carries the child's certificate.
func (c *Client) HTTP() *http.Client { return c.http }

// PayloadURL is where the parent serves the payload file with a SHA-256 (hexadecimal), with ranges, to whom a payload
// document is sent that names it.
func (c *Client) PayloadURL(sha256 string, payload document.Digest) string {
	return c.base.String() + PathPayload + url.PathEscape(sha256) + "?document=" + payload.String()
}

// call is one call on its way. However slow the line is and however much there is to carry, it goes on as long as something
// moves.
type call struct {
	ctx   context.Context
	still *time.Timer
	after time.Duration
}

// call begins a call. Whoever has read the answer ends it.
func (c *Client) call(ctx context.Context) (begun *call, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	begun = &call{ctx: ctx, after: c.patience}
	begun.still = time.AfterFunc(c.patience, func() {
		cancel(fmt.Errorf("%w between this site and its parent for %v, in the midst of a call", errStill, c.patience))
	})
	return begun, func() {
		begun.still.Stop()
		cancel(nil)
	}
}

var errStill = errors.New("nothing moved")

// moved says that bytes passed.
func (c *call) moved() { c.still.Reset(c.after) }

// because says why a call was ended that stood still.
func (c *call) because(err error) error {
	if cause := context.Cause(c.ctx); err != nil && errors.Is(cause, errStill) {
		return cause
	}
	return err
}

// body is that of a call's request.
func (c *call) body(raw []byte) io.ReadCloser {
	return &counted{ReadCloser: io.NopCloser(bytes.NewReader(raw)), moved: func(int) { c.moved() }}
}

// counted tells of what is read.
type counted struct {
	io.ReadCloser
	moved func(bytes int)
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if n > 0 {
		c.moved(n)
	}
	return n, err
}

// send sends a request; call is nil for one that may stand still as long as it likes.
func (c *Client) send(ctx context.Context, on *call, path, accept string, body []byte) (*http.Response, error) {
	method := http.MethodGet
	if on != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if on != nil {
		req.Body, req.ContentLength = on.body(body), int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return on.body(body), nil } // a connection that was idle may be cut
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	markByHand(req)
	c.bytes.Add(int64(len(body)))
	response, err := c.http.Do(req)
	if err != nil {
		if on != nil {
			err = on.because(err)
		}
		return nil, fmt.Errorf("call the parent: %w", err)
	}
	response.Body = &counted{response.Body, func(bytes int) {
		c.bytes.Add(int64(bytes))
		if on != nil {
			on.moved()
		}
	}}
	if response.StatusCode/100 != 2 {
		defer response.Body.Close()
		return nil, ReadError(response)
	}
	return response, nil
}

// Call posts a small message and reads the answer.
func Call[Answer any](ctx context.Context, c *Client, path string, request any) (Answer, error) {
	var answer Answer
	body, err := json.Marshal(request)
	if err != nil {
		return answer, fmt.Errorf("encode %s: %w", path, err)
	}
	return answer, c.post(ctx, path, body, &answer)
}

func (c *Client) post(ctx context.Context, path string, body []byte, answer any) error {
	on, end := c.call(ctx)
	defer end()
	response, err := c.send(on.ctx, on, path, "", body)
	if err != nil {
		return err
	}
	return on.because(readAnswer(response, path, answer))
}

// Fetch posts a small message and reads a page.
func (c *Client) Fetch(ctx context.Context, path string, request any) (*Page, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", path, err)
	}
	var page *Page
	if c.known == nil || c.plain.Add(-1) >= 0 {
		page, err = c.fetch(ctx, path, body, false)
	} else {
		c.plain.Store(0)
		if page, err = c.fetch(ctx, path, body, true); errors.Is(err, ErrNotKnown) {
			c.plain.Store(plainly)
			page, err = c.fetch(ctx, path, body, false)
		}
	}
	return page, err
}

func (c *Client) fetch(ctx context.Context, path string, body []byte, known bool) (*Page, error) {
	accept := PageMedia
	if known {
		accept = KnownMedia
	}
	on, end := c.call(ctx)
	defer end()
	response, err := c.send(on.ctx, on, path, accept, body)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var page *Page
	if known {
		page, err = DecodeKnown(response.Body, body, func(runs []alike.Run) ([]document.Document, error) { return c.known(ctx, runs) })
	} else {
		page, err = DecodePage(response.Body)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, on.because(err))
	}
	return page, nil
}

// Push posts a page and reads the answer.
func (c *Client) Push(ctx context.Context, path string, page *Page) (UpResponse, error) {
	var answer UpResponse
	var body bytes.Buffer
	if err := page.Encode(&body); err != nil {
		return answer, err
	}
	return answer, c.post(ctx, path, body.Bytes(), &answer)
}

// Listen opens the stream and hands on its events until ctx ends, the stream is cut or silent for long, or see returns an
// error.
func (c *Client) Listen(ctx context.Context, see func(Event) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(Silence, func() { cancel(fmt.Errorf("the parent gave no sign of life for %v", Silence)) })
	defer silent.Stop()
	response, err := c.send(ctx, nil, PathStream, "", nil)
	if err != nil {
		return because(ctx, err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(make([]byte, 0, 4<<10), MaxEvent)
	for lines.Scan() {
		silent.Reset(Silence)
		var event Event
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return fmt.Errorf("an event of the parent's stream: %w", err)
		}
		if err := see(event); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return because(ctx, fmt.Errorf("the parent's stream was cut: %w", err))
	}
	return because(ctx, io.EOF)
}

// because prefers why the context was ended.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
