package identity

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"thatch/node/identity/change"
	"thatch/node/store"
)

// Change is a field that a change changed.
type Change = change.Change

// Difference is what a change changed.
type Difference struct {
	Changes []Change `json:"changes,omitempty"`
	More    int      `json:"more_changes,omitempty"` // fields that differ beside those
	// Another says that somebody changed something of that kind in the same moment, at another node: what stood there before
	// may be from before that change too.
	Another bool `json:"another,omitempty"`
}

// maxLine is the longest difference on one line, in bytes.
const maxLine = 600

// String is the difference on one line.
func (d Difference) String() string {
	parts := make([]string, 0, len(d.Changes))
	for _, c := range d.Changes {
		switch {
		case c.Before == "":
			parts = append(parts, c.Field+": "+c.After)
		case c.After == "":
			parts = append(parts, c.Field+": "+c.Before+" -> (nothing)")
		default:
			parts = append(parts, c.Field+": "+c.Before+" -> "+c.After)
		}
	}
	if d.More > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", d.More))
	}
	text := strings.Join(parts, "; ")
	if len(text) > maxLine {
		text = strings.ToValidUTF8(text[:maxLine], "") + "… (cut)"
	}
	return text
}

// Alteration is a change whose difference is to be kept.
type Alteration struct {
	Actor         string
	Asked         string // subject under which it was audited
	Subject       string // of what was changed; that of something new is known only afterwards
	Since         uint64 // index of the last entry of the audit log when Before was read
	Before, After []byte // JSON; nil: nothing stood there
	Only          string // members that count, with commas; after a "-" those that do not; "" all
}

// LastAudited is the index of the newest entry of the audit log, 0 where there is none.
func (id *Identity) LastAudited(ctx context.Context) (index uint64, err error) {
	err = id.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT coalesce(max(idx), 0) FROM audit`).Scan(&index)
	})
	if err != nil {
		return 0, fmt.Errorf("read the audit log: %w", err)
	}
	return index, nil
}

// KeepDifference puts what a change changed beside its entry in the audit log: the newest of its actor and subject after
// Since. What was audited of the same kind between Since and that entry came from another node in the same moment, and is
// told.
func (id *Identity) KeepDifference(ctx context.Context, a Alteration) error {
	changes, left, err := change.Between(a.Before, a.After, a.Only, isSecret)
	if err != nil {
		return fmt.Errorf("what %s changed: %w", a.Actor, err)
	}
	plain, err := json.Marshal(Difference{Changes: changes, More: left})
	if err != nil {
		return err
	}
	raced, err := json.Marshal(Difference{Changes: changes, More: left, Another: true})
	if err != nil {
		return err
	}
	noun, _, _ := strings.Cut(a.Asked[min(1, len(a.Asked)):], "/")
	noun = "/" + noun
	since := int64(a.Since)
	const entry = `(SELECT max(idx) FROM audit WHERE idx > ? AND actor = ? AND subject = ?)`
	applied, err := id.cfg.Writer.Write(store.WithCaller(ctx, nil), store.Batch{
		Actor: "task audit", Reason: "keep what a change changed",
		Statements: []store.Statement{{
			SQL: `UPDATE audit SET subject = ?, changes = CASE WHEN EXISTS (SELECT 1 FROM audit b
				WHERE (b.subject = ? OR substr(b.subject, 1, length(?)) = ?) AND b.idx > ? AND b.idx < ` + entry + ` AND (b.actor <> ? OR b.subject <> ?))
				THEN ? ELSE ? END WHERE idx = ` + entry + ` AND actor = ? AND subject = ? AND changes = ''`,
			Args: []any{
				a.Subject, noun, noun + "/", noun + "/", since, since, a.Actor, a.Asked, a.Actor, a.Asked, string(raced), string(plain),
				since, a.Actor, a.Asked, a.Actor, a.Asked,
			},
		}},
	})
	if err == nil {
		err = applied.Err()
	}
	if err != nil {
		return fmt.Errorf("keep what %s changed at %s: %w", a.Actor, a.Subject, err)
	}
	return nil
}
