package computers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"thatch/node/computers/reasons"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Newcomer is a machine that asks to become a computer of the site.
type Newcomer struct {
	Name      string
	MachineID string // of the installed system
	Hardware  string // serial or UUID of the machine, "" where not known
	Platform  string
	Languages []string
	Group     string // of its token
	Simulated bool
}

// Place is who a newcomer will be.
type Place struct {
	Computer string // id
	Former   string // serial of the certificate that this enrolment replaces; "": none
	Why      string // in a few words, for the audit log
	number   int64  // of the row taken over, 0: a new one
	version  int64
}

// lately is how recently a computer must have been heard to count as alive beside a newcomer.
const lately = 15 * time.Minute

// Reasons of a place.
const (
	whyNew         = "new computer"
	whyAgain       = "same machine and hardware: enrolled again"
	whyReinstalled = "same hardware, new machine id: reinstalled"
	whyClone       = "same machine id, other hardware: a clone, told apart"
	whyBeside      = "same machine id, and its computer is alive: told apart"
)

// placed decides who a newcomer is among the computers that share its machine id or hardware.
//
//   - Same machine id and same hardware: the same computer, which lost its certificate.
//   - Same hardware, another machine id: reinstalled; it takes over its row. Where the former is alive under another
//     name, the hardware's id is no id (machines of one maker that all say the same), and it is new.
//   - Same machine id, other hardware: a clone of a disk; it is new, and the former keeps its row.
//   - Same machine id and hardware not known: the former unless that one is alive.
func placed(n Newcomer, former []Computer, now time.Time) (*Computer, string) {
	why := whyNew
	var reinstalled *Computer
	for i := range former {
		f := &former[i]
		if !f.Retired.IsZero() || f.Simulated != n.Simulated || f.Platform != n.Platform {
			continue
		}
		alive := now.Sub(f.LastSeen) < lately
		sameMachine, sameHardware := f.MachineID == n.MachineID && n.MachineID != "", f.Hardware == n.Hardware && n.Hardware != ""
		switch {
		case sameMachine && sameHardware:
			return f, whyAgain
		case sameMachine && n.Hardware != "" && f.Hardware != "":
			why = whyClone
		case sameMachine && alive:
			why = whyBeside
		case sameMachine:
			return f, whyAgain
		case sameHardware && !(alive && !strings.EqualFold(f.Name, n.Name)):
			reinstalled = f
		}
	}
	if reinstalled != nil {
		return reinstalled, whyReinstalled
	}
	return nil, why
}

// emptyHardware lists what makers write where a serial should be, in lower case.
var emptyHardware = []string{
	"", "0", "none", "default string", "to be filled by o.e.m.", "system serial number", "not specified", "not applicable",
	"unknown", "123456789", "0123456789", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
	"03000200-0400-0500-0006-000700080009", "invalid",
}

// NormalHardware returns a hardware id in lower case, or "" when it is one that tells no machine from another.
func NormalHardware(text string) string {
	text = strings.ToLower(strings.TrimSpace(text))
	for _, empty := range emptyHardware {
		if text == empty {
			return ""
		}
	}
	return reasons.Clip(text, 200)
}

func (n Newcomer) normal() (Newcomer, error) {
	n.Name, n.MachineID = strings.TrimSpace(n.Name), strings.ToLower(strings.TrimSpace(n.MachineID))
	n.Hardware = NormalHardware(n.Hardware)
	for what, text := range map[string]string{"computer name": n.Name, "platform": n.Platform} {
		if text == "" || len(text) > 200 {
			return n, store.Invalid("enrol: the %s must have 1 to 200 bytes, it has %d", what, len(text))
		}
	}
	if len(n.MachineID) > 200 {
		return n, store.Invalid("enrol: the machine id has %d bytes, at most 200 are allowed", len(n.MachineID))
	}
	return n, nil
}

// Place says who a newcomer will be. Enrol makes it so.
func (r *Room) Place(ctx context.Context, n Newcomer) (Place, error) {
	n, err := n.normal()
	if err != nil {
		return Place{}, err
	}
	var former []Computer
	err = r.reader.View(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+computerColumns+` FROM computer c
			WHERE (c.machine = ? AND c.machine <> '') OR (c.hardware = ? AND c.hardware <> '') ORDER BY c.number`,
			n.MachineID, n.Hardware)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			c, err := scanComputer(rows)
			if err != nil {
				return err
			}
			c.LastSeen = r.seen.Latest(c.Number, c.LastSeen)
			former = append(former, c)
		}
		return rows.Err()
	})
	if err != nil {
		return Place{}, fmt.Errorf("enrol %s: %w", n.Name, err)
	}
	who, why := placed(n, former, r.now())
	if who == nil {
		id, err := uuid.NewV7()
		if err != nil {
			return Place{}, fmt.Errorf("enrol %s: make an id: %w", n.Name, err)
		}
		return Place{Computer: id.String(), Why: why}, nil
	}
	return Place{Computer: who.ID, Former: who.Certificate, Why: why, number: int64(who.Number), version: who.Version}, nil
}

// ErrRaced says that another machine took the same place, or the token's last use, at the same moment: try again.
var ErrRaced = errors.New("changed while enrolling")

// Enrol makes a newcomer the computer of its place, with the serial of the certificate issued to it. More (one use of
// its token, revocation of the former certificate) is applied together with it or not at all; when any of it does not
// hold any more, the error wraps ErrRaced.
func (r *Room) Enrol(ctx context.Context, n Newcomer, p Place, serial string, more ...store.Statement) (Computer, error) {
	n, err := n.normal()
	if err != nil {
		return Computer{}, err
	}
	now := r.now()
	statements := newStatements(n, p, serial, now)
	if p.number != 0 {
		statements = againStatements(n, p, serial, now)
	}
	index, err := r.gatherer.Do(ctx, append(statements, more...))
	switch {
	case errors.Is(err, store.ErrConflict):
		return Computer{}, fmt.Errorf("enrol %s: %w: %w", n.Name, ErrRaced, err)
	case err != nil:
		return Computer{}, fmt.Errorf("enrol %s: %w", n.Name, err)
	}
	c, err := r.Get(store.AtLeast(ctx, index), p.Computer)
	if err == nil {
		r.Seen(c.Number, now)
	}
	return c, err
}

// newStatements make a row. Two machines that are one must not become two rows because they asked at the same moment.
func newStatements(n Newcomer, p Place, serial string, now time.Time) []store.Statement {
	statements := []store.Statement{{
		SQL: `INSERT INTO computer (number, id, name, platform, languages, machine, hardware, grp, simulated, certificate,
				enrolled, last_seen, version, idx)
			VALUES ((SELECT COALESCE(MAX(number), 0) + 1 FROM computer), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)`,
		Args: []any{
			p.Computer, n.Name, n.Platform, joinTags(n.Languages), n.MachineID, n.Hardware, n.Group, n.Simulated, serial,
			rows.Stamp(now), rows.Stamp(now),
			store.Index{},
		}, Want: 1,
	}}
	if n.MachineID == "" || n.Hardware == "" {
		return statements
	}
	return append([]store.Statement{{
		SQL: `UPDATE computer SET version = version
			WHERE machine = ? AND hardware = ? AND retired = '' AND platform = ? AND simulated = ?`,
		Args: []any{n.MachineID, n.Hardware, n.Platform, n.Simulated}, Want: store.NoRows,
	}}, statements...)
}

// againStatements give a row to the machine that takes it over. What the former reported is void; what was attempted on
// it stays as its history.
func againStatements(n Newcomer, p Place, serial string, now time.Time) []store.Statement {
	return []store.Statement{
		{
			SQL: `UPDATE computer SET name = ?, languages = ?, machine = ?, hardware = ?, certificate = ?,
					grp = CASE WHEN ? = '' THEN grp ELSE ? END,
					enrolled = ?, last_seen = ?, doubt = '', version = version + 1, idx = ?
				WHERE number = ? AND version = ? AND retired = ''`,
			Args: []any{
				n.Name, joinTags(n.Languages), n.MachineID, n.Hardware, serial, n.Group, n.Group,
				rows.Stamp(now), rows.Stamp(now),
				store.Index{},
				p.number, p.version,
			}, Want: 1,
		},
		{SQL: `DELETE FROM computer_sets WHERE number = ?`, Args: []any{p.number}},
		{SQL: `DELETE FROM computer_state WHERE number = ?`, Args: []any{p.number}},
	}
}
