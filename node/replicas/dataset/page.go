package dataset

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"thatch/catalog/document"
	"thatch/node/store"
)

// candidate is an entry of the journal that may concern the receiver.
type candidate struct {
	Key
	at      store.Sequence
	removed bool
	known   document.Head // current head, where it is the last entry of its document
	size    int
	latest  bool
	back    bool // removed, and there again
}

// differential reads one page: entries of the journal in order, from the smallest place of the cursor on.
func differential(ctx context.Context, tx *sql.Tx, scope Scope, from Cursor, limits Limits) (Page, error) {
	page := Page{Type: scope.Type, From: from}
	w := &walk{scope: &scope, from: from, kinds: map[document.Kind]bool{}, limits: limits, end: from.Least(&scope)}
	kinds, err := scope.kinds(ctx, tx)
	if err != nil {
		return page, err
	}
	for _, kind := range kinds {
		w.kinds[kind] = true
	}
	if err := w.scan(ctx, tx); err != nil {
		return page, err
	}
	if err := w.look(ctx, tx); err != nil {
		return page, err
	}
	page.Entries = w.entries()
	page.Cursor = Cursor{Epoch: from.Epoch, Audience: from.Audience, At: map[string]store.Sequence{}}
	languages := scope.Languages
	if scope.Direction == Up {
		languages = nil
	}
	for _, tag := range append([]string{""}, languages...) {
		at := from.At[tag]
		if w.end.Compare(at) > 0 {
			at = w.end
		}
		page.Cursor.At[tag] = at
		if at.Compare(page.Cursor.Mark.Sequence) > 0 {
			page.Cursor.Mark.Sequence = at
		}
	}
	return page, nil
}

// Least is the smallest place of a cursor among what the receiver manages: a language that it did not name begins at 0.
func (c Cursor) Least(scope *Scope) store.Sequence {
	least := c.At[""]
	if scope.Direction == Up {
		return least
	}
	for _, tag := range scope.Languages {
		if at := c.At[tag]; at.Compare(least) < 0 {
			least = at
		}
	}
	return least
}

// walk goes along the journal.
type walk struct {
	scope  *Scope
	from   Cursor
	kinds  map[document.Kind]bool
	limits Limits
	found  []candidate
	end    store.Sequence // everything up to here was looked at
}

// scan reads entries of the journal up to the limits.
func (w *walk) scan(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, `SELECT idx, pos, kind, id, digest IS NULL, languages, audience,
  former_languages IS NULL, coalesce(former_languages, ''), former_audience
FROM journal WHERE (idx, pos) > (?, ?) ORDER BY idx, pos LIMIT ?`, int64(w.end.Index), w.end.Position, w.limits.Entries)
	if err != nil {
		return fmt.Errorf("read the journal after %d.%d: %w", w.end.Index, w.end.Position, err)
	}
	defer rows.Close()
	// Documents may come more than once: the limit holds for those that are left, which nobody knows before they are
	// looked up.
	for len(w.found) < w.limits.Documents && rows.Next() {
		var c candidate
		var change store.Change
		var kind, languages, former sql.RawBytes
		err := rows.Scan(&c.at.Index, &c.at.Position, &kind, &c.ID, &change.Removed, &languages,
			&change.Audience, &change.Created, &former, &change.FormerAudience)
		if err != nil {
			return fmt.Errorf("read the journal after %d.%d: %w", w.end.Index, w.end.Position, err)
		}
		w.end, c.Kind = c.at, document.Kind(kind)
		if !w.kinds[c.Kind] {
			continue
		}
		change.Languages, change.FormerLanguages = tags(languages), tags(former)
		if w.concerns(&c, &change) {
			w.found = append(w.found, c)
		}
	}
	return rows.Err()
}

// concerns says whether an entry is to be sent, if it is the last of its document, or to be told as a removal.
func (w *walk) concerns(c *candidate, change *store.Change) bool {
	managed := w.scope.Languages
	if !change.Removed && w.scope.matters(change.Languages, change.Audience) {
		return c.at.Compare(w.from.greatest(change.Languages, managed)) > 0
	}
	c.removed = true
	if change.Created || !w.scope.matters(change.FormerLanguages, change.FormerAudience) {
		return false
	}
	return c.at.Compare(w.from.greatest(change.FormerLanguages, managed)) > 0
}

// entries are the page's, at most as many bytes as it may have; what does not fit any more is left to the next page.
func (w *walk) entries() []Entry {
	place := map[Key]int{}
	var list []Entry
	bytes := 0
	for i := range w.found {
		c := &w.found[i]
		var e Entry
		switch {
		case c.back:
			continue
		case c.removed:
			e = Entry{Head: document.Head{Kind: c.Kind, ID: c.ID}, Removed: true, Changed: c.at}
		case !c.latest || !w.scope.by(c.known.Origin):
			continue
		default:
			e = Entry{Head: c.known, Size: c.size, Changed: c.at}
		}
		if bytes+e.Size > w.limits.Bytes && len(list) > 0 {
			w.end = w.found[i-1].at
			break
		}
		bytes += e.Size
		if at, again := place[c.Key]; again { // the last word stands
			list[at] = e
			continue
		}
		place[c.Key] = len(list)
		list = append(list, e)
	}
	return list
}

// complete reads one page of all documents in scope.
func complete(ctx context.Context, tx *sql.Tx, scope Scope, after Key, limits Limits) (Page, error) {
	page := Page{Type: scope.Type, Complete: true, After: after, Next: last}
	kinds, err := scope.kinds(ctx, tx)
	if err != nil {
		return page, err
	}
	bytes, looked := 0, 0
	suspect := map[Key]bool{}
	for _, kind := range kinds {
		if after.Kind != "" && CompareKinds(kind, after.Kind) < 0 {
			continue
		}
		from := ""
		if kind == after.Kind {
			from = after.ID
		}
		err := heads(ctx, tx, kind, from, func(e Entry, audience string, doubtful bool) bool {
			looked++
			full := len(page.Entries) >= limits.Documents || len(page.Entries) > 0 && bytes+e.Size > limits.Bytes
			if full || looked > limits.Entries {
				page.More = true
				return false
			}
			page.Next = e.Key()
			if !scope.Audience.holds(audience) {
				return true
			}
			// What is damaged is named whatever it was: what is not named is removed. So is what its altered head takes out of
			// the scope.
			outside := !e.Damaged() && (!scope.speaks(e.Languages) || !scope.by(e.Origin))
			if outside && (doubtful || !scope.by(e.Origin)) {
				suspect[e.Key()] = true
			}
			if !outside || suspect[e.Key()] {
				bytes += e.Size
				page.Entries = append(page.Entries, e)
			}
			return true
		})
		if err != nil {
			return page, err
		}
		if page.More {
			return page, page.clear(ctx, tx, suspect)
		}
	}
	page.Next = last
	return page, page.clear(ctx, tx, suspect)
}

// clear takes suspects out of a page, and leaves those in name alone that are damaged.
func (p *Page) clear(ctx context.Context, tx *sql.Tx, suspect map[Key]bool) error {
	if len(suspect) == 0 {
		return nil
	}
	signed, left := signatures{}, p.Entries[:0]
	for _, e := range p.Entries {
		if suspect[e.Key()] {
			doc, err := store.Revision(ctx, tx, e.Digest)
			sound := false
			if err == nil {
				sound, err = signed.check(ctx, tx, &doc)
			}
			if err != nil && !notFound(err) {
				return err
			}
			if sound {
				continue
			}
			e = damagedEntry(e.Key(), e.Digest)
		}
		left = append(left, e)
	}
	p.Entries = left
	return nil
}

// damagedEntry is one of a document that is held in name alone (Entry.Damaged).
func damagedEntry(k Key, digest document.Digest) Entry {
	return Entry{Head: document.Head{Kind: k.Kind, ID: k.ID, Digest: digest}}
}

const headColumns = `d.kind, d.id, d.digest, coalesce(r.languages, ''), coalesce(r.origin, ''), coalesce(r.signature, ''), coalesce(length(r.body), 0), d.idx, d.pos`

// heads calls take with the current documents of a kind after an id, until it has enough. One whose revision was lost from the
// file is damaged (Entry.Damaged). A head is doubtful where the journal says other languages of it, or nothing.
func heads(ctx context.Context, tx *sql.Tx, kind document.Kind, after string, take func(e Entry, audience string, doubtful bool) bool) error {
	rows, err := tx.QueryContext(ctx, `SELECT d.audience,
  coalesce((SELECT j.languages <> r.languages FROM journal j WHERE j.idx = d.idx AND j.pos = d.pos), 1), `+headColumns+` FROM document d
LEFT JOIN revision r ON r.digest = d.digest AND r.kind = d.kind AND r.id = d.id WHERE d.kind = ? AND d.id > ? ORDER BY d.id`, string(kind), after)
	if err != nil {
		return fmt.Errorf("read the documents of kind %s: %w", kind, err)
	}
	defer rows.Close()
	for rows.Next() {
		var e Entry
		var audience string
		var doubtful bool
		if err := scanEntry(rows, &e, &audience, &doubtful); err != nil {
			return fmt.Errorf("read the documents of kind %s: %w", kind, err)
		}
		if !take(e, audience, doubtful) {
			return nil
		}
	}
	return rows.Err()
}

// Heads calls take with the current documents of a kind after an id, in their order, until it has enough. Those whose
// revision was lost from the file are left out: nobody knows who made them.
func Heads(ctx context.Context, tx *sql.Tx, kind document.Kind, after string, take func(e Entry) bool) error {
	return heads(ctx, tx, kind, after, func(e Entry, _ string, _ bool) bool { return e.Damaged() || take(e) })
}

// scanEntry reads some columns, then headColumns.
func scanEntry(rows *sql.Rows, e *Entry, first ...any) error {
	var digest, languages sql.RawBytes
	err := rows.Scan(append(first, &e.Kind, &e.ID, &digest, &languages, &e.Origin, &e.Signature, &e.Size, &e.Changed.Index, &e.Changed.Position)...)
	if err != nil {
		return err
	}
	copy(e.Digest[:], digest)
	e.Languages = tags(languages)
	return nil
}

// look finds the current heads of candidates, and which of them are the last entries of their documents. A document that
// left and came back is not told as a removal: the receiver may hold it already as it is now, by the cursor of another
// language.
func (w *walk) look(ctx context.Context, tx *sql.Tx) error {
	byKind := map[document.Kind][]string{}
	at := map[Key][]int{}
	for i := range w.found {
		c := &w.found[i]
		at[c.Key] = append(at[c.Key], i)
		byKind[c.Kind] = append(byKind[c.Kind], c.ID)
	}
	for kind, ids := range byKind {
		slices.Sort(ids)
		err := named(ctx, tx, kind, slices.Compact(ids), func(e Entry, audience string) {
			there := w.scope.matters(e.Languages, audience) && w.scope.by(e.Origin)
			for _, i := range at[e.Key()] {
				c := &w.found[i]
				c.back = c.removed && there
				if !c.removed && c.at == e.Changed {
					c.known, c.size, c.latest = e.Head, e.Size, true
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// named calls take with the heads of the current documents of a kind with some ids.
func named(ctx context.Context, tx *sql.Tx, kind document.Kind, ids []string, take func(e Entry, audience string)) error {
	for some := range slices.Chunk(ids, 400) {
		args := []any{string(kind)}
		for _, id := range some {
			args = append(args, id)
		}
		err := eachRow(ctx, tx, `SELECT d.audience, `+headColumns+` FROM document d JOIN revision r ON r.digest = d.digest AND r.kind = d.kind AND r.id = d.id
WHERE d.kind = ? AND d.id IN (`+places(len(some))+`)`, args, func(rows *sql.Rows) error {
			var e Entry
			var audience string
			err := scanEntry(rows, &e, &audience)
			if err == nil {
				take(e, audience)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("read documents of kind %s: %w", kind, err)
		}
	}
	return nil
}

// bodyInScope reads the revision with a digest, if it is current and in scope, or pinned by a policy in scope.
func bodyInScope(ctx context.Context, tx *sql.Tx, scope *Scope, kinds []document.Kind, digest document.Digest) (document.Document, bool, error) {
	doc, err := store.Revision(ctx, tx, digest)
	if notFound(err) {
		return doc, false, nil
	}
	if err != nil || !scope.speaks(doc.Languages) && doc.VerifyDigest() == nil { // the head of what fails its digest may be altered
		return doc, false, err
	}
	if slices.Contains(kinds, doc.Kind) && scope.by(doc.Origin) {
		var audience string
		err := tx.QueryRowContext(ctx, `SELECT audience FROM document WHERE kind = ? AND id = ? AND digest = ?`,
			string(doc.Kind), doc.ID, digest[:]).Scan(&audience)
		switch {
		case err == nil && scope.Audience.holds(audience):
			return doc, true, nil
		case err != nil && !notFound(err):
			return doc, false, fmt.Errorf("read %s %q: %w", doc.Kind, doc.ID, err)
		}
	}
	if scope.Type != Policies {
		return doc, false, nil
	}
	pinned, err := pinnedInScope(ctx, tx, scope, digest)
	return doc, pinned, err
}

// pinnedInScope says whether a policy in scope pins a revision.
func pinnedInScope(ctx context.Context, tx *sql.Tx, scope *Scope, digest document.Digest) (bool, error) {
	rows, err := tx.QueryContext(ctx, `SELECT d.audience, r.languages, r.origin FROM pin p
JOIN document d ON d.kind = 'policy' AND d.id = p.policy JOIN revision r ON r.digest = d.digest WHERE p.digest = ?`, digest[:])
	if err != nil {
		return false, fmt.Errorf("read who pins %s: %w", digest, err)
	}
	defer rows.Close()
	for rows.Next() {
		var audience, origin string
		var languages sql.RawBytes
		if err := rows.Scan(&audience, &languages, &origin); err != nil {
			return false, fmt.Errorf("read who pins %s: %w", digest, err)
		}
		if scope.matters(tags(languages), audience) && scope.by(origin) {
			return true, nil
		}
	}
	return false, rows.Err()
}

// tags splits a joined list of languages.
func tags(joined []byte) []string {
	if len(joined) == 0 {
		return nil
	}
	return strings.Split(string(joined), ",")
}
