package msrc_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
	"thatch/catalog/importer/msrc"
)

// load imports documents by file name and returns the sink and what the run said.
func load(t *testing.T, req importer.Request, files map[string]string) (*importertest.Memory, importer.Result, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var sink importertest.Memory
	req.From = dir
	result, err := importer.Run(t.Context(), &msrc.Source{}, &sink, req, nil)
	return &sink, result, err
}

func mustLoad(t *testing.T, files map[string]string) (*importertest.Memory, importer.Result) {
	t.Helper()
	sink, result, err := load(t, importer.Request{}, files)
	if err != nil {
		t.Fatal(err)
	}
	return sink, result
}

func bulletin(t *testing.T, sink *importertest.Memory, kb string) catalog.Bulletin {
	t.Helper()
	return body[catalog.Bulletin](t, sink, "bulletin msrc/KB"+kb)
}

func update(t *testing.T, sink *importertest.Memory, kb, product string) catalog.Update {
	t.Helper()
	return body[catalog.Update](t, sink, "update msrc/KB"+kb+"/"+product)
}

func body[T any](t *testing.T, sink *importertest.Memory, name string) T {
	t.Helper()
	d, ok := sink.Documents()[name]
	if !ok {
		t.Fatalf("no document %s", name)
	}
	v, err := catalog.Decode[T](d.Body)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// january is a plain month.
var january = doc{id: "2030-Jan", families: map[string]string{"20001": "Windows", "10384-20001": "Adobe"}, vulns: []vuln{
	{
		id: "CVE-2030-0001", title: "A & B", severity: map[string]string{"20001": "Critical", "20002": "Moderate"}, score: "7.8",
		exploit: "Publicly Disclosed:Yes;Exploited:No;Latest Software Release:N/A",
		fixes:   []vendorFix{fixed("6000001", "20001").superseding("5999001"), fixed("6000002", "20002", "20003").superseding("5999002; 5999003").at("10.0.17763.9001")},
	},
	{
		id: "CVE-2030-0002", severity: map[string]string{"20001": "Important"}, score: "9.8", exploit: "Publicly Disclosed:No;Exploited:Yes",
		fixes: []vendorFix{fixed("6000001", "20001").superseding("5999000"), fixed("Release Notes", "30002")},
	},
	{id: "ADV300001", title: "Flash", severity: map[string]string{"10384-20001": "Critical"}, fixes: []vendorFix{fixed("6000003", "10384-20001")}},
}}

func TestArticle(t *testing.T) {
	sink, _ := mustLoad(t, map[string]string{"jan.xml": january.xml()})
	b := bulletin(t, sink, "6000001")
	want := []catalog.CVE{
		{ID: "CVE-2030-0001", Title: "A & B", Severity: catalog.Critical, Score: 7.8, Vector: "CVSS:3.1/7.8", Disclosed: true},
		{ID: "CVE-2030-0002", Title: "CVE-2030-0002", Severity: catalog.Important, Score: 9.8, Vector: "CVSS:3.1/9.8", Exploited: true},
	}
	if !slices.Equal(b.CVEs, want) || b.Severity != catalog.Critical || b.Name != "KB6000001" || b.Vendor != "Microsoft" {
		t.Errorf("bulletin %+v", b)
	}
	if !slices.Equal(b.Named, []catalog.NamedBy{{File: "2030-Jan", CVEs: 2, Released: "2030-01-08"}}) {
		t.Errorf("named by %v", b.Named)
	}
	if b.Title != "Security Update for Windows 10 Version 1803" {
		t.Errorf("title %q", b.Title)
	}
	u := update(t, sink, "6000001", "20001")
	if u.Product != (catalog.Product{ID: "20001", Name: "Windows 10 Version 1803 for x64-based Systems", Family: "Windows"}) ||
		!slices.Equal(u.Supersedes, []string{"msrc/KB5999000/20001", "msrc/KB5999001/20001"}) || !slices.Equal(u.CVEs, []string{"CVE-2030-0001", "CVE-2030-0002"}) ||
		u.Restart != catalog.RestartAlways || u.Class != "securityupdate" || u.KB != "6000001" || u.Bulletin != "msrc/KB6000001" {
		t.Errorf("update %+v", u)
	}
	if u := update(t, sink, "6000002", "20002"); u.Severity != catalog.Moderate || u.FixedBuild != "10.0.17763.9001" || len(u.Supersedes) != 2 {
		t.Errorf("server %+v", u)
	}
	if u := update(t, sink, "6000002", "20003"); u.Severity != catalog.Unspecified || u.Product.Name != "Windows Server 2019 (Server Core installation)" {
		t.Errorf("core %+v", u)
	}
	if n := len(sink.Documents()); n != 7 {
		t.Errorf("%d documents, want 3 bulletins and 4 updates", n)
	}
}

// Every irregularity of the format is handled, and counted under its name.
func TestIrregularities(t *testing.T) {
	plain := func(fixes ...vendorFix) doc {
		return doc{id: "2030-Jan", families: map[string]string{"20001": "Windows", "20002": "Windows", "40002": "Mariner"}, vulns: []vuln{{id: "CVE-2030-0001", title: "T", severity: map[string]string{"20001": "Low"}, fixes: fixes}}}
	}
	with := func(change func(*doc)) doc {
		d := plain(fixed("6000001", "20001"))
		change(&d)
		return d
	}
	k := func(text string) vendorFix { return fixed("6000001", "20001").superseding(text) }
	for _, c := range []struct {
		kind    string
		times   int
		doc     doc
		updates int
	}{
		{"", 0, plain(fixed("6000001", "20001")), 1},
		{"non-kb-fix", 2, plain(fixed("Click to Run", "20001"), fixed("", "20001"), fixed("6000001", "20001")), 1},
		{"non-kb-fix", 1, plain(fixed("60001", "20001"), fixed("891716", "20001"), fixed("15498768", "20001")), 2},
		{"kb-prefix", 1, plain(fixed("KB6000001", "20001")), 1},
		{"supercedence-list", 2, plain(k("5999001; 5999002"), fixed("6000002", "20001").superseding("5999001,5999002")), 2},
		{"supercedence-bulletin-id", 2, plain(k("MS16-016, 3124280; MS16-097, 3178034"), fixed("6000002", "20001").superseding("MS16-016")), 2},
		{"supercedence-none", 1, plain(k("None")), 1},
		{"supercedence-markup", 1, plain(k("5999001<br><br>5999002")), 1},
		{"supercedence-truncated", 1, plain(k("5999001, 59990")), 1},
		{"supercedence-version", 1, plain(k("20.0.1")), 1},
		{"supercedence-unread", 1, plain(k("the one before")), 1},
		{"supercedence-self", 1, plain(k("6000001")), 1},
		{"supercedence-differs", 1, plain(k("5999001"), k("5999002")), 1},
		{"subtype-differs", 1, plain(fixed("6000001", "20001"), fixed("6000001", "20001").class("Monthly Rollup")), 1},
		{"subtype-spelling", 2, plain(fixed("6000001", "20001").class("SecurityHotpatchUpdate"), fixed("6000002", "20001").class("AzureHotpatch")), 2},
		{"subtype-missing", 1, plain(fixed("6000001", "20001").class("-")), 1},
		{"subtype-empty", 2, plain(fixed("6000001", "20001").class(""), fixed("6000002", "20001").class("None")), 2},
		{"restart-differs", 1, plain(fixed("6000001", "20001"), fixed("6000001", "20001").restarting("Maybe")), 1},
		{"restart-empty", 2, plain(fixed("6000001", "20001").restarting(""), fixed("6000002", "20001").restarting("-")), 2},
		{"restart-unknown", 1, plain(fixed("6000001", "20001").restarting("Perhaps")), 1},
		{"fixedbuild-differs", 1, plain(fixed("6000001", "20001").at("10.0.17134.1"), fixed("6000001", "20001").at("10.0.17134.2")), 1},
		{"fixedbuild-several", 2, plain(fixed("6000001", "20001").at("1.2.3; 1.2.4"), fixed("6000002", "20001").at("App Build 1.2.3, Platform Build 4.5")), 2},
		{"fixedbuild-no-version", 3, plain(fixed("6000001", "20001").at("https://aka.ms/x"), fixed("6000002", "20001").at("5.15.202.1-1"), fixed("6000003", "20001").at("> 1.2")), 3},
		{"fixedbuild-empty", 1, plain(fixed("6000001", "20001").at("")), 1},
		{"url-differs", 1, plain(fixed("6000001", "20001"), fixed("6000001", "20001").linked("https://www.microsoft.com/x")), 1},
		{"url-empty", 1, plain(fixed("6000001", "20001").linked("")), 1},
		{"url-other-kb", 1, plain(fixed("6000001", "20001").linked("https://catalog.update.microsoft.com/v7/site/Search.aspx?q=KB6000009")), 1},
		{"url-invalid", 4, plain(fixed("6000001", "20001").linked("file://server/share"), fixed("6000002", "20001").linked("ms-windows-store://x"),
			fixed("6000003", "20001").linked("https://6f0e4a2a-0001-4c2c-a42b-9e351dd1c1fe/x"), fixed("6000004", "20001").linked("javascript:alert(1)")), 4},
		{"fix-grouped", 1, plain(fixed("6000001", "20001", "20002")), 2},
		{"fix-repeated", 1, plain(fixed("6000001", "20001"), fixed("6000001", "20001")), 1},
		{"fix-without-product", 1, plain(fixed("6000001"), fixed("6000002", "20001")), 1},
		{"product-undefined", 1, plain(fixed("6000001", "77777")), 1},
		{"product-no-family", 1, plain(fixed("6000001", "20003")), 1},
		{"product-id", 1, plain(fixed("6000001", "2 / ../1"), fixed("6000001", "20001")), 1},
		{"product-excluded", 2, plain(fixed("6000001", "20001"), fixed("6000001", "40002"), fixed("6000001", "40001-17084")), 1},
		{"no-remediation", 1, with(func(d *doc) { d.vulns = append(d.vulns, vuln{id: "CVE-2030-0002", title: "T"}) }), 1},
		{"no-vendor-fix", 1, with(func(d *doc) {
			d.vulns = append(d.vulns, vuln{id: "CVE-2030-0002", title: "T", raw: `<vuln:Remediation Type="Workaround"><vuln:Description>6000009</vuln:Description></vuln:Remediation>`})
		}), 1},
		{"vulnerability-id", 2, with(func(d *doc) {
			d.vulns = append(d.vulns, vuln{id: "CVE-2030-0002M", title: "T", fixes: []vendorFix{fixed("6000002", "20001")}}, vuln{id: "", title: "T", fixes: []vendorFix{fixed("6000003", "20001")}})
		}), 3},
		{"title-missing", 1, with(func(d *doc) { d.vulns[0].title = "" }), 1},
		{"severity-unknown", 1, with(func(d *doc) { d.vulns[0].severity["20001"] = "System.Object[]" }), 1},
		{"score-unknown", 1, with(func(d *doc) { d.vulns[0].score = "high" }), 1},
		{"document-id", 1, with(func(d *doc) { d.id = "2030-JAN" }), 1},
		{"document-id", 1, with(func(d *doc) { d.id = "Jan-OOB" }), 1},
		{"early-document", 1, with(func(d *doc) { d.title = "January 2030 Early Security Updates" }), 1},
	} {
		sink, result := mustLoad(t, map[string]string{"jan.xml": c.doc.xml()})
		updates := 0
		for name := range sink.Documents() {
			if strings.HasPrefix(name, "update ") {
				updates++
			}
		}
		if result.Counts[c.kind] != c.times || updates != c.updates {
			t.Errorf("%s: %d times, want %d; %d updates, want %d; all %v", c.kind, result.Counts[c.kind], c.times, updates, c.updates, result.Counts)
		}
		for _, w := range result.Warnings {
			if w.File == "" || w.Text == "" || w.Kind == "" || w.Failed {
				t.Errorf("%s: warning %+v", c.kind, w)
			}
		}
	}
}

func TestByteOrderMarksEncodingsAndPrefixes(t *testing.T) {
	text := january.xml()
	want, _ := mustLoad(t, map[string]string{"jan.xml": text})
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte(text)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	var wide []byte
	for _, r := range "\ufeff" + text { // UTF-16, little-endian; the text is ASCII
		wide = append(wide, byte(r), byte(r>>8))
	}
	for name, variant := range map[string]string{
		"byte order mark and declaration": "\ufeff" + `<?xml version="1.0" encoding="utf-8"?>` + "\r\n" + text,
		"UTF-16":                          string(wide),
		"gzip under the name of xml":      zipped.String(),
		"other prefixes":                  strings.NewReplacer("<vuln:", "<v:", "</vuln:", "</v:", "xmlns:vuln", "xmlns:v").Replace(text),
		"no prefixes":                     strings.NewReplacer("<vuln:", "<", "</vuln:", "</", "<cvrf:", "<", "</cvrf:", "</", "<prod:", "<", "</prod:", "</").Replace(text),
		"comments and CDATA": strings.NewReplacer("<vuln:Description>6000001</vuln:Description>", "<!-- 1 --><vuln:Description><![CDATA[6000001]]></vuln:Description>",
			"A &amp; B", "<![CDATA[A & B]]>").Replace(text),
		"character references": strings.ReplaceAll(text, "<vuln:Description>6000001<", "<vuln:Description>&#x36;00000&#49;<"),
		"white space":          strings.NewReplacer("<vuln:Description>6000001<", "<vuln:Description>\n  6000001\n<", "<vuln:AffectedFiles />", "<vuln:AffectedFiles\n></vuln:AffectedFiles >").Replace(text),
		"unknown elements":     strings.ReplaceAll(text, "<vuln:AffectedFiles />", `<vuln:AffectedFiles><vuln:AffectedFile a='>' b="/>"><vuln:Description>9999999</vuln:Description></vuln:AffectedFile></vuln:AffectedFiles>`),
	} {
		got, _ := mustLoad(t, map[string]string{"jan.xml": variant})
		if a, b := got.Digests(), want.Digests(); len(a) != len(b) {
			t.Errorf("%s: %d documents, want %d", name, len(a), len(b))
		} else {
			for id, digest := range b {
				if a[id] != digest {
					t.Errorf("%s: %s is another document", name, id)
				}
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	text := january.xml()
	for name, c := range map[string]struct{ text, want string }{
		"cut":               {text[:len(text)-20], "cut short"},
		"cut in a tag":      {text[:strings.Index(text, "Vulnerability Ordinal")+5], "cut short"},
		"html":              {"<html><body>Sign in</body></html>", "<html>"},
		"json":              {`{"DocumentTitle":{"Value":"x"}}`, "outside of the root"},
		"nothing":           {"", "no XML element"},
		"second root":       {text + "<more/>", "second root"},
		"text behind":       {text + "more", "outside of the root"},
		"wrong end":         {strings.Replace(text, "</cvrf:DocumentTracking>", "</cvrf:DocumentTrackin>", 1), "wanted"},
		"unknown entity":    {strings.Replace(text, "A &amp; B", "A &nbsp; B", 1), "&nbsp;"},
		"bare ampersand":    {strings.Replace(text, "A &amp; B", "A & B", 1), "'&'"},
		"entity expansion":  {`<!DOCTYPE x [<!ENTITY a "aaaa">]>` + text, "document type"},
		"no id":             {strings.Replace(text, "<cvrf:ID>2030-Jan</cvrf:ID>", "", 1), "no ID"},
		"deep":              {strings.Repeat("<cvrfdoc>", 1000), "deep"},
		"endless tag":       {`<cvrfdoc a="` + strings.Repeat("x", 1<<20), "more than"},
		"huge text":         {strings.Replace(text, "2030-Jan", strings.Repeat("x", 1<<20), 1), "more than"},
		"not closed quote":  {`<cvrfdoc a="x></cvrfdoc>`, "cut short"},
		"end without start": {"</cvrfdoc>", "closes nothing"},
	} {
		_, result, err := load(t, importer.Request{}, map[string]string{"broken.xml": c.text, "good.xml": doc{id: "2030-Feb", vulns: january.vulns}.xml()})
		if !errors.Is(err, importer.ErrIncomplete) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "broken.xml") {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
		if result.Files != 1 || result.Failed != 1 || result.Counts["file-failed"] != 1 || !result.Warnings[0].Failed {
			t.Errorf("%s: the good file was not read: %+v", name, result)
		}
	}
}

// Files are revised: newer documents win for single values, lists are united, and a revision takes away.
func TestSeveralDocumentsOfOneArticle(t *testing.T) {
	old := doc{id: "2030-Jan", revised: "2030-01-08T00:00:00", vulns: []vuln{{id: "CVE-2030-0001", title: "Old", severity: map[string]string{"20001": "Low"}, fixes: []vendorFix{fixed("6000001", "20001").superseding("5999001").at("10.0.17134.1").restarting("No")}}}}
	newer := doc{id: "2030-Feb", revised: "2030-02-12T00:00:00Z", names: map[string]string{"20001": "Windows 10, version 1803 for x64-based Systems"}, vulns: []vuln{
		{id: "CVE-2030-0001", title: "New", severity: map[string]string{"20001": "Important"}, fixes: []vendorFix{fixed("6000001", "20001").superseding("5999002").at("10.0.17134.2").restarting("")}},
		{id: "CVE-2030-0002", title: "Other", severity: map[string]string{"20001": "Low"}, fixes: []vendorFix{fixed("6000001", "20001").restarting("")}},
	}}
	sink, result := mustLoad(t, map[string]string{"a.xml": old.xml(), "b.xml": newer.xml()})
	u := update(t, sink, "6000001", "20001")
	if u.FixedBuild != "10.0.17134.2" || u.Restart != catalog.RestartNever || u.Severity != catalog.Important || u.Product.Name != "Windows 10, version 1803 for x64-based Systems" ||
		!slices.Equal(u.Supersedes, []string{"msrc/KB5999001/20001", "msrc/KB5999002/20001"}) || !slices.Equal(u.CVEs, []string{"CVE-2030-0001", "CVE-2030-0002"}) {
		t.Errorf("update %+v", u)
	}
	b := bulletin(t, sink, "6000001")
	if len(b.CVEs) != 2 || b.CVEs[0].Title != "New" || !slices.Equal(b.Named, []catalog.NamedBy{{File: "2030-Feb", CVEs: 2, Released: "2030-01-08"}, {File: "2030-Jan", CVEs: 1, Released: "2030-01-08"}}) {
		t.Errorf("bulletin %+v", b)
	}
	for _, kind := range []string{"cve-in-several-files", "fixedbuild-differs", "supercedence-differs", "product-name-differs"} {
		if result.Counts[kind] != 1 {
			t.Errorf("%s: %d times; all %v", kind, result.Counts[kind], result.Counts)
		}
	}
}

func TestOlderRevisionsAndDuplicates(t *testing.T) {
	first := doc{id: "2030-Jan", revised: "2030-01-08T00:00:00", vulns: january.vulns[:1]}
	final := doc{id: "2030-Jan", revised: "2030-01-20T00:00:00", vulns: january.vulns}
	// Both at once: the newer one counts.
	sink, result := mustLoad(t, map[string]string{"a.xml": final.xml(), "b.xml": first.xml()})
	if result.Files != 1 || result.Skipped != 1 || result.Counts["duplicate-file"] != 1 {
		t.Errorf("%+v", result)
	}
	want := sink.Digests()
	// The older one by itself later: it does not bring back what is gone, nor take away what is new.
	dir := t.TempDir()
	path := filepath.Join(dir, "c.xml")
	if err := os.WriteFile(path, []byte(first.xml()), 0o644); err != nil {
		t.Fatal(err)
	}
	result, err := importer.Run(t.Context(), &msrc.Source{}, sink, importer.Request{From: path}, nil)
	if err != nil || result.Files != 0 || result.Skipped != 1 || result.Counts["older-revision"] != 1 || result.Changed != 0 {
		t.Errorf("%+v, %v", result, err)
	}
	// A change under the same revision is noticed.
	final.vulns = january.vulns[:2]
	if err := os.WriteFile(path, []byte(final.xml()), 0o644); err != nil {
		t.Fatal(err)
	}
	result, err = importer.Run(t.Context(), &msrc.Source{}, sink, importer.Request{From: path}, nil)
	if err != nil || result.Files != 1 || result.Changed == 0 || len(sink.Digests()) >= len(want) {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestExclusions(t *testing.T) {
	d := doc{id: "2030-Jan", families: map[string]string{"20001": "Windows", "30001": "Microsoft Office", "40002": "Mariner"}, vulns: []vuln{{
		id: "CVE-2030-0001", title: "T", fixes: []vendorFix{fixed("6000001", "20001"), fixed("6000002", "30001"), fixed("6000003", "40002"), fixed("6000004", "40001-17084")},
	}}}
	for _, c := range []struct {
		exclude []string
		want    int
	}{
		{nil, 2},
		{[]string{msrc.NoExclusions}, 4},
		{[]string{"microsoft office"}, 3},
		{[]string{"Windows", "Mariner"}, 2},
		{[]string{"Windows", "Mariner", "Azure Linux"}, 1},
	} {
		sink, _, err := load(t, importer.Request{Exclude: c.exclude}, map[string]string{"jan.xml": d.xml()})
		if err != nil || len(sink.Documents()) != 2*c.want {
			t.Errorf("exclude %v: %d documents, want %d; %v", c.exclude, len(sink.Documents()), 2*c.want, err)
		}
	}
}

func TestConformance(t *testing.T) {
	february := doc{id: "2030-Feb", revised: "2030-02-12T00:00:00", vulns: []vuln{
		{id: "CVE-2030-0003", title: "C", severity: map[string]string{"20001": "Important"}, fixes: []vendorFix{fixed("6000011", "20001").superseding("6000001"), fixed("6000002", "20002")}},
	}}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte(doc{id: "2030-Mar", vulns: january.vulns[:1]}.xml())); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	less := january
	less.revised, less.vulns = "2030-04-01T00:00:00", january.vulns[1:]
	none := february
	none.revised, none.vulns = "2030-04-01T00:00:00", nil
	importertest.TestSource(t, importertest.SourceFixture{
		New: func() importer.Source { return &msrc.Source{} },
		Trees: []importertest.Tree{
			{"2030/cvrf-2030-Jan.xml": []byte(january.xml())},
			{"cvrf-2030-Feb.xml": []byte(february.xml())},
			{"cvrf-2030-Mar.xml.gz": zipped.Bytes()},
		},
		Revised: map[int]importertest.Tree{0: {"cvrf-2030-Jan.xml": []byte(less.xml())}, 1: {"x.xml": []byte(none.xml())}},
		Main: func(tree importertest.Tree) string {
			for name := range tree {
				return name
			}
			return ""
		},
	})
}

func TestProgressAndCancel(t *testing.T) {
	dir := t.TempDir()
	for i := range 6 {
		d := doc{id: fmt.Sprintf("203%d-Jan", i), vulns: january.vulns}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.xml", i)), []byte(d.xml()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var sink importertest.Memory
	var seen []importer.Progress
	ctx, cancel := context.WithCancel(t.Context())
	_, err := importer.Run(ctx, &msrc.Source{}, &sink, importer.Request{From: dir, At: time.Unix(0, 0), Limits: importer.Limits{Small: -1}}, func(p importer.Progress) {
		seen = append(seen, p)
		if p.Done == 3 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || sink.Saves() != 3 {
		t.Errorf("%d saves, %v", sink.Saves(), err)
	}
	result, err := importer.Run(t.Context(), &msrc.Source{}, &sink, importer.Request{From: dir}, func(p importer.Progress) { seen = append(seen, p) })
	if err != nil || result.Files != 3 || result.Skipped != 3 {
		t.Errorf("resumed: %+v, %v", result, err)
	}
	last := seen[len(seen)-1]
	if last.Files != 6 || last.Done != 6 || last.Bytes == 0 || last.Current != "2035-Jan" {
		t.Errorf("progress ends with %+v", last)
	}
}
