package staging

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"thatch/catalog"
	"thatch/catalog/content"
	"thatch/catalog/document"
	"thatch/node/bulletins/staging/transit"
	"thatch/node/store"
)

// requests are the files that are brought in for sites below.
type requests struct {
	mu     sync.Mutex
	open   map[string]*request // by SHA-256
	places chan struct{}       // nil until Serve
	ctx    context.Context     // of Serve
	work   sync.WaitGroup
	moving transit.Files
}

// request is a file that is brought in, or was tried to be.
type request struct {
	done chan struct{}
	err  error
	at   time.Time // when it ended
}

const (
	maxRequests    = 256 // files at once that sites below wait for
	parallelBelow  = 4   // of them are downloaded at once
	failedAgain    = 5 * time.Minute
	failedKept     = time.Minute // how long a failure answers for the file
	requestedAgain = 2 * time.Second
)

// Serve brings in what sites below ask for until ctx ends.
func (s *Stager) Serve(ctx context.Context) error {
	s.below.mu.Lock()
	s.below.ctx, s.below.places = ctx, make(chan struct{}, parallelBelow)
	s.below.mu.Unlock()
	<-ctx.Done()
	s.below.mu.Lock()
	s.below.places = nil
	s.below.mu.Unlock()
	s.below.work.Wait()
	return nil
}

// Bring has a payload file brought in that a payload document names and a site below asks for: from the site above or the
// vendor, once for all who ask. It waits until the file is here, as long as wait lasts; else the error is a *Later that
// says how far it is.
func (s *Stager) Bring(wait context.Context, payload document.Document, sha256 string) error {
	body, err := catalog.Decode[catalog.Payload](payload.Body)
	if err != nil {
		return err
	}
	w := wanted{pack: payload.ID, payload: payload.Digest, foreign: s.foreign(payload.Origin)}
	for _, f := range body.Files {
		if strings.EqualFold(f.SHA256, sha256) {
			w.File = catalog.File{Name: f.Name, SHA256: strings.ToLower(f.SHA256), Size: f.Size}
		}
	}
	if w.SHA256 == "" {
		return store.Invalid("payload document %s names no file %s", payload.ID, sha256)
	}
	r, err := s.request(w, body.PackageDigest)
	if err != nil {
		return err
	}
	select {
	case <-r.done:
		return r.err
	case <-wait.Done():
	}
	at, _ := s.below.moving.File(w.sum())
	own, _ := s.transit.File(w.sum()) // this site may be bringing it in for itself
	text := fmt.Sprintf("%s is brought in: %s", w.Name, transit.OfBytes(max(at.Bytes, own.Bytes), max(w.Size, at.Bytes)))
	if at.Why != "" {
		text += "; " + at.Why
	}
	return &Later{Text: text, After: requestedAgain}
}

// request begins to bring a file in, or finds who does.
func (s *Stager) request(w wanted, pack document.Digest) (*request, error) {
	b := &s.below
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.places == nil {
		return nil, &Later{Text: "the node is starting or stopping", After: requestedAgain}
	}
	now := s.cfg.Now()
	for sum, r := range b.open {
		if !r.at.IsZero() && now.Sub(r.at) > failedKept {
			delete(b.open, sum)
		}
	}
	if r := b.open[w.SHA256]; r != nil {
		return r, nil
	}
	if len(b.open) >= maxRequests {
		return nil, &Later{Text: fmt.Sprintf("%d files are brought in for sites below already", len(b.open)), After: 10 * requestedAgain}
	}
	if b.open == nil {
		b.open = map[string]*request{}
	}
	r := &request{done: make(chan struct{})}
	b.open[w.SHA256] = r
	ctx, places := b.ctx, b.places
	b.work.Go(func() {
		err := s.bring(ctx, places, &w, pack)
		b.mu.Lock()
		defer b.mu.Unlock()
		r.err, r.at = err, s.cfg.Now()
		if later := (*Later)(nil); err == nil || errors.As(err, &later) && later.After <= Soon {
			delete(b.open, w.SHA256)
		}
		close(r.done)
	})
	return r, nil
}

// bring brings in a file for a site below.
func (s *Stager) bring(ctx context.Context, places chan struct{}, w *wanted, pack document.Digest) error {
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	case <-ctx.Done():
		return &Later{Text: "the node is stopping", After: requestedAgain}
	}
	settings, err := s.settings(ctx)
	if err != nil {
		return err
	}
	f, err := s.fetcher(ctx, settings)
	if err != nil {
		return err
	}
	if w.URL, err = s.address(ctx, pack, w.Name); err != nil {
		return err
	}
	f.transit = &s.below.moving
	defer f.transit.Forget(w.sum())
	info, err := f.tracked(ctx, w, func(int64) {})
	var failure *failed
	if err == nil {
		return s.holdBelow(ctx, f, w, info)
	}
	if errors.As(err, &failure) {
		s.cfg.Log.Warn("what a site below needs could not be fetched", "package", w.pack, "file", w.Name, "reason", string(failure.reason), "error", err)
		return &Later{Text: failure.Error(), After: failedAgain}
	}
	return err
}

// holdBelow keeps that this node holds a file for its own computers too, where this site's own trust takes it. What it refuses
// is handed on all the same: the site below judges it by its own.
func (s *Stager) holdBelow(ctx context.Context, f *fetcher, w *wanted, info content.Info) error {
	if w.foreign {
		_, err := f.judge(catalog.StagedFile{Name: w.Name, SHA256: info.SHA256, Size: info.Size})
		if failure := (*failed)(nil); errors.As(err, &failure) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return s.write(ctx, "hold what a site below needs", []store.Statement{s.holds(info.SHA256, info.Size)})
}

// address is where the vendor hosts a file of a package, "" where the package is not here or names no address.
func (s *Stager) address(ctx context.Context, pack document.Digest, name string) (address string, err error) {
	err = s.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		doc, err := store.Revision(ctx, tx, pack)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		body, err := catalog.Decode[catalog.Package](doc.Body)
		for _, f := range body.Files {
			if strings.EqualFold(f.Name, name) {
				address = f.URL
			}
		}
		return err
	})
	return address, err
}
