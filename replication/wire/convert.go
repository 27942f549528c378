package wire

import (
	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
)

// FromDataset makes a page of the wire, with the bodies of documents that were read apart. An entry whose body is not
// among them goes without it.
func FromDataset(p dataset.Page, docs []document.Document) *Page {
	bodies := make(map[document.Digest]document.Document, len(docs))
	for _, doc := range docs {
		bodies[doc.Digest] = doc
	}
	for i := range p.Entries {
		e := &p.Entries[i]
		if doc, ok := bodies[e.Digest]; ok && !e.Removed {
			e.Body = doc.Body
			if e.Body == nil {
				e.Body = []byte{}
			}
		}
	}
	return &Page{Header: Header{
		Type: p.Type, From: p.From, Cursor: p.Cursor, Complete: p.Complete, After: p.After, Next: p.Next, More: p.More, Tail: p.Tail,
		Settings: p.Settings,
	}, Entries: p.Entries}
}

// Dataset is the page as rooms know it.
func (p *Page) Dataset() dataset.Page {
	return dataset.Page{
		Type: p.Type, Entries: p.Entries, From: p.From, Cursor: p.Cursor, Complete: p.Complete, After: p.After, Next: p.Next,
		More: p.More, Tail: p.Tail, Settings: p.Settings,
	}
}
