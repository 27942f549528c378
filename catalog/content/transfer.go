package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// transfer moves the bytes of one download.
type transfer struct {
	store    *Store
	req      Request
	draft    *draft
	progress Progress
	metaPath string
	meta     meta
	resumed  bool // the draft holds bytes of an earlier call
}

// run tries until the body is here whole, the server says no, or several tries in a row bring nothing.
func (t *transfer) run(ctx context.Context) error {
	barren := 0
	for {
		before := t.draft.size
		if t.req.Size > 0 && before == t.req.Size {
			return nil
		}
		err := t.attempt(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !retryable(err) {
			return err
		}
		if barren++; t.draft.size > before {
			barren = 1
		}
		if barren >= t.req.Attempts {
			return fmt.Errorf("after %d tries, at byte %d: %w", barren, t.draft.size, err)
		}
		pause := t.store.opts.Backoff << (barren - 1)
		var status *StatusError
		if errors.As(err, &status) && status.After > maxPause {
			return err
		} else if status != nil {
			pause = max(pause, status.After)
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

// maxPause is the longest wait that a server may ask of a download. Where it asks for more, the download ends, and
// whoever wants the payload comes back.
const maxPause = 2 * time.Minute

// lasting marks an error that asking again does not mend.
type lasting struct{ error }

func (l lasting) Unwrap() error { return l.error }

func retryable(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return status.temporary()
	}
	var final lasting
	return !errors.As(err, &final)
}

// attempt asks for what is missing and writes what comes.
func (t *transfer) attempt(ctx context.Context) error {
	ctx, stall := NewStall(ctx, t.store.opts.Stall)
	defer stall.End()
	response, err := t.ask(ctx)
	if err != nil {
		return stall.Err(err)
	}
	body := stall.Body(response.Body)
	defer body.Close()
	total, err := t.begin(response)
	if err != nil {
		return err
	}
	t.progress(t.draft.size, total)
	if response.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return nil // all of it was here already
	}
	if err := t.receive(ctx, body, total); err != nil {
		return err
	}
	if total > 0 && t.draft.size < total {
		return fmt.Errorf("the connection was cut at byte %d of %d", t.draft.size, total)
	}
	return nil
}

func (t *transfer) ask(ctx context.Context) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.req.URL, nil)
	if err != nil {
		return nil, lasting{err}
	}
	request.Header.Set("User-Agent", "Thatch")
	request.Header.Set("Accept-Encoding", "identity") // digests and ranges are of the bytes themselves
	if t.draft.size > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", t.draft.size))
		if t.meta.Validator != "" {
			request.Header.Set("If-Range", t.meta.Validator)
		}
	}
	return t.req.Client.Do(request)
}

// begin reads the answer's head, puts the draft where the body continues, and returns the whole size, 0 if unknown.
func (t *transfer) begin(response *http.Response) (total int64, err error) {
	status := &StatusError{URL: t.req.URL, Status: response.StatusCode, After: retryAfter(response.Header, t.store.opts.Now())}
	switch response.StatusCode {
	case http.StatusOK:
		total = max(response.ContentLength, 0)
		if t.draft.size > 0 { // it knows no ranges, or has another revision by now
			err = t.draft.restart()
			t.resumed = false
		}
	case http.StatusPartialContent:
		start, whole, ok := contentRange(response.Header.Get("Content-Range"))
		if !ok || start != t.draft.size {
			return 0, t.startOver(fmt.Errorf("%s answered with range %q, asked for from %d",
				t.req.URL, response.Header.Get("Content-Range"), t.draft.size))
		}
		total = whole
	case http.StatusRequestedRangeNotSatisfiable:
		if response.Header.Get("Content-Range") != fmt.Sprintf("bytes */%d", t.draft.size) {
			return 0, t.startOver(status)
		}
		total = t.draft.size
	default:
		if t.req.Refused != nil {
			if err := t.req.Refused(response); err != nil {
				return 0, lasting{err}
			}
		}
		return 0, status
	}
	if err != nil {
		return 0, lasting{err}
	}
	if encoding := response.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return 0, lasting{fmt.Errorf("%s answered with content encoding %q, which was not asked for", t.req.URL, encoding)}
	}
	if err := t.checkTotal(total); err != nil {
		return 0, err
	}
	t.meta = meta{URL: t.req.URL, Validator: validator(response.Header)}
	t.saveMeta()
	return total, nil
}

// startOver drops what was kept so that the next try asks for the whole.
func (t *transfer) startOver(why error) error {
	if t.draft.size == 0 {
		return lasting{why}
	}
	t.meta, t.resumed = meta{}, false
	if err := t.draft.restart(); err != nil {
		return lasting{err}
	}
	return fmt.Errorf("started again: %s", why) // not the status itself, which would end the download
}

func (t *transfer) checkTotal(total int64) error {
	if total > t.store.opts.MaxSize {
		return lasting{fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, total, t.store.opts.MaxSize)}
	}
	if total == 0 || t.req.Size == 0 || total == t.req.Size {
		return nil
	}
	return lasting{fmt.Errorf("%w: %s has %d bytes, want %d", ErrSize, t.req.URL, total, t.req.Size)}
}

func (t *transfer) receive(ctx context.Context, body io.Reader, total int64) error {
	buffer := make([]byte, chunk)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			if err := t.keep(ctx, buffer[:n]); err != nil {
				return err
			}
			t.progress(t.draft.size, total)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *transfer) keep(ctx context.Context, bytes []byte) error {
	if err := t.store.limiter.WaitN(ctx, len(bytes)); err != nil {
		return err
	}
	if t.req.Size > 0 && t.draft.size+int64(len(bytes)) > t.req.Size {
		return lasting{fmt.Errorf("%w: %s has more than %d bytes", ErrSize, t.req.URL, t.req.Size)}
	}
	if _, err := t.draft.Write(bytes); err != nil {
		return lasting{err}
	}
	t.store.step("received")
	return nil
}

// contentRange reads "bytes 100-199/200"; whole is 0 where it is "*".
func contentRange(text string) (start, whole int64, ok bool) {
	rest, found := strings.CutPrefix(text, "bytes ")
	if !found {
		return 0, 0, false
	}
	span, size, found := strings.Cut(rest, "/")
	first, last, dashed := strings.Cut(span, "-")
	if !found || !dashed {
		return 0, 0, false
	}
	start, err := strconv.ParseInt(first, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	if err != nil || err2 != nil || start < 0 || end < start {
		return 0, 0, false
	}
	if size == "*" {
		return start, 0, true
	}
	whole, err = strconv.ParseInt(size, 10, 64)
	return start, whole, err == nil && whole > end
}

// validator picks what If-Range may carry.
func validator(header http.Header) string {
	if etag := header.Get("ETag"); etag != "" && !strings.HasPrefix(etag, "W/") {
		return etag
	}
	return header.Get("Last-Modified")
}
