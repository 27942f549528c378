package batch_test

import (
	"errors"
	"strings"
	"testing"

	"thatch/node/store/batch"
)

func TestConflictsSayWhatHappened(t *testing.T) {
	for _, c := range []struct {
		conflict batch.Conflict
		is       error
		says     string
	}{
		{batch.Conflict{Statement: 3, Want: 1, Got: 0}, batch.ErrConflict, "statement 3 of the batch at index 7 affected 0 rows, not 1"},
		{batch.Conflict{Want: batch.NoRows, Got: 2}, batch.ErrConflict, "affected 2 rows, not 0"},
		{batch.Conflict{Problem: "UNIQUE constraint failed"}, batch.ErrConflict, "index 7: UNIQUE constraint failed"},
		{batch.Conflict{Problem: "no such table", Broken: true}, batch.ErrStatement, "index 7: no such table"},
	} {
		applied := batch.Applied{Index: 7, Conflicts: []batch.Conflict{c.conflict, {Problem: "another"}}}
		err := applied.Err()
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.conflict, err, c.says)
		}
		if errors.Is(err, batch.ErrConflict) && errors.Is(err, batch.ErrStatement) {
			t.Errorf("%+v is both", c.conflict)
		}
	}
	if err := (batch.Applied{Index: 7, Repeated: true}).Err(); err != nil {
		t.Errorf("no conflict: %v", err)
	}
}
