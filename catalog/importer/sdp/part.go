package sdp

import (
	"encoding/json"
	"fmt"

	"thatch/catalog"
	"thatch/catalog/document"
)

// Documents of a package have these ids: update sdp/ID, packages sdp/ID/ITEM, bulletin sdp/VENDOR/ARTICLE. Parts have
// the keys ID, and VENDOR/ARTICLE for what all packages of a file say of one bulletin.

// packagePart is what one file says of one package: bodies of documents, ready.
type packagePart struct {
	Created string          `json:"created"` // as dateKey writes it
	Update  json.RawMessage `json:"update"`
	Items   []itemPart      `json:"items,omitempty"`
}

type itemPart struct {
	ID        string          `json:"id"` // of the document
	Languages []string        `json:"languages,omitempty"`
	Body      json.RawMessage `json:"body"`
}

// bulletinPart is what one file says of a bulletin.
type bulletinPart struct {
	Packages []mention `json:"packages"` // sorted by package
}

// mention is what one package says of its bulletin.
type mention struct {
	Package     string           `json:"package"`
	Created     string           `json:"created"`
	Article     string           `json:"article"`
	Vendor      string           `json:"vendor"`
	Title       string           `json:"title"`
	Description string           `json:"description,omitempty"`
	Severity    catalog.Severity `json:"severity,omitempty"`
	URL         string           `json:"url,omitempty"`
	CVEs        []string         `json:"cves,omitempty"`
}

func updateID(pack string) string { return Name + "/" + pack }

// partOf makes the documents' bodies of a package and checks that they are documents.
func (p *pack) partOf() (packagePart, error) {
	part := packagePart{Created: p.created}
	body, err := bodyOf(document.Update, updateID(p.id), nil, p.update)
	if err != nil {
		return part, err
	}
	part.Update = body
	for i := range p.packages {
		one := &p.packages[i]
		body, err := bodyOf(document.Package, one.id, one.languages, one.body)
		if err != nil {
			return part, err
		}
		part.Items = append(part.Items, itemPart{ID: one.id, Languages: one.languages, Body: body})
	}
	return part, nil
}

func bodyOf(kind document.Kind, id string, languages []string, value any) ([]byte, error) {
	body, err := catalog.Encode(value)
	if err != nil {
		return nil, err
	}
	if _, err := document.New(kind, id, languages, body); err != nil {
		return nil, fmt.Errorf("it makes no document: %w", err)
	}
	return body, nil
}
