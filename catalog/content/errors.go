package content

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// The errors that callers tell apart; all are wrapped with what and where.
var (
	// ErrNotHeld says that the store has no such payload.
	ErrNotHeld = errors.New("payload is not held here")
	// ErrAltered says that a file on disk is not what it was when it was verified; it was quarantined.
	ErrAltered = errors.New("payload was altered on disk")
	// ErrBadDigest says that a text is no digest at all.
	ErrBadDigest = errors.New("bad digest")
	// ErrDigest says that what was received is not what was asked for.
	ErrDigest = errors.New("payload does not match its digest")
	// ErrSize says that a payload is longer or shorter than its size says.
	ErrSize = errors.New("payload does not have its size")
	// ErrTooLarge says that a payload is larger than this store accepts.
	ErrTooLarge = errors.New("payload is larger than the limit")
	// ErrNoDigest says that a download names no digest and was not allowed to go without.
	ErrNoDigest = errors.New("payload has no digest to hold it against")
	// ErrGone says that whoever hosted the payload does not have it any more (404 or 410).
	ErrGone = errors.New("payload is not hosted any more")
	// ErrDiskFull says that the disk of the store has no room.
	ErrDiskFull = errors.New("disk is full")
)

// StatusError is an HTTP answer that brings no payload. 404 and 410 are ErrGone.
type StatusError struct {
	URL    string
	Status int
	After  time.Duration // how long the server asks to stay away (Retry-After), 0: it does not say
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s answered %d %s", e.URL, e.Status, http.StatusText(e.Status))
}

// Is makes 404 and 410 equal to ErrGone.
func (e *StatusError) Is(target error) bool {
	return target == ErrGone && (e.Status == http.StatusNotFound || e.Status == http.StatusGone)
}

// temporary says whether asking again may help.
func (e *StatusError) temporary() bool {
	return e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
}

// retryAfter reads how long a server asks to be left alone: seconds, or a date.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
