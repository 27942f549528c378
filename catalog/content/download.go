package content

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const metaSuffix = ".json"

// Request is a payload to download. At least one digest is wanted; with both, both are checked.
type Request struct {
	URL        string
	Name       string       // for messages; "": the URL
	Size       int64        // bytes, 0: unknown
	SHA1       string       // hexadecimal
	SHA256     string       // hexadecimal
	Unverified bool         // go without any digest
	Client     *http.Client // nil: the store's
	Attempts   int          // tries in a row that bring no new byte; 0: the store's
	// Refused, where given, says what an answer means that brings no payload; its error ends the download. Nil from it:
	// the status speaks for itself.
	Refused func(*http.Response) error
}

// Progress hears how many bytes of a payload are here, of how many (0: unknown). It is called often and must be quick.
type Progress func(done, total int64)

// flight is a download under way.
type flight struct {
	req  Request
	keys []string
	done chan struct{}
	info Info
	err  error
}

// Download brings a payload into the store and returns what it really is. A payload that is held already is not
// fetched; one that is being fetched for somebody else (same SHA-256, SHA-1 or URL) is waited for; one that was cut
// goes on where it was, where the server can.
func (s *Store) Download(ctx context.Context, req Request, progress Progress) (Info, error) {
	if err := s.check(&req); err != nil {
		return Info{}, err
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	for {
		if info, ok := s.already(req); ok {
			progress(info.Size, info.Size)
			return info, s.touch(info.SHA256)
		}
		f, mine := s.board(req)
		if mine {
			info, err := s.fetch(ctx, req, progress)
			s.land(f, info, err)
			return info, err
		}
		select {
		case <-ctx.Done():
			return Info{}, fmt.Errorf("download %s: %w", req.Name, context.Cause(ctx))
		case <-f.done:
		}
		if f.answers(req) {
			return f.info, f.err
		}
	}
}

// answers says whether the end of somebody else's download from the same address is the end of this one too.
func (f *flight) answers(req Request) bool {
	same := f.req.SHA256 == req.SHA256 && f.req.SHA1 == req.SHA1 && f.req.Size == req.Size
	switch {
	case f.req.URL != req.URL:
		return false
	case errors.Is(f.err, context.Canceled) || errors.Is(f.err, context.DeadlineExceeded):
		return false // their caller gave up, ours did not
	case errors.Is(f.err, ErrDigest) || errors.Is(f.err, ErrSize):
		return same
	case f.err != nil:
		return true
	}
	return same || req.SHA256 == "" && req.SHA1 == ""
}

// check normalises a request and refuses what can never be fetched.
func (s *Store) check(req *Request) error {
	if req.Name == "" {
		req.Name = req.URL
	}
	fail := func(err error) error { return fmt.Errorf("download %s: %w", req.Name, err) }
	var err error
	if req.SHA256 != "" {
		if req.SHA256, err = normal(req.SHA256, 64); err != nil {
			return fail(err)
		}
	}
	if req.SHA1 != "" {
		if req.SHA1, err = normal(req.SHA1, 40); err != nil {
			return fail(err)
		}
	}
	if req.SHA256 == "" && req.SHA1 == "" && !req.Unverified {
		return fail(ErrNoDigest)
	}
	if req.Size > s.opts.MaxSize {
		return fail(fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, req.Size, s.opts.MaxSize))
	}
	at, err := url.Parse(req.URL)
	if err != nil || at.Host == "" || (at.Scheme != "http" && at.Scheme != "https") {
		return fail(fmt.Errorf("%.200q is no http or https address", req.URL))
	}
	if req.Client == nil {
		req.Client = s.opts.Client
	}
	if req.Attempts <= 0 {
		req.Attempts = s.opts.Attempts
	}
	return nil
}

// already finds a payload that is held, verified whole since the start.
func (s *Store) already(req Request) (Info, bool) {
	digest := req.SHA256
	if digest == "" && req.SHA1 != "" {
		link, err := os.ReadFile(s.sha1Path(req.SHA1))
		if err != nil {
			return Info{}, false
		}
		if digest, err = normal(strings.TrimSpace(string(link)), 64); err != nil {
			return Info{}, false
		}
	}
	if digest == "" {
		return Info{}, false
	}
	info, err := s.verified(digest)
	return info, err == nil && (req.Size == 0 || req.Size == info.Size)
}

// board joins a download that has one of the request's keys, or begins one.
func (s *Store) board(req Request) (f *flight, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := []string{"url " + req.URL}
	if req.SHA256 != "" {
		keys = append(keys, partialName(req.SHA256, ""))
	}
	if req.SHA1 != "" {
		keys = append(keys, partialName("", req.SHA1))
	}
	for _, key := range keys {
		if f := s.flights[key]; f != nil {
			return f, false
		}
	}
	f = &flight{req: req, keys: keys, done: make(chan struct{})}
	for _, key := range keys {
		s.flights[key] = f
	}
	return f, true
}

func (s *Store) land(f *flight, info Info, err error) {
	s.mu.Lock()
	for _, key := range f.keys {
		delete(s.flights, key)
	}
	s.mu.Unlock()
	f.info, f.err = info, err
	close(f.done)
}

func (s *Store) flying(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flights[key] != nil
}

// partialName is the file name of a cut download: its digest, so that any address of the same payload resumes it.
func partialName(sha256, sha1 string) string {
	if sha256 != "" {
		return sha256
	}
	return "sha1-" + sha1
}

// fetch runs one download to its end: attempts, digests, final name.
func (s *Store) fetch(ctx context.Context, req Request, progress Progress) (Info, error) {
	fail := func(err error) (Info, error) { return Info{}, fmt.Errorf("download %s: %w", req.Name, err) }
	path := filepath.Join(s.dir, draftFolder, fmt.Sprintf("unverified-%d", s.opts.Now().UnixNano()))
	resumable := req.SHA256 != "" || req.SHA1 != ""
	if resumable {
		path = filepath.Join(s.dir, partialFolder, partialName(req.SHA256, req.SHA1))
	}
	d, err := openDraft(ctx, path, s.opts.MaxSize)
	if err != nil {
		return fail(err)
	}
	t := &transfer{store: s, req: req, draft: d, progress: progress, metaPath: path + metaSuffix}
	if resumable {
		t.loadMeta()
	}
	err = t.run(ctx)
	if err == nil {
		err = t.judge(ctx)
	}
	if err != nil {
		d.file.Close()
		if !resumable || errors.Is(err, ErrDigest) || errors.Is(err, ErrSize) || errors.Is(err, ErrTooLarge) {
			d.discard()
			os.Remove(t.metaPath)
		}
		return fail(err)
	}
	info, err := s.settle(d)
	if err != nil {
		return fail(err)
	}
	os.Remove(path) // left only where the payload came another way meanwhile
	os.Remove(t.metaPath)
	if req.SHA1 != "" {
		s.rememberSHA1(req.SHA1, info.SHA256)
	}
	return info, nil
}

// judge holds the finished draft against the request. What was resumed and is wrong is fetched once more from its
// beginning: the part kept may have been damaged by a power cut, or be of another revision.
func (t *transfer) judge(ctx context.Context) error {
	err := t.compare()
	if err == nil || !t.resumed {
		return err
	}
	t.resumed, t.meta = false, meta{}
	if err := t.draft.restart(); err != nil {
		return err
	}
	if err := t.run(ctx); err != nil {
		return err
	}
	return t.compare()
}

func (t *transfer) compare() error {
	d, req := t.draft, t.req
	if req.Size > 0 && d.size != req.Size {
		return fmt.Errorf("%w: want %d bytes, got %d", ErrSize, req.Size, d.size)
	}
	if got := d.digest(); req.SHA256 != "" && got != req.SHA256 {
		return fmt.Errorf("%w: want SHA-256 %s, got %s", ErrDigest, req.SHA256, got)
	}
	if got := d.digestSHA1(); req.SHA1 != "" && got != req.SHA1 {
		return fmt.Errorf("%w: want SHA-1 %s, got %s", ErrDigest, req.SHA1, got)
	}
	return nil
}

func (s *Store) sha1Path(sha1 string) string {
	return filepath.Join(s.dir, sha1Folder, sha1[:2], sha1)
}

// rememberSHA1 notes under which SHA-256 a payload came that a vendor knows by SHA-1 alone. Losing the note costs one
// download, so its errors are nobody's.
func (s *Store) rememberSHA1(sha1, sha256 string) {
	path := s.sha1Path(sha1)
	if os.MkdirAll(filepath.Dir(path), 0o750) == nil {
		_ = os.WriteFile(path, []byte(sha256), 0o640)
	}
}

// meta is what must be known to resume.
type meta struct {
	URL       string `json:"url"`
	Validator string `json:"validator"` // strong ETag or Last-Modified, for If-Range
}

func (t *transfer) loadMeta() {
	if t.draft.size == 0 {
		return
	}
	t.resumed = true
	text, err := os.ReadFile(t.metaPath)
	var kept meta
	if err == nil && json.Unmarshal(text, &kept) == nil && kept.URL == t.req.URL {
		t.meta = kept
	}
}

func (t *transfer) saveMeta() {
	if strings.HasPrefix(t.metaPath, filepath.Join(t.store.dir, draftFolder)) {
		return
	}
	if text, err := json.Marshal(t.meta); err == nil {
		_ = os.WriteFile(t.metaPath, text, 0o640) // without it the download resumes on its digest alone
	}
}

// wait sleeps before a retry.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
