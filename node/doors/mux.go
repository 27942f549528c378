// Package doors is the ways into a node: by path prefix, and for whoever may read its data folder.
package doors

import (
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
)

// HeaderStale is in answers of a node whose site has no quorum: they tell what the node holds, which may be old.
const HeaderStale = "X-Thatch-Stale"

// Mux answers by handlers that are mounted by path prefix.
type Mux struct {
	Stale    func() bool // what is answered may be old: the site has no quorum; nil: it never is
	Log      *slog.Logger
	prefixes []string // longest first
	handlers map[string]http.Handler
}

// Mount has requests whose path begins with prefix answered by h; the longest prefix wins. It is called before the first request.
func (m *Mux) Mount(prefix string, h http.Handler) {
	if m.handlers == nil {
		m.handlers = map[string]http.Handler{}
	}
	if _, again := m.handlers[prefix]; !again {
		at := 0
		for at < len(m.prefixes) && len(m.prefixes[at]) >= len(prefix) {
			at++
		}
		m.prefixes = append(m.prefixes[:at], append([]string{prefix}, m.prefixes[at:]...)...)
	}
	m.handlers[prefix] = h
}

// ServeHTTP finds the door. It compares the path as it was sent: ids in paths may hold escaped slashes.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m.Stale != nil && m.Stale() {
		w.Header().Set(HeaderStale, "no quorum")
	}
	path := r.URL.EscapedPath()
	for _, prefix := range m.prefixes {
		if strings.HasPrefix(path, prefix) {
			m.answer(w, r, m.handlers[prefix])
			return
		}
	}
	http.NotFound(w, r)
}

// answer has h answer. A handler that panics is told of in the log; the caller hears that it was the node's fault.
func (m *Mux) answer(w http.ResponseWriter, r *http.Request, h http.Handler) {
	defer func() {
		failure := recover()
		switch {
		case failure == nil:
		case failure == http.ErrAbortHandler:
			panic(failure) // the way to cut an answer short
		default:
			m.Log.ErrorContext(r.Context(), "a request failed by a fault of this program", "method", r.Method, "path", r.URL.Path,
				"panic", failure, "stack", string(debug.Stack()))
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"code":"failed","error":"the node failed at this request by a fault of its own; its log has more"}`)
		}
	}()
	h.ServeHTTP(w, r)
}
