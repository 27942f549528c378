// Package content keeps payloads on disk by their SHA-256: written whole or not at all, verified when written and
// again whenever they are read, downloaded once at a time and resumed after a cut.
package content

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

// DefaultMaxSize is the largest payload that is accepted where Options name no other limit, in bytes.
const DefaultMaxSize = 32 << 30

// The folders of a store.
const (
	payloadFolder    = "payloads"   // payloads/ab/abcd...: final names, nothing but whole files
	partialFolder    = "partial"    // downloads that were cut, by digest
	draftFolder      = "drafts"     // files being written that nobody will resume
	quarantineFolder = "quarantine" // files that were altered on disk
	sha1Folder       = "sha1"       // sha1/ab/abcd...: the SHA-256 of what was downloaded under that SHA-1
)

// Options shape a store. The zero value works.
type Options struct {
	Client         *http.Client  // for downloads; nil: one that follows the environment's proxies
	MaxSize        int64         // largest payload in bytes; 0: DefaultMaxSize
	BytesPerSecond int64         // of all downloads together; 0: unlimited
	Stall          time.Duration // a download that brings nothing for so long is cut and resumed; 0: one minute
	Backoff        time.Duration // wait before the first retry, doubled each time; 0: one second
	Attempts       int           // tries in a row that bring no new byte; 0: four
	Altered        func(Altered) // told of every file found altered, after it was quarantined; may be nil
	Memory         Memory        // keeps what was verified over restarts; nil: each start reads every file anew
	Now            func() time.Time
}

// Altered reports a file whose bytes are not those of its digest any more.
type Altered struct {
	SHA256     string    `json:"sha256"`
	At         time.Time `json:"at"`
	Found      string    `json:"found"`                // what is wrong with it
	Quarantine string    `json:"quarantine,omitempty"` // path it was moved to; empty: it could not be moved
}

// Info is a payload that is held.
type Info struct {
	SHA256 string    `json:"sha256"` // 64 lower-case hexadecimal digits
	Size   int64     `json:"size"`   // bytes
	At     time.Time `json:"at"`     // when it was written, or last asked for by Put or Download
}

// Store is a folder of payloads. One process uses a folder at a time; within it, all methods may be called at once.
type Store struct {
	dir     string
	opts    Options
	limiter *rate.Limiter
	verify  singleflight.Group

	mu      sync.Mutex
	sums    map[string]*sums   // of files that were read whole
	bad     map[string]bool    // altered files that could not be moved away
	flights map[string]*flight // downloads under way, by each of their keys

	step func(string) // tests stop the process here
}

// Open opens the store in a folder, which is made where it is missing, and removes drafts that a crash left behind.
func Open(dir string, opts Options) (*Store, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	s := &Store{
		dir: dir, opts: opts, limiter: rate.NewLimiter(rate.Inf, chunk),
		sums: map[string]*sums{}, bad: map[string]bool{}, flights: map[string]*flight{},
		step: func(string) {},
	}
	s.SetSpeed(opts.BytesPerSecond)
	for _, folder := range []string{payloadFolder, partialFolder, draftFolder, quarantineFolder, sha1Folder} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o750); err != nil {
			return nil, fmt.Errorf("open payload store: %w", err)
		}
	}
	if err := s.dropDrafts(); err != nil {
		return nil, fmt.Errorf("open payload store: remove drafts of an earlier run: %w", err)
	}
	s.dropOrphans()
	return s, nil
}

// dropDrafts removes what a crash left behind, file by file: Wine has no other way.
func (s *Store) dropDrafts() error {
	folder := filepath.Join(s.dir, draftFolder)
	files, err := os.ReadDir(folder)
	var failed []error
	for _, file := range files {
		failed = append(failed, os.Remove(filepath.Join(folder, file.Name())))
	}
	return errors.Join(append(failed, err)...)
}

// dropOrphans removes notes on cut downloads that were finished just before a crash.
func (s *Store) dropOrphans() {
	notes, _ := filepath.Glob(filepath.Join(s.dir, partialFolder, "*"+metaSuffix))
	for _, note := range notes {
		if _, err := os.Stat(strings.TrimSuffix(note, metaSuffix)); errors.Is(err, fs.ErrNotExist) {
			os.Remove(note)
		}
	}
}

func (o *Options) complete() error {
	if o.Client == nil {
		client, err := Client(ClientConfig{})
		if err != nil {
			return err
		}
		o.Client = client
	}
	if o.MaxSize <= 0 {
		o.MaxSize = DefaultMaxSize
	}
	if o.Stall <= 0 {
		o.Stall = DefaultStall
	}
	if o.Backoff <= 0 {
		o.Backoff = time.Second
	}
	if o.Attempts <= 0 {
		o.Attempts = 4
	}
	if o.Memory == nil {
		o.Memory = forgetful{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// SetSpeed changes the limit of all downloads together, in bytes per second; 0 lifts it.
func (s *Store) SetSpeed(bytesPerSecond int64) {
	if bytesPerSecond <= 0 {
		s.limiter.SetLimit(rate.Inf)
		return
	}
	s.limiter.SetLimit(rate.Limit(bytesPerSecond))
}

// Stat says what is known of a payload without reading it; an error that wraps ErrNotHeld when it is not held.
func (s *Store) Stat(digest string) (Info, error) {
	digest, err := normal(digest, 64)
	if err != nil {
		return Info{}, err
	}
	s.mu.Lock()
	bad := s.bad[digest]
	s.mu.Unlock()
	if bad {
		return Info{}, fmt.Errorf("payload %s: %w: it was found altered", digest, ErrNotHeld)
	}
	return stat(s.path(digest), digest)
}

func stat(path, digest string) (Info, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, fmt.Errorf("payload %s: %w", digest, ErrNotHeld)
	}
	if err != nil {
		return Info{}, fmt.Errorf("payload %s: %w", digest, err)
	}
	return Info{SHA256: digest, Size: info.Size(), At: info.ModTime()}, nil
}

// Has says whether a payload is held, without reading it.
func (s *Store) Has(digest string) bool {
	_, err := s.Stat(digest)
	return err == nil
}

// List returns every payload held, sorted by digest.
func (s *Store) List() ([]Info, error) {
	shards, err := os.ReadDir(filepath.Join(s.dir, payloadFolder))
	if err != nil {
		return nil, fmt.Errorf("list payloads: %w", err)
	}
	var held []Info
	for _, shard := range shards {
		files, err := os.ReadDir(filepath.Join(s.dir, payloadFolder, shard.Name()))
		if err != nil {
			return nil, fmt.Errorf("list payloads: %w", err)
		}
		for _, file := range files {
			info, err := s.Stat(file.Name())
			if errors.Is(err, ErrNotHeld) || errors.Is(err, ErrBadDigest) {
				continue // removed meanwhile, altered, or not ours
			}
			if err != nil {
				return nil, err
			}
			held = append(held, info)
		}
	}
	slices.SortFunc(held, func(a, b Info) int { return strings.Compare(a.SHA256, b.SHA256) })
	return held, nil
}

// Usage counts the payloads held and adds their sizes.
func (s *Store) Usage() (count int, bytes int64, err error) {
	held, err := s.List()
	for _, info := range held {
		bytes += info.Size
	}
	return len(held), bytes, err
}

// Remove deletes a payload; one that is not held is no error.
func (s *Store) Remove(digest string) error {
	digest, err := normal(digest, 64)
	if err != nil {
		return err
	}
	s.forget(digest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.Remove(s.path(digest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove payload %s: %w", digest, err)
	}
	delete(s.bad, digest)
	return nil
}

// Pruned is what Prune removed.
type Pruned struct {
	Payloads int   `json:"payloads"`
	Partials int   `json:"partials"`
	Bytes    int64 `json:"bytes"`
}

// Prune removes what was last written or asked for before a time: payloads that keep does not want, and cut downloads
// that nobody resumed. It goes on past a file that cannot be removed and returns all such errors joined.
func (s *Store) Prune(ctx context.Context, before time.Time, keep func(digest string) bool) (Pruned, error) {
	held, err := s.List()
	if err != nil {
		return Pruned{}, err
	}
	var done Pruned
	var failed []error
	for _, info := range held {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		if !info.At.Before(before) || keep(info.SHA256) {
			continue
		}
		if err := s.Remove(info.SHA256); err != nil {
			failed = append(failed, err)
			continue
		}
		done.Payloads++
		done.Bytes += info.Size
	}
	failed = append(failed, s.prunePartials(before, &done))
	return done, errors.Join(failed...)
}

func (s *Store) prunePartials(before time.Time, done *Pruned) error {
	folder := filepath.Join(s.dir, partialFolder)
	files, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("list cut downloads: %w", err)
	}
	var failed []error
	for _, file := range files {
		info, err := file.Info()
		if err != nil || !info.ModTime().Before(before) || s.flying(strings.TrimSuffix(file.Name(), metaSuffix)) {
			continue
		}
		if err := os.Remove(filepath.Join(folder, file.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, fmt.Errorf("remove cut download: %w", err))
			continue
		}
		if !strings.HasSuffix(file.Name(), metaSuffix) {
			done.Partials++
			done.Bytes += info.Size()
		}
	}
	return errors.Join(failed...)
}

func (s *Store) path(digest string) string {
	return filepath.Join(s.dir, payloadFolder, digest[:2], digest)
}

// normal lower-cases a hexadecimal digest of the given length.
func normal(digest string, digits int) (string, error) {
	lower := strings.ToLower(digest)
	if _, err := hex.DecodeString(lower); err != nil || len(lower) != digits {
		return "", fmt.Errorf("%w: %.80q has not %d hexadecimal digits", ErrBadDigest, digest, digits)
	}
	return lower, nil
}
