package sdp_test

import (
	"encoding/base64"
	"encoding/hex"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
	"thatch/catalog/rule"
)

// counts is what a catalog holds, by a name for each thing.
type counts map[string]int

var (
	ruleElement = regexp.MustCompile(`<(?:lar|bar|msiar):(\w+)`)
	attribute   = regexp.MustCompile(`(\w+)="([^"]*)"`)
	superseded  = regexp.MustCompile(`(?s)<sdp:SupersededPackages.*?</sdp:SupersededPackages>`)
	origin      = regexp.MustCompile(`<sdp:OriginFile[^>]*>`)
	code        = regexp.MustCompile(`<cmd:ReturnCode Code="([^"]*)"[^>]*>`)
	severity    = regexp.MustCompile(`MsrcSeverity="([^"]*)"`)
	item        = regexp.MustCompile(`<sdp:InstallableItem `)
	restart     = regexp.MustCompile(`RebootBehavior="([^"]*)"`)
	language    = regexp.MustCompile(`(?s)</sdp:OriginFile>\s*<sdp:Language>|<sdp:OriginFile[^>]*/>\s*<sdp:Language>([^<]*)<`)
)

// countText reads a package as text, knowing nothing of XML.
func (c counts) countText(text string) {
	c["updates"]++
	c["packages"] += len(item.FindAllString(text, -1))
	for _, found := range ruleElement.FindAllStringSubmatch(text, -1) {
		c["rule "+found[1]]++
	}
	for _, list := range superseded.FindAllString(text, -1) {
		unique := map[string]bool{}
		for _, id := range strings.Split(list, "<sdp:PackageID>")[1:] {
			unique[strings.ToLower(id[:36])] = true
		}
		c["superseded"] += len(unique)
	}
	for _, tag := range origin.FindAllString(text, -1) {
		with := map[string]string{}
		for _, a := range attribute.FindAllStringSubmatch(tag, -1) {
			with[a[1]] = a[2]
		}
		size, _ := strconv.Atoi(with["Size"])
		c["bytes"] += size
		raw, _ := base64.StdEncoding.DecodeString(with["Digest"])
		c["SHA-1 "+hex.EncodeToString(raw)]++
		c["URL "+with["OriginUri"]]++
	}
	unique := map[string]bool{}
	for _, found := range code.FindAllStringSubmatch(text, -1) {
		unique[found[1]] = true
	}
	c["codes"] += len(unique)
	for _, found := range severity.FindAllStringSubmatch(text, -1) {
		c["severity "+found[1]]++
	}
	for _, found := range restart.FindAllStringSubmatch(text, -1) {
		c["restart "+map[string]string{"NeverReboots": "no", "AlwaysRequiresReboot": "yes", "CanRequestReboot": "maybe"}[found[1]]]++
	}
	for _, found := range language.FindAllStringSubmatch(text, -1) {
		c["language "+found[1]]++
	}
}

func (c counts) countDocument(t *testing.T, doc document.Document) {
	switch doc.Kind {
	case document.Update:
		update, err := catalog.Decode[catalog.Update](doc.Body)
		if err != nil {
			t.Fatal(err)
		}
		c["updates"]++
		c["superseded"] += len(update.Supersedes)
		c["severity "+string(update.Severity)]++
		c.countRule(update.Applicable)
		c.countRule(update.Installed)
		if update.Superseded != nil {
			c.countRule(update.Superseded)
		}
		// What joins the rules of the package with those of its item is ours.
		if update.Applicable.Op == "And" {
			c["rule And"]--
		}
	case document.Package:
		body, err := catalog.Decode[catalog.Package](doc.Body)
		if err != nil {
			t.Fatal(err)
		}
		c["packages"]++
		c["restart "+string(body.Restart)]++
		for _, file := range body.Files {
			c["bytes"] += int(file.Size)
			c["SHA-1 "+file.SHA1]++
			c["URL "+file.URL]++
		}
		if body.Installer.Type == catalog.EXE {
			c["codes"] += len(body.Installer.Codes)
		}
		for _, tag := range doc.Languages {
			c["language "+tag]++
		}
	}
}

func (c counts) countRule(r *rule.Rule) {
	c["rule "+r.Op]++
	for _, child := range r.Rules {
		c.countRule(child)
	}
}

// TestRealCounts holds the documents of real packages against a count by another hand.
func TestRealCounts(t *testing.T) {
	folder := realData(t)
	files, err := filepath.Glob(filepath.Join(folder, "*", "*.sdp"))
	if err != nil {
		t.Fatal(err)
	}
	want := counts{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want.countText(string(text))
	}
	var sink importertest.Memory
	run(t, &sink, importer.Request{From: folder})
	got := counts{}
	for _, doc := range sink.Documents() {
		got.countDocument(t, doc)
	}
	maps.DeleteFunc(got, func(_ string, n int) bool { return n == 0 })
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s: %d, want %d", name, got[name], n)
		}
	}
	for name, n := range got {
		if want[name] == 0 {
			t.Errorf("%s: %d, want none", name, n)
		}
	}
	if want["updates"] < 60 || want["rule WmiQuery"] < 100 || want["superseded"] < 500 {
		t.Errorf("the count is not of the real data: %v", want["updates"])
	}
}
