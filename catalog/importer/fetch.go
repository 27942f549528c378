package importer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"

	"thatch/catalog/content"
)

// ErrTooLarge says that a vendor file has more bytes, decompressed, than its reader allows.
var ErrTooLarge = errors.New("too large")

// DefaultLimit is the largest vendor file read where a Fetch names no limit, decompressed, in bytes.
const DefaultLimit = 1 << 30

// Fetch reads vendor files from a file, a folder (with all folders below it) or an http(s) location.
type Fetch struct {
	Client *http.Client // nil: one that honours the environment's proxies
	Limit  int64        // decompressed bytes of one file; 0: DefaultLimit
	Accept string       // what http(s) locations are asked for, as an Accept header; empty: anything
}

// Item is something at a location, not yet read.
type Item struct {
	Name    string // base name
	Path    string // whole path or URL, for messages
	Size    int64  // bytes as stored, -1 unknown
	Version string // what the server says the content's version is (a strong ETag); empty: only the content tells
	Open    func(ctx context.Context) (io.ReadCloser, error)
}

// IsURL says whether a location is fetched over HTTP.
func IsURL(from string) bool {
	lower := strings.ToLower(from)
	return strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://")
}

// List names what is at a location: the file itself, whatever it is called, or every file below a folder whose base
// name is wanted, sorted by path; what cannot be read there is an item that says so when it is opened. An http location is one item; its Version is asked with a HEAD request.
func (f Fetch) List(ctx context.Context, from string, wanted func(name string) bool) ([]Item, error) {
	if IsURL(from) {
		item, err := f.url(ctx, from)
		if err != nil {
			return nil, err
		}
		return []Item{item}, nil
	}
	info, err := os.Stat(from)
	if err != nil {
		return nil, fmt.Errorf("vendor files: %w; give a file, a folder or an http(s) location", err)
	}
	if !info.IsDir() {
		return []Item{local(from, info)}, nil
	}
	var items []Item
	err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil: // a folder that cannot be read: the others can
			items = append(items, unreadable(path, err))
			return nil
		case strings.HasPrefix(d.Name(), ".") && path != from:
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case d.IsDir() || !wanted(d.Name()):
			return nil
		}
		switch info, err := os.Stat(path); {
		case err != nil:
			items = append(items, unreadable(path, err))
		case !info.IsDir():
			items = append(items, local(path, info))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("vendor files in %s: %w", from, err)
	}
	return items, nil
}

func local(path string, info fs.FileInfo) Item {
	return Item{Name: filepath.Base(path), Path: path, Size: info.Size(), Open: func(context.Context) (io.ReadCloser, error) {
		return os.Open(path)
	}}
}

// unreadable is an item whose error comes when it is opened, so that it loses nothing else.
func unreadable(path string, err error) Item {
	return Item{Name: filepath.Base(path), Path: path, Size: -1, Open: func(context.Context) (io.ReadCloser, error) { return nil, err }}
}

func (f Fetch) url(ctx context.Context, from string) (Item, error) {
	parsed, err := url.Parse(from)
	if err != nil || parsed.Host == "" {
		return Item{}, fmt.Errorf("vendor location %.200q is no URL such as https://host/path", from)
	}
	name := parsed.Path[strings.LastIndexByte(parsed.Path, '/')+1:]
	if name == "" {
		name = parsed.Host
	}
	item := Item{Name: name, Path: parsed.Redacted(), Size: -1, Open: func(ctx context.Context) (io.ReadCloser, error) {
		return f.Get(ctx, from)
	}}
	answer, err := f.ask(ctx, http.MethodHead, from)
	if err != nil {
		return Item{}, err
	}
	answer.Body.Close()
	if answer.StatusCode == http.StatusOK { // a server that does not know HEAD may well know GET
		item.Size = answer.ContentLength
		if tag := answer.Header.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") {
			item.Version = tag
		}
	}
	return item, nil
}

// ask sends a request. Where the server sends nothing for a minute, before the answer or in the midst of its body, that is
// content.ErrStalled: an import would wait for ever.
func (f Fetch) ask(ctx context.Context, method, location string) (*http.Response, error) {
	ctx, stall := content.NewStall(ctx, content.DefaultStall)
	req, err := http.NewRequestWithContext(ctx, method, location, nil)
	if err != nil {
		stall.End()
		return nil, fmt.Errorf("vendor location: %w", err)
	}
	if f.Accept != "" {
		req.Header.Set("Accept", f.Accept)
	}
	answer, err := f.client().Do(req)
	if err != nil {
		defer stall.End()
		if cut := stall.Err(err); errors.Is(cut, content.ErrStalled) {
			return nil, fmt.Errorf("vendor location %s: %w", req.URL.Redacted(), cut)
		}
		return nil, fmt.Errorf("vendor location: %w", err)
	}
	answer.Body = stall.Body(answer.Body)
	return answer, nil
}

func (f Fetch) client() *http.Client {
	if f.Client == nil {
		return http.DefaultClient
	}
	return f.Client
}

// Get opens an http(s) location. Any status but 200 is an error that names the location and the status.
func (f Fetch) Get(ctx context.Context, location string) (io.ReadCloser, error) {
	answer, err := f.ask(ctx, http.MethodGet, location)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		asked, _ := url.Parse(location) // it was asked
		return nil, fmt.Errorf("vendor location %s: the server answered %s", asked.Redacted(), answer.Status)
	}
	return answer.Body, nil
}

// Digest reads an item as it is stored and returns its SHA-256, hexadecimal.
func (f Fetch) Digest(ctx context.Context, item Item) (string, error) {
	stream, err := item.Open(ctx)
	if err != nil {
		return "", err
	}
	defer stream.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, &limited{r: stream, left: f.limit(), limit: f.limit()}); err != nil {
		return "", fmt.Errorf("read %s: %w", item.Path, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func (f Fetch) limit() int64 {
	if f.Limit <= 0 {
		return DefaultLimit
	}
	return f.Limit
}

// Decompressed opens an item and undoes gzip where the first bytes say so, whatever its name. Reading past the limit
// is ErrTooLarge.
func (f Fetch) Decompressed(ctx context.Context, item Item) (io.ReadCloser, error) {
	stream, err := item.Open(ctx)
	if err != nil {
		return nil, err
	}
	plain, err := f.inflate(stream)
	if err != nil {
		stream.Close()
		return nil, fmt.Errorf("%s: %w", item.Path, err)
	}
	return plain, nil
}

var gzipMagic = []byte{0x1f, 0x8b}

// inflater is what undoing gzip needs, used for one stream after the other: it is large.
type inflater struct {
	buffered *bufio.Reader
	unzipped gzip.Reader
}

var inflaters = sync.Pool{New: func() any { return &inflater{buffered: bufio.NewReaderSize(nil, 64<<10)} }}

func (f Fetch) inflate(stream io.ReadCloser) (io.ReadCloser, error) {
	in := inflaters.Get().(*inflater)
	in.buffered.Reset(stream)
	var plain io.Reader = in.buffered
	if head, err := in.buffered.Peek(len(gzipMagic)); err == nil && bytes.Equal(head, gzipMagic) {
		if err := in.unzipped.Reset(in.buffered); err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		plain = &in.unzipped
	}
	return &reader{Reader: &limited{r: plain, left: f.limit(), limit: f.limit()}, stream: stream, inflater: in}, nil
}

// Head returns up to n decompressed bytes from the start of an item; what cannot be decompressed is simply missing.
func (f Fetch) Head(ctx context.Context, item Item, n int) ([]byte, error) {
	stream, err := f.Decompressed(ctx, item)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	head := make([]byte, n)
	got, _ := io.ReadFull(stream, head)
	return head[:got], nil
}

type reader struct {
	io.Reader
	stream   io.Closer
	inflater *inflater
}

// Close closes the stream and gives the inflater to the next one. Nobody reads any more.
func (r *reader) Close() error {
	if r.inflater != nil {
		r.Reader = bytes.NewReader(nil)
		r.inflater.buffered.Reset(nil)
		inflaters.Put(r.inflater)
		r.inflater = nil
	}
	return r.stream.Close()
}

type limited struct {
	r           io.Reader
	left, limit int64
}

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		return n, fmt.Errorf("%w: more than %d bytes when decompressed", ErrTooLarge, l.limit)
	}
	return n, err
}
