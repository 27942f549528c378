package sdp_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew; then read what changed")

// TestGolden holds what is made of testdata/*.sdp against what was checked by eye, element by element.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.sdp"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			var sink importertest.Memory
			result := run(t, &sink, importer.Request{From: file})
			var out bytes.Buffer
			docs := sink.Documents()
			for _, name := range slices.Sorted(maps.Keys(docs)) {
				out.WriteString(name + " [" + strings.Join(docs[name].Languages, " ") + "]\n")
				if err := json.Indent(&out, docs[name].Body, "", "\t"); err != nil {
					t.Fatal(err)
				}
				out.WriteString("\n\n")
			}
			for _, w := range result.Warnings {
				out.WriteString(w.Kind + ": " + w.Element + ": " + w.Text + "\n")
			}
			golden := strings.TrimSuffix(file, ".sdp") + ".golden"
			if *rewrite {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), want) {
				t.Errorf("%s differs from\n%s", golden, out.Bytes())
			}
		})
	}
}
