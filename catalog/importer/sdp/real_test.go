package sdp_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
	"thatch/catalog/importer/sdp"
	"thatch/catalog/rule"
)

// realData finds the folder of real vendor files, or skips.
func realData(t testing.TB) string {
	t.Helper()
	folder := os.Getenv("THATCH_DATA")
	if folder == "" {
		at, err := os.Getwd()
		for err == nil {
			if _, missing := os.Stat(filepath.Join(at, "go.mod")); missing == nil {
				break
			}
			at = filepath.Dir(at)
		}
		folder = filepath.Join(at, "..", "shared", "data")
	}
	folder = filepath.Join(folder, "sdp")
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("no real SDP packages at %s (set THATCH_DATA): what vendors really publish was not tried", folder)
	}
	return folder
}

func run(t testing.TB, sink *importertest.Memory, req importer.Request) importer.Result {
	t.Helper()
	req.Source, req.At = sdp.Name, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	result, err := importer.Run(context.Background(), &sdp.Source{}, sink, req, nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestRealPackages(t *testing.T) {
	folder := realData(t)
	var sink importertest.Memory
	result := run(t, &sink, importer.Request{From: folder})
	t.Logf("%+v", result)
	files, err := filepath.Glob(filepath.Join(folder, "*", "*.sdp"))
	if err != nil || result.Files != len(files) || result.Failed != 0 {
		t.Errorf("%d files of %d, %v", result.Files, len(files), err)
	}
	updates, packages, bulletins := 0, 0, 0
	for name, doc := range sink.Documents() {
		switch doc.Kind {
		case document.Bulletin:
			bulletins++
		case document.Package:
			packages++
			checkPackage(t, name, doc)
		case document.Update:
			updates++
			checkUpdate(t, name, doc)
		}
	}
	if updates != len(files) || packages != len(files) || bulletins == 0 {
		t.Errorf("%d updates, %d packages, %d bulletins of %d files", updates, packages, bulletins, len(files))
	}
	if again := run(t, &sink, importer.Request{From: folder}); again.Files != 0 || again.Changed != 0 {
		t.Errorf("a second run read %d files and changed %d documents", again.Files, again.Changed)
	}
}

func checkUpdate(t *testing.T, name string, doc document.Document) {
	t.Helper()
	update, err := catalog.Decode[catalog.Update](doc.Body)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if len(doc.Languages) != 0 || update.NoRule != "" || update.Title == "" || update.Bulletin == "" || update.Name == "" {
		t.Errorf("%s: %+v", name, update)
	}
	for _, r := range []*rule.Rule{update.Applicable, update.Installed} {
		if problems := rule.Check(r); len(problems) > 0 {
			t.Errorf("%s: %v", name, problems)
		}
		if untold := rule.Untold(r); len(untold) > 0 {
			t.Errorf("%s: %v", name, untold)
		}
	}
}

func checkPackage(t *testing.T, name string, doc document.Document) {
	t.Helper()
	body, err := catalog.Decode[catalog.Package](doc.Body)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	file := body.Files[0]
	if len(file.SHA1) != 40 || file.Size == 0 || !strings.HasPrefix(file.URL, "http") || body.Installer.File != file.Name {
		t.Errorf("%s: %+v", name, body)
	}
}
