// Package holdings is which node of the site holds which payload file, whole and verified: rows that the site agrees on.
package holdings

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"thatch/node/store"
)

// Topic is that of batches that change what is staged, failed or held.
const Topic = "staging"

// File is a payload file that a node of the site holds.
type File struct {
	SHA256 string // 64 lower-case hexadecimal digits
	Size   int64  // bytes
	Nodes  []string
}

// Standing is how many copies there are of a file.
type Standing struct {
	Copies int      `json:"copies"`    // at nodes that are not gone
	Of     int      `json:"copies_of"` // that there are to be
	Nodes  []string `json:"nodes"`     // names of the nodes that hold it
	Size   int64    `json:"-"`
}

// On says whether a node holds it.
func (f *File) On(node string) bool { return slices.Contains(f.Nodes, node) }

// Read reads what the nodes of the site hold, by digest.
func Read(ctx context.Context, reader store.Reader) ([]File, error) {
	return read(ctx, reader, `SELECT lower(hex(sha256)), node, size FROM holding ORDER BY sha256, node`)
}

// Of reads which nodes hold one file; none does where it has no nodes.
func Of(ctx context.Context, reader store.Reader, sum string) (File, error) {
	files, err := read(ctx, reader, `SELECT lower(hex(sha256)), node, size FROM holding WHERE sha256 = ? ORDER BY node`, raw(sum))
	if err != nil || len(files) == 0 {
		return File{SHA256: sum}, err
	}
	return files[0], nil
}

func read(ctx context.Context, reader store.Reader, query string, args ...any) (files []File, err error) {
	err = reader.View(ctx, func(tx *sql.Tx) error {
		files = nil
		rows, err := tx.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var sum, node string
			var size int64
			if err := rows.Scan(&sum, &node, &size); err != nil {
				return err
			}
			if len(files) == 0 || files[len(files)-1].SHA256 != sum {
				files = append(files, File{SHA256: sum, Size: size})
			}
			last := &files[len(files)-1]
			last.Nodes = append(last.Nodes, node)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read which node holds which payload: %w", err)
	}
	return files, nil
}

// Add is the statement after which a node holds a file, by its SHA-256 in hexadecimal.
func Add(sum, node string, size int64) store.Statement {
	return store.Statement{
		SQL:  `INSERT INTO holding (sha256, node, size) VALUES (?, ?, ?) ON CONFLICT (sha256, node) DO NOTHING`,
		Args: []any{raw(sum), node, size},
	}
}

// Drop is the statement after which a node does not hold a file.
func Drop(sum, node string) store.Statement {
	return store.Statement{SQL: `DELETE FROM holding WHERE sha256 = ? AND node = ?`, Args: []any{raw(sum), node}}
}

// DropNode is the statement after which a node holds nothing.
func DropNode(node string) store.Statement {
	return store.Statement{SQL: `DELETE FROM holding WHERE node = ?`, Args: []any{node}}
}

// DropSurplus is Drop where so many of the others hold the file when the batch is applied, and a conflict where they do not:
// however many nodes give up a copy at once, those stay.
func DropSurplus(sum, node string, others []string, copies int) store.Statement {
	args := []any{raw(sum), node, raw(sum)}
	for _, other := range others {
		args = append(args, other)
	}
	return store.Statement{
		SQL: `DELETE FROM holding WHERE sha256 = ? AND node = ?
AND (SELECT count(*) FROM holding WHERE sha256 = ? AND node IN (?` + strings.Repeat(",?", len(others)-1) + `)) >= ?`,
		Args: append(args, copies), Want: 1,
	}
}

// raw are the bytes of a digest that the payload store or the database made.
func raw(sum string) []byte {
	bytes, _ := hex.DecodeString(sum)
	return bytes
}
