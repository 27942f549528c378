package content

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// door serves a store, as a node does.
func door(t *testing.T, s *Store) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch err := s.Serve(w, r, r.URL.Path[1:]); {
		case err == nil:
		case errors.Is(err, ErrNotHeld):
			http.Error(w, err.Error(), http.StatusNotFound)
		case errors.Is(err, ErrBadDigest):
			http.Error(w, err.Error(), http.StatusBadRequest)
		default:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func get(t *testing.T, address string, header ...string) (*http.Response, []byte, error) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, body, err
}

func TestServe(t *testing.T) {
	s := open(t, Options{})
	p := payload(30, 3*blockSize+11)
	digest := put(t, s, p)
	server := door(t, s)
	tag := `"` + digest + `"`
	for name, c := range map[string]struct {
		header []string
		status int
		body   []byte
	}{
		"whole":                 {nil, 200, p},
		"range":                 {[]string{"Range", "bytes=100-299"}, 206, p[100:300]},
		"over a block":          {[]string{"Range", "bytes=131070-131075"}, 206, p[131070:131076]},
		"rest":                  {[]string{"Range", "bytes=300000-"}, 206, p[300000:]},
		"tail":                  {[]string{"Range", "bytes=-5"}, 206, p[len(p)-5:]},
		"range of this":         {[]string{"Range", "bytes=1-2", "If-Range", tag}, 206, p[1:3]},
		"range of another":      {[]string{"Range", "bytes=1-2", "If-Range", `"x"`}, 200, p},
		"held already":          {[]string{"If-None-Match", tag}, 304, nil},
		"range behind the end":  {[]string{"Range", "bytes=999999-"}, 416, nil},
		"compression asked for": {[]string{"Accept-Encoding", "gzip"}, 200, p},
	} {
		response, body, err := get(t, server.URL+"/"+digest, c.header...)
		if err != nil || response.StatusCode != c.status || c.body != nil && !bytes.Equal(body, c.body) {
			t.Errorf("%s: %s, %d bytes, %v", name, response.Status, len(body), err)
		}
		if c.status < 300 && response.Header.Get("ETag") != tag {
			t.Errorf("%s: ETag %s", name, response.Header.Get("ETag"))
		}
	}
	for path, status := range map[string]int{sum([]byte("absent")): 404, "x": 400, "..%2f..%2fetc%2fpasswd": 400} {
		if response, _, _ := get(t, server.URL+"/"+path); response.StatusCode != status {
			t.Errorf("%s: %s, want %d", path, response.Status, status)
		}
	}
}

// A node that pulls from a node resumes, and a file that rots under the server never arrives as good.
func TestServeAltered(t *testing.T) {
	p := payload(31, 5*blockSize)
	flip := func(p []byte) []byte { p[4*blockSize+9] ^= 1; return p }
	s := open(t, Options{})
	digest := put(t, s, p)
	server := door(t, s)
	if _, body, err := get(t, server.URL+"/"+digest); err != nil || len(body) != len(p) {
		t.Fatalf("%d bytes, %v", len(body), err)
	}
	alter(t, s, digest, flip)
	if _, body, err := get(t, server.URL+"/"+digest); err == nil || len(body) > 4*blockSize {
		t.Errorf("%d bytes of an altered payload came, %v", len(body), err)
	}
	if response, _, _ := get(t, server.URL+"/"+digest); response.StatusCode != http.StatusNotFound {
		t.Errorf("after that: %s", response.Status)
	}
	put(t, s, p)
	again, err := Open(s.dir, s.opts)
	if err != nil {
		t.Fatal(err)
	}
	alter(t, again, digest, flip)
	if response, _, _ := get(t, door(t, again).URL+"/"+digest); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("altered before the start: %s", response.Status)
	}
}

func TestChain(t *testing.T) {
	p := payload(32, 3*blockSize)
	parent, child := open(t, Options{}), open(t, Options{})
	digest := put(t, parent, p)
	server := door(t, parent)
	info, err := child.Download(context.Background(), Request{URL: server.URL + "/" + digest, SHA256: digest}, nil)
	if err != nil || info.SHA256 != digest {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestClient(t *testing.T) {
	p := payload(33, 1000)
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(p) }))
	defer secure.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	var proxied []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxied = append(proxied, r.URL.String())
		_, _ = w.Write(p)
	}))
	defer proxy.Close()
	download := func(cfg ClientConfig, address string) error {
		client, err := Client(cfg)
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, Options{Attempts: 1})
		_, err = s.Download(context.Background(), Request{URL: address, SHA256: sum(p), Client: client}, nil)
		return err
	}
	if err := download(ClientConfig{Proxy: "none"}, secure.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server of an unknown authority: %v", err)
	}
	if err := download(ClientConfig{Proxy: "none", CA: ca}, secure.URL); err != nil {
		t.Errorf("with its authority: %v", err)
	}
	if err := download(ClientConfig{Proxy: proxy.URL}, "http://vendor.example/a.exe"); err != nil || len(proxied) != 1 || proxied[0] != "http://vendor.example/a.exe" {
		t.Errorf("by proxy: %v, %v", err, proxied)
	}
	for _, cfg := range []ClientConfig{{Proxy: "::"}, {Proxy: "proxy"}, {CA: []byte("no PEM")}} {
		if _, err := Client(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
	at, _ := url.Parse(secure.URL)
	if at.Scheme != "https" {
		t.Error("the server is not secure")
	}
}

// Downloads of a payload that cannot be written end with a plain word, and go on when there is room.
func TestDiskFull(t *testing.T) {
	s, err := Open(filepath.Join(smallDisk(t), "store"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := payload(34, 3<<20)
	v := newVendor(t, p)
	_, err = s.Download(context.Background(), Request{URL: v.URL, SHA256: sum(p)}, nil)
	if !errors.Is(err, ErrDiskFull) || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("download: %v", err)
	}
	if _, err := s.Put(context.Background(), "", bytes.NewReader(p)); !errors.Is(err, ErrDiskFull) {
		t.Errorf("put: %v", err)
	}
	if n := files(t, s, payloadFolder); n != 0 {
		t.Errorf("%d files under final names", n)
	}
	if _, err := s.Prune(context.Background(), s.opts.Now().AddDate(1, 0, 0), func(string) bool { return true }); err != nil {
		t.Fatal(err)
	}
	small := payload(35, 100_000)
	put(t, s, small)
}
