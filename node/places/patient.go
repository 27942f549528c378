package places

import (
	"net/http"
	"time"
)

// Patient waits for a slow reader as long as it takes each part (32 kB) in time: one that sleeps gives its place back.
type Patient struct {
	http.ResponseWriter
	control *http.ResponseController
	each    time.Duration
}

// NewPatient makes one that waits so long for each part. End it: the connection serves more requests.
func NewPatient(w http.ResponseWriter, each time.Duration) *Patient {
	return &Patient{w, http.NewResponseController(w), each}
}

// Write implements io.Writer.
func (p *Patient) Write(part []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(p.each)) // where there is no connection, nobody stalls
	return p.ResponseWriter.Write(part)
}

// Unwrap lets a response controller find the connection.
func (p *Patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// End has nobody waited for any more.
func (p *Patient) End() { _ = p.control.SetWriteDeadline(time.Time{}) }
