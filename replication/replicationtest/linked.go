package replicationtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/node"
	"thatch/node/nodetest"
	"thatch/node/quorum"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication"
	"thatch/replication/joining"
	"thatch/replication/round"
	"thatch/replication/server"
	"thatch/replication/wire"
)

// Linked is a site of one node that runs, or one node of several.
type Linked struct {
	*node.Node
	Link    *replication.Link
	Parent  *server.Parent
	Rounds  *round.Rounds
	Several *Several // nil: of one
	stop    []func()
	once    sync.Once
}

// newLinked gives a node both halves of the wire.
func newLinked(n *node.Node) *Linked {
	s := &Linked{Node: n, Parent: server.New(n), Link: replication.New(n)}
	s.Rounds = round.New(n, s.Link, s.Parent)
	return s
}

// NodesVariable of the environment says how many nodes the sites of a test have that says nothing of it.
const NodesVariable = "THATCH_TEST_NODES"

// Config says how a site starts.
type Config struct {
	Nodes     int    // 0: one, or as NodesVariable says
	Dir       string // "": a temporary one; of a site of several nodes it always is
	Name      string
	Languages []string
	Listen    string // "": a free port
	Now       func() time.Time
	Tuning    quorum.Tuning // of a site of several nodes
	// Doors are more doors of the node, by path prefix; nil: none.
	Doors func(n *node.Node) map[string]http.Handler
	// Before is asked before each request of a child is answered: a test may drop, delay or cut it.
	Before func(w http.ResponseWriter, r *http.Request) http.Handler
	// Around stands before the door towards children, as Weather.Around does.
	Around func(door http.Handler) http.Handler
}

// Start starts a site. It is stopped with the test, or by Stop. Of a site of several nodes it gives the first, which leads unless
// something happens.
func Start(t testing.TB, cfg Config) *Linked {
	t.Helper()
	if cfg.Nodes == 0 {
		cfg.Nodes, _ = strconv.Atoi(os.Getenv(NodesVariable)) // 0: not set
	}
	if cfg.Nodes > 1 {
		return StartSeveral(t, cfg).At(0)
	}
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("THATCH_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("site", cfg.Name)
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	n, err := node.New(context.Background(), node.Config{
		Dir: cfg.Dir, Site: cfg.Name, Languages: cfg.Languages, Listen: cfg.Listen, Now: cfg.Now, Log: log, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	s := newLinked(n)
	stop := nodetest.Run(t, n, cfg.doors(s))
	s.stop = []func(){stop, func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}}
	t.Cleanup(s.Stop)
	return s
}

// doors are those of a node.
func (cfg Config) doors(s *Linked) map[string]http.Handler {
	var door http.Handler = s.Parent
	if cfg.Before != nil {
		door = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if h := cfg.Before(w, r); h != nil {
				h.ServeHTTP(w, r)
				return
			}
			s.Parent.ServeHTTP(w, r)
		})
	}
	if cfg.Around != nil {
		door = cfg.Around(door)
	}
	doors := map[string]http.Handler{wire.Prefix: door}
	if cfg.Doors != nil {
		maps.Copy(doors, cfg.Doors(s.Node))
	}
	return doors
}

// Stop stops the site.
func (s *Linked) Stop() {
	s.once.Do(func() {
		for _, stop := range s.stop {
			stop()
		}
	})
}

// URL is where children find the site.
func (s *Linked) URL() string { return "https://" + s.Address() }

// Join makes a site the child of another one.
func (s *Linked) Join(t testing.TB, parent *Linked) {
	t.Helper()
	token, err := parent.Sites.NewToken(t.Context(), sites.Token{Name: "for " + s.Site().Name, Expires: parent.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := joining.Join(t.Context(), s.Node, parent.URL(), token.Token, false); err != nil {
		t.Fatal(err)
	}
}

// Put makes a document the site's own current one of its kind and id.
func (s *Linked) Put(t testing.TB, kind document.Kind, id, body string, languages ...string) document.Document {
	t.Helper()
	doc, err := document.New(kind, id, languages, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	s.Identity.Sign(&doc)
	s.write(t, store.Put(doc, "", store.Former{}))
	return doc
}

// Remove removes a document.
func (s *Linked) Remove(t testing.TB, kind document.Kind, id string) {
	t.Helper()
	s.write(t, store.Remove(kind, id, store.Former{}))
}

func (s *Linked) write(t testing.TB, statements []store.Statement) {
	t.Helper()
	applied, err := s.Writer().Write(t.Context(), store.Batch{
		Actor: "test", Reason: "test", Topics: []string{store.TopicDocuments}, Statements: statements,
	})
	if err = errors.Join(err, applied.Err()); err != nil {
		t.Fatal(err)
	}
}

// Eventually waits until a condition holds: it is asked again whenever something of the site changes, and now and then. It
// gives up long after a busy machine would have come to it, and long before what links do by the clock alone.
func (s *Linked) Eventually(t testing.TB, what string, holds func() error) {
	t.Helper()
	watch := s.Watch()
	defer watch.Close()
	end := time.After(2 * time.Minute)
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-watch.C:
		case <-again.C:
		case <-end:
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// Count counts the current documents of a kind.
func (s *Linked) Count(t testing.TB, kind document.Kind) int {
	t.Helper()
	n, err := s.count(kind)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Holds is nil when the site has a number of current documents of a kind.
func (s *Linked) Holds(kind document.Kind, want int) error {
	got, err := s.count(kind)
	if err == nil && got != want {
		err = fmt.Errorf("%s holds %d documents of kind %s, want %d", s.Site().Name, got, kind, want)
	}
	return err
}
