package uploads_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"thatch/node/store"
	"thatch/node/uploads"
)

const (
	cvrf    = `<?xml version="1.0" encoding="utf-8"?><!-- c --><cvrf:cvrfdoc xmlns:cvrf="x"><a/></cvrf:cvrfdoc>`
	catalog = "\xef\xbb\xbf<?xml version=\"1.0\"?>\n<smc:SystemsManagementCatalog xmlns:smc=\"x\"/>"
)

func folder(t *testing.T) uploads.Folder {
	return uploads.Folder{Dir: filepath.Join(t.TempDir(), "uploads"), Now: time.Now}
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFilesThatAreTaken(t *testing.T) {
	f := folder(t)
	for _, c := range []struct{ source, name, content, as string }{
		{"msrc", "2019-Feb.xml", cvrf, "2019-Feb.xml"},
		{"msrc", `C:\fakepath\2019-Feb.xml.gz`, zipped(t, cvrf), "2019-Feb.xml.gz"},
		{"msrc", "../../etc/2019-Feb", cvrf, "2019-Feb.xml"},
		{"sdp", "vendor.cab", "MSCF\x00\x00", "vendor.cab"},
		{"sdp", "vendor.xml", catalog, "vendor.xml"},
		{"sdp", "one.sdp", "<SoftwareDistributionPackage/>", "one.sdp"},
		{"sdp", "vendor.zip", "PK\x03\x04...", "vendor.zip"},
	} {
		path, err := f.Take(c.source, c.name, strings.NewReader(c.content))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		held, err := os.ReadFile(path)
		if err != nil || string(held) != c.content || filepath.Base(path) != c.as || !f.Holds(path) {
			t.Errorf("%s is at %s with %d bytes, %v", c.name, path, len(held), err)
		}
		if err := f.Done(path); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(f.Dir); len(left) > 0 {
		t.Errorf("%d folders are left", len(left))
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	f := folder(t)
	for _, c := range []struct{ source, name, content, says string }{
		{"msrc", "a.xml", "", "is empty"},
		{"msrc", "a.xml", "PK\x03\x04", "begins with"},
		{"msrc", "a.xml", "<html><body>Sign in</body></html>", `first element is "html"`},
		{"msrc", "a.gz", zipped(t, "hello"), "begins with"},
		{"msrc", "a.gz", "\x1f\x8bnothing", "begins with"},
		{"msrc", "a.cab", "MSCF", "want a CVRF document"},
		{"msrc", "a.xml", catalog, "SystemsManagementCatalog"},
		{"sdp", "a.xml", cvrf, "cvrfdoc"},
		{"sdp", "a.exe", "MZ", "want an SDP package"},
		{"sdp", "", catalog, "no name"},
		{"sdp", "dir/", catalog, "no name"},
		{"sdp", ".htaccess", catalog, "no name"},
		{"sdp", "a\x00.xml", catalog, "no name"},
		{"none", "a.xml", catalog, "source"},
	} {
		if _, err := f.Take(c.source, c.name, strings.NewReader(c.content)); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s of %s: %v, want %q", c.name, c.source, err, c.says)
		}
	}
	cut := io.MultiReader(strings.NewReader(cvrf+strings.Repeat(" ", 1<<17)), iotest.ErrReader(errors.New("cut")))
	if _, err := f.Take("msrc", "a.xml", cut); err == nil || !strings.Contains(err.Error(), "cut") {
		t.Errorf("a file that ends early: %v", err)
	}
	if left, _ := os.ReadDir(f.Dir); len(left) > 0 {
		t.Errorf("%d folders are left", len(left))
	}
}

// What no import came to the end of goes after a week; what was not taken in stays.
func TestLeftFilesGo(t *testing.T) {
	f := folder(t)
	path, err := f.Take("msrc", "a.xml", strings.NewReader(cvrf))
	if err != nil {
		t.Fatal(err)
	}
	f.Now = func() time.Time { return time.Now().Add(8 * 24 * time.Hour) }
	if _, err := f.Take("msrc", "b.xml", strings.NewReader(cvrf)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file of last week: %v", err)
	}
	other := filepath.Join(t.TempDir(), "x", "a.xml")
	if err := errors.Join(os.MkdirAll(filepath.Dir(other), 0o700), os.WriteFile(other, []byte(cvrf), 0o600), f.Done(other)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(other); err != nil || f.Holds(other) || f.Holds("") || f.Holds("https://x/y/z") {
		t.Errorf("a file that lies elsewhere: %v", err)
	}
}
