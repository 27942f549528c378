// Package payloads is how a site gets payload files from the site above: by their SHA-256, over the link, within its
// windows and at its pace.
package payloads

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"thatch/catalog"
	"thatch/catalog/content"
	"thatch/catalog/document"
	"thatch/node/bulletins/staging"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication/wire"
)

// Link is the link to the parent.
type Link interface {
	// Client is that of the connection that stands, or why there is none.
	Client() (*wire.Client, error)
	// Window says whether the link may be used now, and in how long that changes.
	Window() (open bool, change time.Duration)
}

// Source brings payloads from the parent. It implements staging.Above.
type Source struct {
	sites *sites.Room
	link  Link
}

// New makes a source.
func New(room *sites.Room, link Link) *Source { return &Source{room, link} }

// Waits before the parent is asked again.
const (
	linkAgain    = time.Minute // the link tells when it stands, see staging.Stager.Again
	refusedAgain = 5 * time.Minute
)

// Parent names the site above; "" there is none.
func (s *Source) Parent(ctx context.Context) (string, error) {
	parent, err := s.sites.Parent(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return parent.Name, err
}

// Request makes the request for a payload file that a payload document names.
func (s *Source) Request(ctx context.Context, payload document.Digest, file catalog.StagedFile) (content.Request, error) {
	parent, err := s.sites.Parent(ctx)
	if err != nil {
		return content.Request{}, err
	}
	client, err := s.link.Client()
	if errors.Is(err, store.ErrInvalid) {
		err = errors.New("it is being opened")
	}
	if err != nil {
		return content.Request{}, &staging.Later{Text: fmt.Sprintf("there is no link to parent %s: %v", parent.Name, err), After: linkAgain}
	}
	if err := s.closed(); err != nil {
		return content.Request{}, err
	}
	return content.Request{
		URL: client.PayloadURL(file.SHA256, payload), Name: file.Name, Size: file.Size, SHA256: file.SHA256,
		Client:  &http.Client{Transport: within{client.HTTP().Transport, s}, CheckRedirect: client.HTTP().CheckRedirect},
		Refused: func(response *http.Response) error { return refused(parent.Name, response) },
	}, nil
}

// closed says that the link's window is closed, nil where it is open.
func (s *Source) closed() error {
	if open, change := s.link.Window(); !open {
		return &staging.Later{Text: "the link may be used again in " + change.Round(time.Second).String(), After: change}
	}
	return nil
}

// refused says what the parent's answer means that brings no payload.
func refused(parent string, response *http.Response) error {
	err := wire.ReadError(response)
	later := &staging.Later{Text: fmt.Sprintf("parent %s: %v", parent, err), After: refusedAgain}
	var answer *wire.Error
	if errors.As(err, &answer) {
		later.Text = fmt.Sprintf("parent %s: %s", parent, answer.Text)
		switch answer.Code {
		case wire.CodeNotHeld, wire.CodeBusy, wire.CodeBehind, wire.CodeClosed, wire.CodeNotLeader:
			later.After = max(wire.After(err), time.Second)
		}
	}
	return later
}

// within lets requests through while the link's window is open, and cuts them when it closes.
type within struct {
	base   http.RoundTripper
	source *Source
}

// RoundTrip implements http.RoundTripper.
func (t within) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.source.closed(); err != nil {
		return nil, err
	}
	_, change := t.source.link.Window()
	ctx, cancel := context.WithTimeoutCause(r.Context(), change, errors.New("the link's window closed"))
	response, err := t.base.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	response.Body = &body{response.Body, cancel}
	return response, nil
}

type body struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (b *body) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
