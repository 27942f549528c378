package store

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"thatch/node/store/batch"
	"thatch/node/store/sqlite"
)

// RequestsKept is for how many indexes a request id is remembered.
const RequestsKept = 100_000

// Entry is a batch with the index that the log gave it.
type Entry struct {
	Index uint64
	Batch Batch
	Mark  string // of the encoded batch (see batch.Mark); empty: it is like no other
}

// Write applies a batch at the next index. It is the Writer of tests and tools that work without a log: an answer
// means applied, but only ApplyAt behind a durable log survives a power cut. Writes of many goroutines share
// transactions.
func (db *DB) Write(ctx context.Context, b Batch) (Applied, error) {
	if err := ctx.Err(); err != nil {
		return Applied{}, err
	}
	encoded, err := batch.Encode(b)
	if err != nil {
		return Applied{}, err
	}
	b, err = batch.Decode(encoded)
	if err != nil {
		return Applied{}, err
	}
	p := &pending{batch: b, mark: batch.Mark(encoded, b)}
	db.queue.add(p)
	db.writing.Lock()
	defer db.writing.Unlock()
	if !p.done {
		db.writeQueue()
	}
	return p.applied, p.err
}

// writeQueue applies all that waits in one transaction. db.writing is held.
func (db *DB) writeQueue() {
	waiting := db.queue.take()
	entries := make([]Entry, len(waiting))
	next := db.Applied() + 1
	for i, p := range waiting {
		entries[i] = Entry{Index: next + uint64(i), Batch: p.batch, Mark: p.mark}
	}
	applied, err := db.apply(entries)
	for i, p := range waiting {
		p.done, p.err = true, err
		if err == nil {
			p.applied = applied[i]
		}
	}
}

// ApplyAt applies batches at the indexes that the log gave them, ascending, in one transaction that also stores the
// last index. Entries at or below Applied are skipped, so that replaying a log is harmless; their answer is the bare
// index. An error is fatal (see Fatal): nothing of the call is applied, and the database takes no more writes.
func (db *DB) ApplyAt(entries []Entry) ([]Applied, error) {
	db.writing.Lock()
	defer db.writing.Unlock()
	return db.apply(entries)
}

// apply is ApplyAt with db.writing held.
func (db *DB) apply(entries []Entry) ([]Applied, error) {
	if err := db.Err(); err != nil {
		return nil, err
	}
	if db.writer == nil {
		return nil, ErrClosed
	}
	answers := make([]Applied, len(entries))
	last := db.Applied()
	first := -1
	for i, e := range entries {
		answers[i].Index = e.Index
		if e.Index > last && first < 0 {
			first = i
		}
	}
	if first < 0 {
		return answers, nil
	}
	work, err := db.transact(entries[first:], answers[first:], last)
	if err != nil {
		return nil, db.failed(fmt.Sprintf("applying index %d to %d", entries[first].Index, entries[len(entries)-1].Index), err)
	}
	db.committed(work)
	db.trim()
	return answers, nil
}

// transact applies entries in one transaction. Conflicts are rare and savepoints dear (every page touched after one is
// copied), so it first tries without; where a group has to be undone, it starts over with a savepoint for every group.
func (db *DB) transact(entries []Entry, answers []Applied, last uint64) (*transaction, error) {
	var err error
	for _, careful := range []bool{false, true} {
		t := &transaction{conn: db.writer, last: last, topics: map[string]bool{}, careful: careful}
		if err = t.run(entries, answers); err == nil {
			return t, nil
		}
		// An error may have ended the transaction already. Where not even this works, the next BEGIN says so.
		t.conn.Exec("ROLLBACK")
		if !errors.Is(err, errUndo) {
			return nil, err
		}
	}
	return nil, err
}

// errUndo says that a group has to be undone for which there is no savepoint.
var errUndo = errors.New("a group has to be undone")

// transaction applies entries on the writing connection.
type transaction struct {
	conn    *sqlite.Conn
	last    uint64 // index applied last
	topics  map[string]bool
	schema  bool // a statement changed the schema
	careful bool // a savepoint for every group
	args    []driver.NamedValue
}

// run applies the entries and commits. An error means that nothing was applied and must stop the node.
func (t *transaction) run(entries []Entry, answers []Applied) error {
	if _, err := t.conn.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for i, e := range entries {
		if e.Index <= t.last {
			return fmt.Errorf("index %d follows %d: the log is out of order", e.Index, t.last)
		}
		answer, err := t.batch(e)
		if err != nil {
			return fmt.Errorf("batch %q of %s at index %d: %w", e.Batch.Reason, e.Batch.Actor, e.Index, err)
		}
		answers[i] = answer
		t.last = e.Index
	}
	if _, err := t.conn.Exec("UPDATE applied SET idx = ?", int64(t.last)); err != nil {
		return err
	}
	_, err := t.conn.Exec("COMMIT")
	return err
}

func (t *transaction) batch(e Entry) (Applied, error) {
	index, b := e.Index, e.Batch
	answer := Applied{Index: index}
	if b.Request != "" {
		if known, found, err := t.request(b.Request, e.Mark); found || err != nil {
			return known, err
		}
	}
	groups, undone := 0, 0
	for start := 0; start < len(b.Statements); {
		stop := start + 1
		for stop < len(b.Statements) && b.Statements[stop].Group == b.Statements[start].Group {
			stop++
		}
		conflict, err := t.group(index, b.Statements, start, stop)
		if err != nil {
			return Applied{}, err
		}
		groups++
		if conflict != nil {
			undone++
			answer.Conflicts = append(answer.Conflicts, *conflict)
			if conflict.Group == Guard && start == 0 {
				return answer, nil
			}
		}
		start = stop
	}
	if undone < groups {
		for _, topic := range b.Topics {
			t.topics[topic] = true
		}
		if b.Request != "" {
			return answer, t.remember(b.Request, e.Mark, answer)
		}
	}
	return answer, nil
}

// group applies statements start to stop, all of one group, or none of them.
func (t *transaction) group(index uint64, all []Statement, start, stop int) (*Conflict, error) {
	// A single statement that fails is undone by SQLite itself.
	save := t.careful && (stop-start > 1 || all[start].Want != 0)
	if save {
		if _, err := t.conn.Exec("SAVEPOINT grp"); err != nil {
			return nil, err
		}
	}
	for at := start; at < stop; at++ {
		conflict, err := t.statement(index, at, all[at])
		switch {
		case err != nil:
			return nil, err
		case conflict == nil:
			continue
		case save:
			return conflict, t.undo()
		case t.careful || at == start && conflict.Problem != "":
			return conflict, nil
		}
		return nil, errUndo
	}
	if save {
		_, err := t.conn.Exec("RELEASE grp")
		return nil, err
	}
	return nil, nil
}

func (t *transaction) undo() error {
	if _, err := t.conn.Exec("ROLLBACK TO grp"); err != nil {
		return err
	}
	_, err := t.conn.Exec("RELEASE grp")
	return err
}

// statement runs one. An error is this machine's, a conflict the same on every node.
func (t *transaction) statement(index uint64, at int, s Statement) (*Conflict, error) {
	conflict := &Conflict{Group: s.Group, Statement: at, Want: s.Want}
	if inputs := batch.Parameters(s.SQL); inputs != len(s.Args) {
		conflict.Problem, conflict.Broken = fmt.Sprintf("%d arguments for %d parameters", len(s.Args), inputs), true
		return conflict, nil
	}
	p, err := t.conn.Prepare(s.SQL)
	var rows int
	if err == nil {
		rows, err = t.conn.Run(p, t.bind(s.Args, index, at))
	}
	if err != nil {
		isSteady, constraint := sqlite.Steady(err)
		if !isSteady {
			return nil, err
		}
		conflict.Problem, conflict.Broken = err.Error(), !constraint
		return conflict, nil
	}
	if s.Want != 0 && rows != max(s.Want, 0) {
		conflict.Got = rows
		return conflict, nil
	}
	if writesJournal(s.SQL) {
		t.topics[TopicDocuments] = true
	}
	t.schema = t.schema || changesSchema(s.SQL)
	return nil, nil
}

// bind resolves the arguments of a statement. What it returns is good until the next call.
func (t *transaction) bind(args []any, index uint64, position int) []driver.NamedValue {
	t.args = t.args[:0]
	for i, arg := range args {
		value := arg
		switch v := arg.(type) {
		case int:
			value = int64(v)
		case Index:
			value = int64(index)
		case Position:
			value = int64(position) + int64(v)
		case []byte:
			if v == nil {
				value = nil
			}
		}
		t.args = append(t.args, driver.NamedValue{Ordinal: i + 1, Value: value})
	}
	return t.args
}

// writesJournal says whether a statement adds to the journal: all such statements are made in document.go.
func writesJournal(text string) bool { return strings.HasPrefix(text, "INSERT INTO journal") }

func changesSchema(text string) bool {
	return strings.HasPrefix(text, "CREATE") || strings.HasPrefix(text, "ALTER") || strings.HasPrefix(text, "DROP") ||
		strings.HasPrefix(text, "UPDATE applied")
}

// request answers a batch whose request was applied before. Where that was the same batch, whoever wrote it lost the answer and
// wrote it again: the answer is that of the first time.
func (t *transaction) request(id, mark string) (Applied, bool, error) {
	values, err := t.conn.Row("SELECT idx, conflicts FROM request WHERE id = ?", id)
	if errors.Is(err, io.EOF) {
		return Applied{}, false, nil
	}
	if err != nil {
		return Applied{}, false, err
	}
	index, _ := values[0].(int64)
	answer := Applied{Index: uint64(index), Repeated: true}
	if text, ok := values[1].(string); ok {
		begin := strings.IndexByte(text+"[", '[')
		answer.Repeated = begin == 0 || mark != text[:begin]
		if text = text[begin:]; text == "" {
			return answer, true, nil
		}
		if err := json.Unmarshal([]byte(text), &answer.Conflicts); err != nil {
			return Applied{}, false, fmt.Errorf("conflicts of request %q: %w", id, err)
		}
	}
	return answer, true, nil
}

// plain leaves out SQLite's own words, which may differ between versions of SQLite, while rows must not.
func plain(conflicts []Conflict) []Conflict {
	list := slices.Clone(conflicts)
	for i := range list {
		if list[i].Problem != "" {
			list[i].Problem = "refused when it was applied first"
		}
	}
	return list
}

// remember notes the request of a batch of which something was applied (one that was undone whole may be tried
// again), and forgets old ones.
func (t *transaction) remember(id, mark string, answer Applied) error {
	conflicts := mark
	if len(answer.Conflicts) > 0 {
		text, err := json.Marshal(plain(answer.Conflicts))
		if err != nil {
			return err
		}
		conflicts += string(text)
	}
	if _, err := t.conn.Exec("INSERT INTO request (id, idx, conflicts) VALUES (?, ?, ?)",
		id, int64(answer.Index), conflicts); err != nil {
		return err
	}
	if answer.Index <= RequestsKept {
		return nil
	}
	_, err := t.conn.Exec("DELETE FROM request WHERE idx < ?", int64(answer.Index-RequestsKept))
	return err
}
