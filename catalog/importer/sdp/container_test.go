package sdp_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/text/encoding/unicode"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/importer"
	"thatch/catalog/importer/cab/cabtest"
	"thatch/catalog/importer/importertest"
	"thatch/catalog/importer/sdp"
)

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func utf16(t testing.TB, text string) string {
	t.Helper()
	out, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func zipped(t testing.TB, files ...cabtest.File) string {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range files {
		member, err := w.Create(f.Name)
		if err == nil {
			_, err = member.Write(f.Content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func member(name, content string) cabtest.File {
	return cabtest.File{Name: name, Content: []byte(content)}
}

const bom = "\xef\xbb\xbf"

// The same packages give the same documents, whatever they come in.
func TestContainers(t *testing.T) {
	packages := []string{sample(1), sample(2, "Thing 2", "Thing — zwei"), sample(3)}
	v1 := catalogText(packages...)
	v2 := []cabtest.File{
		member(`V2\`+id(1)+".sdp", bom+packages[0]), member(`V2\`+id(2)+".sdp", packages[1]), member(`V2\`+id(3)+".sdp", packages[2]),
		member(`V2\update_manifest.json`, "{}"), member("catalog.xml", catalogText(sample(9))), member("readme.txt", "read me"),
	}
	want, _, err := imported(t, "catalog.xml", v1)
	if err != nil || len(want) != 9 {
		t.Fatalf("%v, %s", err, names(want))
	}
	odd := strings.Replace(v1, "<smc:SoftwareDistributionPackage",
		"<!-- <smc:SoftwareDistributionPackage> > --><smc:Other a='>'><smc:Inner/>text &amp; more</smc:Other><![CDATA[</smc:SystemsManagementCatalog>]]><smc:SoftwareDistributionPackage", 2)
	for name, content := range map[string]string{
		"bom.xml": bom + v1, "utf16.xml": utf16(t, strings.Replace(v1, `"1.0"?>`, `"1.0" encoding="utf-16"?>`, 1)),
		"no declaration.xml": strings.TrimPrefix(v1, "<?xml version=\"1.0\"?>\n"), "odd.xml": odd,
		"catalog.xml.gz": gzipped(t, v1), "trailing space.xml": v1 + "\n\n", "carriage returns.xml": strings.ReplaceAll(v1, "\n", "\r\n"),
		"v1.cab":        string(cabtest.Write([]cabtest.File{member("readme.txt", "x"), member("Vendor.xml", bom+v1)}, cabtest.Options{Method: 1})),
		"v1 deep.cab":   string(cabtest.Write([]cabtest.File{member(`in\Vendor.xml`, v1)}, cabtest.Options{})),
		"v2.cab":        string(cabtest.Write(v2, cabtest.Options{Method: 1})),
		"v2 and v3.cab": string(cabtest.Write(append(slices.Clone(v2), member(`V3\`+id(8)+".sdp", sample(8))), cabtest.Options{})),
		"v2 stored":     string(cabtest.Write(v2, cabtest.Options{PerFolder: 2})),
		"v1.zip":        zipped(t, member("Vendor.xml", v1)),
		"v2.zip":        zipped(t, v2...),
		"windows.xml":   latin(v1),
		"empty.cab.gz":  gzipped(t, string(cabtest.Write(v2, cabtest.Options{}))),
	} {
		docs, result, err := imported(t, name, content)
		if err != nil || len(result.Warnings) != 0 {
			t.Errorf("%s: %v, %+v", name, err, result.Warnings)
		}
		if !maps.Equal(digests(want), digests(docs)) {
			t.Errorf("%s: documents differ: %s", name, names(docs))
		}
	}
}

// latin writes a text in Windows-1252 and says so.
func latin(text string) string {
	text = strings.Replace(text, `<?xml version="1.0"?>`, `<?xml version='1.0' encoding='Windows-1252' standalone="yes"?>`, 1)
	return strings.ReplaceAll(text, "—", "\x97")
}

func digests(docs map[string]document.Document) map[string]document.Digest {
	out := map[string]document.Digest{}
	for name, doc := range docs {
		out[name] = doc.Digest
	}
	return out
}

func TestBrokenContainers(t *testing.T) {
	good, bad := member("V2/"+id(1)+".sdp", sample(1)), member("V2/"+id(2)+".sdp", sample(2)[:700])
	for name, content := range map[string]string{
		"a.cab": string(cabtest.Write([]cabtest.File{bad, good}, cabtest.Options{Method: 1})), "a.zip": zipped(t, bad, good),
	} {
		docs, result, err := imported(t, name, content)
		if !errors.Is(err, importer.ErrIncomplete) || len(docs) != 3 || result.Failed != 1 {
			t.Errorf("%s: %v, %d failed, %s", name, err, result.Failed, names(docs))
		}
		if w := result.Warnings[0]; w.File != name || !strings.Contains(w.Element, id(2)) || !w.Failed {
			t.Errorf("%s: %+v", name, w)
		}
	}
	for name, content := range map[string]string{
		"nothing of ours.cab": string(cabtest.Write([]cabtest.File{member("a.txt", "x")}, cabtest.Options{})),
		"nothing of ours.zip": zipped(t, member("a.txt", "x")),
		"lzx.cab":             string(cabtest.Write([]cabtest.File{good}, cabtest.Options{Method: 3})),
		"cut.cab":             string(cabtest.Write([]cabtest.File{good, bad}, cabtest.Options{})[:900]),
		"empty.zip":           zipped(t),
	} {
		if docs, _, err := imported(t, name, content); !errors.Is(err, importer.ErrIncomplete) || len(docs) != 0 {
			t.Errorf("%s: %v, %s", name, err, names(docs))
		}
	}
}

// What should be an archive by its name and is none says that, not what XML it is not.
func TestMisnamedArchives(t *testing.T) {
	const page = "<!DOCTYPE html><html><body>Sign in</body></html>"
	for _, c := range []struct{ name, content, want string }{
		{"a.cab", page, "this is no cabinet"},
		{"a.cab", "", "this is no cabinet"},
		{"a.CAB", "MSC", "this is no cabinet"},
		{"a.cab", "\x00\x01\x02", "this is no cabinet"},
		{"a.zip", page, "this is no zip archive"},
		{"a.zip", "PK", "this is no zip archive"},
		{"a.xml", page, `root element is "html"`},
		{"a.xml", "", "cut short"},
		{"a.cab", catalogText(sample(1))[:900], "cut short"},
		{"a.xml", "<\x1b[31mX\u009b><a/>", `root element is "\x1b[31mX\u009b"`},
		{"a.xml", "<" + strings.Repeat("long", 100) + "/>", `root element is "` + strings.Repeat("long", 15) + `",`},
	} {
		docs, _, err := imported(t, c.name, c.content)
		if !errors.Is(err, importer.ErrIncomplete) || !strings.Contains(err.Error(), c.want) || len(docs) != 0 {
			t.Errorf("%s, %.20q: %v, want %s", c.name, c.content, err, c.want)
		}
	}
	if docs, _, err := imported(t, "a.cab", catalogText(sample(1))); err != nil || len(docs) != 3 {
		t.Errorf("a catalog under the name of a cabinet: %s, %v", names(docs), err)
	}
}

// Nothing that a vendor's file says reaches a terminal as it is.
func TestMessagesArePlain(t *testing.T) {
	odd := "\u009b31m\u202e"
	for _, content := range []string{
		catalogText(sample(1, `"Vendor"`, `"Vendor" UpdateType="`+odd+`" PublicationState="`+odd+`"`, `"Low"`, `"`+odd+`"`, `"2019-01-01T00:00:00"`, `"`+odd+`"`)),
		catalogText(sample(1, id(1), odd), sample(2)),
		catalogText(sample(1, "<bar:Processor ", "<bar:P\u00f6 ")),
		catalogText(sample(1, `RebootBehavior="NeverReboots"`, `RebootBehavior="`+odd+`"`, `FileName="thing.exe"`, `FileName="`+odd+`.exe"`)),
		"<" + odd + ">",
	} {
		_, result, err := imported(t, "a.xml", content)
		texts := []string{fmt.Sprint(err)}
		for _, w := range result.Warnings {
			texts = append(texts, w.File, w.Element, w.Text)
		}
		if len(texts) == 1 {
			t.Errorf("no warning about %.200q", content)
		}
		for _, text := range texts {
			if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
				t.Errorf("%q", text)
			}
		}
	}
}

func TestUnpackedLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	long := sample(1, "Text", strings.Repeat("many words ", 20_000))
	for _, content := range []string{
		string(cabtest.Write([]cabtest.File{member("a.sdp", long)}, cabtest.Options{Method: 1})), zipped(t, member("a.sdp", long)), gzipped(t, long),
	} {
		write(t, path, content)
		var sink importertest.Memory
		_, err := importer.Run(context.Background(), &sdp.Source{Limit: 100_000}, &sink, importer.Request{From: path}, nil)
		if !errors.Is(err, importer.ErrIncomplete) || !errors.Is(err, importer.ErrTooLarge) {
			t.Errorf("%q: %v", content[:4], err)
		}
	}
}

func TestFolder(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "a", id(1)+".sdp"), sample(1))
	write(t, filepath.Join(folder, "b", strings.ToUpper(id(1))+".SDP"), sample(1, "2019-01-01", "2018-01-01", "Thing 1", "Older"))
	write(t, filepath.Join(folder, "b", "two.sdp"), sample(2))
	write(t, filepath.Join(folder, "c", "two.sdp"), sample(2, "2019-01-01", "2020-01-01", "Thing 2", "Newer"))
	write(t, filepath.Join(folder, "catalog.xml"), catalogText(sample(3), sample(2, "2019-01-01", "2019-06-01", "Thing 2", "Between")))
	write(t, filepath.Join(folder, "other.xml"), "<project/>")
	write(t, filepath.Join(folder, "update_manifest.json"), "{}")
	write(t, filepath.Join(folder, "notes.txt"), "none of ours")
	var sink importertest.Memory
	result := run(t, &sink, importer.Request{From: folder})
	docs := sink.Documents()
	if len(docs) != 9 || updateOf(t, docs, 1).Title != "Thing 1" || updateOf(t, docs, 2).Title != "Newer" || updateOf(t, docs, 3).Title != "Thing 3" {
		t.Errorf("%s, %+v", names(docs), result)
	}
	if b, err := catalog.Decode[catalog.Bulletin](docs["bulletin sdp/vendor/a2"].Body); err != nil || b.Title != "Newer" || b.Released != "2020-01-01T00:00:00Z" {
		t.Errorf("%+v, %v", b, err)
	}
	if again := run(t, &sink, importer.Request{From: folder}); again.Files != 0 || again.Changed != 0 {
		t.Errorf("again: %+v", again)
	}
	write(t, filepath.Join(folder, "b", "two.sdp"), sample(2, "2019-01-01", "2021-01-01", "Thing 2", "Newest"))
	if result := run(t, &sink, importer.Request{From: folder}); result.Files != 1 || updateOf(t, sink.Documents(), 2).Title != "Newest" {
		t.Errorf("one file changed: %+v", result)
	}
	if result := run(t, &sink, importer.Request{From: folder, Exclude: []string{"thing"}}); len(sink.Documents()) != 0 {
		t.Errorf("excluded: %s, %+v", names(sink.Documents()), result)
	}
	if _, err := (&sdp.Source{}).Files(context.Background(), importer.Request{From: t.TempDir()}); err == nil {
		t.Error("an empty folder was taken for a catalog")
	}
	for _, from := range []string{"", filepath.Join(folder, "absent")} {
		if _, err := (&sdp.Source{}).Files(context.Background(), importer.Request{From: from}); err == nil {
			t.Errorf("%q was taken for a catalog", from)
		}
	}
}

// The order in which files are imported does not matter.
func TestOrder(t *testing.T) {
	files := map[string]string{
		"a.xml": catalogText(sample(1), sample(2, ">A2<", ">A1<", "2019-01-01", "2019-05-05")),
		"b.xml": catalogText(sample(2, ">A2<", ">A1<", "Thing 2", "Revised", "2019-01-01", "2020-01-01"), sample(3, ">A3<", ">A1<")),
		"c.sdp": sample(1, "Low", "Critical", "2019-01-01", "2020-02-02"),
	}
	var want map[string]document.Digest
	for _, order := range [][]string{{"a.xml", "b.xml", "c.sdp"}, {"c.sdp", "b.xml", "a.xml"}, {"b.xml", "c.sdp", "a.xml"}} {
		folder := t.TempDir()
		var sink importertest.Memory
		for _, name := range order {
			write(t, filepath.Join(folder, name), files[name])
			run(t, &sink, importer.Request{From: filepath.Join(folder, name)})
		}
		docs := sink.Documents()
		if want == nil {
			want = digests(docs)
			b, err := catalog.Decode[catalog.Bulletin](docs["bulletin sdp/vendor/a1"].Body)
			if err != nil || b.Severity != catalog.Critical || b.Title != "Thing 1, and 2 more" || b.Released != "2019-01-01T00:00:00Z" || b.Revised != "2020-02-02T00:00:00Z" {
				t.Errorf("%+v, %v", b, err)
			}
		}
		if !maps.Equal(want, digests(docs)) {
			t.Errorf("order %v gives other documents: %s", order, names(docs))
		}
	}
}

// What a catalog does not hold any more is withdrawn; what it holds twice counts once.
func TestCatalogChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.xml")
	var sink importertest.Memory
	for _, step := range []struct {
		packages []string
		want     []int
		kind     string
	}{
		{[]string{sample(1), sample(2)}, []int{1, 2}, ""},
		{[]string{sample(2), sample(3)}, []int{2, 3}, ""},
		{[]string{sample(3, "2019-01-01", "2020-01-01", "Thing 3", "New"), sample(3)}, []int{3}, "package-repeated"},
		{[]string{sample(3), sample(3, "2019-01-01", "2020-01-01", "Thing 3", "New")}, []int{3}, "package-repeated"},
		{nil, nil, ""},
	} {
		write(t, path, catalogText(step.packages...))
		result := run(t, &sink, importer.Request{From: path})
		docs := sink.Documents()
		if len(docs) != 3*len(step.want) || step.kind != "" && result.Counts[step.kind] != 1 {
			t.Errorf("%v: %s, %+v", step.want, names(docs), result.Warnings)
		}
		for _, n := range step.want {
			if u := updateOf(t, docs, n); step.kind != "" && u.Title != "New" {
				t.Errorf("%q", u.Title)
			}
		}
	}
	write(t, path, "<smc:SystemsManagementCatalog"+smc+"/>")
	run(t, &sink, importer.Request{From: path})
}

// A v2 folder on a server: the manifest says what changed, and nothing else is asked for.
func TestHTTPFolder(t *testing.T) {
	packages := map[string]string{id(1): sample(1), strings.ToUpper("abcdef00-0000-0000-0000-000000000002"): sample(2, id(2), "abcdef00-0000-0000-0000-000000000002")}
	dates := map[string]string{id(1): "2019-01-01T00:00:00", strings.ToUpper("abcdef00-0000-0000-0000-000000000002"): "2019-01-01T00:00:00"}
	var mu sync.Mutex
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		name := strings.TrimPrefix(r.URL.Path, "/V2/")
		asked = append(asked, name)
		if name == "update_manifest.json" {
			_, _ = w.Write([]byte(bom))
			_ = json.NewEncoder(w).Encode(dates)
			return
		}
		content, has := packages[strings.TrimSuffix(name, ".sdp")]
		if !has {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(content))
	}))
	defer server.Close()
	var sink importertest.Memory
	if result := run(t, &sink, importer.Request{From: server.URL + "/V2/"}); result.Files != 2 || len(sink.Documents()) != 6 {
		t.Errorf("%+v, %s", result, names(sink.Documents()))
	}
	asked = nil
	packages[id(1)] = sample(1, "2019-01-01", "2020-01-01", "Thing 1", "New")
	dates[id(1)] = "2020-01-01T00:00:00"
	if result := run(t, &sink, importer.Request{From: server.URL + "/V2/update_manifest.json"}); result.Files != 1 || updateOf(t, sink.Documents(), 1).Title != "New" {
		t.Errorf("%+v", result)
	}
	if !slices.Equal(asked, []string{"update_manifest.json", id(1) + ".sdp"}) {
		t.Errorf("asked for %v", asked)
	}
	delete(packages, id(1))
	dates[id(1)] = "2021-01-01T00:00:00"
	_, err := importer.Run(context.Background(), &sdp.Source{}, &sink, importer.Request{From: server.URL + "/V2/"}, nil)
	if !errors.Is(err, importer.ErrIncomplete) || len(sink.Documents()) != 6 {
		t.Errorf("a package that is not there: %v, %s", err, names(sink.Documents()))
	}
	dates["not a GUID"] = "2021"
	if _, err := (&sdp.Source{}).Files(context.Background(), importer.Request{From: server.URL + "/V2/"}); err == nil {
		t.Error("a manifest of something else was taken")
	}
}

func TestHTTPFile(t *testing.T) {
	content := string(cabtest.Write([]cabtest.File{member("a.xml", catalogText(sample(1)))}, cabtest.Options{Method: 1}))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/catalog.cab" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(content))
	}))
	defer server.Close()
	var sink importertest.Memory
	if result := run(t, &sink, importer.Request{From: server.URL + "/catalog.cab"}); result.Files != 1 || len(sink.Documents()) != 3 {
		t.Errorf("%+v", result)
	}
	if result := run(t, &sink, importer.Request{From: server.URL + "/catalog.cab"}); result.Files != 0 {
		t.Errorf("again: %+v", result)
	}
	var empty importertest.Memory
	if _, err := importer.Run(context.Background(), &sdp.Source{}, &empty, importer.Request{From: server.URL + "/absent.cab"}, nil); err == nil {
		t.Error("an absent catalog was imported")
	}
}

func TestCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.xml")
	write(t, path, catalogText(sample(1), sample(2)))
	source := &sdp.Source{}
	files, err := source.Files(context.Background(), importer.Request{From: path})
	if err != nil || len(files) != 1 {
		t.Fatalf("%+v, %v", files, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = source.Parse(ctx, importer.Request{}, files[0], func(importer.Part) error { return nil }, func(importer.Warning) {})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	full := errors.New("full")
	files, _ = source.Files(context.Background(), importer.Request{From: path})
	_, err = source.Parse(context.Background(), importer.Request{}, files[0], func(importer.Part) error { return full }, func(importer.Warning) {})
	if !errors.Is(err, full) {
		t.Error(err)
	}
}

func TestMerge(t *testing.T) {
	source := &sdp.Source{}
	if docs, err := source.Merge("vendor/a", nil, nil); err != nil || docs != nil {
		t.Errorf("%v, %v", docs, err)
	}
	for _, key := range []string{"vendor/a", id(1)} {
		if _, err := source.Merge(key, []importer.Part{{File: "f", Key: key, Body: []byte("{")}}, nil); err == nil {
			t.Errorf("%s: a broken part was merged", key)
		}
	}
}

// A file that cannot be read costs itself alone.
func TestUnreadableFile(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "a.sdp"), sample(1))
	write(t, filepath.Join(folder, "b.xml"), catalogText(sample(2)))
	if os.Getuid() != 0 {
		write(t, filepath.Join(folder, "f.sdp"), sample(3))
		if err := os.Chmod(filepath.Join(folder, "f.sdp"), 0); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(folder, "g.sdp"), "\x1f\x8b broken gzip")
	write(t, filepath.Join(folder, "h.xml"), "\x1f\x8b broken gzip")
	var sink importertest.Memory
	result, err := importer.Run(context.Background(), &sdp.Source{}, &sink, importer.Request{From: folder}, nil)
	if !errors.Is(err, importer.ErrIncomplete) || len(sink.Documents()) != 6 || result.Failed < 2 {
		t.Errorf("%v, %d failed, %s", err, result.Failed, names(sink.Documents()))
	}
}
