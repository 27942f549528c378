package places

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"strings"
	"time"
)

// Limited lets as many requests in as the channel holds; full answers the others.
func Limited(places chan struct{}, full http.HandlerFunc, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			next.ServeHTTP(w, r)
		default:
			full(w, r)
		}
	})
}

// Spread is a time from 0 up to, not including, most that follows from the key: callers that are told to come again do not
// come together.
func Spread(key string, most time.Duration) time.Duration {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(key)) // a hash takes everything
	return time.Duration(hash.Sum64() % uint64(max(most, 1)))
}

// Bearer is the token with which a request comes (RFC 6750), "" where it brings none. It stands before the body, so that
// nothing of a stranger's is read.
func Bearer(r *http.Request) string {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(text)
}

// How long a request may take to arrive: readTime, and a second for every readRate bytes that it may have. What is not to
// be read is waited for no longer than unreadTime.
const (
	readTime   = 30 * time.Second
	readRate   = 64 << 10
	unreadTime = 2 * time.Second
)

// ErrTooLarge is wrapped by errors of Read about requests that are larger than they may be.
var ErrTooLarge = errors.New("it is too large")

// Read reads a request's body up to a limit. Whoever sends nothing gives its place back.
func Read(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(readTime + time.Duration(limit/readRate)*time.Second)) // where there is no connection, nothing waits
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, fmt.Errorf("the request has more than %d bytes, which is the most that %s takes: %w", limit, r.URL.Path, ErrTooLarge)
	case err != nil:
		return nil, fmt.Errorf("the request could not be read: %w", err)
	}
	return body, nil
}

// Unread has nobody wait for the body of a request that is answered without it.
func Unread(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadTime)) // where there is no connection, nothing waits
}
