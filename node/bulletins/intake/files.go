package intake

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"thatch/catalog/importer"
	"thatch/node/store"
)

// lookHeld reads what is held of the files: the parts that the save names, fingerprints, failures.
func (w *work) lookHeld(r reading) error {
	w.held = held{parts: map[place][]byte{}, fingerprints: map[string]string{}, failures: map[place][]byte{}}
	keys := map[string][]string{} // by file
	for key, parts := range w.parts {
		for _, part := range parts {
			keys[part.File] = append(keys[part.File], key)
		}
	}
	for file, of := range keys {
		if err := w.lookParts(r, file, of); err != nil {
			return err
		}
	}
	const files = `SELECT name, fingerprint FROM import_file WHERE source = ? AND name IN `
	err := r.eachOf(files, []any{w.saved.Source}, w.files(), func(rows *sql.Rows) error {
		var name, fingerprint string
		err := rows.Scan(&name, &fingerprint)
		w.held.fingerprints[name] = fingerprint
		return err
	})
	if err != nil {
		return err
	}
	return w.lookFailures(r)
}

// lookParts reads the parts of a file that are held of some keys. Most files are new, and have none: that is asked first
// where keys are many.
func (w *work) lookParts(r reading, file string, keys []string) error {
	if len(keys) > 8 {
		var some bool
		const query = `SELECT EXISTS (SELECT 1 FROM import_part WHERE source = ? AND file = ?)`
		if err := r.tx.QueryRowContext(r.ctx, query, w.saved.Source, file).Scan(&some); err != nil || !some {
			return err
		}
	}
	slices.Sort(keys)
	const query = `SELECT key, body FROM import_part WHERE source = ? AND file = ? AND key IN `
	return r.eachOf(query, []any{w.saved.Source, file}, keys, func(rows *sql.Rows) error {
		var key string
		var body []byte
		err := rows.Scan(&key, &body)
		w.held.parts[place{key, file}] = body
		return err
	})
}

func (w *work) files() []string {
	var names []string
	for _, file := range w.saved.Files {
		names = append(names, file.Name)
	}
	return names
}

// lookFailures reads which failures the save replaces: mostly there are none at all.
func (w *work) lookFailures(r reading) error {
	var some bool
	const query = `SELECT EXISTS (SELECT 1 FROM import_failure WHERE source = ?)`
	if err := r.tx.QueryRowContext(r.ctx, query, w.saved.Source).Scan(&some); err != nil || !some {
		return err
	}
	take := func(rows *sql.Rows) error {
		var at place
		var warnings []byte
		err := rows.Scan(&at.key, &at.file, &warnings)
		w.held.failures[at] = warnings
		return err
	}
	var ended []string
	for _, file := range w.saved.Files {
		if file.Fingerprint != "" {
			ended = append(ended, file.Name)
		}
	}
	const failures = `SELECT key, file, warnings FROM import_failure WHERE source = ? AND `
	if err := r.eachOf(failures+`key = '' AND file IN `, []any{w.saved.Source}, ended, take); err != nil {
		return err
	}
	keys := w.keys()
	for _, f := range w.saved.Failures {
		if f.Key != "" {
			keys = append(keys, f.Key)
		}
	}
	slices.Sort(keys)
	return r.eachOf(failures+`key IN `, []any{w.saved.Source}, slices.Compact(keys), take)
}

// partStatements are those of what the files now say of a key, where that is another thing than before.
func (w *work) partStatements(key string) []store.Statement {
	var all []store.Statement
	for _, part := range w.parts[key] {
		before, had := w.held.parts[place{key, part.File}]
		switch {
		case part.Body == nil && had:
			all = append(all, store.Statement{
				SQL:  `DELETE FROM import_part WHERE source = ? AND key = ? AND file = ?`,
				Args: []any{w.saved.Source, key, part.File},
			})
		case part.Body == nil || had && bytes.Equal(before, part.Body):
		default:
			all = append(all, store.Statement{
				SQL: `INSERT INTO import_part (source, key, file, body) VALUES (?, ?, ?, ?)
ON CONFLICT (source, key, file) DO UPDATE SET body = excluded.body`,
				Args: []any{w.saved.Source, key, part.File, part.Body},
			})
		}
	}
	return all
}

// interrupt says of files that were imported before that they are not, until their fingerprints are written again: cut
// in between, they are a mixture of what they were and what they are.
func (w *work) interrupt() []store.Statement {
	var all []store.Statement
	for _, file := range w.saved.Files {
		was, known := w.held.fingerprints[file.Name]
		if !known || was == file.Fingerprint || !importer.Whole(was) {
			continue
		}
		all = append(all, store.Statement{
			SQL:  `UPDATE import_file SET fingerprint = ? WHERE source = ? AND name = ?`,
			Args: []any{importer.Interrupted(was), w.saved.Source, file.Name},
		})
	}
	return all
}

// Anew are the statements after which every vendor file is read again. An import left alone what came from above, and
// counted the file as imported all the same; without a parent it is to say again what it said.
func Anew() []store.Statement {
	return []store.Statement{{SQL: `UPDATE import_file SET fingerprint = substr(fingerprint, 1, instr(fingerprint, '|')) WHERE fingerprint LIKE '%|_%'`}}
}

// fingerprints are the statements that bring files to their end.
func (w *work) fingerprints() []store.Statement {
	var all []store.Statement
	for _, file := range w.saved.Files {
		if file.Fingerprint == "" {
			continue
		}
		all = append(all, store.Statement{
			SQL: `INSERT INTO import_file (source, name, fingerprint, imported) VALUES (?, ?, ?, ?)
ON CONFLICT (source, name) DO UPDATE SET fingerprint = excluded.fingerprint, imported = excluded.imported`,
			Args: []any{w.saved.Source, file.Name, file.Fingerprint, w.saved.At.UTC().Format(time.RFC3339)},
		})
	}
	return all
}

// failed are the statements that replace failures.
func (w *work) failed() ([]store.Statement, error) {
	now := map[place][]byte{}
	var all []store.Statement
	for _, f := range w.saved.Failures {
		warnings, err := json.Marshal(f.Warnings)
		if err != nil {
			return nil, fmt.Errorf("what failed in %s: %w", f.File, err)
		}
		at := place{f.Key, f.File}
		now[at] = warnings
		if !bytes.Equal(w.held.failures[at], warnings) {
			all = append(all, store.Statement{
				SQL: `INSERT INTO import_failure (source, key, file, warnings) VALUES (?, ?, ?, ?)
ON CONFLICT (source, key, file) DO UPDATE SET warnings = excluded.warnings`,
				Args: []any{w.saved.Source, f.Key, f.File, string(warnings)},
			})
		}
	}
	var gone []place
	for at := range w.held.failures {
		if _, stays := now[at]; !stays {
			gone = append(gone, at)
		}
	}
	slices.SortFunc(gone, func(a, b place) int { return strings.Compare(a.key+"\x00"+a.file, b.key+"\x00"+b.file) })
	for _, at := range gone {
		all = append(all, store.Statement{
			SQL:  `DELETE FROM import_failure WHERE source = ? AND key = ? AND file = ?`,
			Args: []any{w.saved.Source, at.key, at.file},
		})
	}
	return all, nil
}
