// Package wire is what a child and its parent say to each other: paths, messages with their limits, pages of documents,
// and the client. The child opens every connection; package replication is its half, replication/server the parent's.
package wire

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Prefix is where the paths live.
const Prefix = "/replication/v1/"

const (
	dialTimeout = 10 * time.Second
	callTimeout = 5 * time.Minute // in which nothing moves
	maxAnswer   = 16 << 20
	// MaxText bounds the text of an error.
	MaxText = 4 << 10
)

// ParseAddress reads the address of a parent's node; HOST:PORT alone is HTTPS.
func ParseAddress(address string) (*url.URL, error) {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	base, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("address of the parent: %w", err)
	}
	if base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("address of the parent %q: want https://HOST:PORT", address)
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	return base, nil
}

func readAnswer(response *http.Response, path string, into any) error {
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: read the parent's answer: %w", path, err)
	case len(raw) > maxAnswer:
		return fmt.Errorf("%s: the parent's answer is larger than %d bytes", path, maxAnswer)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: the parent's answer cannot be read: %w", path, err)
	}
	return nil
}
