package msrc

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog"
	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
)

func TestReadSupercedence(t *testing.T) {
	for text, want := range map[string]struct {
		kbs   string
		kinds string
	}{
		"3213986":                              {"3213986", ""},
		" KB3213986 ":                          {"3213986", ""},
		"4467227; 4467243":                     {"4467227 4467243", "supercedence-list"},
		"4471987, 3142033, 2972107":            {"4471987 3142033 2972107", "supercedence-list"},
		"MS16-016, 3124280; MS16-097, 3178034": {"3124280 3178034", "supercedence-bulletin-id supercedence-list"},
		"MS16-110":                             {"", "supercedence-bulletin-id"},
		"None":                                 {"", "supercedence-none"},
		"4034658<br><br>4034660":               {"4034658 4034660", "supercedence-list supercedence-markup"},
		"5013868, 50185":                       {"5013868", "supercedence-truncated"},
		"20.0.1":                               {"", "supercedence-version"},
		"2.41.0":                               {"", "supercedence-version"},
		"891716":                               {"891716", ""},
		"15498768":                             {"15498768", ""},
		"154987689":                            {"", "supercedence-truncated"},
		"see the notes":                        {"", "supercedence-unread"},
		"3213986; 3213986":                     {"3213986", ""},
	} {
		got := readSupercedence(text)
		slices.Sort(got.kinds)
		if strings.Join(got.kbs, " ") != want.kbs || strings.Join(got.kinds, " ") != want.kinds {
			t.Errorf("%q: %v %v, want %+v", text, got.kbs, got.kinds, want)
		}
	}
}

func TestDocumentID(t *testing.T) {
	for _, c := range []struct {
		id, released, want string
		odd                bool
	}{
		{"2018-Feb", "", "2018-Feb", false},
		{"2018-FEB", "", "2018-Feb", true},
		{"2017-May-B", "", "2017-May-B", false},
		{"Oct-OOB", "2016-10-27T07:00:00", "2016-Oct-OOB", true},
		{"Oct-OOB", "", "Oct-OOB", true},
		{"2018-Xyz", "2018-01-01", "2018-Xyz", true},
		{"something", "2018-01-01", "something", true},
	} {
		if got, odd := documentID(c.id, c.released); got != c.want || odd != c.odd {
			t.Errorf("%q: %q %v", c.id, got, odd)
		}
	}
}

func TestCompareBuilds(t *testing.T) {
	ordered := []string{"> 1.2", "1.001", "10.0.17134.9", "10.0.17134.590", "10.0.17134.1000", "15.02.0986.009"}
	for i, a := range ordered {
		for j, b := range ordered {
			got := compareBuilds(a, b)
			if want := i - j; (got < 0) != (want < 0) || (got > 0) != (want > 0) {
				t.Errorf("%q against %q: %d", a, b, got)
			}
		}
	}
}

// A part is read back as it was written; anything else is an error, never a panic.
func TestPartsReadBack(t *testing.T) {
	text := rapid.String()
	rapid.Check(t, func(t *rapid.T) {
		p := part{revision: text.Draw(t, "revision")}
		for range rapid.IntRange(0, 4).Draw(t, "cves") {
			p.cves = append(p.cves, catalog.CVE{
				ID: text.Draw(t, "id"), Title: text.Draw(t, "title"), Severity: rapid.SampledFrom(severityCodes).Draw(t, "severity"),
				Score: float64(rapid.IntRange(0, 100).Draw(t, "score")) / 10, Vector: text.Draw(t, "vector"), Exploited: rapid.Bool().Draw(t, "exploited"), Disclosed: rapid.Bool().Draw(t, "disclosed"),
			})
		}
		for range rapid.IntRange(0, 3).Draw(t, "pairs") {
			pair := partPair{
				product: catalog.Product{ID: text.Draw(t, "product"), Name: text.Draw(t, "name"), Family: text.Draw(t, "family")}, severity: rapid.SampledFrom(severityCodes).Draw(t, "severity"),
				class: text.Draw(t, "class"), restart: text.Draw(t, "restart"), fixed: text.Draw(t, "fixed"), url: text.Draw(t, "url"),
				supersedes: rapid.SliceOfN(text, 0, 3).Draw(t, "supersedes"), cves: []int{},
			}
			if len(p.cves) > 0 {
				pair.cves = rapid.SliceOfN(rapid.IntRange(0, len(p.cves)-1), 0, 3).Draw(t, "rows")
			}
			p.pairs = append(p.pairs, pair)
		}
		raw := p.encode(nil)
		back, err := decodePart(raw)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.cves) == 0 {
			p.cves = back.cves
		}
		if len(p.pairs) == 0 {
			p.pairs = back.pairs
		}
		if !reflect.DeepEqual(back, p) {
			t.Fatalf("%+v\n%+v", back, p)
		}
		if n := rapid.IntRange(0, len(raw)-1).Draw(t, "cut"); n < len(raw) {
			if _, err := decodePart(raw[:n]); !errors.Is(err, errPart) {
				t.Fatalf("cut at %d of %d: %v", n, len(raw), err)
			}
		}
	})
}

// host is a Windows computer in memory.
func host(build, revision int, server bool, kind, arch string, registry string) *rule.Facts {
	h, err := memory.Decode([]byte(`{"system":{"platform":"windows"},"hotfixes":{"kbs":["1234567"],"complete":true}` + registry + `}`))
	if err != nil {
		panic(err)
	}
	h.System.Major, h.System.Build, h.System.Revision, h.System.Architecture, h.System.InstallationType = 10, build, revision, arch, kind
	h.System.ProductType = 1
	if server {
		h.System.ProductType = 3
	}
	return h.Facts()
}

func TestRules(t *testing.T) {
	const (
		yes     = "true"
		no      = "false"
		unknown = "cannot tell"
	)
	client := host(17134, 500, false, "client", "x64", "")
	for _, c := range []struct {
		product, class, build string
		facts                 *rule.Facts
		applicable, installed string
	}{
		{"Windows 10 Version 1803 for x64-based Systems", "", "10.0.17134.590", client, yes, no},
		{"Windows 10 Version 1803 for x64-based Systems", "", "10.0.17134.500", client, yes, yes},
		{"Windows 10 Version 1803 for x64-based Systems", "", "10.0.17133.1", client, yes, no},
		{"Windows 10 Version 1803 for x64-based Systems", "", "", host(17134, -1, false, "client", "x64", ""), yes, no},
		{"Windows 10 Version 1803 for x64-based Systems", "", "10.0.17134.590", host(17134, -1, false, "client", "x64", ""), yes, no},
		{"Windows 10 Version 1803 for 32-bit Systems", "", "", client, no, ""},
		{"Windows 10 Version 1809 for x64-based Systems", "", "", client, no, ""},
		{"Windows Server, version 1803  (Server Core Installation)", "", "", client, no, ""},
		{"Windows Server, version 1803  (Server Core Installation)", "", "", host(17134, 1, true, "servercore", "x64", ""), yes, no},
		{"Windows Server 2019", "", "", host(17763, 1, true, "server", "x64", ""), yes, no},
		{"Windows Server 2019", "", "", host(17763, 1, true, "servercore", "x64", ""), no, ""},
		{"Windows Server 2019 (Server Core installation)", "", "", host(17763, 1, true, "servercore", "x64", ""), yes, no},
		{"Windows Server 2019", "", "", host(17763, 1, true, "", "x64", ""), unknown, no},
		{"Windows 10 Version 1809 for x64-based Systems", "", "", host(17763, 1, true, "server", "x64", ""), no, ""},
		{"Windows 10 Version 22H2 for x64-based Systems", "", "10.0.19041.3570", host(19045, 3570, false, "client", "x64", ""), yes, yes},
		{"Windows 10 Version 22H2 for x64-based Systems", "", "10.0.19041.3570", host(19045, 3569, false, "client", "x64", ""), yes, no},
		{"Windows Server 2025", "securityhotpatchupdate", "10.0.26100.32463", host(26100, 1, true, "server", "x64", ""), unknown, no},
		{"Adobe Flash Player on Windows 10 Version 1803 for x64-based Systems", "", "", client, yes, no},
		{"Microsoft Edge (EdgeHTML-based) on Windows 10 Version 1803 for x64-based Systems", "", "", client, yes, no},
		{"Internet Explorer 11 on Windows 10 Version 1803 for x64-based Systems", "", "", client, yes, no},
		{"Microsoft .NET Framework 4.8 on Windows 10 Version 1803 for x64-based Systems", "", "", client, unknown, no},
		{"Microsoft .NET Framework 4.8 on Windows 10 Version 1809 for x64-based Systems", "", "", client, no, ""},
		{"Microsoft Defender for Endpoint for Windows on Windows 10 Version 1803 for x64-based Systems", "", "", client, unknown, no},
		{"Microsoft Excel for Mac 2011", "", "", client, no, ""},
		{"Microsoft Office 2016 (64-bit edition)", "", "", client, unknown, no},
		// Being installed is asked on its own too: not on another Windows, though its build be later.
		{"Windows 10 Version 1803 for x64-based Systems", "", "10.0.17134.590", host(19045, 3570, false, "client", "x64", ""), no, no},
		{"Windows Server 2025", "", "10.0.26100.1", host(26100, 2, false, "client", "x64", ""), no, no},
	} {
		r := rulesFor("6000001", catalog.Product{ID: "20001", Name: c.product}, c.class, c.build)
		if r.reason != "" {
			t.Errorf("%s: no rule: %s", c.product, r.reason)
			continue
		}
		if got := rule.Evaluate(r.applicable, c.facts, nil); got.Answer.String() != c.applicable || c.applicable == unknown && got.Because == "" {
			t.Errorf("%s on %d: applicable %v, want %s", c.product, c.facts.System.Build, got, c.applicable)
		}
		if c.installed == "" {
			continue
		}
		if got := rule.Evaluate(r.installed, c.facts, nil); got.Answer.String() != c.installed {
			t.Errorf("%s on %d.%d: installed %v, want %s", c.product, c.facts.System.Build, c.facts.System.Revision, got, c.installed)
		}
		for _, problem := range append(rule.Check(r.applicable), rule.Check(r.installed)...) {
			t.Errorf("%s: %v", c.product, problem)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("<cvrfdoc><DocumentTracking><Identification><ID>2030-Jan</ID></Identification></DocumentTracking><ProductTree><FullProductName ProductID=\"1\">Windows 10 for 32-bit Systems</FullProductName></ProductTree>" +
		"<Vulnerability><CVE>CVE-2030-0001</CVE><Threats><Threat Type=\"Severity\"><Description>Low</Description><ProductID>1</ProductID></Threat></Threats><CVSSScoreSets><ScoreSet><BaseScore>7</BaseScore><ProductID>1</ProductID></ScoreSet></CVSSScoreSets>" +
		"<Remediations><Remediation Type=\"Vendor Fix\"><Description>6000001</Description><ProductID>1</ProductID><Supercedence>5999999</Supercedence></Remediation></Remediations></Vulnerability></cvrfdoc>"))
	f.Add([]byte("\xff\xfe<\x00a\x00>\x00"))
	f.Add([]byte("<cvrfdoc><![CDATA[x]]></cvrfdoc><!-- x --><?y?>"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := read(context.Background(), bytes.NewReader(raw), "x", nil)
		if err != nil {
			return
		}
		for _, kb := range d.articles() {
			p := d.partOf(kb, d.kbs[kb])
			if _, err := decodePart(p.encode(nil)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzDecodePart(f *testing.F) {
	p := part{revision: "r", cves: []catalog.CVE{{ID: "CVE-2030-0001"}}, pairs: []partPair{{cves: []int{0}, supersedes: []string{"1"}}}}
	f.Add([]byte(p.encode(nil)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := decodePart(raw)
		if err != nil {
			return
		}
		again, err := decodePart(p.encode(nil))
		if err != nil || len(again.pairs) != len(p.pairs) || len(again.cves) != len(p.cves) {
			t.Fatalf("%v", err)
		}
	})
}

func FuzzTexts(f *testing.F) {
	f.Add("MS16-110, 3187754; KB4034658<br>5013868, 50185")
	f.Add("https://catalog.update.microsoft.com/v7/site/Search.aspx?q=KB4467227")
	f.Fuzz(func(t *testing.T, text string) {
		for _, kb := range readSupercedence(text).kbs {
			if kbOf(kb) != kb {
				t.Errorf("%q: %q is no KB", text, kb)
			}
		}
		if l := readURL(text); l.url != "" && (l.kind != "" || !strings.HasPrefix(l.url, "http")) {
			t.Errorf("%q: %+v", text, l)
		}
		compareBuilds(text, "1.2.3")
		documentID(text, text)
		rulesFor("6000001", catalog.Product{ID: "1", Name: text}, text, text)
	})
}

// What is told without a regular expression is what one would tell.
func TestQuickTextsAreWhatTheirExpressionsSay(t *testing.T) {
	dotted := regexp.MustCompile(`^\d+(\.\d+){1,3}$`)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[0-9]{0,3}(\.[0-9x]{0,2}){0,5}\n?`).Draw(t, "version")
		if got, want := isDotted(text), dotted.MatchString(text); got != want {
			t.Fatalf("%q is a version: %t, want %t", text, got, want)
		}
	})
}
