package sites

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"thatch/node/store"
	"thatch/node/store/rows"
)

// contacts are the times at which neighbours were last heard of, by their ids.
type contacts struct {
	mu sync.Mutex
	at map[string]time.Time
}

// Seen says that a neighbour was heard of now.
func (r *Room) Seen(site string) {
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	r.seen.at[site] = r.cfg.Now()
}

// LastContact is the later of what is in memory and what was recorded.
func (r *Room) LastContact(site string, recorded time.Time) time.Time {
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	if at := r.seen.at[site]; at.After(recorded) {
		return at
	}
	return recorded
}

// coarse is how far what is recorded of a contact may lag behind.
const coarse = 5 * time.Minute

// keepContacts records when children were last heard of, in coarse steps.
func (r *Room) keepContacts(ctx context.Context) error {
	children, _, err := r.Children(ctx, store.Query{})
	if err != nil {
		return fmt.Errorf("read the children: %w", err)
	}
	recorded, err := r.recordedContacts(ctx)
	if err != nil {
		return err
	}
	var statements []store.Statement
	for i := range children {
		c := &children[i]
		if c.Seen.Sub(recorded[c.ID]) >= coarse {
			statements = append(statements, store.Statement{SQL: `UPDATE child SET seen = ? WHERE id = ?`, Args: []any{rows.Stamp(c.Seen), c.ID}})
		}
	}
	if len(statements) == 0 {
		return nil
	}
	applied, err := r.cfg.Writer.Write(ctx, store.Batch{
		Actor: "task sites", Reason: "keep when children were heard of", Statements: statements,
	})
	if err = errors.Join(err, applied.Err()); err != nil {
		return fmt.Errorf("keep when children were heard of: %w", err)
	}
	return nil
}

func (r *Room) recordedContacts(ctx context.Context) (map[string]time.Time, error) {
	recorded := map[string]time.Time{}
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		list, err := tx.QueryContext(ctx, `SELECT id, seen FROM child`)
		if err != nil {
			return err
		}
		defer list.Close()
		for list.Next() {
			var id, seen string
			if err := list.Scan(&id, &seen); err != nil {
				return err
			}
			recorded[id] = rows.Unstamp(seen)
		}
		return list.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read when children were heard of: %w", err)
	}
	return recorded, nil
}
