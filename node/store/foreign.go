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

// Own is nil where a site may change a document: it made it itself, or there is none. Else it is a Foreign.
func Own(ctx context.Context, tx *sql.Tx, site string, kind document.Kind, id string) error {
	doc, err := Document(ctx, tx, kind, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || doc.Origin == site {
		return err
	}
	f := Foreign{Kind: kind, ID: id, Origin: doc.Origin}
	maker, err := Document(ctx, tx, document.Site, doc.Origin)
	if err == nil {
		var body struct {
			Name string `json:"name"`
		}
		if json.Unmarshal(maker.Body, &body) == nil {
			f.Name = body.Name
		}
	} else if !errors.Is(err, ErrNotFound) {
		return err
	}
	return f
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
