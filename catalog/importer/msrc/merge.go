package msrc

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/importer"
	"thatch/catalog/windows"
)

// Name is the source's name, in Request.Source and in ids.
const Name = "msrc"

// BulletinID is the document id of a KB article.
func BulletinID(kb string) string { return "msrc/KB" + kb }

// UpdateID is the document id of a KB article on one product.
func UpdateID(kb, product string) string { return "msrc/KB" + kb + "/" + product }

// filePart is a part with the document it is from.
type filePart struct {
	file string
	part
}

// Merge implements importer.Source: the bulletin of a KB article and its updates, from what every document says.
func (s *Source) Merge(key string, parts []importer.Part, warn func(importer.Warning)) ([]document.Document, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	kb := strings.TrimPrefix(key, "KB")
	all := make([]filePart, 0, len(parts))
	for _, raw := range parts {
		p, err := decodePart(raw.Body)
		if err != nil {
			return nil, fmt.Errorf("%s in %s: %w", key, raw.File, err)
		}
		all = append(all, filePart{raw.File, p})
	}
	slices.SortFunc(all, func(a, b filePart) int { // newest first
		return cmp.Or(cmp.Compare(b.revision, a.revision), cmp.Compare(b.file, a.file))
	})
	m := merged{kb: kb, odd: oddities{file: all[0].file}}
	m.joinCVEs(all)
	pairs := m.joinPairs(all)
	m.odd.tell(warn)
	return m.documents(all, pairs)
}

// merged is the joining of one article.
type merged struct {
	kb   string
	cves []catalog.CVE // sorted by id
	odd  oddities
}

func (m *merged) joinCVEs(all []filePart) {
	if len(all) == 1 {
		m.cves = all[0].cves
		return
	}
	byID := make(map[string]catalog.CVE)
	for _, p := range all {
		for _, c := range p.cves {
			was, ok := byID[c.ID]
			if ok {
				m.odd.seen("cve-in-several-files", func() (string, string) {
					return "KB" + m.kb, fmt.Sprintf("%s is in more than one document; the newest title, the worst severity and score were taken", c.ID)
				})
				c = worseCVE(was, c)
			}
			byID[c.ID] = c
		}
	}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		m.cves = append(m.cves, byID[id])
	}
}

// joined is one article on one product, from all documents.
type joined struct {
	partPair
	cves []string
}

// joinPairs unites what documents say of each product: scalars from the newest that has one, lists together.
func (m *merged) joinPairs(all []filePart) []joined {
	var pairs []joined
	at := make(map[string]int)
	for _, p := range all {
		for _, pair := range p.pairs {
			i, ok := at[pair.product.ID]
			if !ok {
				i = len(pairs)
				at[pair.product.ID] = i
				pairs = append(pairs, joined{partPair: pair})
			} else {
				m.join(&pairs[i].partPair, pair, p.file)
			}
			for _, row := range pair.cves {
				pairs[i].cves = append(pairs[i].cves, p.cves[row].ID)
			}
		}
	}
	for i := range pairs {
		if len(all) > 1 {
			slices.Sort(pairs[i].cves)
			pairs[i].cves = slices.Compact(pairs[i].cves)
			slices.SortFunc(pairs[i].supersedes, compareKBs)
		}
	}
	slices.SortFunc(pairs, func(a, b joined) int { return cmp.Compare(a.product.ID, b.product.ID) })
	return pairs
}

func (m *merged) join(newer *partPair, older partPair, file string) {
	for _, f := range []struct {
		kind     string
		to       *string
		from     string
		spelling func(string) string
	}{
		{"product-name-differs", &newer.product.Name, older.product.Name, strings.ToLower},
		{"product-family-differs", &newer.product.Family, older.product.Family, strings.ToLower},
		{"subtype-differs", &newer.class, older.class, normalClass},
		{"restart-differs", &newer.restart, older.restart, strings.ToLower},
		{"fixedbuild-differs", &newer.fixed, older.fixed, strings.ToLower},
		{"url-differs", &newer.url, older.url, strings.ToLower},
	} {
		if *f.to == "" {
			*f.to = f.from
		} else if f.from != "" && f.spelling(f.from) != f.spelling(*f.to) {
			m.odd.seen(f.kind, func() (string, string) {
				return fmt.Sprintf("KB%s, product %s", m.kb, newer.product.ID), fmt.Sprintf("%s says %q, a newer document %q; that was taken", file, f.from, *f.to)
			})
		}
	}
	newer.severity = newer.severity.Worse(older.severity)
	differ := false
	for _, kb := range older.supersedes {
		if !slices.Contains(newer.supersedes, kb) {
			differ = true
			newer.supersedes = append(newer.supersedes, kb)
		}
	}
	if differ {
		m.odd.seen("supercedence-differs", func() (string, string) {
			return fmt.Sprintf("KB%s, product %s", m.kb, newer.product.ID), file + " names others than a newer document; all were taken"
		})
	}
}

// documents writes the bodies.
func (m *merged) documents(all []filePart, pairs []joined) ([]document.Document, error) {
	docs := make([]document.Document, 0, len(pairs)+1)
	add := func(kind document.Kind, id string, body any) error {
		raw, err := catalog.Encode(body)
		if err != nil {
			return err
		}
		doc, err := document.New(kind, id, nil, raw)
		docs = append(docs, doc)
		return err
	}
	if err := add(document.Bulletin, BulletinID(m.kb), m.bulletin(all, pairs)); err != nil {
		return nil, err
	}
	for i := range pairs {
		if err := add(document.Update, UpdateID(m.kb, pairs[i].product.ID), m.update(&pairs[i])); err != nil {
			return nil, err
		}
	}
	return docs, nil
}

func (m *merged) bulletin(all []filePart, pairs []joined) catalog.Bulletin {
	b := catalog.Bulletin{Name: "KB" + m.kb, Source: Name, Vendor: "Microsoft", CVEs: m.cves}
	var links tally
	for i := range pairs {
		b.Severity = b.Severity.Worse(pairs[i].severity)
		links.add(pairs[i].url)
	}
	b.URL = links.most()
	b.Title = m.title(pairs)
	for _, p := range all {
		b.Named = append(b.Named, catalog.NamedBy{File: p.file, CVEs: len(p.cves), Released: p.released})
	}
	slices.SortFunc(b.Named, func(a, b catalog.NamedBy) int { return cmp.Compare(a.File, b.File) })
	return b
}

// title is made up of class and products, for the vendor has none.
func (m *merged) title(pairs []joined) string {
	var classes tally
	var names []string
	plain := slices.ContainsFunc(pairs, func(p joined) bool { return !strings.Contains(p.product.ID, "-") })
	for i := range pairs {
		classes.add(className(pairs[i].class))
		if !plain || !strings.Contains(pairs[i].product.ID, "-") {
			names = append(names, shortName(pairs[i].product.Name))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	const shown = 3
	more := ""
	if len(names) > shown {
		more = fmt.Sprintf(" and %d more", len(names)-shown+1)
		names = names[:shown-1]
	}
	return cmp.Or(classes.most(), "Security Update") + " for " + strings.Join(names, ", ") + more
}

// shortName is a product without its architecture and edition.
func shortName(name string) string {
	if p := windows.Parse(name); p.Component != "" && p.Release != nil {
		return p.Component
	} else if p.Release != nil {
		return p.Release.Name
	}
	short, _, _ := strings.Cut(name, " (")
	return short
}

func className(class string) string {
	normal := normalClass(class)
	if better := spelled[normal]; better != "" {
		return better
	}
	if normal == "" {
		return ""
	}
	return class
}

func (m *merged) update(p *joined) catalog.Update {
	u := catalog.Update{
		Name: "KB" + m.kb, Bulletin: BulletinID(m.kb), Source: Name, Vendor: "Microsoft", KB: m.kb, Product: p.product,
		Severity: p.severity, CVEs: p.cves, Nature: catalog.Nature{Class: normalClass(p.class), Restart: catalog.Restart(p.restart), FixedBuild: p.fixed, URL: p.url},
	}
	u.Title = cmp.Or(className(p.class), "Security Update") + " for " + cmp.Or(p.product.Name, "product "+p.product.ID) + " (KB" + m.kb + ")"
	for _, kb := range p.supersedes {
		u.Supersedes = append(u.Supersedes, UpdateID(kb, p.product.ID))
	}
	r := rulesFor(m.kb, p.product, u.Class, p.fixed)
	u.Applicable, u.Installed, u.NoRule = r.applicable, r.installed, r.reason
	return u
}
