package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"thatch/node/replicas/dataset"
)

// calling makes a client of a server, with less patience than is usual.
func calling(t *testing.T, patience time.Duration, answer http.HandlerFunc) *Client {
	t.Helper()
	site := httptest.NewTLSServer(answer)
	t.Cleanup(site.Close)
	transport, ok := site.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("no transport")
	}
	c, err := NewClient(site.URL, transport.TLSClientConfig, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.patience = patience
	t.Cleanup(c.Close)
	return c
}

// TestACallGoesOnWhileSomethingMoves: an answer that takes longer than anybody waits for a sign arrives whole, whether
// it is small or a page.
func TestACallGoesOnWhileSomethingMoves(t *testing.T) {
	t.Parallel()
	const patience = 5 * time.Second
	c := calling(t, patience, func(w http.ResponseWriter, r *http.Request) {
		raw := httptest.NewRecorder()
		if r.URL.Path == PathPage {
			_ = (&Page{Header: Header{Type: dataset.Data}}).Encode(raw) // a buffer takes everything
		} else {
			_ = json.NewEncoder(raw).Encode(map[string]string{"note": "slowly"})
		}
		whole := raw.Body.Bytes()
		for i, b := range whole {
			if i < 12 {
				select {
				case <-time.After(patience / 10):
				case <-r.Context().Done():
					return
				}
			}
			_, _ = w.Write([]byte{b})
			_ = http.NewResponseController(w).Flush()
		}
	})
	t.Run("small", func(t *testing.T) {
		t.Parallel()
		if answer, err := Call[map[string]string](t.Context(), c, PathLink, 1); err != nil || answer["note"] != "slowly" {
			t.Errorf("%v, %v", answer, err)
		}
	})
	t.Run("page", func(t *testing.T) {
		t.Parallel()
		if page, err := c.Fetch(t.Context(), PathPage, 1); err != nil || page.Type != dataset.Data {
			t.Errorf("%+v, %v", page, err)
		}
	})
}

// TestACallThatStandsStillEnds: before the answer and in its midst, with an error that says so; a caller who goes away ends it
// as he says.
func TestACallThatStandsStillEnds(t *testing.T) {
	t.Parallel()
	for _, begun := range []bool{false, true} {
		c := calling(t, 300*time.Millisecond, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // until then the server does not hear that the caller gave up
			if begun {
				raw := bytes.NewBufferString(`{"no`)
				if r.URL.Path == PathPage {
					raw.Reset()
					_ = (&Page{}).Encode(raw) // a buffer takes everything
				}
				_, _ = w.Write(raw.Bytes()[:4])
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
		})
		if _, err := Call[map[string]string](t.Context(), c, PathLink, 1); !errors.Is(err, errStill) || !strings.Contains(err.Error(), "300ms") {
			t.Errorf("begun %v: %v", begun, err)
		}
		if _, err := c.Fetch(t.Context(), PathPage, 1); !errors.Is(err, errStill) {
			t.Errorf("a page, begun %v: %v", begun, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Push(ctx, PathUp, &Page{}); !errors.Is(err, context.Canceled) || errors.Is(err, errStill) {
			t.Errorf("a caller who went, begun %v: %v", begun, err)
		}
	}
}

// TestARequestIsSentAgain where the connection that it went out on was cut while it was idle.
func TestARequestIsSentAgain(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := calling(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != `"asked"` {
			t.Errorf("%q, %v", body, err)
		}
		if calls.Add(1) == 1 {
			w.Header().Set("Connection", "close")
		}
		_, _ = w.Write([]byte(`{}`))
	})
	before := c.Bytes()
	for range 3 {
		if _, err := Call[map[string]string](t.Context(), c, PathLink, "asked"); err != nil {
			t.Error(err)
		}
	}
	if n := c.Bytes() - before; n != 3*(7+2) {
		t.Errorf("%d bytes are counted", n)
	}
}

// TestPortion: what is pushed at once takes about a minute.
func TestPortion(t *testing.T) {
	for _, c := range []struct {
		rate       int64
		most, want int
	}{
		{0, 600 << 10, 600 << 10}, {8 << 10, 600 << 10, 480 << 10}, {1 << 30, 600 << 10, 600 << 10}, {1, 600 << 10, 256 * 60}, {1 << 62, 5, 5},
	} {
		if got := Portion(c.rate, c.most); got != c.want {
			t.Errorf("Portion(%d, %d) = %d, want %d", c.rate, c.most, got, c.want)
		}
	}
}
