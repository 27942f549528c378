package msrc_test

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
	"thatch/catalog/importer/msrc"
	"thatch/ringtest"
)

// counts are what an import and an independent reading must agree on.
type counts struct {
	kbs, pairs, edges map[string]bool
}

func newCounts() counts {
	return counts{map[string]bool{}, map[string]bool{}, map[string]bool{}}
}

var (
	kbText  = regexp.MustCompile(`^(KB)?([0-9]{6,8})$`)
	numbers = regexp.MustCompile(`\b[0-9]{6,8}\b`)
)

// dumb reads a document the slow way, sharing nothing with the importer.
func (c counts) dumb(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var stream io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if stream, err = gzip.NewReader(file); err != nil {
			t.Fatal(err)
		}
	}
	var doc struct {
		Vulnerability []struct {
			Remediations struct {
				Remediation []struct {
					Type         string `xml:",attr"`
					Description  string
					Supercedence string
					ProductID    []string
				}
			}
		}
	}
	if err := xml.NewDecoder(stream).Decode(&doc); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for _, v := range doc.Vulnerability {
		for _, r := range v.Remediations.Remediation {
			kb := kbText.FindStringSubmatch(strings.TrimSpace(r.Description))
			if r.Type != "Vendor Fix" || kb == nil || len(r.ProductID) == 0 {
				continue
			}
			c.kbs[kb[2]] = true
			for _, p := range r.ProductID {
				c.pairs[kb[2]+"/"+strings.TrimSpace(p)] = true
			}
			for _, other := range numbers.FindAllString(r.Supercedence, -1) {
				if other != kb[2] {
					c.edges[kb[2]+">"+other] = true
				}
			}
		}
	}
}

// imported counts what an import made.
func (c counts) imported(t *testing.T, docs map[string]document.Document) {
	t.Helper()
	for _, d := range docs {
		if d.Kind == document.Bulletin {
			c.kbs[strings.TrimPrefix(d.ID, "msrc/KB")] = true
			continue
		}
		u, err := catalog.Decode[catalog.Update](d.Body)
		if err != nil {
			t.Fatal(err)
		}
		c.pairs[u.KB+"/"+u.Product.ID] = true
		for _, other := range u.Supersedes {
			kb := strings.Split(other, "/")[1]
			c.edges[u.KB+">"+strings.TrimPrefix(kb, "KB")] = true
		}
	}
}

func (c counts) differ(t *testing.T, what string, got, want map[string]bool) {
	t.Helper()
	for k := range want {
		if !got[k] {
			t.Errorf("%s: %s is in the files, not in the import", what, k)
		}
	}
	for k := range got {
		if !want[k] {
			t.Errorf("%s: %s is in the import, not in the files", what, k)
		}
	}
}

func realFiles(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(ringtest.Data(t, "msrc"), "*.gz"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	return names
}

func TestCountsEqualAnIndependentReading(t *testing.T) {
	names := realFiles(t)
	want, got := newCounts(), newCounts()
	for _, name := range names {
		want.dumb(t, name)
	}
	var sink importertest.Memory
	req := importer.Request{From: filepath.Dir(names[0]), Exclude: []string{msrc.NoExclusions}, At: time.Unix(0, 0)}
	result, err := importer.Run(context.Background(), &msrc.Source{}, &sink, req, nil)
	if err != nil {
		t.Fatal(err)
	}
	if result.Files != len(names) {
		t.Errorf("%d files read, want %d", result.Files, len(names))
	}
	got.imported(t, sink.Documents())
	got.differ(t, "KB", got.kbs, want.kbs)
	got.differ(t, "KB and product", got.pairs, want.pairs)
	got.differ(t, "supersedence", got.edges, want.edges)
	t.Logf("%d KBs, %d pairs, %d edges", len(want.kbs), len(want.pairs), len(want.edges))
	t.Logf("warnings: %v", result.Counts)

	// The default exclusions leave out no KB of these files: what Mariner gets has no KB article.
	req.Exclude = nil
	var filtered importertest.Memory
	if _, err := importer.Run(context.Background(), &msrc.Source{}, &filtered, req, nil); err != nil {
		t.Fatal(err)
	}
	if a, b := len(filtered.Documents()), len(sink.Documents()); a != b {
		t.Errorf("the default exclusions leave %d of %d documents", a, b)
	}
	again, err := importer.Run(context.Background(), &msrc.Source{}, &filtered, req, nil)
	if err != nil || again.Files != 0 || again.Changed != 0 || again.Skipped != len(names) {
		t.Errorf("importing again: %+v, %v", again, err)
	}
}

// How documents are read, merged and encoded may change, what comes out only with importerVersion: sites hold these
// digests, and would see a change of every document.
func TestRealDocumentsStayWhatTheyAre(t *testing.T) {
	folder := t.TempDir()
	for _, month := range []string{"2017-Mar", "2019-Feb", "2023-Oct", "2026-Mar"} {
		name := "cvrf-" + month + ".xml.gz"
		raw, err := os.ReadFile(filepath.Join(ringtest.Data(t, "msrc"), name))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var sink importertest.Memory
	result, err := importer.Run(t.Context(), &msrc.Source{}, &sink, importer.Request{From: folder}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, doc := range sink.Documents() {
		lines = append(lines, fmt.Sprintf("%s %s %s", doc.Kind, doc.ID, doc.Digest))
	}
	slices.Sort(lines)
	lines = append(lines, fmt.Sprint(result.Counts))
	const want = "ea58c23b05bb193dc46f35fda7cc859a26f1d04a532b895ddaa0c4c940dfee86"
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(lines, "\n")))); got != want {
		t.Errorf("%d documents and the warnings about them have the digest %s, want %s", len(lines)-1, got, want)
	}
}

func BenchmarkImport(b *testing.B) {
	names := realFiles(b)
	for b.Loop() {
		var sink importertest.Memory
		result, err := importer.Run(context.Background(), &msrc.Source{}, &sink, importer.Request{From: filepath.Dir(names[0])}, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(result.Bytes)
	}
}
