package sdp

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"

	"thatch/catalog"
	"thatch/catalog/document"
)

// Documents of a package have these ids: update sdp/ID, packages sdp/ID/ITEM, bulletin sdp/VENDOR/ARTICLE. Parts have
// the keys ID, and VENDOR/ARTICLE for what all packages of a file say of one bulletin.

// packagePart is what one file says of one package: bodies of documents, ready.
type packagePart struct {
	created string // as dateKey writes it
	update  []byte
	items   []itemPart
}

type itemPart struct {
	id        string // of the document
	languages []string
	body      []byte
}

// partHead is the first line of an encoded packagePart; the bodies follow it as they are, so that reading a part copies
// none of them.
type partHead struct {
	Created string     `json:"created"`
	Update  int        `json:"update"` // bytes
	Items   []itemHead `json:"items,omitempty"`
}

type itemHead struct {
	ID        string   `json:"id"`
	Languages []string `json:"languages,omitempty"`
	Body      int      `json:"body"` // bytes
}

func (p *packagePart) encode() ([]byte, error) {
	head, size := partHead{Created: p.created, Update: len(p.update)}, len(p.update)
	for _, one := range p.items {
		head.Items = append(head.Items, itemHead{ID: one.id, Languages: one.languages, Body: len(one.body)})
		size += len(one.body)
	}
	line, err := catalog.Encode(head)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(line)+1+size)
	out = append(append(append(out, line...), '\n'), p.update...)
	for _, one := range p.items {
		out = append(out, one.body...)
	}
	return out, nil
}

// decodePart reads a part; its bodies are those of text, not copies.
func decodePart(text []byte) (packagePart, error) {
	line, rest, found := bytes.Cut(text, []byte("\n"))
	var head partHead
	if err := json.Unmarshal(line, &head); err != nil || !found {
		return packagePart{}, fmt.Errorf("part without a head: %w", cmp.Or(err, io.ErrUnexpectedEOF))
	}
	take := func(n int) []byte {
		if n < 0 || n > len(rest) {
			found = false
			return nil
		}
		body := rest[:n:n]
		rest = rest[n:]
		return body
	}
	part := packagePart{created: head.Created, update: take(head.Update)}
	for _, one := range head.Items {
		part.items = append(part.items, itemPart{id: one.ID, languages: one.Languages, body: take(one.Body)})
	}
	if !found || len(rest) > 0 {
		return packagePart{}, fmt.Errorf("part whose bodies are not as long as its head says: %w", io.ErrUnexpectedEOF)
	}
	return part, nil
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
	Gone        bool             `json:"gone,omitempty"` // while a file is read: the package is in another bulletin after all
}

func updateID(pack string) string { return Name + "/" + pack }

// partOf makes the documents' bodies of a package and checks that they are documents.
func (p *pack) partOf() (packagePart, error) {
	part := packagePart{created: p.created}
	body, err := bodyOf(document.Update, updateID(p.id), nil, p.update)
	if err != nil {
		return part, err
	}
	part.update = body
	for i := range p.packages {
		one := &p.packages[i]
		body, err := bodyOf(document.Package, one.id, one.languages, one.body)
		if err != nil {
			return part, err
		}
		part.items = append(part.items, itemPart{id: one.id, languages: one.languages, body: body})
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
