package server

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"thatch/agentapi"
	"thatch/node/places"
)

// pipes is a listener whose connections are pipes, which know deadlines and no buffers.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, open := <-p
	if !open {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// call serves h to one connection of a clock that stands still while somebody works, and gives the caller's end of it.
func call(t *testing.T, h http.HandlerFunc) net.Conn {
	t.Helper()
	here, there := net.Pipe()
	listener := make(pipes, 1)
	listener <- there
	s := &http.Server{Handler: h}
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(func() {
		here.Close()
		close(listener)
		s.Close()
		time.Sleep(time.Minute) // of the bubble's clock: what lingers ends
	})
	return here
}

func send(t *testing.T, to io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(to, text); err != nil {
		t.Fatal(err)
	}
}

// A request that does not arrive in its time is refused: who sends nothing, or too slowly, gives its place back.
func TestReadDeadline(t *testing.T) {
	const head = "POST /x HTTP/1.1\r\nHost: node\r\nContent-Length: 1000\r\n\r\n"
	for name, c := range map[string]struct {
		limit int64
		send  func(t *testing.T, to net.Conn)
		ends  time.Duration // when the request was read, or refused
		text  string        // "": read
	}{
		"nothing comes":            {maxSmall, func(*testing.T, net.Conn) {}, 31 * time.Second, "could not be read"},
		"nothing of a large one":   {agentapi.MaxRequest, func(*testing.T, net.Conn) {}, 158 * time.Second, "could not be read"},
		"some comes, then no more": {maxSmall, func(t *testing.T, to net.Conn) { send(t, to, "half") }, 31 * time.Second, "could not be read"},
		"a byte a second": {maxSmall, func(_ *testing.T, to net.Conn) {
			for range 1000 {
				if _, err := io.WriteString(to, "x"); err != nil {
					return
				}
				time.Sleep(time.Second) // of the bubble's clock
			}
		}, 31 * time.Second, "could not be read"},
		"late, in time": {maxSmall, func(t *testing.T, to net.Conn) {
			time.Sleep(30 * time.Second)
			send(t, to, strings.Repeat("x", 1000))
		}, 30 * time.Second, ""},
		"more than it may have": {999, func(_ *testing.T, to net.Conn) { _, _ = io.WriteString(to, strings.Repeat("x", 1000)) }, 0, "more than 999 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, ended := time.Now(), make(chan error, 1)
				var took time.Duration
				to := call(t, func(w http.ResponseWriter, r *http.Request) {
					body, err := read(w, r, c.limit)
					took = time.Since(began)
					if err == nil && len(body) != 1000 {
						t.Errorf("%d bytes were read", len(body))
					}
					ended <- err
				})
				send(t, to, head)
				go c.send(t, to)
				err := <-ended
				if took != c.ends || (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) {
					t.Errorf("after %s: %v; want %q after %s", took, err, c.text, c.ends)
				}
			})
		})
	}
}

// After a request that was read, the connection waits for the next one as long as connections wait.
func TestReadDeadlineEndsWithTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := call(t, func(w http.ResponseWriter, r *http.Request) {
			if _, err := read(w, r, maxSmall); err != nil {
				t.Error(err)
			}
		})
		answers := bufio.NewReader(to)
		for range 2 {
			send(t, to, "POST /x HTTP/1.1\r\nHost: node\r\nContent-Length: 2\r\n\r\n{}")
			response, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			time.Sleep(10 * time.Minute)
		}
	})
}

// A reader may be slow; one that takes nothing for a minute gives its place back.
func TestPatient(t *testing.T) {
	part := strings.Repeat("x", 32<<10)
	for name, c := range map[string]struct {
		pause time.Duration // of the reader after each part
		takes int           // parts, then nothing more
		fails bool
	}{
		"quick":          {0, 50, false},
		"slow":           {50 * time.Second, 50, false},
		"takes nothing":  {0, 0, true},
		"stops half-way": {time.Second, 25, true},
		"much too slow":  {61 * time.Second, 50, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := make(chan error, 1)
				to := call(t, func(w http.ResponseWriter, _ *http.Request) {
					slow := places.NewPatient(w, stall)
					for range 50 {
						if _, err := io.WriteString(slow, part); err != nil {
							ended <- err
							return
						}
					}
					ended <- nil
				})
				send(t, to, "GET /x HTTP/1.1\r\nHost: node\r\n\r\n")
				began := time.Now()
				go func() {
					buffer := make([]byte, len(part))
					for range c.takes {
						if _, err := io.ReadFull(to, buffer); err != nil {
							return
						}
						time.Sleep(c.pause)
					}
					if !c.fails {
						_, _ = io.Copy(io.Discard, to)
					}
				}()
				err := <-ended
				if (err != nil) != c.fails || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%v, want a failure: %v", err, c.fails)
				}
				if took, most := time.Since(began), time.Duration(c.takes)*c.pause+stall; took > most {
					t.Errorf("the place was kept for %s, at most %s are right", took, most)
				}
			})
		})
	}
}
