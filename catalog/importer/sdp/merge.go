package sdp

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/importer"
)

// bulletinID is the id of a bulletin's document; its key is what follows the source's name.
func bulletinID(vendor, article string) string {
	return Name + "/" + slug(vendor) + "/" + slug(article)
}

// slug writes a name so that it does as part of an id: lower case, letters, digits, '.', '_' and '-'.
func slug(name string) string {
	var out strings.Builder
	gap := false
	for _, r := range strings.ToLower(name) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r > 0x7f {
			if gap && out.Len() > 0 {
				out.WriteByte('-')
			}
			gap = false
			out.WriteRune(r)
			continue
		}
		gap = true
		if out.Len() > 120 {
			break
		}
	}
	if strings.Trim(out.String(), ".") == "" {
		return "unknown"
	}
	return out.String()
}

// Join implements importer.Joiner: a package that occurs twice is emitted again only when it takes the place of the
// former; a bulletin holds what each of its packages said last.
func (s *Source) Join(key string, bodies [][]byte) ([]byte, error) {
	if !strings.Contains(key, "/") {
		return bodies[len(bodies)-1], nil
	}
	last := map[string]mention{}
	for _, body := range bodies {
		var one bulletinPart
		if err := json.Unmarshal(body, &one); err != nil {
			return nil, fmt.Errorf("bulletin %s: %w", key, err)
		}
		for _, m := range one.Packages {
			last[m.Package] = m
		}
	}
	var joined bulletinPart
	for _, id := range slices.Sorted(maps.Keys(last)) {
		if !last[id].Gone {
			joined.Packages = append(joined.Packages, last[id])
		}
	}
	if len(joined.Packages) == 0 {
		return nil, nil
	}
	joined.slim()
	return catalog.Encode(joined)
}

// slim leaves out descriptions that will not be shown: only that of the newest package is, and none is newer in any
// file than in its own.
func (p *bulletinPart) slim() {
	first := slices.MinFunc(p.Packages, newestFirst).Package
	for i := range p.Packages {
		if p.Packages[i].Package != first {
			p.Packages[i].Description = ""
		}
	}
}

func newestFirst(a, b mention) int {
	return cmp.Or(cmp.Compare(b.Created, a.Created), cmp.Compare(a.Package, b.Package))
}

// Merge implements importer.Source. Of several revisions of a package the one created last counts.
func (s *Source) Merge(key string, parts []importer.Part, _ func(importer.Warning)) ([]document.Document, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	if strings.Contains(key, "/") {
		return mergeBulletin(key, parts)
	}
	return mergePackage(key, parts)
}

func mergePackage(key string, parts []importer.Part) ([]document.Document, error) {
	var newest packagePart
	for i, part := range parts {
		one, err := decodePart(part.Body)
		if err != nil {
			return nil, fmt.Errorf("package %s of %s: %w", key, part.File, err)
		}
		// The bodies decide between equal dates, so that the order of the parts does not.
		if i == 0 || cmp.Or(cmp.Compare(one.created, newest.created), bytes.Compare(one.update, newest.update)) > 0 {
			newest = one
		}
	}
	update, err := document.New(document.Update, updateID(key), nil, newest.update)
	if err != nil {
		return nil, err
	}
	docs := []document.Document{update}
	for _, one := range newest.items {
		doc, err := document.New(document.Package, one.id, one.languages, one.body)
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

func mergeBulletin(key string, parts []importer.Part) ([]document.Document, error) {
	newest := map[string]mention{}
	for _, part := range parts {
		var one bulletinPart
		if err := json.Unmarshal(part.Body, &one); err != nil {
			return nil, fmt.Errorf("bulletin %s of %s: %w", key, part.File, err)
		}
		for _, m := range one.Packages {
			if was, has := newest[m.Package]; !has || cmp.Or(cmp.Compare(m.Created, was.Created), cmp.Compare(m.Title, was.Title)) > 0 {
				newest[m.Package] = m
			}
		}
	}
	var all []mention
	for _, m := range newest {
		all = append(all, m)
	}
	// The newest package speaks for the bulletin.
	slices.SortFunc(all, newestFirst)
	if len(all) == 0 {
		return nil, nil
	}
	body, err := catalog.Encode(bulletinOf(all))
	if err != nil {
		return nil, err
	}
	doc, err := document.New(document.Bulletin, Name+"/"+key, nil, body)
	if err != nil {
		return nil, err
	}
	return []document.Document{doc}, nil
}

// bulletinOf joins what the packages of a bulletin say of it, newest first.
func bulletinOf(all []mention) catalog.Bulletin {
	first := all[0]
	b := catalog.Bulletin{
		Name: cmp.Or(first.Article, first.Title), Source: Name, Vendor: first.Vendor, Title: first.Title, Description: first.Description,
		Revised: first.Created, Released: all[len(all)-1].Created,
	}
	if len(all) > 1 {
		b.Title = fmt.Sprintf("%s, and %d more", first.Title, len(all)-1)
	}
	if b.Revised == b.Released {
		b.Revised = ""
	}
	seen := map[string]bool{}
	for _, m := range all {
		b.Severity = b.Severity.Worse(m.Severity)
		b.URL = cmp.Or(b.URL, m.URL)
		for _, cve := range m.CVEs {
			if !seen[cve] {
				seen[cve] = true
				b.CVEs = append(b.CVEs, catalog.CVE{ID: cve})
			}
		}
	}
	slices.SortFunc(b.CVEs, func(a, b catalog.CVE) int { return cmp.Compare(a.ID, b.ID) })
	return b
}
