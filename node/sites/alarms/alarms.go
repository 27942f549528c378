// Package alarms keeps what calls for a person: raised by whoever sees it, ended when it is true no more.
package alarms

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"thatch/catalog/federation"
	"thatch/node/store"
	"thatch/node/store/rows"
	"thatch/node/store/sweep"
)

// Topic is that of batches that change alarms.
const Topic = "alarms"

// Room is safe for use by several goroutines.
type Room struct {
	reader store.Reader
	writer store.Writer
	now    func() time.Time
	log    *slog.Logger
}

// New makes the room.
func New(reader store.Reader, writer store.Writer, now func() time.Time, log *slog.Logger) *Room {
	return &Room{reader: reader, writer: writer, now: now, log: log}
}

// Alarm is what calls for a person.
type Alarm struct {
	Kind    string    `json:"kind"`
	Subject string    `json:"subject"` // what it is about: a language, the id of a site
	Text    string    `json:"text"`
	Advice  string    `json:"advice"` // what to do
	Since   time.Time `json:"since"`
	Cleared time.Time `json:"cleared,omitzero"`
}

const maxAlarmText = federation.MaxText

var columns = rows.Columns{
	From:   `kind, subject, text, advice, since, cleared FROM alarm`,
	Names:  map[string]string{"kind": "kind", "subject": "subject", "since": "since", "cleared": "cleared", "standing": "cleared = ''"},
	Kinds:  map[string]store.Kind{"standing": store.Flag, "since": store.Time},
	Search: []string{"kind", "subject", "text"}, Order: "cleared <> '', since DESC, kind, subject",
}

// Columns are those of Alarms, for doors.
var Columns = columns.Known()

func scan(row *sql.Rows) (a Alarm, err error) {
	var since, cleared string
	err = row.Scan(&a.Kind, &a.Subject, &a.Text, &a.Advice, &since, &cleared)
	a.Since, a.Cleared = rows.Unstamp(since), rows.Unstamp(cleared)
	return a, err
}

// Alarms is a page of the alarms, those that stand first, newest first.
func (r *Room) Alarms(ctx context.Context, q store.Query) ([]Alarm, int, error) {
	return rows.List(ctx, r.reader, q, columns, scan)
}

// Standing are the alarms that call for a person now, oldest first.
func (r *Room) Standing(ctx context.Context) ([]Alarm, error) {
	list, _, err := r.Alarms(ctx, store.Query{Filter: map[string]string{"standing": "yes"}, Sort: "since"})
	return list, err
}

// Raise has an alarm stand, since now where it did not. One that stands with the same text is not written again.
func (r *Room) Raise(ctx context.Context, a Alarm) error {
	standing, err := r.standing(ctx)
	if err != nil {
		return err
	}
	return r.writeAlarms(ctx, r.raise(standing, a))
}

// Clear ends an alarm, where it stands.
func (r *Room) Clear(ctx context.Context, kind, subject string) error {
	standing, err := r.standing(ctx)
	if err != nil {
		return err
	}
	if _, stands := standing[[2]string{kind, subject}]; !stands {
		return nil
	}
	return r.writeAlarms(ctx, r.clear(kind, subject))
}

// Settle has exactly the given alarms of some kinds stand, and ends the others of these kinds.
func (r *Room) Settle(ctx context.Context, kinds []string, now []Alarm) error {
	standing, err := r.standing(ctx)
	if err != nil {
		return err
	}
	var statements []store.Statement
	stays := map[[2]string]bool{}
	for _, a := range now {
		stays[[2]string{a.Kind, a.Subject}] = true
		statements = append(statements, r.raise(standing, a)...)
	}
	for key := range standing {
		if slices.Contains(kinds, key[0]) && !stays[key] {
			statements = append(statements, r.clear(key[0], key[1])...)
		}
	}
	return r.writeAlarms(ctx, statements)
}

func (r *Room) standing(ctx context.Context) (map[[2]string]Alarm, error) {
	list, err := r.Standing(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the alarms: %w", err)
	}
	standing := make(map[[2]string]Alarm, len(list))
	for _, a := range list {
		standing[[2]string{a.Kind, a.Subject}] = a
	}
	return standing, nil
}

func (r *Room) raise(standing map[[2]string]Alarm, a Alarm) []store.Statement {
	a.Text, a.Advice = Clip(a.Text, maxAlarmText), Clip(a.Advice, maxAlarmText)
	former, stands := standing[[2]string{a.Kind, a.Subject}]
	if stands && former.Text == a.Text && former.Advice == a.Advice {
		return nil
	}
	if !stands {
		r.log.Warn("alarm: "+a.Text, "kind", a.Kind, "subject", a.Subject, "advice", a.Advice)
	}
	return []store.Statement{{
		SQL: `INSERT INTO alarm (kind, subject, text, advice, since) VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, subject) DO UPDATE
			SET text = excluded.text, advice = excluded.advice, since = iif(cleared = '', since, excluded.since), cleared = ''`,
		Args: []any{a.Kind, a.Subject, a.Text, a.Advice, rows.Stamp(r.now())},
	}}
}

func (r *Room) clear(kind, subject string) []store.Statement {
	return []store.Statement{{
		SQL:  `UPDATE alarm SET cleared = ? WHERE kind = ? AND subject = ? AND cleared = ''`,
		Args: []any{rows.Stamp(r.now()), kind, subject},
	}}
}

func (r *Room) writeAlarms(ctx context.Context, statements []store.Statement) error {
	if len(statements) == 0 {
		return nil
	}
	applied, err := r.writer.Write(ctx, store.Batch{
		Actor: "task sites", Reason: "keep the alarms", Topics: []string{Topic}, Statements: statements,
	})
	if err = errors.Join(err, applied.Err()); err != nil {
		return fmt.Errorf("keep the alarms: %w", err)
	}
	return nil
}

// Clip cuts a text at a number of bytes.
func Clip(text string, most int) string {
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "")
	}
	return text
}

// Old are the alarms that ended before a time.
func Old(before time.Time) sweep.Rows {
	return sweep.Rows{Table: "alarm", Key: []string{"kind", "subject"}, Old: `cleared <> '' AND cleared < ?`, Args: []any{rows.Stamp(before)}}
}
