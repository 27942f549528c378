package bulletins

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"

	"thatch/catalog/document"
	"thatch/node/bulletins/live"
)

// SourceCounts are what the catalog holds of one source.
type SourceCounts struct {
	Bulletins  int `json:"bulletins"`
	Updates    int `json:"updates"`
	Packages   int `json:"packages"`
	KBs        int `json:"kbs"`                // distinct KB articles
	KBProducts int `json:"kb_products"`        // distinct pairs of KB article and product
	Edges      int `json:"supersedence_edges"` // distinct pairs of KB articles (without KBs: updates) of which one supersedes the other
	ByProduct  int `json:"supersedence_edges_by_product"`
	NoRule     int `json:"updates_without_rule"`
}

// CountSource counts what the catalog holds of a source. An import ends with it, so it reads bodies without decoding
// them and does not wait for the catalog in memory.
func (b *Bulletins) CountSource(ctx context.Context, source string) (SourceCounts, error) {
	n := counting{kbs: map[string]bool{}, pairs: map[pair]bool{}, edges: map[pair]bool{}}
	s := sink{bulletins: b}
	err := s.view(ctx, func(r reading) error {
		const query = `SELECT i.kind, i.id, CASE i.kind WHEN 'update' THEN r.body END
FROM import_document i JOIN document d ON d.kind = i.kind AND d.id = i.id JOIN revision r ON r.digest = d.digest
WHERE i.source = ?`
		return r.each(query, []any{source}, func(rows *sql.Rows) error {
			var kind document.Kind
			var id string
			var body sql.RawBytes
			err := rows.Scan(&kind, &id, &body)
			n.document(kind, id, body)
			return err
		})
	})
	n.KBs, n.KBProducts, n.Edges = len(n.kbs), len(n.pairs), len(n.edges)
	return n.SourceCounts, err
}

type pair struct{ from, to string }

type counting struct {
	SourceCounts
	kbs          map[string]bool
	pairs, edges map[pair]bool
}

func (n *counting) document(kind document.Kind, id string, body []byte) {
	switch kind {
	case document.Bulletin:
		n.Bulletins++
	case document.Package:
		n.Packages++
	case document.Update:
		n.update(id, body)
	}
}

func (n *counting) update(id string, body []byte) {
	n.Updates++
	body, _, ruled := bytes.Cut(body, []byte(`"applicable":{`)) // the rules come last, and may name anything
	if !ruled {
		n.NoRule++
	}
	kb := text(body, `"kb":`)
	if kb != "" {
		n.kbs[kb] = true
		n.pairs[pair{kb, text(body, `"product":{"id":`)}] = true
	}
	from := article(kb, id)
	if list, ok := after(body, `"supersedes":`); ok {
		var supersedes []string
		if json.NewDecoder(bytes.NewReader(list)).Decode(&supersedes) != nil {
			return // not as it was encoded; whoever reads the document says so
		}
		for _, former := range supersedes {
			n.ByProduct++
			n.edges[pair{from, article(live.KBOf(former), former)}] = true
		}
	}
}

// after returns what follows the beginning of a field in a body as catalog.Encode writes it. The quotes of a beginning
// cannot be inside a JSON text, where they would be escaped.
func after(body []byte, beginning string) ([]byte, bool) {
	_, rest, found := bytes.Cut(body, []byte(beginning))
	return rest, found
}

// text is the text that follows the beginning of a field, "" where there is none.
func text(body []byte, beginning string) string {
	rest, _ := after(body, beginning)
	value, _, _ := bytes.Cut(rest[min(1, len(rest)):], []byte(`"`))
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value)
	}
	var escaped string
	if json.NewDecoder(bytes.NewReader(rest)).Decode(&escaped) != nil {
		return ""
	}
	return escaped
}

func article(kb, id string) string {
	if kb != "" {
		return "KB" + kb
	}
	return id
}
