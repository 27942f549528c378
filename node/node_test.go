package node_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/node"
	"thatch/node/folder"
	"thatch/node/identity"
	"thatch/node/nodetest"
	"thatch/node/store"
)

func TestTwoNodesOnOneFolder(t *testing.T) {
	first := nodetest.New(t)
	_, err := node.New(t.Context(), node.Config{Dir: first.Dir(), Listen: "127.0.0.1:0"})
	if !errors.Is(err, folder.ErrLocked) || !strings.Contains(err.Error(), first.Dir()) {
		t.Fatalf("a second node: %v", err)
	}
	if _, err := first.Status(t.Context()); err != nil {
		t.Errorf("the first one suffered: %v", err)
	}
}

func TestDatabaseRulesAfterTheFirstStart(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	start := func(site string, languages ...string) node.Status {
		t.Helper()
		n, err := node.New(t.Context(), node.Config{
			Dir: dir, Site: site, Languages: languages, Listen: "127.0.0.1:0",
			Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		status, err := n.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	first := start("Berlin", "DE", "en", "de")
	if first.Site != "Berlin" || !slices.Equal(first.Languages, []string{"de", "en"}) {
		t.Fatalf("%+v", first)
	}
	log.Reset()
	same := start("Berlin", "en", "de")
	if strings.Contains(log.String(), "first start") {
		t.Errorf("the same flags are complained about: %s", log.String())
	}
	other := start("Paris", "fr")
	for _, s := range []node.Status{same, other} {
		if s.Site != "Berlin" || s.SiteID != first.SiteID || s.Epoch != first.Epoch || s.Node != first.Node ||
			s.Fingerprint != first.Fingerprint || !slices.Equal(s.Languages, first.Languages) {
			t.Errorf("%+v, the first start said %+v", s, first)
		}
	}
	for _, want := range []string{"given=Paris", "given=[fr]", "thatch site languages"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q: %s", want, log.String())
		}
	}
}

func TestBadConfigurations(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, cfg := range map[string]node.Config{
		"data folder": {},
		"HOST:PORT":   {Dir: t.TempDir(), Listen: "here"},
		"BCP 47":      {Dir: t.TempDir(), Languages: []string{"german!"}},
		"at most 200": {Dir: t.TempDir(), Site: strings.Repeat("x", 300)},
		"not a dir":   {Dir: filepath.Join(file, "below")},
		"no database": {Dir: folderWith(t, folder.DatabaseFile, "this is no database at all, it only pretends to be")},
		"a node's id": {Dir: folderWith(t, "node.id", "x")},
		"node.key":    {Dir: usedFolder(t, "node.key")},
	} {
		n, err := node.New(t.Context(), cfg)
		if err == nil {
			n.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) && want != "no database" {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func folderWith(t *testing.T, name, content string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// usedFolder is the folder of a node that has ended, without one of its files.
func usedFolder(t *testing.T, without string) string {
	t.Helper()
	dir := t.TempDir()
	n, err := node.New(t.Context(), node.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(n.Close(), os.Remove(filepath.Join(dir, without))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	// A first start that cannot listen makes no site: the next one, with the right words, does.
	dir := t.TempDir()
	n, err := node.New(t.Context(), node.Config{Dir: dir, Listen: taken.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Fatalf("a first start at an address in use: %v", err)
	}
	if n != nil {
		t.Fatal("it is a node all the same")
	}
	n = nodetest.NewWith(t, node.Config{Dir: dir, Site: "Berlin", Languages: []string{"de"}})
	if got := n.Site().Name; got != "Berlin" {
		t.Errorf("the site is called %q", got)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := node.New(t.Context(), node.Config{Dir: dir, Listen: taken.Addr().String()})
	if err == nil || again != nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("an address in use: %v", err)
	}
}

// A handler that panics costs its request alone, and is told of.
func TestPanicInADoor(t *testing.T) {
	n := nodetest.New(t)
	nodetest.Run(t, n, map[string]http.Handler{"/": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("out of order") })})
	for range 2 {
		answer, err := local(t, n).Get("http://node/")
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusInternalServerError {
			t.Errorf("a panic is answered with %s, %v", answer.Status, err)
		}
	}
}

func local(t *testing.T, n *node.Node) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket(t, n))
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func socket(t *testing.T, n *node.Node) string {
	t.Helper()
	if elsewhere, err := os.ReadFile(filepath.Join(n.Dir(), folder.SocketPathFile)); err == nil {
		return string(elsewhere)
	}
	return filepath.Join(n.Dir(), folder.SocketFile)
}

func TestDoors(t *testing.T) {
	if os.PathSeparator != '/' {
		t.Skip("no sockets in folders on this system")
	}
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), strings.Repeat("long", 40))} {
		n := nodetest.NewWith(t, node.Config{Dir: dir})
		say := func(text string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				who, isLocal := identity.OperatorOf(r.Context())
				_, _ = io.WriteString(w, text+" "+who.Name)
				if !isLocal {
					t.Error("the local door is not known as such")
				}
			})
		}
		stop := nodetest.Run(t, n, map[string]http.Handler{"/": say("all"), "/a/": say("a"), "/a/b/": say("a b")})
		c := local(t, n)
		for path, want := range map[string]string{"/": "all local", "/x": "all local", "/a/x": "a local", "/a/b/c": "a b local", "/a%2Fb/": "all local"} {
			got, err := c.Get("http://node" + path)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(got.Body)
			got.Body.Close()
			if err != nil || string(body) != want {
				t.Errorf("%s: %s, %v", path, body, err)
			}
		}
		info, err := os.Stat(socket(t, n))
		if err != nil || info.Mode().Perm()&0o007 != 0 {
			t.Errorf("the socket is open to all: %v, %v", info.Mode(), err)
		}
		where := socket(t, n)
		stop()
		if _, err := os.Stat(where); err == nil {
			t.Error("the socket stays behind")
		}
	}
}

// TestStopAnswersWhatItHasBegun stops a node in the middle of a request.
func TestStopAnswersWhatItHasBegun(t *testing.T) {
	n := nodetest.New(t)
	began, finish := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-finish
		_, err := n.Writer().Write(r.Context(), store.Batch{Reason: "late", Statements: []store.Statement{{
			SQL: `INSERT INTO setting (name, value, version) VALUES ('late', '1', 1)`,
		}}})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	n.Mount("/", slow)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	<-n.Listening()
	answer := make(chan int, 1)
	go func() {
		got, err := local(t, n).Get("http://node/")
		if err != nil {
			answer <- 0
			return
		}
		got.Body.Close()
		answer <- got.StatusCode
	}()
	<-began
	cancel()
	<-n.Stopping()
	select {
	case err := <-ended:
		t.Fatalf("the node ended in the middle of a request: %v", err)
	case <-time.After(50 * time.Millisecond): // it must still wait
	}
	close(finish)
	if status := <-answer; status != http.StatusOK {
		t.Errorf("the request was answered with %d", status)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestLanguages(t *testing.T) {
	n := nodetest.New(t)
	if err := n.SetLanguages(t.Context(), []string{"x"}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a bad tag: %v", err)
	}
	for _, want := range [][]string{{"de", "fr"}, {"fr"}, {}, {"en", "pt-br"}} {
		if err := n.SetLanguages(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		got, err := n.Languages(t.Context())
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("set %v, got %v, %v", want, got, err)
		}
	}
}

func TestHousekeepingRenewsTheCertificate(t *testing.T) {
	clock := nodetest.NewClock()
	n := nodetest.NewWith(t, node.Config{Dir: t.TempDir(), Now: clock.Now})
	nodetest.Run(t, n, nil)
	sweep := func() {
		t.Helper()
		id, err := n.Tasks.RunTask(t.Context(), "housekeeping")
		// The schedule has seen the clock move as well, and may have been faster.
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for errors.Is(err, store.ErrConflict) {
			<-tick.C
			id, err = n.Tasks.RunTask(t.Context(), "housekeeping")
		}
		if err != nil {
			t.Fatal(err)
		}
		if run, err := n.Tasks.Wait(t.Context(), id); err != nil || run.State != "done" {
			t.Fatalf("%+v, %v", run, err)
		}
	}
	first := n.Identity.NodeCertificate()
	sweep()
	if n.Identity.NodeCertificate() != first {
		t.Error("a young certificate was renewed")
	}
	clock.Move(61 * 24 * time.Hour)
	sweep()
	if now := n.Identity.NodeCertificate(); now == first || !now.NotAfter.After(first.NotAfter) {
		t.Error("an old certificate was not renewed")
	}
}

func TestFileDoor(t *testing.T) {
	n := nodetest.New(t)
	door, err := n.FileDoor()
	if err != nil || door.Address != n.Address() || door.Fingerprint != identity.Fingerprint(n.Identity.Authority()) {
		t.Fatalf("%+v, %v", door, err)
	}
	if who, err := n.Identity.Operator(t.Context(), door.Token); err != nil || who.Name != "local" {
		t.Errorf("%+v, %v", who, err)
	}
}

func TestReady(t *testing.T) {
	n, err := node.New(t.Context(), node.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(t.Context()); err == nil {
		t.Error("a closed node is ready")
	}
}

// TestFilesAreTheOwnersAlone starts a node in a folder that others may read.
func TestFilesAreTheOwnersAlone(t *testing.T) {
	if os.PathSeparator != '/' {
		t.Skip("modes of files mean nothing on this system")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	n := nodetest.NewWith(t, node.Config{Dir: dir})
	nodetest.Run(t, n, nil)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o007 != 0 && e.Name() != folder.ContentFolder {
			t.Errorf("others may read %s: %s", e.Name(), info.Mode())
		}
	}
}

// TestNodeStopsWhenItCanKeepNothing takes the quorum away from a running node.
func TestNodeStopsWhenItCanKeepNothing(t *testing.T) {
	n := nodetest.New(t)
	ended := make(chan error, 1)
	go func() { ended <- n.Run(t.Context()) }()
	<-n.Listening()
	if err := n.StopQuorum(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "can keep nothing more") {
		t.Errorf("the node ended with: %v", err)
	}
}
