package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"testing"
	"time"
)

// TestAReaderThatTakesNothing: an answer that nobody reads ends, and gives back what it held.
func TestAReaderThatTakesNothing(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	site := httptest.NewServer(patiently(200*time.Millisecond, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 64<<20)) // more than lies in buffers on its way
		ended <- err
	})))
	defer site.Close()
	conn, err := net.Dial("tcp", site.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("it is said to have gone")
		}
	case <-time.After(time.Minute):
		t.Error("the answer waits for ever")
	}
}

// TestASlowReaderIsWaitedFor: one that takes some of an answer now and then gets all of it, and its connection serves on
// however long it was idle.
func TestASlowReaderIsWaitedFor(t *testing.T) {
	t.Parallel()
	const stalled, size = 2 * time.Second, 24 << 20
	site := httptest.NewServer(patiently(stalled, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, size)) // the reader counts
	})))
	defer site.Close()
	for round := range 2 {
		reused := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, site.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := site.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		for took := int64(2 << 20); took == 2<<20 && err == nil; {
			<-time.After(stalled / 10)
			took, err = io.CopyN(&got, answer.Body, 2<<20)
		}
		answer.Body.Close()
		if got.Len() != size || reused != (round == 1) {
			t.Errorf("round %d, reused %v: %d bytes, %v", round, reused, got.Len(), err)
		}
		<-time.After(stalled + stalled/10)
	}
}
