package page

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"thatch/node/store/signed"
)

// A browser's next request sees what it changed just before, whichever node of the site answers: for a while a cookie bears
// how far that goes, and the site's epoch, in which that counts.
const (
	indexCookie  = "__Host-thatch-index"
	indexSeconds = 60
	retryAfter   = "2" // seconds
)

// indexName is the cookie's name for the host that a browser calls, whose ports are sites of their own.
func indexName(host string) string {
	if _, port, err := net.SplitHostPort(host); err == nil {
		return indexCookie + "-" + port
	}
	return indexCookie
}

// catchUp waits until this node holds what the browser changed.
func (c *Console) catchUp(r *http.Request) error {
	cookie, err := r.Cookie(indexName(r.Host))
	if err != nil {
		return nil
	}
	epoch, text, _ := strings.Cut(cookie.Value, ".")
	index, err := strconv.ParseUint(text, 10, 64)
	if err != nil || epoch != c.API.Epoch() {
		return nil // of another site, or from before it was restored
	}
	return c.API.Reach(r.Context(), index)
}

// recorded is an answer that tells the browser how far what was written for it goes.
type recorded struct {
	http.ResponseWriter
	r      *http.Request
	c      *Console
	record *signed.Record
	begun  bool
}

// WriteHeader implements http.ResponseWriter.
func (w *recorded) WriteHeader(status int) {
	if index := w.record.Index(); index > 0 && !w.begun {
		http.SetCookie(w.ResponseWriter, &http.Cookie{
			Name: indexName(w.r.Host), Value: w.c.API.Epoch() + "." + strconv.FormatUint(index, 10), Path: "/", MaxAge: indexSeconds,
			Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		})
	}
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorded) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController flush streams.
func (w *recorded) Unwrap() http.ResponseWriter { return w.ResponseWriter }
