package msrc

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"thatch/catalog"
	"thatch/catalog/importer/msrc/families"
	"thatch/catalog/importer/xmlscan"
	"thatch/catalog/windows"
)

const (
	maxRows  = 1 << 20 // products of one document; real ones have thousands
	maxTexts = 1 << 16 // different texts that are kept once
	maxKept  = 256     // bytes of such a text; longer ones repeat seldom
)

// reading is one document being read. Texts that repeat are kept once.
type reading struct {
	ctx      context.Context
	s        *xmlscan.Scanner
	odd      oddities
	excluded families.Exclusions

	head

	products []product
	byID     map[string]int
	cves     []cve
	kbs      map[string]*article
	texts    map[string]string
	parsed   map[string]superseded
	links    map[string]link
	classes  map[string]string
	v        vulnerability
	ordinal  int
}

// head is what tells a document from others.
type head struct {
	id, title         string
	released, current string // dates of the first and of this revision
}

type product struct {
	id, name, family string
	defined          bool
	excluded         bool
	odd              bool // the id is no product id
}

type cve struct {
	id, title            string
	exploited, disclosed bool
	odd                  bool // the id is none
}

// article is one KB of the document.
type article struct {
	cves   []int // rows of reading.cves, ascending
	sev    []catalog.Severity
	scores []score
	pairs  []pair
}

type score struct {
	base   float64
	vector string
}

// pair is a KB on one product.
type pair struct {
	product                    int
	severity                   catalog.Severity
	cves                       []int
	class, restart, fixed, url tally
	supersedes                 []string
	supercedence               tally // raw texts: they may differ between vulnerabilities
}

// read parses a whole document. Its error names the line.
func read(ctx context.Context, stream io.Reader, file string, excluded families.Exclusions) (*reading, error) {
	d := newReading(ctx, stream, file, excluded)
	defer d.s.Close()
	if err := d.document(); err != nil {
		return nil, err
	}
	d.resolve()
	return d, nil
}

func newReading(ctx context.Context, stream io.Reader, file string, excluded families.Exclusions) *reading {
	return &reading{
		ctx: ctx, s: xmlscan.New(stream), excluded: excluded, odd: oddities{file: file},
		byID: make(map[string]int), kbs: make(map[string]*article), texts: make(map[string]string), parsed: make(map[string]superseded), links: make(map[string]link),
		classes: make(map[string]string),
	}
}

// articles lists the KB numbers in order.
func (d *reading) articles() []string { return slices.SortedFunc(maps.Keys(d.kbs), compareKBs) }

func (d *reading) document() error {
	ev, err := d.s.Next()
	if err != nil {
		return err
	}
	if ev != xmlscan.Start {
		return d.s.Fail("%w", xmlscan.ErrNoXML)
	}
	if name := string(d.s.Name()); name != "cvrfdoc" {
		return d.s.Fail("the root element is <%.60s>, not a CVRF document (cvrfdoc)", name)
	}
	if d.s.HadMark() {
		d.odd.seen("byte-order-mark", func() (string, string) { return "", "the file starts with a byte order mark; it was skipped" })
	}
	if err := d.each(d.topLevel); err != nil {
		return err
	}
	ev, err = d.s.Next()
	if err == nil && ev != xmlscan.Finished {
		err = d.s.Fail("something follows the root element")
	}
	if err == nil && d.id == "" {
		err = fmt.Errorf("the document has no ID (DocumentTracking/Identification/ID); it cannot be told from others")
	}
	return err
}

// each calls back for every child of the element just started; the callback reads to the child's end.
func (d *reading) each(child func(name string) error) error {
	for {
		ev, err := d.s.Next()
		if err != nil {
			return err
		}
		if ev == xmlscan.End {
			return nil
		}
		if ev == xmlscan.Finished {
			return d.s.Cut()
		}
		if err := child(known(d.s.Name())); err != nil {
			return err
		}
	}
}

// leaf reads a text that repeats often.
func (d *reading) leaf() (string, error) {
	raw, err := d.s.Leaf()
	if err != nil {
		return "", err
	}
	return d.keep(raw), nil
}

func (d *reading) keep(raw []byte) string {
	if text, ok := d.texts[string(raw)]; ok {
		return text
	}
	text := string(raw)
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
		d.odd.seen("invalid-utf8", func() (string, string) {
			return d.where(), "a text is no UTF-8; the wrong bytes were replaced"
		})
	}
	if len(d.texts) < maxTexts && len(raw) <= maxKept {
		d.texts[string(raw)] = text
	}
	return text
}

func (d *reading) where() string {
	switch {
	case d.v.id != "":
		return "Vulnerability " + d.v.id
	case d.ordinal > 0:
		return "Vulnerability number " + strconv.Itoa(d.ordinal)
	}
	return "line " + strconv.Itoa(d.s.Line())
}

func (d *reading) topLevel(name string) error {
	switch name {
	case "DocumentTitle":
		title, err := d.leaf()
		d.title = title
		return err
	case "DocumentTracking":
		return d.each(d.tracking)
	case "ProductTree":
		return d.each(d.tree(""))
	case "Vulnerability":
		if err := d.ctx.Err(); err != nil {
			return err
		}
		return d.vulnerability()
	}
	return d.s.Skip()
}

func (d *reading) tracking(name string) (err error) {
	switch name {
	case "Identification":
		return d.each(d.tracking)
	case "ID":
		d.id, err = d.leaf()
	case "InitialReleaseDate":
		d.released, err = d.leaf()
	case "CurrentReleaseDate":
		d.current, err = d.leaf()
	default:
		return d.s.Skip()
	}
	return err
}

// tree reads the product tree below a family.
func (d *reading) tree(family string) func(string) error {
	return func(name string) error {
		switch name {
		case "Branch":
			kind, err := d.s.Attr("Type")
			if err != nil {
				return err
			}
			inner := family
			if string(kind) == "Product Family" {
				family, err := d.s.Attr("Name")
				if err != nil {
					return err
				}
				inner = string(family)
			}
			return d.each(d.tree(inner))
		case "FullProductName":
			raw, err := d.s.Attr("ProductID")
			if err != nil {
				return err
			}
			id := string(raw)
			text, err := d.leaf()
			if err != nil {
				return err
			}
			d.define(id, windows.Tidy(text), family)
			return nil
		}
		return d.s.Skip()
	}
}

// define notes a product: the flat list and the branches are one list; the later name wins, a family stays.
func (d *reading) define(id, name, family string) {
	i := d.product(id)
	p := &d.products[i]
	if p.defined && p.name != name {
		d.odd.seen("product-name-differs", func() (string, string) {
			return "FullProductName " + id, fmt.Sprintf("the product is called %q and %q; the later name was taken", p.name, name)
		})
	}
	p.defined, p.name = true, name
	if family != "" {
		p.family = family
	}
}

func (d *reading) product(id string) int {
	if i, ok := d.byID[id]; ok {
		return i
	}
	i := len(d.products)
	d.products = append(d.products, product{id: id})
	d.byID[id] = i
	return i
}

func (d *reading) productLeaf() (int, error) {
	raw, err := d.s.Leaf()
	if err != nil {
		return 0, err
	}
	if i, ok := d.byID[string(raw)]; ok {
		return i, nil
	}
	if len(d.products) >= maxRows {
		return 0, d.s.Fail("more than %d products", maxRows)
	}
	return d.product(string(raw)), nil
}

// resolve drops what concerns excluded products, once the whole tree is known.
func (d *reading) resolve() {
	for i := range d.products {
		p := &d.products[i]
		p.excluded, p.odd = d.excluded.Match(p.family, p.name), !productID.MatchString(p.id)
	}
	for number, kb := range d.kbs {
		kb.pairs = slices.DeleteFunc(kb.pairs, func(p pair) bool { return d.unwanted(number, &d.products[p.product]) })
		if len(kb.pairs) == 0 {
			delete(d.kbs, number)
		}
	}
	normal, odd := documentID(d.id, d.released)
	if odd {
		d.odd.seen("document-id", func() (string, string) {
			return "ID", fmt.Sprintf("the document calls itself %q; it is kept as %q", d.id, normal)
		})
	}
	d.id = normal
	d.odd.file = normal
	if strings.Contains(strings.ToLower(d.title), "early") {
		d.odd.seen("early-document", func() (string, string) {
			return "DocumentTitle", fmt.Sprintf("%q is published ahead of its month; a later revision replaces it whole", d.title)
		})
	}
}

func (d *reading) unwanted(kb string, p *product) bool {
	switch {
	case p.excluded:
		d.odd.seen("product-excluded", func() (string, string) {
			return "KB" + kb, fmt.Sprintf("product %s (%s) belongs to a family that is left out", p.id, p.name)
		})
		return true
	case p.odd:
		d.odd.seen("product-id", func() (string, string) {
			return "KB" + kb, fmt.Sprintf("%.80q is no product id; the fix was left out", p.id)
		})
		return true
	case !p.defined:
		d.odd.seen("product-undefined", func() (string, string) {
			return "KB" + kb, fmt.Sprintf("product %s is not in the document's product tree; it has no name here", p.id)
		})
	case p.family == "":
		d.odd.seen("product-no-family", func() (string, string) {
			return "KB" + kb, fmt.Sprintf("product %s (%s) has no family; exclusions go by its name", p.id, p.name)
		})
	}
	return false
}

// known interns the names of elements that are read; others are empty.
func known(name []byte) string {
	if len(name) < len(elementNames) {
		for _, wanted := range elementNames[len(name)] {
			if string(name) == wanted {
				return wanted
			}
		}
	}
	return ""
}

// elementNames holds the names by their length: comparing a few costs less than hashing one.
var elementNames = func() (names [24][]string) {
	for _, name := range strings.Fields(`DocumentTitle DocumentTracking Identification ID InitialReleaseDate
		CurrentReleaseDate ProductTree Branch FullProductName Vulnerability Title CVE Threats Threat CVSSScoreSets ScoreSet
		BaseScore Vector Remediations Remediation Description URL Supercedence ProductID RestartRequired SubType FixedBuild`) {
		names[len(name)] = append(names[len(name)], name)
	}
	return names
}()

func readScore(text string) (float64, bool) {
	base, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(base) || base < 0 || base > 10 {
		return 0, false
	}
	return math.Round(base*10) / 10, true
}
