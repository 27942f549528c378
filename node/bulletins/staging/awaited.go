package staging

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"thatch/catalog"
	"thatch/catalog/document"
)

// Awaited is how far some payload files are that no node of the site holds, or not all of them.
type Awaited struct {
	From    string `json:"from,omitempty"` // what the site above is called that they come from; empty: their vendors
	Files   int    `json:"files"`          // held
	OfFiles int    `json:"of_files"`
	Bytes   int64  `json:"bytes"` // held, or here of what is on its way
	OfBytes int64  `json:"of_bytes"`
	Why     string `json:"why,omitempty"` // what one of them waits for, where it waits
}

// Sentence says it to people: "awaited from parent NAME: 3 of 7 files, 120 of 400 MB".
func (a *Awaited) Sentence() string {
	from := "the vendor"
	if a.From != "" {
		from = "parent " + a.From
	}
	text := fmt.Sprintf("awaited from %s: %d of %d files, %s", from, a.Files, a.OfFiles, ofBytes(a.Bytes, a.OfBytes))
	if a.Why != "" {
		text += "; " + a.Why
	}
	return text
}

// ofBytes says "120 of 400 MB" in the unit that fits the whole.
func ofBytes(done, of int64) string {
	unit, name := int64(1), "bytes"
	for _, u := range []struct {
		size int64
		name string
	}{{1e3, "kB"}, {1e6, "MB"}, {1e9, "GB"}} {
		if of >= 10*u.size {
			unit, name = u.size, u.name
		}
	}
	return fmt.Sprintf("%d of %d %s", done/unit, of/unit, name)
}

// File is a payload file that is awaited.
type File struct {
	SHA256  string    `json:"sha256"`
	Name    string    `json:"name"`
	Package string    `json:"package"`        // document id
	From    string    `json:"from,omitempty"` // see Awaited
	Size    int64     `json:"size"`
	Bytes   int64     `json:"bytes"`         // here
	Why     string    `json:"why,omitempty"` // what it waits for, where it waits
	Next    time.Time `json:"next,omitzero"` // when it is asked for again
	payload document.Digest
}

// Later says that a file cannot be had now. It is no failure: the file is asked for again.
type Later struct {
	Text  string
	After time.Duration // when to ask again; up to Soon, it is on its way and is waited for
}

func (l *Later) Error() string { return l.Text }

// Soon is how long a run of downloads waits for a file that is on its way.
const Soon = time.Minute

// transit is what this node knows of files on their way. Its zero value works.
type transit struct {
	mu    sync.Mutex
	files map[string]*File // by SHA-256
}

// change keeps what is known of a file that is awaited.
func (t *transit) change(sum string, change func(*File)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.files == nil {
		t.files = map[string]*File{}
	}
	f := t.files[sum]
	if f == nil {
		f = &File{SHA256: sum}
		t.files[sum] = f
	}
	change(f)
}

// progress keeps how many bytes are here of a file that is awaited.
func (t *transit) progress(sum string, done int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.files[sum]; f != nil {
		f.Bytes = done
	}
}

// forget forgets files that are here, or not to be had.
func (t *transit) forget(files []wanted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range files {
		delete(t.files, files[i].sum())
	}
}

// keep forgets the files that nobody awaits any more.
func (t *transit) keep(awaited map[string]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for sum := range t.files {
		if !awaited[sum] {
			delete(t.files, sum)
		}
	}
}

func (t *transit) file(sum string) (File, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.files[sum]; f != nil {
		return *f, true
	}
	return File{}, false
}

// waits says whether a file is not to be asked for yet.
func (t *transit) waits(w *wanted, now time.Time) bool {
	f, known := t.file(w.sum())
	return known && now.Before(f.Next) && f.payload == w.payload
}

// next is when a file that waits is to be asked for again, zero where none waits.
func (t *transit) next() (at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.files {
		if !f.Next.IsZero() && (at.IsZero() || f.Next.Before(at)) {
			at = f.Next
		}
	}
	return at
}

// hurry lets every file be asked for again.
func (t *transit) hurry() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.files {
		f.Next = time.Time{}
	}
}

// Load reads the state, with what this node knows of files on their way.
func (s *Stager) Load(ctx context.Context) (*State, error) {
	state, err := Load(ctx, s.cfg.Reader)
	if err == nil {
		state.transit = &s.transit
	}
	return state, err
}

// Awaited tells how far some payload files are, nil where the site holds them all.
func (s *State) Awaited(files []catalog.StagedFile) *Awaited {
	a := &Awaited{}
	seen := make(map[string]bool, len(files))
	for _, f := range files {
		sum := strings.ToLower(f.SHA256)
		if seen[sum] {
			continue
		}
		seen[sum] = true
		a.OfFiles++
		a.OfBytes += f.Size
		if s.Held(sum) {
			a.Files++
			a.Bytes += f.Size
			continue
		}
		if s.transit == nil {
			continue
		}
		if moving, known := s.transit.file(sum); known {
			a.Bytes += min(moving.Bytes, f.Size)
			a.From, a.Why = cmp.Or(a.From, moving.From), cmp.Or(a.Why, moving.Why)
		}
	}
	if a.Files == a.OfFiles {
		return nil
	}
	return a
}

// moves says whether files of a payload that are not here are on their way, or waited for.
func (s *State) moves(files []catalog.StagedFile) bool {
	return s.transit != nil && slices.ContainsFunc(files, func(f catalog.StagedFile) bool {
		_, known := s.transit.file(strings.ToLower(f.SHA256))
		return known
	})
}

// Awaited lists the files that the site awaits as far as this node knows, by name, and sums them up: nil where there are
// none.
func (s *Stager) Awaited() (sum *Awaited, files []File) {
	s.transit.mu.Lock()
	defer s.transit.mu.Unlock()
	for _, f := range s.transit.files {
		files = append(files, *f)
	}
	if len(files) == 0 {
		return nil, []File{}
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.SHA256, b.SHA256)) })
	sum = &Awaited{OfFiles: len(files)}
	for i := range files {
		f := &files[i]
		sum.Bytes += f.Bytes
		sum.OfBytes += f.Size
		sum.From, sum.Why = cmp.Or(sum.From, f.From), cmp.Or(sum.Why, f.Why)
	}
	return sum, files
}
