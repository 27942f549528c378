package content

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is what a store should hold, whatever is done to it.
type model struct {
	t      *rapid.T
	store  *Store
	vendor *vendor
	clock  time.Time
	held   map[string]bool
	ages   map[string]time.Time
	rotten map[string]bool // altered on disk, and not yet found
	told   map[string]int  // reports of altered files
	found  map[string]int  // how many there should be
	bodies map[string][]byte
	memory memory
}

// TestModel does anything in any order, and holds what the store says against the model.
func TestModel(t *testing.T) {
	v := newVendor(t, nil)
	root := folder(t)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		m := &model{
			t: rt, vendor: v, clock: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), held: map[string]bool{}, ages: map[string]time.Time{},
			rotten: map[string]bool{}, told: map[string]int{}, found: map[string]int{}, bodies: map[string][]byte{}, memory: memory{},
		}
		for i, size := range []int{0, 1, 1000, blockSize, 2*blockSize + 50} {
			p := payload(i+50, size)
			m.bodies[sum(p)] = p
		}
		m.open(filepath.Join(root, string(rune('a'+n%26))+time.Now().Format("150405.000000000")))
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(*rapid.T) { m.put() }, "put wrong": func(*rapid.T) { m.putWrong() }, "download": func(*rapid.T) { m.download() },
			"cut download": func(*rapid.T) { m.cutDownload() }, "read": func(*rapid.T) { m.read() }, "remove": func(*rapid.T) { m.remove() },
			"rot": func(*rapid.T) { m.rot() }, "scrub": func(*rapid.T) { m.scrub() }, "prune": func(*rapid.T) { m.prune() },
			"restart": func(*rapid.T) { m.open(m.store.dir) }, "lose": func(*rapid.T) { clear(m.memory) }, "": func(*rapid.T) { m.check() },
		})
		removeAll(m.store.dir)
	})
}

func (m *model) open(dir string) {
	s, err := Open(dir, Options{
		Backoff: time.Microsecond, Attempts: 1, Now: func() time.Time { return m.clock },
		Memory:  m.memory,
		Altered: func(a Altered) { m.told[a.SHA256]++ },
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.store = s
}

func (m *model) pick() string {
	return rapid.SampledFrom(slices.Sorted(maps.Keys(m.bodies))).Draw(m.t, "digest")
}

// discovered is what happens to a rotten file when somebody looks at it whole.
func (m *model) discovered(digest string) bool {
	if !m.rotten[digest] {
		return false
	}
	delete(m.rotten, digest)
	delete(m.held, digest)
	m.found[digest]++
	return true
}

func (m *model) hold(digest string) {
	m.held[digest] = true
	m.ages[digest] = m.clock
}

func (m *model) put() {
	digest := m.pick()
	// What was read once counts as held until it is read again, so a rotten file may stay.
	stays := m.rotten[digest] && m.seen(digest)
	if !stays {
		m.discovered(digest)
	}
	if _, err := m.store.Put(context.Background(), digest, bytes.NewReader(m.bodies[digest])); err != nil {
		m.t.Fatal(err)
	}
	m.stamp(digest)
}

// stamp sets the age of what was just written: the file's own time is that of the disk's clock.
func (m *model) stamp(digest string) {
	m.hold(digest)
	if err := m.store.touch(digest); err != nil {
		m.t.Fatal(err)
	}
}

// seen says whether the store need not read a file whole before it counts as held.
func (m *model) seen(digest string) bool {
	info, err := m.store.Stat(digest)
	return err == nil && m.store.known(info) != nil
}

func (m *model) putWrong() {
	digest := m.pick()
	m.discoverUnseen(digest)
	if m.held[digest] {
		return // nothing is read from the stream
	}
	if _, err := m.store.Put(context.Background(), digest, bytes.NewReader([]byte("something else"))); !errors.Is(err, ErrDigest) {
		m.t.Fatalf("wrong bytes: %v", err)
	}
}

// discoverUnseen marks a rotten file as found where the store verifies it, because it has not since its start.
func (m *model) discoverUnseen(digest string) {
	if !m.seen(digest) && m.held[digest] {
		if _, err := m.store.verified(digest); err != nil {
			if !m.discovered(digest) {
				m.t.Fatal(err)
			}
		}
	}
}

func (m *model) request(digest string) Request {
	m.vendor.mu.Lock()
	m.vendor.body, m.vendor.etag = m.bodies[digest], `"`+digest[:8]+`"`
	m.vendor.mu.Unlock()
	return Request{URL: m.vendor.URL + "/" + digest, SHA256: digest, Size: int64(len(m.bodies[digest]))}
}

func (m *model) download() {
	digest := m.pick()
	m.discoverUnseen(digest)
	if _, err := m.store.Download(context.Background(), m.request(digest), nil); err != nil {
		m.t.Fatal(err)
	}
	m.stamp(digest)
}

func (m *model) cutDownload() {
	digest := m.pick()
	m.discoverUnseen(digest)
	size := len(m.bodies[digest])
	if m.held[digest] || size < 2 {
		return
	}
	request := m.request(digest)
	m.vendor.mu.Lock()
	m.vendor.cutAt = rapid.IntRange(1, size-1).Draw(m.t, "cut")
	m.vendor.mu.Unlock()
	_, err := m.store.Download(context.Background(), request, nil)
	m.vendor.mu.Lock()
	m.vendor.cutAt = 0
	m.vendor.mu.Unlock()
	if err == nil { // less was missing than came before the cut
		m.stamp(digest)
	}
}

func (m *model) read() {
	digest := m.pick()
	rotten := m.discovered(digest)
	r, err := m.store.Open(digest)
	var got []byte
	if err == nil {
		got = make([]byte, r.Size())
		_, err = r.ReadAt(got, 0)
		if len(got) == 0 {
			err = nil
		}
		r.Close()
	}
	switch {
	case rotten && !errors.Is(err, ErrAltered):
		m.t.Fatalf("a rotten file was read: %v", err)
	case !rotten && !m.held[digest] && !errors.Is(err, ErrNotHeld):
		m.t.Fatalf("what is not held: %v", err)
	case m.held[digest] && (err != nil || !bytes.Equal(got, m.bodies[digest])):
		m.t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func (m *model) remove() {
	digest := m.pick()
	if err := m.store.Remove(digest); err != nil {
		m.t.Fatal(err)
	}
	delete(m.held, digest)
	delete(m.rotten, digest)
}

// rot changes one byte, as a disk does; an empty file has none.
func (m *model) rot() {
	digest := m.pick()
	if !m.held[digest] || m.rotten[digest] || len(m.bodies[digest]) == 0 {
		return
	}
	path := m.store.path(digest)
	whole, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	whole[rapid.IntRange(0, len(whole)-1).Draw(m.t, "byte")] ^= 0x40
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Chtimes(path, m.ages[digest], m.ages[digest]); err != nil {
		m.t.Fatal(err)
	}
	m.rotten[digest] = true
}

func (m *model) scrub() {
	want := slices.Sorted(maps.Keys(m.rotten))
	for _, digest := range want {
		m.discovered(digest)
	}
	got, err := scrub(m.store)
	if err != nil || !slices.Equal(got, want) {
		m.t.Fatalf("scrub found %v, %v; want %v", got, err, want)
	}
}

func (m *model) prune() {
	kept := m.pick()
	before := m.clock
	m.clock = m.clock.Add(time.Hour)
	if rapid.Bool().Draw(m.t, "all are old") {
		before = m.clock
	}
	for digest := range m.held {
		if digest != kept && m.ages[digest].Before(before) {
			delete(m.held, digest)
			delete(m.rotten, digest)
		}
	}
	if _, err := m.store.Prune(context.Background(), before, func(d string) bool { return d == kept }); err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) check() {
	held, err := m.store.List()
	if err != nil {
		m.t.Fatal(err)
	}
	var got []string
	for _, info := range held {
		got = append(got, info.SHA256)
		if info.Size != int64(len(m.bodies[info.SHA256])) {
			m.t.Fatalf("%s has %d bytes", info.SHA256, info.Size)
		}
	}
	if want := slices.Sorted(maps.Keys(m.held)); !slices.Equal(got, want) {
		m.t.Fatalf("holds %v, want %v", got, want)
	}
	if !maps.Equal(m.told, m.found) {
		m.t.Fatalf("altered files told: %v, want %v", m.told, m.found)
	}
	drafts, err := os.ReadDir(filepath.Join(m.store.dir, draftFolder))
	if err != nil || len(drafts) > 0 {
		m.t.Fatalf("%d drafts left, %v", len(drafts), err)
	}
}
