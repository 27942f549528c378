package importer_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"thatch/catalog/content"
	"thatch/catalog/importer"
)

func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.WriteString(w, text); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func put(t testing.TB, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func isXML(name string) bool { return strings.HasSuffix(name, ".xml") }

func TestListFolders(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.xml", "a.xml", "sub/deep/c.xml", "notes.txt", ".hidden/d.xml", ".e.xml"} {
		put(t, dir, name, []byte(name))
	}
	items, err := importer.Fetch{}.List(t.Context(), dir, isXML)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, item := range items {
		names = append(names, item.Name)
		if item.Size != int64(len(strings.TrimPrefix(strings.TrimPrefix(filepath.ToSlash(item.Path), filepath.ToSlash(dir)), "/"))) {
			t.Errorf("%s: size %d", item.Path, item.Size)
		}
	}
	if !slices.Equal(names, []string{"a.xml", "b.xml", "c.xml"}) {
		t.Errorf("%v", names)
	}
	// A file is taken whatever it is called.
	if items, err = (importer.Fetch{}).List(t.Context(), filepath.Join(dir, "notes.txt"), isXML); err != nil || len(items) != 1 || items[0].Name != "notes.txt" {
		t.Errorf("%v, %v", items, err)
	}
	if _, err := (importer.Fetch{}).List(t.Context(), filepath.Join(dir, "absent"), isXML); err == nil || !strings.Contains(err.Error(), "give a file") {
		t.Errorf("%v", err)
	}
}

func TestGzipIsToldByItsFirstBytes(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string][]byte{"plain.gz": []byte("hello"), "zipped.xml": zipped(t, "hello"), "empty.xml": nil, "short.xml": {0x1f}} {
		want := "hello"
		if len(content) < 2 {
			want = string(content)
		}
		items, err := importer.Fetch{}.List(t.Context(), put(t, dir, name, content), isXML)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := importer.Fetch{}.Decompressed(t.Context(), items[0])
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := io.ReadAll(stream)
		if err != nil || string(got) != want || stream.Close() != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, content := range map[string][]byte{"bad header": {0x1f, 0x8b, 0xff, 0, 0}, "cut": zipped(t, strings.Repeat("hello", 1000))[:30]} {
		items, err := importer.Fetch{}.List(t.Context(), put(t, dir, name, content), isXML)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := importer.Fetch{}.Decompressed(t.Context(), items[0])
		if err == nil {
			_, err = io.ReadAll(stream)
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestLimits(t *testing.T) {
	dir := t.TempDir()
	bomb := put(t, dir, "bomb.xml", zipped(t, strings.Repeat("0", 1<<20)))
	fetch := importer.Fetch{Limit: 1000}
	items, err := fetch.List(t.Context(), bomb, isXML)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := fetch.Decompressed(t.Context(), items[0])
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(stream); !errors.Is(err, importer.ErrTooLarge) || len(got) > 1001 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	exact := put(t, dir, "exact.xml", []byte(strings.Repeat("0", 1000)))
	items, _ = fetch.List(t.Context(), exact, isXML)
	if stream, err = fetch.Decompressed(t.Context(), items[0]); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(stream); err != nil || len(got) != 1000 {
		t.Errorf("at the limit: %d bytes, %v", len(got), err)
	}
	large := put(t, dir, "large.xml", []byte(strings.Repeat("0", 2000)))
	items, _ = fetch.List(t.Context(), large, isXML)
	if _, err := fetch.Digest(t.Context(), items[0]); !errors.Is(err, importer.ErrTooLarge) {
		t.Errorf("digest: %v", err)
	}
}

func TestHeadAndDigest(t *testing.T) {
	dir := t.TempDir()
	a := put(t, dir, "a.xml", zipped(t, "hello world"))
	items, err := importer.Fetch{}.List(t.Context(), a, isXML)
	if err != nil {
		t.Fatal(err)
	}
	if head, err := (importer.Fetch{}).Head(t.Context(), items[0], 5); err != nil || string(head) != "hello" {
		t.Errorf("%q, %v", head, err)
	}
	if head, err := (importer.Fetch{}).Head(t.Context(), items[0], 500); err != nil || string(head) != "hello world" {
		t.Errorf("%q, %v", head, err)
	}
	one, err := importer.Fetch{}.Digest(t.Context(), items[0])
	if err != nil || len(one) != 64 {
		t.Errorf("%q, %v", one, err)
	}
}

func TestHTTP(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/strong.xml":
			w.Header().Set("ETag", `"v1"`)
		case "/weak.xml":
			w.Header().Set("ETag", `W/"v1"`)
		case "/nohead.xml":
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
		case "/accept":
			fmt.Fprint(w, r.Header.Get("Accept"))
			return
		default:
			http.Error(w, "gone", http.StatusGone)
			return
		}
		fmt.Fprint(w, "hello")
	}))
	defer server.Close()
	fetch := importer.Fetch{Client: server.Client(), Accept: "application/xml"}
	for path, version := range map[string]string{"/strong.xml": `"v1"`, "/weak.xml": "", "/nohead.xml": ""} {
		items, err := fetch.List(t.Context(), server.URL+path, isXML)
		if err != nil || len(items) != 1 || items[0].Version != version || items[0].Name != path[1:] {
			t.Errorf("%s: %+v, %v", path, items, err)
			continue
		}
		stream, err := fetch.Decompressed(t.Context(), items[0])
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if got, err := io.ReadAll(stream); err != nil || string(got) != "hello" {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	if stream, err := fetch.Get(t.Context(), server.URL+"/accept"); err != nil {
		t.Error(err)
	} else if got, _ := io.ReadAll(stream); string(got) != "application/xml" {
		t.Errorf("accept %q", got)
	}
	if _, err := fetch.Get(t.Context(), server.URL+"/absent"); err == nil || !strings.Contains(err.Error(), "410") {
		t.Errorf("%v", err)
	}
	// Without the authority it is not trusted.
	if _, err := (importer.Fetch{}).Get(t.Context(), server.URL+"/strong.xml"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v", err)
	}
}

// silent is a server that says nothing more once part of a body was sent, or nothing at all, for as long as somebody waits.
type silent struct{ head, body string }

func (s silent) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == s.head {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	body := io.NopCloser(io.MultiReader(strings.NewReader(s.body), untilDone{r.Context()}))
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Header: http.Header{}, Body: body, Request: r}, nil
}

type untilDone struct{ context.Context }

func (u untilDone) Read([]byte) (int, error) {
	<-u.Done()
	return 0, u.Err()
}

// A server that falls silent holds no import: not before its answer, and not in the midst of a file. However long reading
// takes beside that is not its fault.
func TestSilentServer(t *testing.T) {
	const location = "http://vendor.example/a.xml"
	synctest.Test(t, func(t *testing.T) {
		for _, method := range []string{http.MethodHead, http.MethodGet} {
			fetch, began := importer.Fetch{Client: &http.Client{Transport: silent{head: method}}}, time.Now()
			items, err := fetch.List(t.Context(), location, isXML)
			if method == http.MethodGet && err == nil {
				_, err = items[0].Open(t.Context())
			}
			if !errors.Is(err, content.ErrStalled) || !strings.Contains(err.Error(), location) || time.Since(began) != time.Minute {
				t.Errorf("%s: %v after %v", method, err, time.Since(began))
			}
		}
		fetch := importer.Fetch{Client: &http.Client{Transport: silent{body: "<part/>"}}}
		stream, err := fetch.Get(t.Context(), location)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		part := make([]byte, len("<part/>"))
		time.Sleep(time.Hour) // the reader's, on the test's own clock
		if _, err := io.ReadFull(stream, part); err != nil {
			t.Fatalf("a slow reader: %v", err)
		}
		began := time.Now()
		if _, err := io.ReadAll(stream); !errors.Is(err, content.ErrStalled) || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestIsURL(t *testing.T) {
	for from, want := range map[string]bool{"http://x": true, "HTTPS://x": true, "ftp://x": false, `C:\x`: false, "/x": false, "httpx": false, "": false} {
		if importer.IsURL(from) != want {
			t.Errorf("%q", from)
		}
	}
}

// What inflates is used again: nothing of a stream that was left in the middle, or was none, is in the next.
func TestStreamsShareNothing(t *testing.T) {
	packed := func(text string) []byte { return zipped(t, text) }
	text := func(letter string) string { return strings.Repeat(letter, 300_000) }
	item := func(raw []byte) importer.Item {
		return importer.Item{Path: "x", Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }}
	}
	f := importer.Fetch{}
	for range 20 {
		if head, err := f.Head(t.Context(), item(packed(text("a"))), 1000); err != nil || string(head) != text("a")[:1000] {
			t.Fatalf("%.20q, %v", head, err)
		}
		if _, err := f.Decompressed(t.Context(), item([]byte("\x1f\x8bno gzip at all"))); err == nil {
			t.Fatal("garbage was opened")
		}
		broken, err := f.Decompressed(t.Context(), item(packed(text("b"))[:200]))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(broken); err == nil {
			t.Fatal("a stream that was cut was read to its end")
		}
		first, err := f.Decompressed(t.Context(), item(packed(text("c"))))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(broken.Close(), broken.Close()); err != nil {
			t.Fatal(err)
		}
		if n, _ := broken.Read(make([]byte, 1)); n != 0 {
			t.Fatal("a closed stream was read")
		}
		second, err := f.Decompressed(t.Context(), item([]byte(text("d"))))
		if err != nil {
			t.Fatal(err)
		}
		for want, stream := range map[string]io.ReadCloser{text("c"): first, text("d"): second} {
			if got, err := io.ReadAll(stream); err != nil || string(got) != want {
				t.Fatalf("%.20q, %v, want %.20q", got, err, want)
			}
			if err := stream.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
