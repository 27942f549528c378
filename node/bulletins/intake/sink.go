// Package intake keeps what imports of catalogs bring: parts, documents and what is known of vendor files, written as
// batches of the site.
package intake

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"thatch/catalog/document"
	"thatch/catalog/importer"
	"thatch/node/store"
)

// Config is what a Sink needs.
type Config struct {
	Site   string // id
	Reader store.Reader
	Writer store.Writer
	Sign   func(docs []*document.Document) // makes documents the site's own
	Learn  func(doc *document.Document)    // is told of every document that is about to be written
	Log    *slog.Logger
}

// Sink keeps what imports bring. Parts and documents of one key are written together, several keys in a batch, and the
// files' fingerprints in the last batch: an import that is cut in the middle of a file does that file again, writes
// nothing that is there already, and misses nothing.
//
// A run's saves touch no key together while they are on their way (importer.Starter); runs of one source at the same
// time are for the caller to prevent, and end in a conflict, not in a mixture.
type Sink struct{ cfg Config }

// New makes a sink.
func New(cfg Config) *Sink { return &Sink{cfg} }

// Known implements importer.Sink. A file counts as whole only while all that was made of it is here: sites above, where
// there are or were any, take away what changed hands.
func (s *Sink) Known(ctx context.Context, source string) (map[string]string, error) {
	const lacking = `SELECT DISTINCT file FROM import_part WHERE source = ?1 AND key IN (
  SELECT i.key FROM import_document i WHERE i.source = ?1 AND NOT EXISTS (SELECT 1 FROM document d WHERE d.kind = i.kind AND d.id = i.id))`
	known := map[string]string{}
	err := s.view(ctx, func(r reading) error {
		err := r.each(`SELECT name, fingerprint FROM import_file WHERE source = ?`, []any{source}, func(rows *sql.Rows) error {
			var name, fingerprint string
			err := rows.Scan(&name, &fingerprint)
			known[name] = fingerprint
			return err
		})
		if err != nil {
			return err
		}
		if others, err := r.others(s.cfg.Site); err != nil || !others {
			return err
		}
		return r.each(lacking, []any{source}, func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			if fingerprint, whole := known[name]; whole {
				known[name] = importer.Interrupted(fingerprint)
			}
			return err
		})
	})
	return known, err
}

// Failures implements importer.Sink.
func (s *Sink) Failures(ctx context.Context, source string) ([]importer.Failure, error) {
	var failures []importer.Failure
	err := s.view(ctx, func(r reading) error {
		return r.each(`SELECT key, file, warnings FROM import_failure WHERE source = ?`, []any{source}, func(rows *sql.Rows) error {
			var one importer.Failure
			var warnings []byte
			if err := rows.Scan(&one.Key, &one.File, &warnings); err != nil {
				return err
			}
			failures = append(failures, one)
			return json.Unmarshal(warnings, &failures[len(failures)-1].Warnings)
		})
	})
	return failures, err
}

// Parts implements importer.Sink.
func (s *Sink) Parts(ctx context.Context, source string, keys []string) ([]importer.Part, error) {
	var parts []importer.Part
	err := s.view(ctx, func(r reading) error {
		const query = `SELECT key, file, body FROM import_part WHERE source = ? AND key IN `
		return r.eachOf(query, []any{source}, keys, func(rows *sql.Rows) error {
			part := importer.Part{Source: source}
			err := rows.Scan(&part.Key, &part.File, &part.Body)
			parts = append(parts, part)
			return err
		})
	})
	return parts, err
}

// FileKeys implements importer.Sink.
func (s *Sink) FileKeys(ctx context.Context, source, file string) ([]string, error) {
	var keys []string
	err := s.view(ctx, func(r reading) error {
		return r.each(`SELECT key FROM import_part WHERE source = ? AND file = ?`, []any{source, file}, func(rows *sql.Rows) error {
			var key string
			err := rows.Scan(&key)
			keys = append(keys, key)
			return err
		})
	})
	return keys, err
}

// Prepare implements importer.Preparer: it signs what is new, which takes longer than anything else of a save.
func (s *Sink) Prepare(ctx context.Context, saved *importer.Saved) error {
	w := &work{saved: *saved, owned: map[string][]name{}, heads: map[name]document.Digest{}} // it writes nothing
	slices.Sort(w.saved.Keys)
	if err := s.view(ctx, w.lookHeads); err != nil {
		return err
	}
	w.sign(s.cfg)
	return nil
}

// Save implements importer.Sink.
func (s *Sink) Save(ctx context.Context, saved importer.Saved) (int, error) {
	wait, err := s.Begin(ctx, saved)
	if err != nil {
		return 0, err
	}
	return wait()
}

// Begin implements importer.Starter. At first it trusts that documents which its keys do not own yet are new: nearly
// always they are, and the database refuses them where they are not.
func (s *Sink) Begin(ctx context.Context, saved importer.Saved) (wait func() (int, error), err error) {
	w, batches, err := s.batches(ctx, saved, false)
	if err != nil {
		return nil, err
	}
	outcome := make(chan error, 1)
	go func() { outcome <- s.write(ctx, saved, batches) }()
	return func() (int, error) {
		err := <-outcome
		if !errors.Is(err, store.ErrConflict) {
			w.sayAbove(s.cfg.Log)
			return w.changed, err
		}
		return s.saveCarefully(ctx, saved)
	}, nil
}

// saveCarefully looks for documents that the keys do not own, too: the first try met one.
func (s *Sink) saveCarefully(ctx context.Context, saved importer.Saved) (int, error) {
	for try := 1; ; try++ {
		w, batches, err := s.batches(ctx, saved, true)
		if err == nil {
			err = s.write(ctx, saved, batches)
		}
		if err == nil {
			w.sayAbove(s.cfg.Log)
			return w.changed, nil
		}
		if try == 2 || !errors.Is(err, store.ErrConflict) {
			return 0, err
		}
	}
}

// batches makes what a save writes.
func (s *Sink) batches(ctx context.Context, saved importer.Saved, careful bool) (*work, []store.Batch, error) {
	w, err := s.look(ctx, saved, careful)
	if err != nil {
		return nil, nil, err
	}
	w.sign(s.cfg)
	builder := store.NewBuilder(store.Batch{
		Reason: "import " + saved.Source + " " + filesOf(saved), Topics: []string{store.TopicDocuments}, At: saved.At,
	})
	if err := builder.Add(w.interrupt()...); err != nil {
		return nil, nil, err
	}
	for _, key := range w.keys() {
		if err := w.add(builder, key); err != nil {
			return nil, nil, err
		}
	}
	failed, err := w.failed()
	if err != nil {
		return nil, nil, err
	}
	for _, last := range append(failed, w.fingerprints()...) {
		if err := builder.Add(last); err != nil {
			return nil, nil, err
		}
	}
	return w, builder.Batches(), nil
}

// write writes batches, each durable before the next.
func (s *Sink) write(ctx context.Context, saved importer.Saved, batches []store.Batch) error {
	for _, batch := range batches {
		// A batch counts whole: no fingerprint stands where one of its keys met a conflict.
		for i := range batch.Statements {
			batch.Statements[i].Group = 0
		}
		applied, err := s.cfg.Writer.Write(ctx, batch)
		if err == nil {
			err = applied.Err()
		}
		if err != nil {
			return fmt.Errorf("save vendor file %s: %w", filesOf(saved), err)
		}
	}
	return nil
}

// filesOf names what a save is about.
func filesOf(saved importer.Saved) string {
	switch n := len(saved.Files); n {
	case 0:
		return "-"
	case 1:
		return saved.Files[0].Name
	default:
		return fmt.Sprintf("%s and %d more", saved.Files[0].Name, n-1)
	}
}

// place is where a part is, or a failure.
type place struct{ key, file string }

// work is one save's change against what is held.
type work struct {
	saved   importer.Saved
	held    held
	parts   map[string][]importer.Part // key -> what these files say of it now; no body: nothing any more
	owned   map[string][]name          // key -> its documents as they are
	heads   map[name]document.Digest   // of every document concerned
	byKey   map[string][]*importer.Keyed
	claimed map[name]string // document -> the one key that makes it now
	shared  map[name]bool   // documents to be removed that a key beyond this file made too
	above   map[name]bool   // made by another site: left alone
	careful bool            // heads holds documents too that the keys do not own
	changed int
	left    int // documents that were left alone
}

// held is what is held of the files of a save.
type held struct {
	parts        map[place][]byte  // of the parts that the save names
	fingerprints map[string]string // by file
	failures     map[place][]byte  // those that the save may replace
}

// name is kind and id.
type name struct {
	kind document.Kind
	id   string
}

func newWork(saved importer.Saved, careful bool) *work {
	w := &work{
		careful: careful,
		saved:   saved, parts: map[string][]importer.Part{}, owned: map[string][]name{},
		heads: map[name]document.Digest{}, byKey: map[string][]*importer.Keyed{}, claimed: map[name]string{}, shared: map[name]bool{},
		above: map[name]bool{},
	}
	slices.Sort(w.saved.Keys)
	for i := range saved.Documents {
		keyed := &saved.Documents[i]
		n := name{keyed.Kind, keyed.ID}
		if by, taken := w.claimed[n]; !taken || keyed.Key < by {
			w.claimed[n] = keyed.Key
		}
		w.byKey[keyed.Key] = append(w.byKey[keyed.Key], keyed)
	}
	for _, part := range saved.Parts {
		if part.Body == nil {
			part.Body = []byte{}
		}
		w.parts[part.Key] = append(w.parts[part.Key], part)
	}
	for _, part := range saved.Gone {
		part.Body = nil
		w.parts[part.Key] = append(w.parts[part.Key], part)
	}
	return w
}

// look reads what is held of everything that the save concerns.
func (s *Sink) look(ctx context.Context, saved importer.Saved, careful bool) (*work, error) {
	w := newWork(saved, careful)
	return w, s.view(ctx, func(r reading) error {
		if err := w.lookHeld(r); err != nil {
			return err
		}
		if err := w.lookHeads(r); err != nil {
			return err
		}
		if err := w.lookAbove(r, s.cfg.Site); err != nil {
			return err
		}
		return w.lookShared(r)
	})
}

// lookHeads reads which documents the keys own, and which of their revisions are current.
func (w *work) lookHeads(r reading) error {
	wanted := map[document.Kind][]string{}
	const ofKeys = `SELECT key, kind, id FROM import_document WHERE source = ? AND key IN `
	err := r.eachOf(ofKeys, []any{w.saved.Source}, w.saved.Keys, func(rows *sql.Rows) error {
		var key string
		var n name
		err := rows.Scan(&key, &n.kind, &n.id)
		w.owned[key] = append(w.owned[key], n)
		wanted[n.kind] = append(wanted[n.kind], n.id)
		return err
	})
	if err != nil {
		return err
	}
	for n := range w.claimed {
		if w.careful {
			wanted[n.kind] = append(wanted[n.kind], n.id)
		}
	}
	for kind, ids := range wanted {
		slices.Sort(ids)
		const heads = `SELECT id, digest FROM document WHERE kind = ? AND id IN `
		err := r.eachOf(heads, []any{string(kind)}, slices.Compact(ids), func(rows *sql.Rows) error {
			var id string
			var digest sql.RawBytes
			err := rows.Scan(&id, &digest)
			if err == nil {
				w.heads[name{kind, id}] = document.Digest(digest)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lookShared finds which of the documents that are to go another key made as well. Few files take something away, so
// there is no index for it.
func (w *work) lookShared(r reading) error {
	leaving := map[name]bool{}
	for _, names := range w.owned {
		for _, n := range names {
			if _, stays := w.claimed[n]; !stays {
				leaving[n] = true
			}
		}
	}
	if len(leaving) == 0 {
		return nil
	}
	touched := make(map[string]bool, len(w.saved.Keys))
	for _, key := range w.saved.Keys {
		touched[key] = true
	}
	return r.each(`SELECT source, key, kind, id FROM import_document`, nil, func(rows *sql.Rows) error {
		var source, key string
		var n name
		err := rows.Scan(&source, &key, &n.kind, &n.id)
		if leaving[n] && (source != w.saved.Source || !touched[key]) {
			w.shared[n] = true
		}
		return err
	})
}

// sign signs, and counts, the documents that really change and were not signed yet, on all processors.
func (w *work) sign(cfg Config) {
	var unsigned []*document.Document
	for i := range w.saved.Documents {
		doc := &w.saved.Documents[i].Document
		if w.heads[name{doc.Kind, doc.ID}] != doc.Digest && len(doc.Signature) == 0 {
			unsigned = append(unsigned, doc)
		}
	}
	var group sync.WaitGroup
	for some := range slices.Chunk(unsigned, max(1, (len(unsigned)+3)/4)) {
		group.Go(func() {
			cfg.Sign(some)
			for _, doc := range some {
				cfg.Learn(doc)
			}
		})
	}
	group.Wait()
}

// keys are those whose documents may change, and those whose parts do, sorted.
func (w *work) keys() []string {
	keys := slices.Clone(w.saved.Keys)
	for key := range w.parts {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// add adds what changes of one key: its part and its documents together, so that none is ever without the other. Only
// a key too large for one batch is torn apart, its documents first.
func (w *work) add(builder *store.Builder, key string) error {
	part := w.partStatements(key)
	var documents [][]store.Statement
	if _, touched := slices.BinarySearch(w.saved.Keys, key); touched {
		documents = append(w.putStatements(key), w.removeStatements(key)...)
	}
	err := builder.Add(slices.Concat(slices.Concat(documents...), part)...)
	if !errors.Is(err, store.ErrTooLarge) {
		return err
	}
	for _, one := range append(documents, part) {
		if err := builder.Add(one...); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// putStatements are those of each document of a key that is new or another than before, and of what it then owns.
func (w *work) putStatements(key string) [][]store.Statement {
	var all [][]store.Statement
	var owns []any
	var numbers []any
	for _, keyed := range w.byKey[key] {
		n := name{keyed.Kind, keyed.ID}
		if w.claimed[n] != key {
			continue
		}
		now, held := w.heads[n]
		switch {
		case w.above[n]:
			w.left++
		case !held || now != keyed.Digest:
			w.changed++
			all = append(all, store.Put(keyed.Document, "", store.Former{Absent: !held, Digest: now}))
		}
		if !held && n.kind == document.Update {
			numbers = append(numbers, n.id)
		}
		if !slices.Contains(w.owned[key], n) {
			owns = append(owns, w.saved.Source, key, string(n.kind), n.id)
		}
	}
	if len(numbers) > 0 {
		all = append(all, []store.Statement{Number(numbers)})
	}
	if len(owns) > 0 {
		all = append(all, []store.Statement{{
			SQL: `INSERT INTO import_document (source, key, kind, id) VALUES ` + rows(len(owns)/4, 4) + ` ON CONFLICT DO NOTHING`, Args: owns,
		}})
	}
	return all
}

// removeStatements are those of each document of a key that nothing makes any more.
func (w *work) removeStatements(key string) [][]store.Statement {
	var all [][]store.Statement
	for _, n := range w.owned[key] {
		by, stays := w.claimed[n]
		if stays && by == key {
			continue
		}
		statements := []store.Statement{{
			SQL:  `DELETE FROM import_document WHERE source = ? AND key = ? AND kind = ? AND id = ?`,
			Args: []any{w.saved.Source, key, string(n.kind), n.id},
		}}
		if now, held := w.heads[n]; held && !stays && !w.shared[n] && !w.above[n] {
			w.changed++
			statements = append(statements, store.Remove(n.kind, n.id, store.Former{Digest: now})...)
		}
		all = append(all, statements)
	}
	return all
}

// Number gives updates, by id, their numbers; those that have one keep it.
func Number(ids []any) store.Statement {
	return store.Statement{
		SQL: `INSERT INTO software_update (id) VALUES ` + rows(len(ids), 1) + ` ON CONFLICT (id) DO NOTHING`, Args: ids,
	}
}

// rows makes the VALUES of a number of rows.
func rows(count, columns int) string {
	row := "(?" + strings.Repeat(", ?", columns-1) + ")"
	return row + strings.Repeat(", "+row, count-1)
}
