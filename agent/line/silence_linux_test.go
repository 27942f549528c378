package line_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"thatch/agent/folder"
	"thatch/agent/line"
	"thatch/agent/nearest"
	"thatch/agentapi"
	"thatch/agentapi/agentapitest"
	"thatch/ringtest"
)

// soon is within which an agent talks to another node when its own is gone without a word, on a machine that has much else to
// do; else it is some seven seconds. Without limits of its own, TCP takes minutes.
const soon = 25 * time.Second

// host is another host beside this one, on a network of their own.
type host struct {
	t                 *testing.T
	name, here, there string
}

func newHost(t *testing.T) *host {
	t.Helper()
	ringtest.Need(t, ringtest.Namespaces)
	own := os.Getpid() % 250 // beside others that run this test
	h := &host{t: t, name: fmt.Sprint("thatch-silent", own), here: fmt.Sprintf("10.98.%d.2", own), there: fmt.Sprintf("10.98.%d.1", own)}
	port := fmt.Sprint("thatchs", own)
	h.ip("netns", "add", h.name)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", h.name).Run() })
	h.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", h.name)
	h.ip("addr", "add", h.here+"/24", "dev", port)
	h.ip("link", "set", port, "up")
	h.ip("-n", h.name, "addr", "add", h.there+"/24", "dev", "eth0")
	h.ip("-n", h.name, "link", "set", "eth0", "up")
	return h
}

func (h *host) ip(args ...string) {
	h.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		h.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// listen listens at the other host.
func (h *host) listen() net.Listener {
	h.t.Helper()
	namespace, err := os.Open("/var/run/netns/" + h.name)
	if err != nil {
		h.t.Fatal(err)
	}
	defer namespace.Close()
	listening := make(chan net.Listener)
	go func() {
		defer close(listening)
		runtime.LockOSThread() // and never unlock: the thread ends with this goroutine
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			h.t.Error(err)
			return
		}
		listener, err := net.Listen("tcp", h.there+":0")
		if err != nil {
			h.t.Error(err)
			return
		}
		listening <- listener
	}()
	listener := <-listening
	if listener == nil {
		h.t.FailNow()
	}
	return listener
}

// silent has nothing that the host says arrive any more.
func (h *host) silent() { h.t.Helper(); h.ip("-n", h.name, "route", "add", "blackhole", h.here+"/32") }

// A node that is gone without a word is noticed by whoever waits for its answer, and by whoever has just called it.
func TestASilentNodeIsLeft(t *testing.T) {
	away := newHost(t)
	node := agentapitest.NewNode(t, time.Now)
	dying, living := node.OpenAt(t, away.listen()), node.Open(t)
	dying.Slow(10 * time.Minute)
	open := func() *line.Line {
		f := folder.Folder{Dir: t.TempDir(), Step: func(string) {}}
		list := nearest.List{Present: dying.URL()}
		for id, at := range map[string]string{"a": dying.URL(), "b": living.URL()} {
			list.Nodes = append(list.Nodes, agentapi.SiteNode{ID: id, Addresses: []string{at}})
		}
		if err := f.Write(line.File, list); err != nil {
			t.Fatal(err)
		}
		l := line.New(line.Config{
			Folder: f, Log: slog.New(slog.DiscardHandler), Now: time.Now,
			Dial: func(address string) (*agentapi.Client, error) {
				return agentapi.NewClient(address, agentapi.Trust{Authority: node.Authority.Certificate}, nil)
			},
		})
		l.Load("computer", nil)
		if err := l.Connect(); err != nil || l.Present() != dying.URL() {
			t.Fatalf("it talks to %s: %v", l.Present(), err)
		}
		return l
	}
	waiting, calling := open(), open()
	var failed error
	var going sync.WaitGroup
	going.Go(func() { _, failed = waiting.Client.Wait(t.Context(), agentapi.WaitRequest{Seconds: 60}) })
	for len(dying.Calls()) == 0 { // until the call is there
		<-time.After(time.Millisecond)
	}
	dying.Slow(0)
	if err := calling.Client.There(t.Context()); err != nil {
		t.Fatal(err)
	}
	away.silent()
	began := time.Now()
	left := func(what string, l *line.Line, err error) {
		if wait, moved := l.Move(t.Context(), err); !moved || l.Present() != living.URL() {
			t.Errorf("%s: it talks to %s (%v), after %v", what, l.Present(), moved, err)
		} else if took := time.Since(began) + wait; took > soon {
			t.Errorf("%s: it took %s, want %s at most: %v", what, took, soon, err)
		} else {
			t.Logf("%s: after %s: %v", what, took.Round(time.Millisecond), err)
		}
		if err := l.Connect(); err != nil || l.Client.There(context.WithoutCancel(t.Context())) != nil {
			t.Errorf("%s: the other node: %v", what, err)
		}
	}
	var moving sync.WaitGroup
	moving.Go(func() { going.Wait(); left("waiting", waiting, failed) })
	moving.Go(func() {
		_, err := calling.Client.Wait(t.Context(), agentapi.WaitRequest{Seconds: 60})
		left("calling", calling, err)
	})
	moving.Wait()
}
