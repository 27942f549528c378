package msrc_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
	"thatch/catalog/importer/msrc"
)

// vendor serves documents as the live service does, and counts what is fetched.
type vendor struct {
	mu      sync.Mutex
	docs    map[string]doc
	fetched map[string]int
	fail    map[string]int // status by id
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	id, isDocument := strings.CutPrefix(r.URL.Path, "/cvrf/v3.0/cvrf/")
	switch {
	case r.URL.Path == "/cvrf/v3.0/updates":
		var values []string
		for _, name := range []string{"2030-Jan", "2030-Feb", "2030-Mar"} {
			if d, ok := v.docs[name]; ok {
				values = append(values, fmt.Sprintf(`{"ID":%q,"Alias":%q,"Severity":null,"InitialReleaseDate":"2030-01-08T08:00:00Z","CurrentReleaseDate":"%sZ","CvrfUrl":"https://vendor.invalid/%s"}`, name, name, d.revised, name))
			}
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"@odata.context":"x","value":[%s]}`, strings.Join(values, ","))
	case isDocument:
		d, ok := v.docs[id]
		if !ok || r.Header.Get("Accept") != "application/xml" {
			http.NotFound(w, r)
			return
		}
		v.fetched[id]++
		if status := v.fail[id]; status != 0 {
			http.Error(w, "no", status)
			return
		}
		fmt.Fprint(w, d.xml())
	default:
		http.NotFound(w, r)
	}
}

func TestLiveIndex(t *testing.T) {
	v := &vendor{fetched: map[string]int{}, fail: map[string]int{}, docs: map[string]doc{
		"2030-Jan": {id: "2030-Jan", revised: "2030-01-08T08:00:00", vulns: january.vulns},
		"2030-Feb": {id: "2030-Feb", revised: "2030-02-12T08:00:00", vulns: january.vulns[:1]},
	}}
	server := httptest.NewServer(v)
	defer server.Close()
	src := &msrc.Source{Client: server.Client(), Base: server.URL + "/cvrf/v3.0"}
	var sink importertest.Memory
	run := func(req importer.Request) importer.Result {
		t.Helper()
		result, err := importer.Run(t.Context(), src, &sink, req, nil)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	if r := run(importer.Request{}); r.Files != 2 || r.Changed == 0 {
		t.Errorf("first run %+v", r)
	}
	if r := run(importer.Request{}); r.Files != 0 || r.Skipped != 2 || v.fetched["2030-Jan"] != 1 {
		t.Errorf("unchanged: %+v, fetched %v", r, v.fetched)
	}
	// One month is revised, one is new: these are fetched, no other.
	v.docs["2030-Feb"] = doc{id: "2030-Feb", revised: "2030-02-20T08:00:00", vulns: january.vulns[:2]}
	v.docs["2030-Mar"] = doc{id: "2030-Mar", revised: "2030-03-12T08:00:00", vulns: january.vulns[2:]}
	if r := run(importer.Request{}); r.Files != 2 || v.fetched["2030-Jan"] != 1 || v.fetched["2030-Feb"] != 2 || v.fetched["2030-Mar"] != 1 {
		t.Errorf("revised: %+v, fetched %v", r, v.fetched)
	}
	// Other languages or exclusions are another fingerprint. The index by its address is the same as by default.
	if r := run(importer.Request{Languages: []string{"de"}, From: server.URL + "/cvrf/v3.0/updates"}); r.Files != 3 || r.Changed != 0 {
		t.Errorf("other languages: %+v", r)
	}
	if r := run(importer.Request{Languages: []string{"de"}, Exclude: []string{"Windows"}}); r.Files != 3 {
		t.Errorf("other exclusions: %+v", r)
	}
}

func TestLiveIndexGoesOnAfterABadMonth(t *testing.T) {
	v := &vendor{fetched: map[string]int{}, fail: map[string]int{"2030-Jan": 503}, docs: map[string]doc{
		"2030-Jan": {id: "2030-Jan", revised: "2030-01-08T08:00:00", vulns: january.vulns},
		"2030-Feb": {id: "2030-Feb", revised: "2030-02-12T08:00:00", vulns: january.vulns},
	}}
	server := httptest.NewServer(v)
	defer server.Close()
	src := &msrc.Source{Client: server.Client(), Base: server.URL + "/cvrf/v3.0/"}
	var sink importertest.Memory
	result, err := importer.Run(t.Context(), src, &sink, importer.Request{}, nil)
	if !errors.Is(err, importer.ErrIncomplete) || !strings.Contains(err.Error(), "503") || result.Files != 1 || result.Failed != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	delete(v.fail, "2030-Jan")
	result, err = importer.Run(t.Context(), src, &sink, importer.Request{}, nil)
	if err != nil || result.Files != 1 || v.fetched["2030-Feb"] != 1 {
		t.Errorf("tried again: %+v, %v", result, err)
	}
}

func TestWebFolder(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte(january.xml())); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	put("cvrf-2030-Jan.xml.gz", zipped.String())
	put("cvrf-2030-Feb.xml", doc{id: "2030-Feb", vulns: january.vulns[:1]}.xml())
	put("README.txt", "not a document")
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	src := &msrc.Source{Client: server.Client()}
	var byPage, byFile, byPath importertest.Memory
	result, err := importer.Run(t.Context(), src, &byPage, importer.Request{From: server.URL + "/"}, nil)
	if err != nil || result.Files != 2 {
		t.Fatalf("page of links: %+v, %v", result, err)
	}
	if again, err := importer.Run(t.Context(), src, &byPage, importer.Request{From: server.URL + "/"}, nil); err != nil || again.Skipped != 2 {
		t.Errorf("page of links again: %+v, %v", again, err)
	}
	for _, name := range []string{"cvrf-2030-Feb.xml", "cvrf-2030-Jan.xml.gz"} {
		if _, err := importer.Run(t.Context(), src, &byFile, importer.Request{From: server.URL + "/" + name}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := importer.Run(t.Context(), src, &byPath, importer.Request{From: dir}, nil); err != nil {
		t.Fatal(err)
	}
	want := byPath.Digests()
	for what, sink := range map[string]*importertest.Memory{"page": &byPage, "files": &byFile} {
		got := sink.Digests()
		for name, digest := range want {
			if got[name] != digest {
				t.Errorf("by %s: %s is another document", what, name)
			}
		}
	}
}

func TestLocationsThatAreNone(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/json":
			fmt.Fprint(w, `{"error":"no"}`)
		case "/half":
			fmt.Fprint(w, `{"value":[{"ID":`)
		case "/sub/page":
			fmt.Fprint(w, `<html><a href="https://elsewhere.invalid/a.xml">x</a><a href="../b.xml">y</a></html>`)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	for from, want := range map[string]string{
		server.URL + "/json":       "not an index",
		server.URL + "/half":       "not an index",
		server.URL + "/sub/page":   "no CVRF documents",
		server.URL + "/absent":     "404",
		"http://":                  "no URL",
		"http://127.0.0.1:1/x":     "refused",
		"/no/such/folder":          "give a file, a folder",
		filepath.Join(t.TempDir()): "no CVRF documents",
	} {
		var sink importertest.Memory
		_, err := importer.Run(t.Context(), &msrc.Source{Client: server.Client()}, &sink, importer.Request{From: from}, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", from, err, want)
		}
	}
}

// A page that came over TLS does not have documents fetched without it.
func TestLinksKeepTheirScheme(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `<html><a href="http://%s/a.xml">x</a></html>`, r.Host)
	}))
	defer server.Close()
	var sink importertest.Memory
	_, err := importer.Run(t.Context(), &msrc.Source{Client: server.Client()}, &sink, importer.Request{From: server.URL + "/page"}, nil)
	if err == nil || !strings.Contains(err.Error(), "no CVRF documents") {
		t.Error(err)
	}
}

// A file of the folder that cannot be read is named, and the others are read.
func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "good.xml"), []byte(january.xml()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "dangling.xml")); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	var sink importertest.Memory
	result, err := importer.Run(t.Context(), &msrc.Source{}, &sink, importer.Request{From: dir}, nil)
	if !errors.Is(err, importer.ErrIncomplete) || !strings.Contains(err.Error(), "dangling.xml") || result.Files != 1 || result.Failed != 1 {
		t.Errorf("%+v, %v", result, err)
	}
}
