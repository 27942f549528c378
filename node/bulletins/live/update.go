package live

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"hash/maphash"

	"thatch/catalog"
	"thatch/catalog/document"
)

// RulesMark stands for everything by which agents judge an update: revisions whose marks are equal are judged alike.
// It means nothing outside this run of the program.
type RulesMark uint64

var marking = maphash.MakeSeed()

// Revision is an update as a document has it, which may be an earlier one than the catalog's.
func Revision(doc *document.Document, number uint32) (*Update, error) {
	u := &Update{Held: Held{ID: doc.ID, Languages: doc.Languages, Digest: doc.Digest, Origin: doc.Origin}, Number: number}
	if err := u.decode(doc.Body); err != nil {
		return nil, fmt.Errorf("update %q: %w", doc.ID, err)
	}
	return u, nil
}

// decode reads an update and leaves its rules out but for their mark.
func (u *Update) decode(body []byte) error {
	var light struct {
		catalog.Update
		Applicable json.RawMessage `json:"applicable"`
		Installed  json.RawMessage `json:"installed"`
		Superseded json.RawMessage `json:"superseded"`
	}
	if err := json.Unmarshal(body, &light); err != nil {
		return fmt.Errorf("decode update: %w", err)
	}
	u.Update, u.Evaluable = light.Update, len(light.Applicable) > 0
	var mark maphash.Hash
	mark.SetSeed(marking)
	for _, rule := range [][]byte{light.Applicable, light.Installed, light.Superseded} {
		_, _ = mark.Write(rule)
		_ = mark.WriteByte(0)
	}
	_, _ = mark.WriteString(u.NoRule)
	for _, group := range u.Prerequisites {
		_ = mark.WriteByte(0)
		for _, id := range group {
			_, _ = mark.WriteString(id)
			_ = mark.WriteByte(1)
		}
	}
	u.Rules = RulesMark(mark.Sum64())
	return nil
}

// Imported is when the newest of the vendor files that describe a document was imported, as text of RFC 3339; "" where
// none does.
func (c *Catalog) Imported(ctx context.Context, kind document.Kind, id string) (at string, err error) {
	err = c.reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT coalesce(max(f.imported), '') FROM import_document d
			JOIN import_part p ON p.source = d.source AND p.key = d.key
			JOIN import_file f ON f.source = p.source AND f.name = p.file
			WHERE d.kind = ? AND d.id = ?`, string(kind), id).Scan(&at)
	})
	if err != nil {
		return "", fmt.Errorf("read when %s %q was imported: %w", kind, id, err)
	}
	return at, nil
}
