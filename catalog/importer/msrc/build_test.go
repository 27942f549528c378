package msrc_test

import (
	"fmt"
	"html"
	"strings"
)

// The documents of the tests are made up: months of 2030, KBs from 6000001, products after the vendor's manner.

// vuln is one vulnerability of a made-up document.
type vuln struct {
	id, title string
	severity  map[string]string // by product
	score     string            // base score of every product with a severity
	exploit   string
	fixes     []vendorFix
	raw       string // put in as it is
}

// vendorFix is one remediation; Elements are written only where the text is not "-".
type vendorFix struct {
	description, url, supercedence, restart, subType, build string
	products                                                []string
}

// fixed is a plain fix.
func fixed(kb string, products ...string) vendorFix {
	return vendorFix{
		description: kb, url: "https://catalog.update.microsoft.com/v7/site/Search.aspx?q=KB" + kb, supercedence: "-", restart: "Yes",
		subType: "Security Update", build: "-", products: products,
	}
}

func (f vendorFix) superseding(text string) vendorFix { f.supercedence = text; return f }
func (f vendorFix) class(text string) vendorFix       { f.subType = text; return f }
func (f vendorFix) at(build string) vendorFix         { f.build = build; return f }
func (f vendorFix) restarting(text string) vendorFix  { f.restart = text; return f }
func (f vendorFix) linked(text string) vendorFix      { f.url = text; return f }

func (f vendorFix) xml() string {
	var out strings.Builder
	element := func(name, text string) {
		if text != "-" {
			fmt.Fprintf(&out, "<vuln:%s>%s</vuln:%s>", name, html.EscapeString(text), name)
		}
	}
	out.WriteString(`<vuln:Remediation Type="Vendor Fix">`)
	element("Description", f.description)
	element("URL", f.url)
	element("Supercedence", f.supercedence)
	for _, p := range f.products {
		element("ProductID", p)
	}
	out.WriteString("<vuln:AffectedFiles />")
	element("RestartRequired", f.restart)
	element("SubType", f.subType)
	element("FixedBuild", f.build)
	out.WriteString("</vuln:Remediation>")
	return out.String()
}

func (v vuln) xml(i int) string {
	var out strings.Builder
	fmt.Fprintf(&out, `<vuln:Vulnerability Ordinal="%d">`, i)
	if v.title != "" {
		fmt.Fprintf(&out, "<vuln:Title>%s</vuln:Title>", html.EscapeString(v.title))
	}
	fmt.Fprintf(&out, `<vuln:Notes><vuln:Note Title="FAQ" Type="FAQ" Ordinal="10">&lt;p&gt;Remediation&lt;/p&gt;</vuln:Note></vuln:Notes><vuln:CVE>%s</vuln:CVE>`, v.id)
	out.WriteString("<vuln:Threats>")
	for _, p := range sortedKeys(v.severity) {
		fmt.Fprintf(&out, `<vuln:Threat Type="Impact"><vuln:Description>Tampering</vuln:Description><vuln:ProductID>%s</vuln:ProductID></vuln:Threat>`, p)
		fmt.Fprintf(&out, `<vuln:Threat Type="Severity"><vuln:Description>%s</vuln:Description><vuln:ProductID>%s</vuln:ProductID></vuln:Threat>`, v.severity[p], p)
	}
	if v.exploit != "" {
		fmt.Fprintf(&out, `<vuln:Threat Type="Exploit Status"><vuln:Description>%s</vuln:Description></vuln:Threat>`, v.exploit)
	}
	out.WriteString("</vuln:Threats><vuln:CVSSScoreSets>")
	if v.score != "" {
		for _, p := range sortedKeys(v.severity) {
			fmt.Fprintf(&out, `<vuln:ScoreSet><vuln:BaseScore>%s</vuln:BaseScore><vuln:TemporalScore>1</vuln:TemporalScore><vuln:Vector>CVSS:3.1/%s</vuln:Vector><vuln:ProductID>%s</vuln:ProductID></vuln:ScoreSet>`, v.score, v.score, p)
		}
	}
	out.WriteString("</vuln:CVSSScoreSets><vuln:Remediations>")
	for _, f := range v.fixes {
		out.WriteString(f.xml())
	}
	out.WriteString(v.raw + "</vuln:Remediations></vuln:Vulnerability>\n")
	return out.String()
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	for i := range keys {
		for j := i; j > 0 && keys[j] < keys[j-1]; j-- {
			keys[j], keys[j-1] = keys[j-1], keys[j]
		}
	}
	return keys
}

// doc is a made-up document.
type doc struct {
	id, title, revised string
	families           map[string]string // of products, by id; others are in the flat list alone
	names              map[string]string
	vulns              []vuln
}

var productNames = map[string]string{
	"20001":       "Windows 10 Version 1803 for x64-based Systems",
	"20002":       "Windows Server 2019",
	"20003":       "Windows Server 2019  (Server Core installation)",
	"20004":       "Windows 7 for x64-based Systems Service Pack 1",
	"20005":       "Windows 10 Version 22H2 for x64-based Systems",
	"20006":       "Windows Server 2025",
	"10384-20001": "Adobe Flash Player on Windows 10 Version 1803 for x64-based Systems",
	"10486-20004": "Internet Explorer 11 on Windows 7 for x64-based Systems Service Pack 1",
	"11650-20001": "Microsoft .NET Framework 3.5 AND 4.8 on Windows 10 Version 1803 for x64-based Systems",
	"30001":       "Microsoft Office 2016 (64-bit edition)",
	"30002":       "Microsoft Excel for Mac 2011",
	"40001-17084": "azl3 kernel 6.6 on Azure Linux 3.0",
	"40002":       "CBL Mariner 2.0 x64",
}

func (d doc) xml() string {
	var out strings.Builder
	out.WriteString(`<cvrf:cvrfdoc xmlns:vuln="http://www.icasi.org/CVRF/schema/vuln/1.1" xmlns:prod="http://www.icasi.org/CVRF/schema/prod/1.1" xmlns:cvrf="http://www.icasi.org/CVRF/schema/cvrf/1.1">` + "\n")
	title := d.title
	if title == "" {
		title = "Security Updates"
	}
	revised := d.revised
	if revised == "" {
		revised = "2030-03-01T00:00:00"
	}
	fmt.Fprintf(&out, `<cvrf:DocumentTitle>%s</cvrf:DocumentTitle><cvrf:DocumentTracking><cvrf:Identification><cvrf:ID>%s</cvrf:ID><cvrf:Alias>%s</cvrf:Alias></cvrf:Identification>
<cvrf:RevisionHistory><cvrf:Revision><cvrf:Number>3</cvrf:Number></cvrf:Revision></cvrf:RevisionHistory><cvrf:InitialReleaseDate>2030-01-08T08:00:00</cvrf:InitialReleaseDate><cvrf:CurrentReleaseDate>%s</cvrf:CurrentReleaseDate></cvrf:DocumentTracking>
<cvrf:DocumentNotes><cvrf:Note Title="Release Notes">&lt;h1&gt;Notes&lt;/h1&gt;</cvrf:Note></cvrf:DocumentNotes>
`, title, d.id, d.id, revised)
	names := d.names
	if names == nil {
		names = productNames
	}
	out.WriteString(`<prod:ProductTree xmlns="http://www.icasi.org/CVRF/schema/prod/1.1"><Branch Type="Vendor" Name="Microsoft">`)
	for id, family := range d.families {
		fmt.Fprintf(&out, `<Branch Type="Product Family" Name="%s"><FullProductName ProductID="%s">%s</FullProductName></Branch>`, family, id, names[id])
	}
	out.WriteString("</Branch>")
	for _, id := range sortedKeys(names) {
		fmt.Fprintf(&out, `<FullProductName ProductID="%s" CPE="cpe:2.3">%s</FullProductName>`, id, names[id])
	}
	out.WriteString("</prod:ProductTree>\n")
	for i, v := range d.vulns {
		out.WriteString(v.xml(i + 1))
	}
	out.WriteString("</cvrf:cvrfdoc>\n")
	return out.String()
}
