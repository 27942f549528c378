package msrc

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"thatch/catalog"
	"thatch/catalog/windows"
)

// part is what one document says of one KB article.
type part struct {
	revision string // of the document: its CurrentReleaseDate
	released string // day of the document's InitialReleaseDate
	cves     []catalog.CVE
	pairs    []partPair
}

// partPair is the article on one product.
type partPair struct {
	product    catalog.Product
	severity   catalog.Severity
	class      string // as written
	restart    string
	fixed      string
	url        string
	supersedes []string // KB numbers
	cves       []int    // rows of part.cves
}

// partVersion is the first byte of an encoded part. Parts of another version cannot be read: the importer's version
// (see importerVersion) changes with it, so every file is read again.
const partVersion = 2

var errPart = errors.New("a stored part cannot be read; import all files again")

// partOf makes the part of an article, everything sorted; what its rows say differently is counted.
func (d *reading) partOf(kb string, a *article) part {
	p := part{revision: d.current, released: day(d.released)}
	rows := make(map[int]int, len(a.cves)) // row of the document: row of the part
	order := make([]int, 0, len(a.cves))
	for i, row := range a.cves {
		if !d.cves[row].odd {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Compare(d.cves[a.cves[x]].id, d.cves[a.cves[y]].id) })
	for _, i := range order {
		c := &d.cves[a.cves[i]]
		rows[a.cves[i]] = len(p.cves)
		p.cves = append(p.cves, catalog.CVE{
			ID: c.id, Title: c.title, Severity: a.sev[i], Score: a.scores[i].base,
			Vector: a.scores[i].vector, Exploited: c.exploited, Disclosed: c.disclosed,
		})
	}
	p.cves = mergeCVEs(p.cves, rows)
	for i := range a.pairs {
		p.pairs = append(p.pairs, d.pairOf(kb, &a.pairs[i], rows))
	}
	slices.SortFunc(p.pairs, func(x, y partPair) int { return cmp.Compare(x.product.ID, y.product.ID) })
	return p
}

// day cuts a date and time to its day; what is no date is empty.
func day(date string) string {
	date = strings.TrimSpace(date)
	if len(date) < len(time.DateOnly) {
		return ""
	}
	if _, err := time.Parse(time.DateOnly, date[:len(time.DateOnly)]); err != nil {
		return ""
	}
	return date[:len(time.DateOnly)]
}

// mergeCVEs joins rows of one id (a document may repeat a vulnerability) and renumbers.
func mergeCVEs(sorted []catalog.CVE, rows map[int]int) []catalog.CVE {
	at := make([]int, len(sorted))
	joined := sorted[:0]
	for i, c := range sorted {
		if n := len(joined); n > 0 && joined[n-1].ID == c.ID {
			joined[n-1] = worseCVE(joined[n-1], c)
		} else {
			joined = append(joined, c)
		}
		at[i] = len(joined) - 1
	}
	if len(joined) < len(at) {
		for row, i := range rows {
			rows[row] = at[i]
		}
	}
	return joined
}

// worseCVE joins two descriptions of one vulnerability; the title of the first stays.
func worseCVE(a, b catalog.CVE) catalog.CVE {
	if b.Score > a.Score {
		a.Score, a.Vector = b.Score, b.Vector
	}
	a.Severity = a.Severity.Worse(b.Severity)
	a.Exploited, a.Disclosed = a.Exploited || b.Exploited, a.Disclosed || b.Disclosed
	return a
}

func (d *reading) pairOf(kb string, p *pair, rows map[int]int) partPair {
	prod := &d.products[p.product]
	d.differences(kb, prod, p)
	out := partPair{
		product:  catalog.Product{ID: prod.id, Name: prod.name, Family: prod.family},
		severity: p.severity, class: p.class.most(), restart: p.restart.best(compareRestart),
		fixed: p.fixedBuild(prod.name), url: p.url.most(), supersedes: p.supersedes,
	}
	slices.SortFunc(out.supersedes, compareKBs)
	for _, row := range p.cves {
		if i, ok := rows[row]; ok {
			out.cves = append(out.cves, i)
		}
	}
	slices.Sort(out.cves)
	out.cves = slices.Compact(out.cves)
	return out
}

// fixedBuild is the highest that the rows name, of those that are builds of the product's own Windows if any is: rows
// for several releases at once name the build of one of them.
func (p *pair) fixedBuild(product string) string {
	if len(p.fixed) > 1 {
		if release := windows.ScopeOf(product).Release; release != nil {
			own := slices.DeleteFunc(slices.Clone(p.fixed), func(c counted) bool {
				return !release.OwnBuild(c.value)
			})
			if len(own) > 0 {
				return own.best(compareBuilds)
			}
		}
	}
	return p.fixed.best(compareBuilds)
}

// compareKBs orders KB numbers by value.
func compareKBs(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

// differences counts what vulnerabilities of one document say differently of one article on one product.
func (d *reading) differences(kb string, prod *product, p *pair) {
	for _, c := range []struct {
		kind   string
		values tally
		taken  string
	}{
		{"subtype-differs", p.class, "the most frequent"},
		{"restart-differs", p.restart, "the one that asks for most"},
		{"fixedbuild-differs", p.fixed, "the highest, of the product's own release if one is,"},
		{"supercedence-differs", p.supercedence, "all together"},
		{"url-differs", p.url, "the most frequent"},
	} {
		if len(c.values) > 1 {
			d.odd.seen(c.kind, func() (string, string) {
				return fmt.Sprintf("KB%s, product %s", kb, prod.id), fmt.Sprintf("vulnerabilities say %q and %q; %s was taken", c.values[0].value, c.values[1].value, c.taken)
			})
		}
	}
}

var severityCodes = []catalog.Severity{catalog.Unspecified, catalog.None, catalog.Low, catalog.Moderate, catalog.Important, catalog.Critical}

// encode writes a part behind what is in w: lengths and numbers as varints, texts as length and bytes.
func (p *part) encode(w writer) writer {
	w = append(w, partVersion)
	w.text(p.revision)
	w.text(p.released)
	w.number(len(p.cves))
	for i := range p.cves {
		c := &p.cves[i]
		w.text(c.ID)
		w.text(c.Title)
		w.number(slices.Index(severityCodes, c.Severity))
		w.number(int(math.Round(c.Score * 10)))
		w.text(c.Vector)
		w.flags(c.Exploited, c.Disclosed)
	}
	w.number(len(p.pairs))
	for i := range p.pairs {
		w.pair(&p.pairs[i])
	}
	return w
}

type writer []byte

func (w *writer) number(n int) { *w = binary.AppendUvarint(*w, uint64(n)) }

func (w *writer) text(s string) {
	w.number(len(s))
	*w = append(*w, s...)
}

func (w *writer) flags(a, b bool) {
	flags := 0
	if a {
		flags |= 1
	}
	if b {
		flags |= 2
	}
	w.number(flags)
}

func (w *writer) pair(p *partPair) {
	for _, s := range []string{p.product.ID, p.product.Name, p.product.Family, p.class, p.restart, p.fixed, p.url} {
		w.text(s)
	}
	w.number(slices.Index(severityCodes, p.severity))
	w.number(len(p.supersedes))
	for _, kb := range p.supersedes {
		w.text(kb)
	}
	w.number(len(p.cves))
	for _, c := range p.cves {
		w.number(c)
	}
}

// decodePart reads what encode wrote.
func decodePart(body []byte) (part, error) {
	r := bodyReader{rest: body}
	var p part
	if len(body) == 0 || body[0] != partVersion {
		return p, errPart
	}
	r.rest = body[1:]
	p.revision, p.released = r.text(), r.text()
	p.cves = make([]catalog.CVE, r.count(6))
	for i := range p.cves {
		c := &p.cves[i]
		c.ID, c.Title, c.Severity = r.text(), r.text(), r.severity()
		c.Score, c.Vector = float64(r.number(100))/10, r.text()
		flags := r.number(3)
		c.Exploited, c.Disclosed = flags&1 != 0, flags&2 != 0
	}
	p.pairs = make([]partPair, r.count(10))
	for i := range p.pairs {
		r.pair(&p.pairs[i], len(p.cves))
	}
	if r.bad || len(r.rest) > 0 {
		return part{}, errPart
	}
	return p, nil
}

type bodyReader struct {
	rest []byte
	bad  bool
}

// number reads one of at most max.
func (r *bodyReader) number(max int) int {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > uint64(max) {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return int(n)
}

// count reads how many things follow that take at least size bytes each.
func (r *bodyReader) count(size int) int { return r.number(len(r.rest) / size) }

func (r *bodyReader) text() string {
	n := r.number(len(r.rest))
	if n > len(r.rest) { // the length itself took a byte
		r.bad, r.rest = true, nil
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

func (r *bodyReader) severity() catalog.Severity {
	return severityCodes[r.number(len(severityCodes)-1)]
}

func (r *bodyReader) pair(p *partPair, cves int) {
	for _, s := range []*string{&p.product.ID, &p.product.Name, &p.product.Family, &p.class, &p.restart, &p.fixed, &p.url} {
		*s = r.text()
	}
	p.severity = r.severity()
	p.supersedes = make([]string, r.count(1))
	for i := range p.supersedes {
		p.supersedes[i] = r.text()
	}
	p.cves = make([]int, r.count(1))
	for i := range p.cves {
		p.cves[i] = r.number(max(0, cves-1))
	}
	if len(p.cves) > 0 && cves == 0 {
		r.bad = true
	}
}
