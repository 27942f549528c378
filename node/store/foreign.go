package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"thatch/catalog/document"
)

// Foreign is the refusal to change a document that another site made. It counts as a conflict (ErrConflict).
type Foreign struct {
	Kind   document.Kind
	ID     string
	Origin string // id of the site that made it
	Name   string // of that site, "" where it is not known
}

func (f Foreign) Error() string {
	site := f.Origin
	if f.Name != "" {
		site = f.Name + " (" + f.Origin + ")"
	}
	return fmt.Sprintf("%s %q was made by site %s; it can be changed there alone", f.Kind, f.ID, site)
}

// Is implements errors.Is.
func (f Foreign) Is(target error) bool { return target == ErrConflict }

// HasParent says whether a site has one. What former parents left behind at a site that has none is that site's own: nobody
// else changes it any more.
func HasParent(ctx context.Context, tx *sql.Tx) (has bool, err error) {
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM parent)`).Scan(&has); err != nil {
		return false, fmt.Errorf("read whether the site has a parent: %w", err)
	}
	return has, nil
}

// NoParent returns the statement that makes its group a conflict where the site has a parent by then.
func NoParent() Statement {
	return Statement{SQL: `UPDATE site SET id = id WHERE NOT EXISTS (SELECT 1 FROM parent)`, Want: 1}
}

// Own is nil where a site may change a document: it made it itself, it has no parent, or there is none. Else it is a Foreign.
func Own(ctx context.Context, tx *sql.Tx, site string, kind document.Kind, id string) error {
	doc, err := Document(ctx, tx, kind, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || doc.Origin == site {
		return err
	}
	if child, err := HasParent(ctx, tx); err != nil || !child {
		return err
	}
	name, err := SiteName(ctx, tx, doc.Origin)
	if err != nil {
		return err
	}
	return Foreign{Kind: kind, ID: id, Origin: doc.Origin, Name: name}
}

// SiteName is the name of a site by its id, "" where it is not known.
func SiteName(ctx context.Context, tx *sql.Tx, id string) (string, error) {
	site, err := Document(ctx, tx, document.Site, id)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var body struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(site.Body, &body) != nil {
		return "", nil // what is damaged names nobody
	}
	return body.Name, nil
}

// SiteNames are the names of sites by their ids, of those that are known.
func SiteNames(ctx context.Context, tx *sql.Tx, ids ...string) (map[string]string, error) {
	names := make(map[string]string)
	for _, id := range ids {
		if _, done := names[id]; done {
			continue
		}
		name, err := SiteName(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		names[id] = name
	}
	return names, nil
}

// AllOwn is Own of documents, some kind and id after the other, in a read of its own.
func AllOwn(ctx context.Context, r Reader, site string, docs ...document.Head) error {
	return r.View(ctx, func(tx *sql.Tx) error {
		for _, d := range docs {
			if err := Own(ctx, tx, site, d.Kind, d.ID); err != nil {
				return err
			}
		}
		return nil
	})
}
