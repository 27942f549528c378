package replicationtest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"thatch/replication/wire"
)

// Weather stands before a site's door towards its children and spoils what passes: connections are dropped before or after
// the work is done, requests come twice or come again much later, answers and requests are cut at any byte, some wait, some
// hear that the node is busy. It draws from a seed. Break begins it, Clear ends it.
type Weather struct {
	mu    sync.Mutex
	dice  *rand.Rand
	clear bool
	old   []kept        // requests that may come again
	next  chan struct{} // closed when another request comes
	Told  map[string]int
}

type kept struct {
	from *http.Request
	body []byte
}

// NewWeather makes a storm that has not begun.
func NewWeather(seed uint64) *Weather {
	return &Weather{dice: rand.New(rand.NewPCG(seed, 7)), clear: true, next: make(chan struct{}), Told: map[string]int{}}
}

// Break begins the storm.
func (w *Weather) Break() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clear = false
}

// Clear ends the storm.
func (w *Weather) Clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clear = true
	close(w.next)
	w.next = make(chan struct{})
}

// ills are what may become of a request.
var ills = []string{
	"pass", "pass", "pass", "pass", "pass", "drop", "lose", "twice", "later", "cut", "short", "halve", "wait", "busy",
}

// draw says what becomes of a request, and a number for it.
func (w *Weather) draw() (ill string, n int, next chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next = w.next
	close(next) // whoever waits for another request
	w.next = make(chan struct{})
	if w.clear {
		return "pass", 0, w.next
	}
	ill = ills[w.dice.IntN(len(ills))]
	w.Told[ill]++
	return ill, w.dice.IntN(1 << 20), w.next
}

// keep keeps a request that may come again, and gives an old one back.
func (w *Weather) keep(r *http.Request, body []byte, n int) (old kept, found bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.old) > 0 {
		old, found = w.old[n%len(w.old)], true
	}
	if len(w.old) < 20 {
		w.old = append(w.old, kept{r, body})
	} else {
		w.old[n%len(w.old)] = kept{r, body}
	}
	return old, found
}

// Around puts the weather before a door; see Config.Around.
func (w *Weather) Around(door http.Handler) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		ill, n, next := w.draw()
		if r.Method == http.MethodGet {
			w.stream(out, r, door, ill, n)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		switch ill {
		case "drop":
			panic(http.ErrAbortHandler)
		case "busy":
			out.WriteHeader(http.StatusServiceUnavailable)
			return
		case "halve":
			body = body[:n%(len(body)+1)]
		case "wait": // until another one has overtaken it
			select {
			case <-next:
			case <-r.Context().Done():
			case <-time.After(200 * time.Millisecond):
			}
		case "twice":
			answer(door, r, body)
		case "later":
			if old, found := w.keep(r, body, n); found {
				again := old.from.Clone(r.Context())
				answer(door, again, old.body)
			}
		}
		send(out, answer(door, r, body), ill, n)
	})
}

// send writes an answer, or a part of it.
func send(out http.ResponseWriter, a *httptest.ResponseRecorder, ill string, n int) {
	if ill == "lose" {
		panic(http.ErrAbortHandler)
	}
	whole := a.Body.Bytes()
	for key, values := range a.Header() {
		out.Header()[key] = values
	}
	if ill == "cut" || ill == "short" {
		whole = whole[:n%(len(whole)+1)]
	}
	if ill == "cut" {
		out.Header().Set("Content-Length", fmt.Sprint(a.Body.Len()+1))
	}
	out.WriteHeader(a.Code)
	_, _ = out.Write(whole)
	if ill == "cut" {
		panic(http.ErrAbortHandler)
	}
}

// answer has a door answer a request with a body.
func answer(door http.Handler, r *http.Request, body []byte) *httptest.ResponseRecorder {
	again := r.Clone(r.Context())
	again.Body, again.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	recorder := httptest.NewRecorder()
	door.ServeHTTP(recorder, again)
	return recorder
}

// stream passes some writes of a stream, and cuts it then.
func (w *Weather) stream(out http.ResponseWriter, r *http.Request, door http.Handler, ill string, n int) {
	if ill == "drop" || ill == "busy" {
		panic(http.ErrAbortHandler)
	}
	left := 1 << 30
	if ill != "pass" && r.URL.Path == wire.PathStream {
		left = n % 8
	}
	door.ServeHTTP(&cutting{ResponseWriter: out, left: left}, r)
}

// cutting lets some writes through.
type cutting struct {
	http.ResponseWriter
	left int
}

// Unwrap lets http.ResponseController find the connection.
func (c *cutting) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Write implements io.Writer.
func (c *cutting) Write(p []byte) (int, error) {
	if c.left--; c.left < 0 {
		panic(http.ErrAbortHandler)
	}
	return c.ResponseWriter.Write(p)
}
