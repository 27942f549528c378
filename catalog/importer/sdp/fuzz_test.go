package sdp

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/importer"
	"thatch/catalog/importer/sdp/markup"
	"thatch/catalog/rule"
)

// FuzzParse holds that whatever a vendor file has, it makes documents that can be read back, or warnings and errors.
func FuzzParse(f *testing.F) {
	full, err := os.ReadFile(filepath.Join("testdata", "full.sdp"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Add(bytes.ReplaceAll(full, []byte("\n"), nil)[:3000])
	f.Add([]byte(`<c:SystemsManagementCatalog xmlns:c="` + markup.Catalog + `" xmlns:s="` + markup.SDP + `"><c:SoftwareDistributionPackage><s:Properties ` +
		`PackageID="00000000-0000-0000-0000-000000000001"/><s:InstallableItem ID="00000000-0000-0000-0000-000000000001"/>` +
		`</c:SoftwareDistributionPackage><!-- --></c:SystemsManagementCatalog>`))
	f.Add([]byte("\xff\xfe<\x00a\x00/\x00>\x00"))
	f.Add([]byte(`<?xml version="1.0" encoding="windows-1252"?><SoftwareDistributionPackage xmlns="` + markup.SDP + `">`))
	f.Fuzz(func(t *testing.T, content []byte) {
		source := &Source{Limit: 1 << 20}
		file := importer.File{Name: "f", Path: "f", Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }}
		seen := map[string]bool{}
		_, err := source.Parse(context.Background(), importer.Request{}, file, func(part importer.Part) error {
			if seen[part.Key] {
				t.Errorf("key %q occurs twice", part.Key)
			}
			seen[part.Key] = true
			docs, err := source.Merge(part.Key, []importer.Part{part}, nil)
			if err != nil || len(docs) == 0 {
				t.Fatalf("%s: %v", part.Key, err)
			}
			for _, doc := range docs {
				readBack(t, doc)
			}
			return nil
		}, func(w importer.Warning) {
			if w.Kind == "" || w.Text == "" {
				t.Errorf("warning %+v", w)
			}
		})
		if err != nil && len(seen) > 0 {
			t.Errorf("parts were given out beside the error %v", err)
		}
	})
}

func readBack(t *testing.T, doc document.Document) {
	if doc.Kind != document.Update {
		return
	}
	update, err := catalog.Decode[catalog.Update](doc.Body)
	if err != nil {
		t.Fatalf("%s: %v", doc.ID, err)
	}
	for _, r := range []*rule.Rule{update.Applicable, update.Installed} {
		if r == nil && update.NoRule == "" {
			t.Errorf("%s has neither a rule nor a reason", doc.ID)
		}
		if r != nil {
			rule.NewEvaluator(&rule.Facts{}, nil).Evaluate(r)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"00004850-0000-0000-5350-000000065001":"2018-08-15T05:08:24"}`))
	f.Add([]byte("\xef\xbb\xbf{}"))
	f.Add([]byte(`{"a":1}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		entries, err := readManifest(bytes.NewReader(content))
		for _, e := range entries {
			if err != nil || len(e.id) != 36 || e.created == "" {
				t.Errorf("%+v, %v", e, err)
			}
		}
	})
}
