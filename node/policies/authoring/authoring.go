// Package authoring makes the documents that people of this site order by: ids, signatures, batches, and what they are
// told when they may not.
package authoring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/node/store"
)

// Topic is watched for changes of what is ordered.
const Topic = "policies"

// Signer makes a document the site's own (see node/identity).
type Signer interface {
	Sign(doc *document.Document)
}

// Author makes documents of a site.
type Author struct {
	Site   string // id
	Writer store.Writer
	Signer Signer
	Now    func() time.Time
}

// NewID makes the id of a document of this site. It names the site, so that no two sites make the same.
func (a Author) NewID(kind document.Kind) string {
	return string(kind) + ":" + a.Site + ":" + uuid.NewString()
}

// Sign makes a document of a body and signs it.
func (a Author) Sign(kind document.Kind, id string, languages []string, body any) (document.Document, error) {
	raw, err := catalog.Encode(body)
	if err != nil {
		return document.Document{}, err
	}
	doc, err := document.New(kind, id, languages, raw)
	if err != nil {
		return doc, Asked(err)
	}
	a.Signer.Sign(&doc)
	return doc, nil
}

// Write applies statements together; what was made from another version than the present one is a conflict.
func (a Author) Write(ctx context.Context, reason string, statements ...store.Statement) error {
	applied, err := a.Writer.Write(ctx, store.Batch{
		Actor: store.ActorOf(ctx), Reason: reason, At: a.Now().UTC(), Topics: []string{Topic, store.TopicDocuments},
		Statements: statements,
	})
	if err == nil {
		err = applied.Err()
	}
	switch {
	case errors.Is(err, store.ErrConflict):
		return fmt.Errorf("%s: somebody changed it meanwhile; look at it again: %w", reason, err)
	case errors.Is(err, store.ErrTooLarge):
		return fmt.Errorf("%s: make several policies of fewer bulletins: %w", reason, Asked(err))
	case err != nil:
		return fmt.Errorf("%s: %w", reason, err)
	}
	return nil
}

// Asked makes every error about what a person asked for one that wraps store.ErrInvalid.
func Asked(err error) error {
	if err == nil || errors.Is(err, store.ErrInvalid) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrInvalid, err)
}

// Taken is a conflict: names are how people call things, so a site gives none that a policy, or a window, bears. Case
// does not matter.
type Taken struct{ What, Name, By string }

func (t Taken) Error() string {
	return fmt.Sprintf("there is a %s called %q already (%s); choose another name", t.What, t.Name, t.By)
}

func (Taken) Unwrap() error { return store.ErrConflict }
