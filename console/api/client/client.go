// Package client is the Go client of /api/v1, which the command line uses. It finds its node by a data folder (through
// the door there) or by a URL with a token.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
)

const (
	prefix    = "/api/v1"
	maxAnswer = 256 << 20
	maxError  = 64 << 10
)

// Headers that carry what the client wrote last, and what a retry is recognised by.
const (
	headerIndex   = "X-Thatch-Index"
	headerRequest = "X-Request-Id"
)

// ErrNoNode says that nothing answers where the node should be.
var ErrNoNode = errors.New("no node answers")

// ErrUsage says that what was asked for makes no sense, whatever node answers.
var ErrUsage = errors.New("wrong usage")

// asked is an ErrUsage in words of its own.
type asked struct{ error }

func (a asked) Unwrap() error      { return a.error }
func (asked) Is(target error) bool { return target == ErrUsage }

func askedFor(format string, args ...any) error { return asked{fmt.Errorf(format, args...)} }

// Client is safe for use by several goroutines.
type Client struct {
	http   *http.Client
	base   string // URL before prefix
	token  string
	where  string // for messages
	pinned bool   // the site's authority was named
	index  atomic.Pointer[string]
}

// Error is an answer that is not 2xx.
type Error struct {
	Status int    `json:"-"`
	Code   string `json:"code"`
	Text   string `json:"error"`
}

func (e *Error) Error() string { return e.Text }

// Request is one request to the API.
type Request struct {
	Method string
	Path   string // below /api/v1, see Path
	Query  url.Values
	In     any    // body, encoded as JSON; an io.Reader: a file, as it stands; nil: none
	ID     string // under which a retry is recognised; "": it is not
}

// Path makes a path of segments, escaping each.
func Path(segments ...string) string {
	var path strings.Builder
	for _, s := range segments {
		path.WriteString("/" + url.PathEscape(s))
	}
	return path.String()
}

// Get reads path (below /api/v1, see Path) into out, which may be a *json.RawMessage.
func (c *Client) Get(ctx context.Context, path string, query url.Values, out any) error {
	return c.Do(ctx, Request{Method: http.MethodGet, Path: path, Query: query}, out)
}

// Post makes or starts something; in and out may be nil.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	return c.Do(ctx, Request{Method: http.MethodPost, Path: path, In: in}, out)
}

// Put replaces what is at path; in and out may be nil.
func (c *Client) Put(ctx context.Context, path string, in, out any) error {
	return c.Do(ctx, Request{Method: http.MethodPut, Path: path, In: in}, out)
}

// Delete removes what is at path.
func (c *Client) Delete(ctx context.Context, path string) error {
	return c.Do(ctx, Request{Method: http.MethodDelete, Path: path}, nil)
}

// Do makes one request. What this client wrote before is seen by its reads, whichever node answers. The error is
// *Error for an answer that is not 2xx, and wraps ErrNoNode where nothing answered.
func (c *Client) Do(ctx context.Context, r Request, out any) error {
	answer, err := c.Open(ctx, r)
	if err != nil {
		return err
	}
	defer answer.Close()
	body := io.LimitReader(answer, maxAnswer)
	if out == nil {
		_, err = io.Copy(io.Discard, body)
		return err
	}
	if err := json.NewDecoder(body).Decode(out); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("the answer of %s to %s %s: %w", c.where, r.Method, r.Path, err)
	}
	return nil
}

// Open makes one request and returns the body of its answer, for streams.
func (c *Client) Open(ctx context.Context, in Request) (io.ReadCloser, error) {
	if err := checkPath(in.Path); err != nil {
		return nil, err
	}
	body, isFile := in.In.(io.Reader)
	if in.In != nil && !isFile {
		text, err := json.Marshal(in.In)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	target := c.base + prefix + in.Path
	if len(in.Query) > 0 {
		target += "?" + in.Query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, in.Method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", in.Method, in.Path, err)
	}
	if in.ID != "" {
		r.Header.Set(headerRequest, in.ID)
	}
	switch {
	case isFile:
		r.Header.Set("Content-Type", "application/octet-stream")
	case body != nil:
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if index := c.index.Load(); index != nil {
		r.Header.Set(headerIndex, *index)
	}
	return c.send(r)
}

// checkPath refuses ids that are no names: on the way they would make the path another one.
func checkPath(path string) error {
	for _, segment := range strings.Split(path, "/")[1:] {
		if segment == "" || segment == "." || segment == ".." {
			return askedFor("%q is no name or id of anything", segment)
		}
	}
	return nil
}

func (c *Client) send(r *http.Request) (io.ReadCloser, error) {
	answer, err := c.http.Do(r)
	if err != nil {
		if r.Context().Err() != nil {
			return nil, fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, r.Context().Err())
		}
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		if err := c.stranger(err); err != nil {
			return nil, err
		}
		return nil, noNode(c.where, err)
	}
	if index := answer.Header.Get(headerIndex); index != "" {
		c.index.Store(&index)
	}
	if answer.StatusCode/100 == 2 {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	e := &Error{Status: answer.StatusCode}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxError)) // what came is told, however little
	if json.Unmarshal(text, e) != nil || e.Text == "" {
		e.Code, e.Text = "failed", fmt.Sprintf("%s answered %s: %.200s", c.where, answer.Status, text)
	}
	return nil, e
}
