package content

import (
	"net/http"
	"time"
)

// Serve answers a GET or HEAD for a payload, ranges included; the digest is its ETag. When it returns an error
// (ErrNotHeld, ErrAltered, ErrBadDigest) nothing was written and the answer is the caller's. A file found altered
// half-way cuts the connection, so that nobody takes what was sent for the whole.
func (s *Store) Serve(w http.ResponseWriter, r *http.Request, digest string) error {
	reader, err := s.Open(digest)
	if err != nil {
		return err
	}
	defer reader.Close()
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set("ETag", `"`+reader.digest+`"`)
	header.Set("Cache-Control", "immutable, max-age=31536000")
	header.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, reader)
	return nil
}
