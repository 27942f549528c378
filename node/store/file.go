package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"

	"thatch/node/store/sqlite"
)

// File is a database that is only read, whether or not a node has it open.
type File struct{ readers *sql.DB }

// OpenFile opens a file to read it. Nothing in it is changed.
func OpenFile(path string) (*File, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open the site's database: %w", err)
	}
	readers, err := sql.Open("sqlite", sqlite.Source(path, "query_only(1)")+"&mode=ro")
	if err != nil {
		return nil, fmt.Errorf("open the site's database: %w", err)
	}
	return &File{readers}, nil
}

// Close closes it.
func (f *File) Close() error { return f.readers.Close() }

// View implements Reader. The index of the context does not matter: the file is what it is.
func (f *File) View(ctx context.Context, read func(tx *sql.Tx) error) error {
	tx, err := f.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("read the site's database: %w", err)
	}
	defer tx.Rollback()
	return read(tx)
}

// Site is the id and the name of the site whose database it is, and its managed languages, sorted.
func (f *File) Site(ctx context.Context) (id, name string, languages []string, err error) {
	err = f.View(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT id, name FROM site`).Scan(&id, &name); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT tag FROM language ORDER BY tag`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var tag string
			if err := rows.Scan(&tag); err != nil {
				return err
			}
			languages = append(languages, tag)
		}
		return rows.Err()
	})
	if err != nil {
		return "", "", nil, fmt.Errorf("the file is no database of a site: %w", err)
	}
	return id, name, languages, nil
}
