package client_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thatch/console/api/apitest"
	"thatch/console/api/client"
	"thatch/node/doors"
	"thatch/node/folder"
	"thatch/node/identity"
	"thatch/node/tasks"
)

// fake is a client of a handler behind a socket, as a node's local door is one.
func fake(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "door")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, folder.SocketFile))
	if err != nil {
		t.Skipf("no sockets in folders on this system: %v", err)
	}
	server := httptest.NewUnstartedServer(h)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnswersThatAreNone(t *testing.T) {
	for body, want := range map[string]string{
		"<html>502</html>": "answered 502", `{"code":"x"}`: "answered 502", "": "answered 502", `{"code":"x","error":"because"}`: "because",
		strings.Repeat("x", 200_000): "answered 502",
	} {
		c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, body)
		})
		var e *client.Error
		if err := c.Get(t.Context(), "/site", nil, nil); !errors.As(err, &e) || e.Status != 502 || !strings.Contains(e.Text, want) || len(e.Text) > 1000 {
			t.Errorf("%.40q: %v", body, err)
		}
	}
	c := fake(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"a":`) })
	var out map[string]int
	if err := c.Get(t.Context(), "/site", nil, &out); err == nil && out["a"] != 0 {
		t.Errorf("half an answer: %v", out)
	}
	c = fake(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[1]`) })
	if err := c.Get(t.Context(), "/site", nil, &out); err == nil || !strings.Contains(err.Error(), "/site") {
		t.Errorf("an answer of another shape: %v", err)
	}
}

func TestClientHandsItsIndexOn(t *testing.T) {
	var got []string
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("X-Thatch-Index"))
		if r.Method == http.MethodPut {
			w.Header().Set("X-Thatch-Index", "42")
		}
		if r.URL.EscapedPath() != "/api/v1/a%2Fb/c%20d" {
			t.Errorf("path %s", r.URL.EscapedPath())
		}
		fmt.Fprint(w, `{}`)
	})
	path := client.Path("a/b", "c d")
	for _, do := range []error{c.Get(t.Context(), path, nil, nil), c.Put(t.Context(), path, 1, nil), c.Get(t.Context(), path, nil, nil)} {
		if do != nil {
			t.Error(do)
		}
	}
	if fmt.Sprint(got) != "[  42]" {
		t.Errorf("%q", got)
	}
}

// TestBrokenStreamsAreTakenUpAgain serves the events of a run in pieces that repeat lines.
func TestBrokenStreamsAreTakenUpAgain(t *testing.T) {
	streams := 0
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		run := tasks.Run{ID: "r1", State: tasks.Running}
		if strings.HasSuffix(r.URL.Path, "/events") {
			streams++
			for n := range streams {
				run.Lines = append(run.Lines, tasks.Line{Number: n + 1, Text: fmt.Sprint("line ", n+1)})
			}
			if streams == 3 {
				run.State, run.Ended = tasks.Done, &at
			}
			text, _ := json.Marshal(run)
			fmt.Fprintf(w, "event: run\ndata: %s\n\n", text)
			return
		}
		run.State, run.Ended = tasks.Done, &at
		_ = json.NewEncoder(w).Encode(run)
	})
	var seen []string
	run, err := c.WaitRun(t.Context(), "r1", func(r tasks.Run) {
		for _, line := range r.Lines {
			seen = append(seen, line.Text)
		}
	})
	if err != nil || run.State != tasks.Done || fmt.Sprint(seen) != "[line 1 line 2 line 3]" {
		t.Errorf("%+v, %v, %v", run, seen, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	streams = -100
	_, err = c.WaitRun(ctx, "r1", func(tasks.Run) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a watcher that ends: %v", err)
	}
}

func TestGarbageEvents(t *testing.T) {
	c := fake(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "data: {\n\n") })
	if _, err := c.WaitRun(t.Context(), "r1", nil); err == nil || !strings.Contains(err.Error(), "r1") {
		t.Errorf("%v", err)
	}
}

func TestFileDoor(t *testing.T) {
	n, _ := apitest.Start(t)
	token, err := n.Identity.LocalToken()
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(n.Address())
	if err != nil {
		t.Fatal(err)
	}
	folder := func(content string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, folder.DoorFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	door, err := json.Marshal(doors.File{Address: "[::]:" + port, Token: token, Fingerprint: identity.Fingerprint(n.Identity.Authority())})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{Dir: folder(string(door))})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), "/audit", nil, nil); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "{", `{"address":"here"}`, `{"address":"127.0.0.1:1","fingerprint":"xx"}`} {
		if _, err := client.New(client.Config{Dir: folder(bad)}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestAuthorityFile(t *testing.T) {
	n, _ := apitest.Start(t)
	path := filepath.Join(t.TempDir(), "authority.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.Identity.Authority()})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{Server: "https://" + n.Address(), Authority: path, Token: apitest.Token(t, n, identity.Viewer)})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), "/site", nil, nil); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client.New(client.Config{Server: "https://" + n.Address(), Authority: path}); err == nil {
		t.Error("a file without certificates was taken")
	}
}
