package sdp

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/importer"
	"thatch/catalog/importer/sdp/markup"
	"thatch/catalog/rule"
)

// Name is the source's name, and the first part of all its documents' ids.
const Name = "sdp"

// pack is one SoftwareDistributionPackage on its way to documents.
type pack struct {
	id      string // lower case, no braces
	created string // sortable; empty: none given

	article  string // what its bulletin is called; empty: the package itself
	update   catalog.Update
	summary  string // description in the default language
	packages []packageDocument

	report func(importer.Warning)
	file   string
	line   int
}

// packageDocument is the body of one package with what its head needs.
type packageDocument struct {
	id        string
	languages []string
	body      catalog.Package
}

// warn reports an irregularity that was handled.
func (p *pack) warn(kind, element, text string) {
	p.report(importer.Warning{File: p.file, Element: p.place(element), Kind: kind, Text: text})
}

func (p *pack) place(element string) string {
	name := "package " + p.id
	if p.id == "" {
		name = fmt.Sprintf("package in line %d", p.line)
	}
	if element == "" {
		return name
	}
	return name + ", " + element
}

// refused is an error that leaves out one package, with the element that caused it.
type refused struct{ element, text string }

func (r refused) Error() string { return r.element + ": " + r.text }

func refuse(element, format string, args ...any) error {
	return refused{element: element, text: fmt.Sprintf(format, args...)}
}

// read fills a package from its XML. Its error is a refused.
func (p *pack) read(root *markup.Element) error {
	if root.Space != markup.SDP && root.Space != markup.Catalog {
		return refuse(root.Name, "namespace %.120q is not that of SDP packages, %s", root.Space, markup.SDP)
	}
	for _, kid := range root.Kids {
		if kid.Name == "Properties" && kid.Space != markup.SDP {
			return refuse(kid.Name, "namespace %.120q where %s is wanted", kid.Space, markup.SDP)
		}
	}
	if err := p.properties(root.Kid("Properties")); err != nil {
		return err
	}
	for _, kid := range root.Kids {
		if kid.Space != markup.SDP && kid.Name != "Signature" {
			p.warn("wrong-namespace", kid.Name, fmt.Sprintf("namespace %.120q where %s is wanted; the element is left out", kid.Space, markup.SDP))
		}
	}
	p.texts(root.All("LocalizedProperties"))
	p.details(root.Kid("UpdateSpecificData"))
	p.related(root)
	return p.rules(root)
}

func (p *pack) properties(e *markup.Element) error {
	if e == nil {
		return refuse("Properties", "the element is missing; it names the package")
	}
	id, ok := guid(e.Attr("PackageID"))
	if !ok {
		return refuse("Properties", "PackageID=%.60q is no GUID", e.Attr("PackageID"))
	}
	p.id = id
	p.created = p.date(e.Attr("CreationDate"))
	u := &p.update
	u.Source, u.Vendor, u.URL = Name, e.Attr("VendorName"), e.First("MoreInfoUrl")
	if u.Vendor == "" {
		p.warn("vendor-missing", "Properties", "VendorName is missing")
	}
	if u.URL == "" {
		u.URL = e.First("SupportUrl")
	}
	products := e.Content("ProductName")
	u.Product = catalog.Product{Name: strings.Join(products, ", "), Family: u.Vendor}
	switch state := e.Attr("PublicationState"); state {
	case "", "Published":
	case "Expired":
		u.Withdrawn = true
	default:
		p.warn("state-unknown", "Properties", fmt.Sprintf("PublicationState=%.60q is neither Published nor Expired; taken as Published", state))
	}
	switch kind := e.Attr("UpdateType"); kind {
	case "", "Software", "Driver":
	case "Detectoid":
		u.Detector = true
	default:
		p.warn("type-unknown", "Properties", fmt.Sprintf("UpdateType=%.60q is not known; taken as Software", kind))
	}
	return nil
}

// dateKey writes times so that later ones compare greater.
const dateKey = "2006-01-02T15:04:05Z"

func (p *pack) date(text string) string {
	if at, ok := parseDate(text); ok {
		return at
	}
	p.warn("date-malformed", "Properties", fmt.Sprintf("CreationDate=%.60q is no date; any other revision of the package counts as newer", text))
	return ""
}

// parseDate reads an xs:dateTime, UTC where no zone is given, into the form of dateKey.
func parseDate(text string) (string, bool) {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02"} {
		if at, err := time.Parse(form, strings.TrimSpace(text)); err == nil {
			return at.UTC().Format(dateKey), true
		}
	}
	return "", false
}

// texts takes the titles: the first language is the default, further ones are kept beside.
func (p *pack) texts(all []*markup.Element) {
	seen := map[string]bool{}
	for i, e := range all {
		text := catalog.Text{Language: strings.ToLower(e.First("Language")), Title: e.First("Title"), Description: e.First("Description")}
		if seen[text.Language] {
			p.warn("text-repeated", "LocalizedProperties", fmt.Sprintf("language %.60q occurs twice; the first is taken", text.Language))
			continue
		}
		seen[text.Language] = true
		if i == 0 {
			p.update.Title, p.summary = text.Title, text.Description
			continue
		}
		p.update.Texts = append(p.update.Texts, text)
	}
	slices.SortFunc(p.update.Texts, func(a, b catalog.Text) int { return strings.Compare(a.Language, b.Language) })
	if p.update.Title == "" {
		p.warn("title-missing", "LocalizedProperties", "no title; the package's id stands for it")
		p.update.Title = p.id
	}
}

// details takes severity, classification and the names of bulletin and article.
func (p *pack) details(e *markup.Element) {
	u := &p.update
	u.Name = u.Title
	u.Bulletin = bulletinID(u.Vendor, p.id)
	if e == nil {
		return // an application: nothing is said of it as an update
	}
	u.Class = e.Attr("UpdateClassification")
	u.Severity = p.severity(e.Attr("MsrcSeverity"))
	for _, cve := range e.Content("CveID") {
		u.CVEs = append(u.CVEs, strings.ToUpper(cve))
	}
	slices.Sort(u.CVEs)
	u.CVEs = slices.Compact(u.CVEs)
	article := named(e.First("KBArticleID"))
	u.KB = digits(article)
	p.article = named(e.First("SecurityBulletinID"))
	if p.article == "" {
		p.article = article
	}
	if article == "" {
		article = p.article
	}
	if article != "" {
		u.Name = article
	}
	if p.article != "" {
		u.Bulletin = bulletinID(u.Vendor, p.article)
	}
}

func (p *pack) severity(text string) catalog.Severity {
	for _, s := range []catalog.Severity{catalog.Critical, catalog.Important, catalog.Moderate, catalog.Low, catalog.None} {
		if strings.EqualFold(text, string(s)) {
			return s
		}
	}
	if text != "" && !strings.EqualFold(text, "Unspecified") {
		p.warn("severity-unknown", "UpdateSpecificData", fmt.Sprintf("MsrcSeverity=%.60q is not known; left unspecified", text))
	}
	return catalog.Unspecified
}

// named is an id of a bulletin or an article, "" for what authors write where they have none.
func named(text string) string {
	switch strings.ToLower(text) {
	case "n/a", "na", "none", "-", "--", "0", "null", "tbd", "unknown":
		return ""
	}
	return text
}

// digits is the number of a knowledge base article, "" for other names.
func digits(article string) string {
	number := strings.TrimPrefix(strings.ToUpper(article), "KB")
	if number == "" || len(number) > 12 || strings.Trim(number, "0123456789") != "" {
		return ""
	}
	return number
}

// related takes the edges to other packages.
func (p *pack) related(root *markup.Element) {
	u := &p.update
	u.Supersedes = p.ids(root.Kid("SupersededPackages"), "SupersededPackages")
	u.Bundles = p.ids(root.Kid("BundledPackages"), "BundledPackages")
	for _, prerequisites := range root.All("Prerequisites") {
		for _, group := range prerequisites.All("AtLeastOne") {
			if ids := p.ids(group, "Prerequisites/AtLeastOne"); len(ids) > 0 {
				u.Prerequisites = append(u.Prerequisites, ids)
			}
		}
	}
}

// ids reads PackageIDs as ids of updates, without repetitions and in the author's order.
func (p *pack) ids(e *markup.Element, where string) (ids []string) {
	seen := map[string]bool{}
	for _, text := range e.Content("PackageID") {
		id, ok := guid(text)
		switch {
		case !ok:
			p.warn("id-malformed", where, fmt.Sprintf("PackageID %.60q is no GUID; left out", text))
		case id == p.id:
			p.warn("id-itself", where, "the package names itself; left out")
		case !seen[id]:
			seen[id] = true
			ids = append(ids, updateID(id))
		}
	}
	return ids
}

// rules makes the rules of the update, and the packages.
func (p *pack) rules(root *markup.Element) error {
	own := p.groupsOf(root, "")
	own.superseded = nil // the schema has no such group here
	elements := root.All("InstallableItem")
	items := make([]item, 0, len(elements))
	seen := map[string]bool{}
	for i, e := range elements {
		where := fmt.Sprintf("InstallableItem[%d]", i+1)
		id, ok := guid(e.Attr("ID"))
		if !ok || seen[id] {
			return refuse(where, "ID=%.60q is no GUID, or that of an item before", e.Attr("ID"))
		}
		seen[id] = true
		one, languages, err := p.itemRules(e, where, own)
		if err != nil {
			return err
		}
		items = append(items, one)
		if p.item(e, where, id, languages) && len(elements) > 1 { // the rules of a single item are the update's
			p.packages[len(p.packages)-1].own(one)
		}
	}
	u := &p.update
	effective := combined(own, items)
	u.Applicable, u.Installed, u.Superseded = effective.installable, effective.installed, effective.superseded
	if len(items) == 0 {
		p.withoutItems()
	}
	for i := range p.packages {
		u.Restart = moreRestart(u.Restart, p.packages[i].body.Restart)
	}
	p.inspect()
	return nil
}

// own gives a package the rules of its item; what is always so is left out.
func (one *packageDocument) own(of item) {
	body := &one.body
	body.Installed = of.installed
	if of.installable.Op != "True" {
		body.Applicable = of.installable
	}
	if of.superseded.Op != "False" {
		body.Superseded = of.superseded
	}
}

// itemRules reads the rules and languages of one item. What is not there counts as false; where the package itself
// says when it is installed, that is enough.
func (p *pack) itemRules(e *markup.Element, where string, own groups) (item, []string, error) {
	languages, err := document.NormalLanguages(e.Content("Language"))
	if err != nil {
		return item{}, nil, refuse(where+"/Language", "%v", err)
	}
	one := item{languages: strings.Join(languages, ",")}
	applicability := e.Kid("ApplicabilityRules")
	if applicability == nil {
		one.installable = constant(true)
	} else {
		one.groups = p.groupsOf(applicability, where+"/")
	}
	if one.installable == nil {
		p.warn("rule-missing", where, "no IsInstallable in ApplicabilityRules: by the schema the item can be installed nowhere")
		one.installable = constant(false)
	}
	if one.installed == nil && own.installed == nil {
		p.warn("rule-missing", where, "neither the item nor the package has IsInstalled: it will never count as installed")
	}
	if one.installed == nil {
		one.installed = constant(own.installed != nil)
	}
	if one.superseded == nil {
		one.superseded = constant(false)
	}
	return one, languages, nil
}

// withoutItems judges packages that bring nothing to install.
func (p *pack) withoutItems() {
	u := &p.update
	switch {
	case u.Installed != nil:
	case u.Detector:
		u.Installed = constant(false)
		p.warn("rule-missing", "IsInstalled", "the detectoid has no IsInstalled: it never counts as fulfilled")
	case len(u.Bundles) > 0:
		u.Applicable, u.NoRule = nil, fmt.Sprintf("a bundle of %d packages, which are judged by themselves", len(u.Bundles))
	default:
		u.Applicable, u.NoRule = nil, "the package has no InstallableItem and no IsInstalled"
		p.warn("item-missing", "InstallableItem", u.NoRule)
	}
}

func moreRestart(a, b catalog.Restart) catalog.Restart {
	for _, r := range []catalog.Restart{catalog.RestartAlways, catalog.RestartMaybe, catalog.RestartNever} {
		if a == r || b == r {
			return r
		}
	}
	return ""
}

// inspect names what computers cannot evaluate.
func (p *pack) inspect() {
	u := &p.update
	if u.Detector {
		u.Bulletin = "" // never installed, so in no bulletin
	}
	for _, r := range []*rule.Rule{u.Applicable, u.Installed, u.Superseded} {
		if text := tooLarge(r); text != "" {
			p.warn("rule-too-large", "", text+"; computers will not be able to tell")
			u.Applicable, u.Installed, u.Superseded, u.NoRule = nil, nil, nil, text
			for i := range p.packages {
				body := &p.packages[i].body
				body.Applicable, body.Installed, body.Superseded = nil, nil, nil
			}
			return
		}
	}
	for _, r := range []*rule.Rule{u.Applicable, u.Installed, u.Superseded} {
		if r == nil {
			continue
		}
		for _, problem := range rule.Check(r) {
			p.warn("rule-malformed", problem.Path, problem.Text+"; computers will not be able to tell")
		}
		for _, op := range rule.Untold(r) {
			if !strings.HasPrefix(op, "{") { // those were reported where they stand
				p.warn("unknown-rule", "", fmt.Sprintf("no computer can tell what %s asks", op))
			}
		}
	}
}
