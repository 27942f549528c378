// Package computers holds what a site manages: enrolment, facts, the three sets that each computer reports, what became
// of ordered updates, and in memory the inverse of the sets: for every update, the computers.
package computers

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"thatch/node/computers/machine"
	"thatch/node/computers/reasons"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Topic is watched for changes of this room's tables.
const Topic = "computers"

// ErrRetired says that a computer was taken out of the site.
var ErrRetired = errors.New("computer is retired")

// Computer is one managed computer.
type Computer struct {
	Number      uint32    `json:"number"` // in bitmaps; local to the site
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Group       string    `json:"group"`
	Platform    string    `json:"platform"`
	Languages   []string  `json:"languages"` // user interface languages, default first
	MachineID   string    `json:"machine_id"`
	Hardware    string    `json:"hardware"`
	Simulated   bool      `json:"simulated"`
	Certificate string    `json:"certificate"` // serial of the present one
	Enrolled    time.Time `json:"enrolled"`
	LastSeen    time.Time `json:"last_seen"`
	Retired     time.Time `json:"retired,omitzero"`
	Doubt       string    `json:"doubt,omitempty"` // why two machines seem to be this computer
	Version     int64     `json:"version"`
}

// Facts is what a site knows of a computer beside its rows.
type Facts = machine.Facts

// Cursor is how far in the journal of updates a computer evaluated.
type Cursor struct {
	Index uint64
	Pos   uint32
}

// String is the cursor as agents carry it: "index.position"; the zero cursor is empty.
func (c Cursor) String() string {
	if c == (Cursor{}) {
		return ""
	}
	return strconv.FormatUint(c.Index, 10) + "." + strconv.FormatUint(uint64(c.Pos), 10)
}

// ParseCursor reads what String wrote.
func ParseCursor(text string) (Cursor, error) {
	if text == "" {
		return Cursor{}, nil
	}
	index, pos, ok := strings.Cut(text, ".")
	i, err1 := strconv.ParseUint(index, 10, 63)
	p, err2 := strconv.ParseUint(pos, 10, 32)
	if !ok || err1 != nil || err2 != nil {
		return Cursor{}, fmt.Errorf("cursor %.40q is none of this site's", text)
	}
	return Cursor{i, uint32(p)}, nil
}

// Compare orders cursors.
func (c Cursor) Compare(other Cursor) int {
	return cmp.Or(cmp.Compare(c.Index, other.Index), cmp.Compare(c.Pos, other.Pos))
}

const computerColumns = `c.number, c.id, c.name, c.grp, c.platform, c.languages, c.machine, c.hardware, c.simulated,
	c.certificate, c.enrolled, c.last_seen, c.retired, c.doubt, c.version`

type scanner interface{ Scan(into ...any) error }

func scanComputer(row scanner, more ...any) (Computer, error) {
	var c Computer
	var languages, enrolled, seen, retired string
	err := row.Scan(append([]any{
		&c.Number, &c.ID, &c.Name, &c.Group, &c.Platform, &languages, &c.MachineID, &c.Hardware, &c.Simulated,
		&c.Certificate, &enrolled, &seen, &retired, &c.Doubt, &c.Version,
	}, more...)...)
	if err != nil {
		return c, err
	}
	if languages != "" {
		c.Languages = strings.Split(languages, ",")
	}
	c.Enrolled, c.LastSeen, c.Retired = rows.Unstamp(enrolled), rows.Unstamp(seen), rows.Unstamp(retired)
	return c, nil
}

// Get reads one computer by its id. The error wraps store.ErrNotFound when there is none.
func (r *Room) Get(ctx context.Context, id string) (Computer, error) {
	var c Computer
	err := r.reader.View(ctx, func(tx *sql.Tx) (err error) {
		c, err = scanComputer(tx.QueryRowContext(ctx, `SELECT `+computerColumns+` FROM computer c WHERE c.id = ?`, id))
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return c, fmt.Errorf("computer %q: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return c, fmt.Errorf("read computer %q: %w", id, err)
	}
	c.LastSeen = r.seen.Latest(c.Number, c.LastSeen)
	return c, nil
}

// Retire takes a computer out of the site: its row stays, it is never counted, and more (the revocation of its
// certificate) is part of the same batch. A version other than 0 must be the present one.
func (r *Room) Retire(ctx context.Context, actor, id string, version int64, more ...store.Statement) error {
	c, err := r.Get(ctx, id)
	if err != nil {
		return err
	}
	if !c.Retired.IsZero() {
		return fmt.Errorf("%w already: %w", ErrRetired, store.Conflicting("%s, since %s", c.Name, c.Retired.UTC().Format(time.RFC3339)))
	}
	now := r.now()
	statements := append([]store.Statement{
		{
			SQL:  `UPDATE computer SET retired = ?, version = version + 1, idx = ? WHERE id = ? AND version = ?`,
			Args: []any{rows.Stamp(now), store.Index{}, id, cmp.Or(version, c.Version)}, Want: 1,
		},
		{SQL: `DELETE FROM computer_sets WHERE number = ?`, Args: []any{int64(c.Number)}},
		{SQL: `DELETE FROM computer_state WHERE number = ?`, Args: []any{int64(c.Number)}},
	}, more...)
	return r.write(ctx, store.Batch{Actor: actor, Reason: "retire computer " + c.Name, At: now, Statements: statements})
}

// Move puts a computer into another group. A version other than 0 must be the present one.
func (r *Room) Move(ctx context.Context, actor, id, group string, version int64) error {
	c, err := r.Get(ctx, id)
	if err != nil {
		return err
	}
	if len(group) > 200 {
		return store.Invalid("group %.40q... is longer than 200 bytes", group)
	}
	return r.write(ctx, store.Batch{
		Actor: actor, Reason: "move computer " + c.Name + " to group " + group, At: r.now(),
		Statements: []store.Statement{{
			SQL:  `UPDATE computer SET grp = ?, version = version + 1, idx = ? WHERE id = ? AND version = ?`,
			Args: []any{group, store.Index{}, id, cmp.Or(version, c.Version)}, Want: 1,
		}},
	})
}

// Renewed notes the serial of a computer's new certificate; more is part of the same batch.
func (r *Room) Renewed(ctx context.Context, id, serial string, more ...store.Statement) error {
	return r.write(ctx, store.Batch{
		Actor: "computer " + id, Reason: "renew certificate", At: r.now(),
		Statements: append([]store.Statement{{
			SQL:  `UPDATE computer SET certificate = ?, idx = ? WHERE id = ? AND retired = ''`,
			Args: []any{serial, store.Index{}, id}, Want: 1,
		}}, more...),
	})
}

// write proposes a batch of this room and waits until memory holds it. A conflict wraps store.ErrConflict.
func (r *Room) write(ctx context.Context, b store.Batch) error {
	b.Topics = append(b.Topics, Topic)
	applied, err := r.writer.Write(ctx, b)
	if err != nil {
		return fmt.Errorf("%s: %w", b.Reason, err)
	}
	if err := applied.Err(); err != nil {
		return fmt.Errorf("%s: %w", b.Reason, err)
	}
	return r.refresh(store.AtLeast(ctx, applied.Index))
}

// joinTags joins language tags as a column holds them, in the order given, lower-case, each once.
func joinTags(tags []string) string {
	var all []string
	for _, tag := range tags {
		if tag = strings.ToLower(strings.TrimSpace(tag)); tag != "" && !slices.Contains(all, tag) && len(all) < 32 {
			all = append(all, reasons.Clip(strings.ReplaceAll(tag, ",", ""), 35))
		}
	}
	return strings.Join(all, ",")
}
