package replicas

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Outcome is what taking a page did.
type Outcome struct {
	Changed     int           `json:"changed"` // documents that are new or other than before, handed over and yielded ones too
	Removed     int           `json:"removed"`
	Held        int           `json:"held"`                  // revisions kept for policies that pin them
	HandedOver  int           `json:"handed_over"`           // made here too, equal: now the sender's
	Yielded     []dataset.Key `json:"yielded,omitempty"`     // made here too, different: the sender's stands
	Quarantined []Quarantined `json:"quarantined,omitempty"` // now, not before
	Refused     []Refusal     `json:"refused,omitempty"`     // what the sender must not send
	Bytes       int64         `json:"bytes"`                 // of bodies that were stored
	Index       uint64        `json:"index"`                 // of the last batch; 0: nothing was written
}

// Refusal is a document that its sender must not send. Nothing of it is kept.
type Refusal struct {
	dataset.Key
	Err error `json:"-"` // wraps ErrRefused
}

// Apply takes a page, with the bodies that Lacking named: its documents and the cursor after it are written together. A
// page that comes again, or that was made for other languages than are managed now, is ErrCursor. A document that
// the sender must not send is refused, one that cannot be accepted goes into quarantine; neither holds up anything.
//
// A complete page also removes what it does not name of what came from the sender, unless others are kept.
func (r *Room) Apply(ctx context.Context, from Neighbour, page dataset.Page) (Outcome, error) {
	w := &work{room: r, from: from, t: page.Type, came: page.Entries, page: &page, stated: &page.Settings}
	return r.take(ctx, w)
}

// Repair takes documents out of their turn, without a cursor: what was asked for by digest because it differed, was
// pinned, or is due from quarantine.
func (r *Room) Repair(ctx context.Context, from Neighbour, t dataset.Type, entries []dataset.Entry) (Outcome, error) {
	return r.take(ctx, &work{room: r, from: from, t: t, came: entries})
}

// Stated takes documents out of their turn as Repair does, with what their page states of settings.
func (r *Room) Stated(ctx context.Context, from Neighbour, page dataset.Page) (Outcome, error) {
	return r.take(ctx, &work{room: r, from: from, t: page.Type, came: page.Entries, stated: &page.Settings})
}

// take does the work; where something changed between looking and writing, it looks again. Which kinds may come is asked of
// the type, which the neighbour says: another word than those that travel its way would let in what does not travel.
func (r *Room) take(ctx context.Context, w *work) (Outcome, error) {
	if !slices.Contains(dataset.Types(w.from.Direction), w.t) {
		return Outcome{}, fmt.Errorf("%w: nothing travels %s by %.60q", ErrRefused, w.from.Direction, w.t)
	}
	const tries = 3
	for try := 1; ; try++ {
		outcome, err := w.try(ctx)
		if try < tries && errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return outcome, fmt.Errorf("take %s from site %s: %w", w.t, w.from.ID, err)
		}
		return outcome, nil
	}
}

// work is one page on its way into the database.
type work struct {
	room *Room
	from Neighbour
	t    dataset.Type
	came []dataset.Entry
	page *dataset.Page // nil: no cursor moves
	// stated is how far the sender's settings stood; nil: nothing is stated.
	stated *dataset.Stand

	entries []dataset.Entry // without those that are refused

	in      *intake
	stored  storedCursor
	managed []string
	builder *store.Builder
	arrived []any // digests of revisions that were not here
	outcome Outcome
}

func (w *work) try(ctx context.Context) (Outcome, error) {
	w.outcome, w.arrived, w.entries = Outcome{}, nil, slices.Clone(w.came)
	w.builder = store.NewBuilder(store.Batch{
		Actor: store.ActorOf(ctx), Reason: fmt.Sprintf("%s from site %s", w.t, w.from.ID), At: w.room.cfg.Now().UTC(),
		Topics: []string{store.TopicDocuments, string(w.t), "replicas"},
	})
	if err := w.room.cfg.Reader.View(ctx, func(tx *sql.Tx) error { return w.gather(ctx, tx) }); err != nil {
		return Outcome{}, err
	}
	err := w.write(ctx)
	return w.outcome, err
}

// gather reads what is here and makes the statements.
func (w *work) gather(ctx context.Context, tx *sql.Tx) (err error) {
	if w.managed, err = managed(ctx, tx); err != nil {
		return err
	}
	if w.page != nil {
		if w.stored, err = readCursor(ctx, tx, w.from, w.t); err != nil {
			return err
		}
		if err := w.continues(); err != nil {
			return err
		}
	}
	if w.in, err = w.room.lookUp(ctx, tx, w.from, w.t, w.entries); err != nil {
		return err
	}
	w.in.managed = w.managed
	w.in.learn(w.entries)
	// The journal, and whoever follows it, gets them in an order in which they can be judged one by one.
	slices.SortStableFunc(w.entries, func(a, b dataset.Entry) int { return dataset.CompareKinds(a.Kind, b.Kind) })
	w.entries = slices.DeleteFunc(w.entries, func(e dataset.Entry) bool {
		err := w.in.permit(&e)
		if err != nil {
			w.outcome.Refused = append(w.outcome.Refused, Refusal{e.Key(), err})
		}
		return err != nil
	})
	for i := range w.entries {
		if err := w.entry(ctx, tx, &w.entries[i]); err != nil {
			return err
		}
	}
	gone, err := w.unnamed(ctx, tx)
	if err != nil {
		return err
	}
	for _, key := range gone {
		if err := w.remove(ctx, key); err != nil {
			return err
		}
	}
	if err := w.releaseUnnamed(ctx, tx); err != nil {
		return err
	}
	if err := w.tellSettings(); err != nil {
		return err
	}
	return w.tellPins(ctx, tx)
}

// continues says whether the page follows what is here.
func (w *work) continues() error {
	named := w.page.Cursor
	if w.page.Complete {
		named = w.page.From
		if after := w.stored.progress; w.page.After != (dataset.Key{}) && (!sameCursor(after.From, w.page.From) || after.After != w.page.After) {
			return ErrCursor
		}
	} else if !sameCursor(w.stored.cursor, w.page.From) {
		return ErrCursor
	}
	if w.from.Direction == dataset.Down && !slices.Equal(named.Languages(), w.managed) {
		return fmt.Errorf("%w: it was made for the languages %q, managed are %q", ErrCursor,
			strings.Join(named.Languages(), " "), strings.Join(w.managed, " "))
	}
	return nil
}

func sameCursor(a, b dataset.Cursor) bool {
	one, err := json.Marshal(a)
	other, err2 := json.Marshal(b)
	return err == nil && err2 == nil && string(one) == string(other)
}

// entry makes the statements of one entry.
func (w *work) entry(ctx context.Context, tx *sql.Tx, e *dataset.Entry) error {
	key := e.Key()
	verdict, problem := w.in.judge(e)
	if problem == nil && (verdict == take || verdict == handOver || verdict == yield) {
		problem = w.take(ctx, tx, e)
		var refusal refusal
		if problem != nil && !errors.As(problem, &refusal) {
			return problem
		}
	}
	if problem != nil {
		return w.setAside(e, problem)
	}
	_, wasAside := w.in.aside[key]
	switch verdict {
	case same:
		if e.Damaged() {
			return nil // it waits on: what it is nobody said
		}
	case hold:
		w.outcome.Held++
		w.outcome.Bytes += int64(len(e.Body))
		w.arrived = append(w.arrived, e.Digest[:])
		statements := []store.Statement{store.HoldPinned(e.Document())}
		if holding, wanted := w.room.hooks[e.Kind].(Holding); wanted {
			statements = append(statements, holding.Held(e.Document())...)
		}
		return w.builder.Add(statements...)
	case remove:
		return w.remove(ctx, key)
	case handOver:
		w.outcome.HandedOver++
	case yield:
		w.outcome.Yielded = append(w.outcome.Yielded, key)
	}
	if wasAside {
		return w.builder.Add(release(w.from, key))
	}
	return nil
}

// refusal is an error of a room's hook.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// take makes the statements by which a document becomes the current one, with those of the room that uses it.
func (w *work) take(ctx context.Context, tx *sql.Tx, e *dataset.Entry) error {
	now, have := w.in.current[e.Key()]
	held := w.in.held[e.Digest]
	doc := e.Document()
	hook, pinning := w.room.hooks[e.Kind], e.Kind == document.Policy
	if doc.Body == nil && (hook != nil || pinning) {
		kept, err := store.Revision(ctx, tx, e.Digest)
		if err != nil {
			return err
		}
		doc.Body = kept.Body
	}
	former := store.Former{Absent: !have, Digest: now.digest}
	statements := store.Receive(doc, held, former)
	if hook != nil {
		more, err := hook.Received(ctx, doc)
		if err != nil {
			return refusal{err}
		}
		statements = append(statements, more...)
	}
	if yielding, wanted := hook.(Yielding); wanted && have && now.origin == w.in.site {
		statements = append(statements, yielding.Yielded(doc)...)
	}
	if pinning {
		pins, err := pinsThatMatter(doc.Body, w.managed)
		if err != nil {
			return refusal{err}
		}
		statements = append(statements, store.Repin(doc.ID, pins)...)
	}
	statements = append(statements, w.learnKind(e.Kind)...)
	if err := w.builder.Add(statements...); err != nil {
		return refusal{err}
	}
	w.outcome.Changed++
	if !held {
		w.outcome.Bytes += int64(len(e.Body))
		w.arrived = append(w.arrived, e.Digest[:])
	}
	return nil
}

// learnKind remembers by which type a kind came that this version does not know.
func (w *work) learnKind(kind document.Kind) []store.Statement {
	if _, known := dataset.TypeOf(kind, dataset.Down); known || w.in.learned[kind] == w.t {
		return nil
	}
	w.in.learned[kind] = w.t
	return []store.Statement{{
		SQL:  `INSERT INTO learned_kind (kind, type) VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET type = excluded.type`,
		Args: []any{string(kind), string(w.t)},
	}}
}

// maxAside is how many documents of one neighbour are kept in quarantine.
const maxAside = 10_000

// setAside puts an entry into quarantine, unless it is there for the same already.
func (w *work) setAside(e *dataset.Entry, problem error) error {
	reason := reasonOf(problem)
	if errors.Is(problem, errNotSent) {
		reason = NotSent
	}
	before, there := w.in.aside[e.Key()]
	if there && !before.Due && before.Digest == e.Digest && (before.Reason == reason || reason == NotSent) {
		return nil
	}
	q := Quarantined{
		Key: e.Key(), Neighbour: w.from.ID, Direction: w.from.Direction, Type: w.t, Digest: e.Digest, Origin: e.Origin,
		Languages: e.Languages,
		Reason:    reason, Detail: problem.Error(), Since: w.room.cfg.Now().UTC(),
	}
	w.outcome.Quarantined = append(w.outcome.Quarantined, q)
	if !there && w.in.asideCount+len(w.outcome.Quarantined) > maxAside {
		return nil // told and not kept: whoever sends that much is no good
	}
	return w.builder.Add(setAside(q))
}

// remove makes the statements by which a document is there no more.
func (w *work) remove(ctx context.Context, key dataset.Key) error {
	statements := store.Remove(key.Kind, key.ID, store.Former{})
	if key.Kind == document.SigningKey {
		statements = append([]store.Statement{rememberKey(key.ID)}, statements...)
	}
	if hook := w.room.hooks[key.Kind]; hook != nil {
		more, err := hook.Gone(ctx, key.Kind, key.ID)
		if err != nil {
			return fmt.Errorf("%s %q is to go: %w", key.Kind, key.ID, err)
		}
		statements = append(statements, more...)
	}
	if key.Kind == document.Policy {
		statements = append(statements, store.Unpin(key.ID)...)
	}
	if _, aside := w.in.aside[key]; aside {
		statements = append(statements, release(w.from, key))
	}
	w.outcome.Removed++
	return w.builder.Add(statements...)
}

// unnamed are the documents of the sender that a complete page should have named and did not.
func (w *work) unnamed(ctx context.Context, tx *sql.Tx) ([]dataset.Key, error) {
	if w.page == nil || !w.page.Complete || w.page.From.Audience.KeepOthers {
		return nil, nil
	}
	named := make(map[dataset.Key]bool, len(w.entries))
	for i := range w.entries {
		named[w.entries[i].Key()] = true
	}
	kinds, err := dataset.AllKinds(ctx, tx, w.t, w.from.Direction)
	if err != nil {
		return nil, err
	}
	var gone []dataset.Key
	for _, kind := range kinds {
		before := w.page.After.Kind != "" && dataset.CompareKinds(kind, w.page.After.Kind) < 0
		if before || dataset.CompareKinds(kind, w.page.Next.Kind) > 0 {
			continue
		}
		query, args := between(w.page, kind)
		err := each(ctx, tx, query, args, func(rows *sql.Rows) error {
			key := dataset.Key{Kind: kind}
			var origin string
			err := rows.Scan(&key.ID, &origin)
			if err == nil && !named[key] && w.in.theirs(origin) {
				gone = append(gone, key)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read the documents of kind %s: %w", kind, err)
		}
	}
	return gone, nil
}

// releaseUnnamed takes out of quarantine what a complete page should have named and did not: nobody sends it any more.
func (w *work) releaseUnnamed(ctx context.Context, tx *sql.Tx) error {
	if w.page == nil || !w.page.Complete {
		return nil
	}
	named := make(map[dataset.Key]bool, len(w.entries))
	for i := range w.entries {
		named[w.entries[i].Key()] = true
	}
	return each(ctx, tx, `SELECT kind, id FROM quarantine WHERE neighbour = ? AND direction = ? AND type = ?`,
		[]any{w.from.ID, string(w.from.Direction), string(w.t)}, func(rows *sql.Rows) error {
			var key dataset.Key
			if err := rows.Scan(&key.Kind, &key.ID); err != nil || named[key] || !w.page.In(key) {
				return err
			}
			return w.builder.Add(release(w.from, key))
		})
}

// between reads which documents of a kind are where a complete page says all. An end is named only where there is one, so that
// no more is read.
func between(page *dataset.Page, kind document.Kind) (query string, args []any) {
	query = `SELECT d.id, coalesce(r.origin, '') FROM document d LEFT JOIN revision r ON r.digest = d.digest AND r.kind = d.kind AND r.id = d.id WHERE d.kind = ?`
	args = []any{string(kind)}
	if kind == page.After.Kind {
		query, args = query+` AND d.id > ?`, append(args, page.After.ID)
	}
	if kind == page.Next.Kind {
		query, args = query+` AND d.id <= ?`, append(args, page.Next.ID)
	}
	return query + ` ORDER BY d.id`, args
}

// theirs says whether a document with an origin came from the sender's side.
func (in *intake) theirs(origin string) bool {
	if in.from.Direction == dataset.Up {
		return in.below[origin]
	}
	return origin != in.site && !in.below[origin]
}

// write writes what was gathered: the last batch moves the cursor, all others want it unmoved.
func (w *work) write(ctx context.Context) error {
	var unmoved []store.Statement
	if w.page != nil {
		stay, move, err := w.cursor()
		if err != nil {
			return err
		}
		if err := w.builder.Add(move...); err != nil {
			return err
		}
		unmoved = stay
	}
	batches := w.builder.Batches()
	for i, b := range batches {
		if i < len(batches)-1 {
			b.Statements = append(slices.Clone(unmoved), b.Statements...)
		}
		for j := range b.Statements {
			b.Statements[j].Group = 0 // a batch counts whole
		}
		applied, err := w.room.cfg.Writer.Write(ctx, b)
		if err == nil {
			err = applied.Err()
		}
		if err != nil {
			return err
		}
		w.outcome.Index = applied.Index
	}
	return nil
}

// cursor returns the statements that want the cursor, the managed languages and the parent as they were when the page was judged,
// and those that also move the cursor.
func (w *work) cursor() (stay, move []store.Statement, err error) {
	state, running := w.stored.state, ""
	switch {
	case w.page.Complete && w.page.More:
		running, err = encode(Progress{From: w.page.From, After: w.page.Next})
	default:
		state, err = encode(w.page.Cursor)
		if !w.page.Complete {
			running = w.stored.running
		}
	}
	if err != nil {
		return nil, nil, err
	}
	const row = `INSERT INTO cursor (neighbour, direction, type, state, progress, idx) VALUES (?, ?, ?, '', '', ?) ON CONFLICT DO NOTHING`
	const change = `UPDATE cursor SET state = ?, progress = ?, idx = ? WHERE neighbour = ? AND direction = ? AND type = ?
AND state = ? AND progress = ? AND (direction = 'up' OR ? = coalesce((SELECT group_concat(tag, ',' ORDER BY tag) FROM language), ''))
AND (? = '' OR EXISTS (SELECT 1 FROM parent WHERE id = ? AND joined = ?))`
	name := []any{w.from.ID, string(w.from.Direction), string(w.t)}
	make := func(state, running string) []store.Statement {
		args := append([]any{state, running, store.Index{}}, name...)
		joined := rows.Stamp(w.from.Joined)
		args = append(args, w.stored.state, w.stored.running, strings.Join(w.managed, ","), joined, w.from.ID, joined)
		return []store.Statement{
			{SQL: row, Args: append(slices.Clone(name), store.Index{})},
			{SQL: change, Args: args, Want: 1},
		}
	}
	return make(w.stored.state, w.stored.running), make(state, running), nil
}

func encode(value any) (string, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("encode a cursor: %w", err)
	}
	return string(raw), nil
}
