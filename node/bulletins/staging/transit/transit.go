// Package transit is what a node knows of payload files on their way to it: how far each is, what it waits for, and until
// when.
package transit

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

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
	text := fmt.Sprintf("awaited from %s: %d of %d files, %s", from, a.Files, a.OfFiles, OfBytes(a.Bytes, a.OfBytes))
	if a.Why != "" {
		text += "; " + a.Why
	}
	return text
}

// OfBytes says "120 of 400 MB" in the unit that fits the whole.
func OfBytes(done, of int64) string {
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
	SHA256  string          `json:"sha256"`
	Name    string          `json:"name"`
	Package string          `json:"package"`        // document id
	From    string          `json:"from,omitempty"` // see Awaited
	Size    int64           `json:"size"`
	Bytes   int64           `json:"bytes"`         // here
	Why     string          `json:"why,omitempty"` // what it waits for, where it waits
	Next    time.Time       `json:"next,omitzero"` // when it is asked for again
	Payload document.Digest `json:"-"`             // that named it when it was asked for last
}

// Later says that a file cannot be had now. It is no failure: the file is asked for again.
type Later struct {
	Text  string
	After time.Duration // when to ask again; up to Soon, it is on its way and is waited for
}

func (l *Later) Error() string { return l.Text }

// Soon is how long a run of downloads waits for a file that is on its way.
const Soon = time.Minute

// Files are the files on their way, by what they are called while they are awaited: their SHA-256, or something else where
// that is not known. The zero value works, and all methods may be called at once.
type Files struct {
	mu    sync.Mutex
	files map[string]*File // by SHA-256
	woken chan struct{}    // closed by hurry; nil: nobody waits
}

// Change keeps what is known of a file that is awaited.
func (t *Files) Change(sum string, change func(*File)) {
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

// Progress keeps how many bytes are here of a file that is awaited.
func (t *Files) Progress(sum string, done int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.files[sum]; f != nil {
		f.Bytes = done
	}
}

// Forget forgets files that are here, or not to be had.
func (t *Files) Forget(sums ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, sum := range sums {
		delete(t.files, sum)
	}
}

// Keep forgets the files that nobody awaits any more.
func (t *Files) Keep(awaited map[string]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for sum := range t.files {
		if !awaited[sum] {
			delete(t.files, sum)
		}
	}
}

// File is what is known of a file.
func (t *Files) File(sum string) (File, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.files[sum]; f != nil {
		return *f, true
	}
	return File{}, false
}

// Waits says whether a file is not to be asked for yet.
func (t *Files) Waits(sum string, payload document.Digest, now time.Time) bool {
	f, known := t.File(sum)
	return known && now.Before(f.Next) && f.Payload == payload
}

// Next is when a file that waits is to be asked for again, zero where none waits.
func (t *Files) Next() (at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.files {
		if !f.Next.IsZero() && (at.IsZero() || f.Next.Before(at)) {
			at = f.Next
		}
	}
	return at
}

// Hurry lets every file be asked for again.
func (t *Files) Hurry() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.files {
		f.Next = time.Time{}
	}
	if t.woken != nil {
		close(t.woken)
		t.woken = nil
	}
}

// Wake is closed when what waits need not wait any more.
func (t *Files) Wake() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.woken == nil {
		t.woken = make(chan struct{})
	}
	return t.woken
}

// All lists the files, by name, and sums them up: nil where there are none.
func (t *Files) All() (sum *Awaited, files []File) {
	t.mu.Lock()
	defer t.mu.Unlock()
	files = make([]File, 0, len(t.files))
	for _, f := range t.files {
		files = append(files, *f)
	}
	if len(files) == 0 {
		return nil, files
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
