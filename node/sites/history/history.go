// Package history keeps what went over the links of a site, run by run.
package history

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"thatch/node/store"
	"thatch/node/store/rows"
	"thatch/node/store/sweep"
)

// Run is what went over a link, of one type in one direction.
type Run struct {
	ID        string          `json:"id"`
	Neighbour string          `json:"neighbour"` // id of the site at the other end
	Direction string          `json:"direction"` // down, up
	Type      string          `json:"type"`
	Mode      string          `json:"mode"`  // differential, complete, verification
	State     string          `json:"state"` // done, failed, cancelled
	Started   time.Time       `json:"started"`
	Ended     time.Time       `json:"ended"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     string          `json:"error,omitempty"`
}

var columns = rows.Columns{
	From: `id, neighbour, direction, type, mode, state, started, ended, result, error FROM link_run`,
	Names: map[string]string{
		"id": "id", "neighbour": "neighbour", "direction": "direction", "type": "type", "mode": "mode", "state": "state",
		"started": "started", "ended": "ended",
	},
	Kinds:  map[string]store.Kind{"started": store.Time, "ended": store.Time},
	Search: []string{"error", "type", "state"}, Order: "started DESC, id",
}

// Columns are those of Runs, for doors.
var Columns = columns.Known()

func scan(row *sql.Rows) (run Run, err error) {
	var started, ended, result string
	err = row.Scan(&run.ID, &run.Neighbour, &run.Direction, &run.Type, &run.Mode, &run.State, &started, &ended, &result, &run.Error)
	run.Started, run.Ended = rows.Unstamp(started), rows.Unstamp(ended)
	if result != "" {
		run.Result = json.RawMessage(result)
	}
	return run, err
}

// Room is safe for use by several goroutines.
type Room struct {
	reader store.Reader
	writer store.Writer
	now    func() time.Time
	topic  string
}

// New makes the room. Its batches name the topic.
func New(reader store.Reader, writer store.Writer, now func() time.Time, topic string) *Room {
	return &Room{reader: reader, writer: writer, now: now, topic: topic}
}

// Runs is a page of the history of links, newest first.
func (r *Room) Runs(ctx context.Context, q store.Query) ([]Run, int, error) {
	return rows.List(ctx, r.reader, q, columns, scan)
}

// LastRuns are the last runs with each neighbour, direction and type.
func (r *Room) LastRuns(ctx context.Context) ([]Run, error) {
	var list []Run
	err := r.reader.View(ctx, func(tx *sql.Tx) error {
		list = nil
		found, err := tx.QueryContext(ctx, `SELECT `+columns.From+` l WHERE l.id = (SELECT m.id FROM link_run m
			WHERE m.neighbour = l.neighbour AND m.direction = l.direction AND m.type = l.type ORDER BY m.started DESC, m.id LIMIT 1)
			ORDER BY neighbour, direction, type`)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			run, err := scan(found)
			if err != nil {
				return err
			}
			list = append(list, run)
		}
		return found.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read the last runs of links: %w", err)
	}
	return list, nil
}

const maxError = 1000 // bytes

// mostRuns is how many runs with each neighbour, direction and type are kept: a child tells of its runs itself, as often as it
// likes.
const mostRuns = 1000

// maxResult bounds what is kept of a run's result, in bytes.
const maxResult = 512 << 10

const older = `DELETE FROM link_run WHERE neighbour = ?1 AND direction = ?2 AND type = ?3 AND started < (
	SELECT started FROM link_run WHERE neighbour = ?1 AND direction = ?2 AND type = ?3 ORDER BY started DESC LIMIT 1 OFFSET ?4)`

// Ran adds a run to the history. One with an id that is there takes its place.
func (r *Room) Ran(ctx context.Context, run Run) error {
	result := string(run.Result)
	if len(result) > maxResult {
		return store.Invalid("the result of run %.80q has %d bytes, at most %d are kept", run.ID, len(result), maxResult)
	}
	applied, err := r.writer.Write(ctx, store.Batch{
		Actor: "task sites", Reason: "keep a run of a link", Topics: []string{r.topic}, Statements: []store.Statement{
			{
				SQL: `INSERT INTO link_run (id, neighbour, direction, type, mode, state, started, ended, result, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
					ON CONFLICT (id) DO UPDATE SET state = excluded.state, ended = excluded.ended, result = excluded.result, error = excluded.error`,
				Args: []any{
					run.ID, run.Neighbour, run.Direction, run.Type, run.Mode, run.State, rows.Stamp(run.Started), rows.Stamp(run.Ended), result,
					strings.ToValidUTF8(run.Error[:min(len(run.Error), maxError)], ""),
				},
			},
			{SQL: older, Args: []any{run.Neighbour, run.Direction, run.Type, mostRuns - 1}},
		},
	})
	if err = errors.Join(err, applied.Err()); err != nil {
		return fmt.Errorf("keep a run of a link: %w", err)
	}
	return nil
}

// Old are the runs of links that began before a time.
func Old(before time.Time) sweep.Rows {
	return sweep.Rows{Table: "link_run", Key: []string{"id"}, Old: `started < ?`, Args: []any{rows.Stamp(before)}}
}
