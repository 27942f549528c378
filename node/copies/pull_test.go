package copies_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"thatch/catalog/content"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/holdings"
	"thatch/node/bulletins/staging"
	"thatch/node/copies"
	"thatch/node/membership"
	"thatch/node/nodetest"
	"thatch/node/store"
)

// sisters are nodes of which each answers as it is told, and which keep who was asked for what range.
type sisters struct {
	fellows []membership.Fellow
	servers map[string]*httptest.Server
	mu      sync.Mutex
	asked   []string // "id range"
}

func (s *sisters) Fellows() []membership.Fellow { return append([]membership.Fellow{}, s.fellows...) }

func (s *sisters) Payload(id, sum string) (string, *http.Client) {
	return s.servers[id].URL + "/" + sum, s.servers[id].Client()
}

func (s *sisters) who() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.asked, ", ")
}

type keeperBench struct {
	*copies.Keeper
	*sisters
	db    *store.DB
	held  *content.Store
	free  int64
	known map[string]staging.Known // under mu
	clock *nodetest.Clock
	log   bytes.Buffer
}

const self = "self"

// text is larger than what is read at once.
var text = strings.Repeat("0123456789abcdef", 40_000)

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func newKeeper(t *testing.T) *keeperBench {
	t.Helper()
	_, db := bulletinstest.Room(t)
	b := &keeperBench{sisters: &sisters{servers: map[string]*httptest.Server{}}, db: db, free: 100 << 30, clock: nodetest.NewClock()}
	b.fellows = []membership.Fellow{{ID: self, Name: self, Votes: true, Living: true}}
	var err error
	b.held, err = content.Open(t.TempDir(), content.Options{Backoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	b.Keeper = copies.New(copies.Config{
		Node: self, Reader: db, Writer: db, Content: b.held, Sisters: b.sisters,
		Copies: func(context.Context) (int, error) { return 0, nil },
		Known: func(context.Context) (map[string]staging.Known, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			return maps.Clone(b.known), nil
		},
		Match: func(context.Context) error { return nil },
		Free:  func() (int64, error) { return b.free, nil },
		Now:   b.clock.Now, Log: slog.New(slog.NewTextHandler(&b.log, nil)),
	})
	return b
}

// add adds a sister at a distance that answers in a way.
func (b *keeperBench) add(t *testing.T, id string, trip time.Duration, answer http.HandlerFunc) {
	b.fellows = append(b.fellows, membership.Fellow{ID: id, Name: "name of " + id, Votes: true, Living: true, Trip: trip})
	b.servers[id] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.asked = append(b.asked, strings.TrimSpace(id+" "+r.Header.Get("Range")))
		b.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(b.servers[id].Close)
}

func (b *keeperBench) record(t *testing.T, sum string, size int, nodes ...string) {
	t.Helper()
	for _, node := range nodes {
		bulletinstest.Write(t, b.db, holdings.Add(sum, node, int64(size)))
	}
}

// Ways in which a sister answers.
func gives(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	}
}

func dies(text string, after int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		_, _ = w.Write([]byte(text[:after]))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func refuses(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// TestPull has sisters fail in every way: the next one gives the payload, from where the former one stopped.
func TestPull(t *testing.T) {
	const near, far, farther = time.Millisecond, 50 * time.Millisecond, time.Second
	half := len(text) / 2
	wrong := strings.ToUpper(text)
	for name, c := range map[string]struct {
		first, second http.HandlerFunc
		asked         string
	}{
		"the nearest gives it":    {gives(text), gives(text), "a"},
		"it dies in the middle":   {dies(text, half), gives(text), fmt.Sprintf("a, b bytes=%d-", half)},
		"it does not hold it":     {refuses(http.StatusNotFound), gives(text), "a, b"},
		"it has too much to do":   {refuses(http.StatusServiceUnavailable), gives(text), "a, b"},
		"it gives something else": {gives(wrong), gives(text), "a, b"},
		"it gives less":           {gives(text[:half]), gives(text), "a, b"},
		"it dies, and was wrong":  {dies(wrong, half), gives(text), fmt.Sprintf("a, b bytes=%d-, b", half)},
		"both die, and the first is back": {
			func() http.HandlerFunc {
				calls := 0
				return func(w http.ResponseWriter, r *http.Request) {
					if calls++; calls == 1 {
						dies(text, half)(w, r)
					}
					gives(text)(w, r)
				}
			}(), refuses(http.StatusBadGateway), fmt.Sprintf("a, b bytes=%d-, a bytes=%d-", half, half),
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, sum := newKeeper(t), sumOf(text)
			b.add(t, "b", far, c.second)
			b.add(t, "a", near, c.first)
			b.add(t, "c", farther, gives(text))
			b.record(t, sum, len(text), "a", "b")
			info, err := b.Pull(t.Context(), sum, 0, nil)
			if err != nil || info.SHA256 != sum || info.Size != int64(len(text)) || !b.held.Has(sum) {
				t.Fatalf("%+v, %v", info, err)
			}
			if got := b.who(); got != c.asked {
				t.Errorf("asked were %q, want %q", got, c.asked)
			}
			if strings.HasPrefix(name, "it gives") != strings.Contains(b.log.String(), `name="name of a"`) {
				t.Errorf("the log says: %s", b.log.String())
			}
			again, err := b.Pull(t.Context(), strings.ToUpper(sum), 0, nil)
			if err != nil || again.SHA256 != sum || b.who() != c.asked {
				t.Errorf("pulled again: %+v, %v", again, err)
			}
		})
	}
}

// TestPullFails says who was asked and what came of it, and asks nobody for what there is no room for.
func TestPullFails(t *testing.T) {
	sum := sumOf(text)
	t.Run("nobody else is there", func(t *testing.T) {
		b := newKeeper(t)
		if _, err := b.Pull(t.Context(), sum, 7, nil); !errors.Is(err, copies.ErrNoSister) {
			t.Error(err)
		}
	})
	t.Run("nobody gives it", func(t *testing.T) {
		b := newKeeper(t)
		b.add(t, "a", 0, refuses(http.StatusNotFound))
		b.add(t, "b", time.Second, gives("something else"))
		b.record(t, sum, len(text), "a", "b")
		_, err := b.Pull(t.Context(), sum, 0, nil)
		if err == nil || !strings.Contains(err.Error(), "name of a") || !strings.Contains(err.Error(), "name of b") {
			t.Error(err)
		}
		if _, err = b.Pull(t.Context(), sum, 0, nil); err == nil || b.who() != "a, b, a" {
			t.Errorf("who gave something else is asked again at once: %s, %v", b.who(), err)
		}
	})
	t.Run("who does not answer is not asked", func(t *testing.T) {
		b := newKeeper(t)
		b.add(t, "a", 0, gives(text))
		b.add(t, "b", time.Second, gives(text))
		b.fellows[1].Living = false
		b.record(t, sum, len(text), "a")
		if _, err := b.Pull(t.Context(), sum, 0, nil); err != nil || b.who() != "b" { // it may have it all the same
			t.Errorf("%s, %v", b.who(), err)
		}
	})
	t.Run("no room", func(t *testing.T) {
		b := newKeeper(t)
		b.add(t, "a", 0, gives(text))
		b.record(t, sum, len(text), "a")
		b.free = 512<<20 + int64(len(text)) - 1
		if _, err := b.Pull(t.Context(), sum, 0, nil); !errors.Is(err, copies.ErrNoRoom) || b.who() != "" {
			t.Errorf("%s, %v", b.who(), err)
		}
		b.free++
		if _, err := b.Pull(t.Context(), sum, 0, nil); err != nil {
			t.Error(err)
		}
	})
}

// TestBring pulls once for all who ask, and tells who cannot wait how far it is.
func TestBring(t *testing.T) {
	b, sum, half := newKeeper(t), sumOf(text), len(text)/2
	if err := b.Bring(t.Context(), sum); !errors.As(err, new(*copies.Later)) && !errors.Is(err, content.ErrNotHeld) {
		t.Error(err)
	}
	on := make(chan struct{})
	b.add(t, "a", 0, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		_, _ = w.Write([]byte(text[:half]))
		_ = http.NewResponseController(w).Flush()
		<-on
		_, _ = w.Write([]byte(text[half:]))
	})
	b.record(t, sum, len(text), "a")
	var later *copies.Later
	if err := b.Bring(t.Context(), sum); !errors.As(err, &later) {
		t.Errorf("before it runs: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx, nil) }()
	for end := time.Now().Add(time.Minute); ; { // until Run has begun, and some of it is here
		wait, done := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := b.Bring(wait, sum)
		done()
		if errors.As(err, &later) && strings.Contains(later.Text, fmt.Sprintf("%d of %d bytes", half, len(text))) {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	asked := make(chan error, 3)
	for range 3 {
		go func() { asked <- b.Bring(t.Context(), sum) }()
	}
	close(on)
	for range 3 {
		if err := <-asked; err != nil {
			t.Error(err)
		}
	}
	if b.who() != "a" || !b.held.Has(sum) {
		t.Errorf("asked: %s", b.who())
	}
	if file, err := holdings.Of(t.Context(), b.db, sum); err != nil || !file.On(self) {
		t.Errorf("%+v, %v", file, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestShort says of which payloads that are needed there are too few copies, after they were too few for long, and what to do.
func TestShort(t *testing.T) {
	b := newKeeper(t)
	b.add(t, "a", 0, refuses(http.StatusNotFound))
	b.fellows[1].Silent, b.fellows[1].Living = time.Hour, false
	sums := []string{sumOf("needed"), sumOf("needed too"), sumOf("not needed")}
	for _, sum := range sums {
		b.record(t, sum, 7, "a")
	}
	b.known = map[string]staging.Known{sums[0]: {Name: "one.msi", Needed: true}, sums[2]: {Name: "three.msi"}}
	ctx, cancel := context.WithCancel(t.Context())
	changed, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- b.Run(ctx, changed) }()
	b.until(t, "it is noticed", func() bool { return b.gauge(t, "thatch_payloads_short") == 1 })
	if problems := b.Problems(); problems != nil {
		t.Errorf("too soon: %+v", problems)
	}
	b.later(11 * time.Minute)
	problems := b.Problems()
	if len(problems) != 1 || problems[0].Text != "payload one.msi has 0 of 1 copies" || problems[0].Level != membership.LevelError ||
		!strings.Contains(problems[0].Advice, "thatch content show "+sums[0][:12]) {
		t.Errorf("%+v", problems)
	}
	holders, err := b.Holders(t.Context(), sums[0])
	if err != nil || len(holders) != 2 || holders[0].Holds || !holders[0].Should || !strings.Contains(holders[0].Why, "no other node") ||
		!holders[1].Holds || holders[1].Should || holders[1].Living {
		t.Errorf("%+v, %v", holders, err)
	}
	b.mu.Lock()
	b.known[sums[1]] = staging.Known{Name: "two.msi", Needed: true}
	b.mu.Unlock()
	changed <- struct{}{}
	b.until(t, "the second is noticed", func() bool { return b.gauge(t, "thatch_payloads_short") == 2 })
	b.later(11 * time.Minute)
	if problems := b.Problems(); len(problems) != 1 || !strings.HasPrefix(problems[0].Text, "2 payloads have too few copies; payload ") {
		t.Errorf("%+v", problems)
	}
	standings, err := b.Standings(t.Context())
	if err != nil || len(standings) != 3 || fmt.Sprint(standings[sums[2]]) != "{0 1 [name of a] 7}" {
		t.Errorf("%+v, %v", standings, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// gauge reads a metric.
func (b *keeperBench) gauge(t *testing.T, name string) float64 {
	t.Helper()
	all := prometheus.NewRegistry()
	b.Collect(all)
	families, err := all.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// until waits for what a round of the keeper brings about.
func (b *keeperBench) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); nodetest.Pause(t.Context(), 5*time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// later moves the keeper's clock on.
func (b *keeperBench) later(by time.Duration) { b.clock.Move(by) }
