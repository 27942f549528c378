package dataset_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/replicastest"
	"thatch/node/store"
)

// interrupted has something happen before a reader's views.
type interrupted struct {
	store.Reader
	views  int
	before func(view int)
}

// View implements store.Reader.
func (i *interrupted) View(ctx context.Context, do func(*sql.Tx) error) error {
	i.views++
	i.before(i.views)
	return i.Reader.View(ctx, do)
}

// TestHeadsAreReadInPortions: many heads are read a few at a time, and what changes or goes between is told as it is then, not
// as damaged; more than are listed at once are refused.
func TestHeadsAreReadInPortions(t *testing.T) {
	site := replicastest.New(t, "top", nil)
	const count = 600
	many := func(kind document.Kind, count int) {
		var statements []store.Statement
		for i := range count {
			statements = append(statements, store.Put(site.Doc(t, kind, fmt.Sprintf("b-%03d", i), "{}"), "", store.Former{Absent: true})...)
		}
		site.Write(t, statements...)
	}
	many(document.Bulletin, count)
	all := make([]int, dataset.BucketCount)
	for n := range all {
		all[n] = n
	}
	reader := &interrupted{Reader: site.DB, before: func(view int) {
		if view == 2 {
			site.Put(t, document.Bulletin, "b-599", `{"note":"changed"}`, "")
			site.Remove(t, document.Bulletin, "b-598")
		}
	}}
	entries, damaged, err := dataset.NewSender(dataset.Config{Reader: reader}).BucketHeads(t.Context(), scope(), all...)
	if err != nil || len(damaged) > 0 || len(entries) != count-1 || reader.views < 4 {
		t.Fatalf("%d entries, damaged %v, %d views, %v", len(entries), damaged, reader.views, err)
	}
	if !slices.ContainsFunc(entries, func(e dataset.Entry) bool { return e.ID == "b-599" && e.Size > 2 && !e.Damaged() }) {
		t.Error("what changed meanwhile is not told as it is now")
	}
	many(document.Update, dataset.MostHeads)
	if _, _, err := site.Sender.BucketHeads(t.Context(), scope(), all...); !errors.Is(err, dataset.ErrManyHeads) {
		t.Errorf("too many: %v", err)
	}
	if _, _, err := site.Sender.BucketHeads(t.Context(), scope(), all[:2000]...); err != nil {
		t.Errorf("half of them: %v", err)
	}
}
