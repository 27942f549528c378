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
	f.Add([]byte(`<c:SystemsManagementCatalog xmlns:c="` + nsCatalog + `" xmlns:s="` + nsSDP + `"><c:SoftwareDistributionPackage><s:Properties ` +
		`PackageID="00000000-0000-0000-0000-000000000001"/><s:InstallableItem ID="00000000-0000-0000-0000-000000000001"/>` +
		`</c:SoftwareDistributionPackage><!-- --></c:SystemsManagementCatalog>`))
	f.Add([]byte("\xff\xfe<\x00a\x00/\x00>\x00"))
	f.Add([]byte(`<?xml version="1.0" encoding="windows-1252"?><SoftwareDistributionPackage xmlns="` + nsSDP + `">`))
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

// The packages of any catalog are the same however the stream is cut into reads.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("<a:SystemsManagementCatalog><!-- > --><b:SoftwareDistributionPackage x='>'>y</b:SoftwareDistributionPackage ></a:SystemsManagementCatalog>"), 1)
	f.Add([]byte("<SoftwareDistributionPackage/>"), 3)
	f.Fuzz(func(t *testing.T, content []byte, step int) {
		whole, errWhole := pieces(bytes.NewReader(content))
		cut, errCut := pieces(&slow{content: content, step: max(1, step%97)})
		if (errWhole == nil) != (errCut == nil) || len(whole) != len(cut) {
			t.Fatalf("whole: %d pieces, %v; cut: %d pieces, %v", len(whole), errWhole, len(cut), errCut)
		}
		for i := range whole {
			if whole[i] != cut[i] {
				t.Errorf("piece %d: %q and %q", i, whole[i], cut[i])
			}
		}
	})
}

type slow struct {
	content []byte
	step    int
}

func (s *slow) Read(p []byte) (int, error) {
	if len(s.content) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.step)], s.content)
	s.content = s.content[n:]
	return n, nil
}

func pieces(r io.Reader) (found []string, err error) {
	s, err := newSplitter(r)
	for err == nil {
		var one raw
		if one, err = s.next(); err == nil {
			found = append(found, string(one.xml))
		}
	}
	if err == io.EOF {
		err = nil
	}
	return found, err
}
