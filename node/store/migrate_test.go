package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"thatch/node/store"
	"thatch/node/store/storetest"
)

// The schema of this test has two versions. Its file of version 1 is made from a dump, as an old program left it; the
// migration has to end in the same tables as the text of version 2.
func twoVersions(t *testing.T) store.Schema {
	t.Helper()
	text, err := os.ReadFile("testdata/migrate/schema-2.sql")
	if err != nil {
		t.Fatal(err)
	}
	return store.Schema{Text: string(text), Version: 2, Steps: map[int][]string{1: {
		`CREATE TABLE owner (name TEXT PRIMARY KEY, cows INTEGER NOT NULL) WITHOUT ROWID`,
		`INSERT INTO owner (name, cows) SELECT owner, count(*) FROM cow GROUP BY owner ORDER BY owner`,
		`ALTER TABLE cow ADD COLUMN born TEXT NOT NULL DEFAULT ''`,
		`UPDATE cow SET born = substr(note, 6) WHERE note LIKE 'born %'`,
		`ALTER TABLE cow DROP COLUMN note`,
		`CREATE INDEX cow_owner ON cow (owner, born)`,
		`DROP TABLE stable`,
	}}}
}

func versionOne(t *testing.T) string {
	t.Helper()
	dump, err := os.ReadFile("testdata/migrate/dump-1.sql")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "old.db")
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Exec(string(dump)); err != nil {
		t.Fatal(err)
	}
	return path
}

func openSchema(t *testing.T, path string, schema store.Schema) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Path: path, Schema: &schema})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestMigrationsEndInTheSchema(t *testing.T) {
	schema := twoVersions(t)
	old := openSchema(t, versionOne(t), schema)
	if old.Schema() != 1 || old.Applied() != 41 {
		t.Fatalf("version %d at %d", old.Schema(), old.Applied())
	}
	if got := value(t, old, `SELECT count(*) FROM stable`); got != "1" {
		t.Errorf("before its migration an old file is served as it is, got %s", got)
	}
	if err := old.Migrate(t.Context(), old, 2, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	if old.Schema() != 2 || old.Applied() != 42 {
		t.Errorf("migrated to version %d at %d", old.Schema(), old.Applied())
	}
	fresh := openSchema(t, filepath.Join(t.TempDir(), "fresh.db"), schema)
	if got, want := shape(t, old), shape(t, fresh); got != want {
		t.Errorf("migrated\n%s\nwant\n%s", got, want)
	}
	got := value(t, old, `SELECT group_concat(name || ' ' || born || ' ' || cows, ', ') FROM (SELECT c.name, c.born, o.cows FROM cow c JOIN owner o ON o.name = c.owner ORDER BY c.name)`)
	if want := "Berta 2019 2, Elsa  1, Flora 2021 2"; got != want {
		t.Errorf("rows: %s, want %s", got, want)
	}
	// Proposed twice, by two nodes at once: the second changes nothing.
	batches, err := schema.Migrations(1, 2, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	again := write(t, old, batches[0])
	if !errors.Is(again.Err(), store.ErrConflict) || len(again.Conflicts) != 1 {
		t.Errorf("migrated twice: %+v", again)
	}
	if err := old.Migrate(t.Context(), old, 2, time.Unix(0, 0)); err != nil || old.Applied() != 43 {
		t.Errorf("nothing to do: %v, at %d", err, old.Applied())
	}
}

// TestSitesOfFormerVersions migrates the files of sites as former versions of the program left them.
func TestSitesOfFormerVersions(t *testing.T) {
	failures := `SELECT group_concat(package || hex(digest) || reason || detail || at) FROM staging_failure`
	for files, rows := range map[string]map[string]string{
		"site-1.sql": {
			`SELECT group_concat(coalesce(former_languages, '-') || '|' || (digest IS NULL), ' ') FROM (SELECT * FROM journal ORDER BY idx, pos)`: "-|0 de|0 |0 en|1 -|0",
		},
		"site-2.sql": {
			`SELECT id || name || scope || part || operator FROM api_token`: "t1grafanaviewer",
			`SELECT id || enabled || version || maker FROM policy`:          "s1/p13",
		},
		"site-3.sql": {
			`SELECT id || name || scope || version FROM operator`: "o1annaadministrator4",
			`SELECT hex(sha256) || node || size FROM holding`:     "01n15",
		},
		"site-2.sql first-2.sql": {failures: "u1/p0Aunsignedby nobody2026-01-02T00:00:00Z"},
	} {
		var dump []byte
		for file := range strings.FieldsSeq(files) {
			text, err := os.ReadFile("testdata/migrate/" + file)
			if err != nil {
				t.Fatal(err)
			}
			dump = append(dump, text...)
		}
		path := filepath.Join(t.TempDir(), "old.db")
		raw, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = raw.Exec(string(dump)); err != nil {
			t.Fatal(err)
		}
		if err := raw.Close(); err != nil {
			t.Fatal(err)
		}
		old, err := store.Open(t.Context(), store.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { old.Close() })
		if err := old.Migrate(t.Context(), old, store.SchemaVersion, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
		if got, want := shape(t, old), shape(t, storetest.Open(t)); got != want {
			t.Errorf("%s: the migrated file and schema.sql differ: whoever changes schema.sql changes migrate-%d.sql\nmigrated\n%s\nwant\n%s", files, store.SchemaVersion, got, want)
		}
		for query, want := range rows {
			if got := value(t, old, query); got != want {
				t.Errorf("%s: %s: %s, want %s", files, query, got, want)
			}
		}
	}
}

// race is a Writer before which somebody else writes the same.
type race struct{ *store.DB }

func (r race) Write(ctx context.Context, b store.Batch) (store.Applied, error) {
	if applied, err := r.DB.Write(ctx, b); err != nil || applied.Err() != nil {
		return applied, err
	}
	return r.DB.Write(ctx, b)
}

func TestTwoNodesMayMigrateAtOnce(t *testing.T) {
	db := openSchema(t, versionOne(t), twoVersions(t))
	if err := db.Migrate(t.Context(), race{db}, 2, time.Unix(0, 0)); err != nil {
		t.Error(err)
	}
	if db.Schema() != 2 || value(t, db, `SELECT count(*) FROM owner`) != "2" {
		t.Errorf("version %d", db.Schema())
	}
}

func TestMigrationsThatCannotBe(t *testing.T) {
	schema := twoVersions(t)
	old := openSchema(t, versionOne(t), schema)
	if err := old.Migrate(t.Context(), old, 3, time.Unix(0, 0)); err == nil || !strings.Contains(err.Error(), "knows 2") {
		t.Errorf("to a version nobody knows: %v", err)
	}
	gap := schema
	gap.Steps = nil
	lost := openSchema(t, versionOne(t), gap)
	if err := lost.Migrate(t.Context(), lost, 2, time.Unix(0, 0)); err == nil || !strings.Contains(err.Error(), "no migration leads from version 1") {
		t.Errorf("without a step: %v", err)
	}
	broken := schema
	broken.Steps = map[int][]string{1: {`CREATE TABLE owner (name TEXT PRIMARY KEY)`, `DROP TABLE nowhere`}}
	db := openSchema(t, versionOne(t), broken)
	before := shape(t, db)
	if err := db.Migrate(t.Context(), db, 2, time.Unix(0, 0)); !errors.Is(err, store.ErrStatement) {
		t.Errorf("a broken step: %v", err)
	}
	if db.Schema() != 1 || shape(t, db) != before {
		t.Errorf("a broken step left version %d\n%s", db.Schema(), shape(t, db))
	}
	one := schema
	one.Version = 1
	write(t, old, mustMigrations(t, schema)[0])
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), store.Config{Path: old.Path(), Schema: &one}); err == nil || !strings.Contains(err.Error(), "version 2, this program knows 1") {
		t.Errorf("an old program opens a new file: %v", err)
	}
}

func mustMigrations(t *testing.T, schema store.Schema) []store.Batch {
	t.Helper()
	batches, err := schema.Migrations(1, 2, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return batches
}

// TestSiteSchema holds schema.sql against what the rest of the design needs of it.
func TestSiteSchema(t *testing.T) {
	db := storetest.Open(t)
	text := shape(t, db)
	for _, word := range []string{"TRIGGER", "DEFERRED", "AUTOINCREMENT", "CURRENT_"} {
		if strings.Contains(strings.ToUpper(text), word) {
			t.Errorf("schema.sql has %s: rows must be the same on every node, and nothing may fail at commit", word)
		}
	}
	if got := value(t, db, `SELECT count(*) FROM pragma_foreign_key_check`); got != "0" {
		t.Errorf("%s foreign keys are broken", got)
	}
	if got := value(t, db, `SELECT group_concat(name) FROM sqlite_schema s WHERE type = 'table' AND NOT EXISTS (SELECT 1 FROM pragma_table_info(s.name) WHERE pk > 0)`); got != "" {
		t.Errorf("tables without a primary key: %s", got)
	}
	for version := 1; version < store.SchemaVersion; version++ {
		if _, err := db.Migrations(version, store.SchemaVersion, time.Time{}); err != nil {
			t.Error(err)
		}
	}
}

// shape describes the tables of a database: columns with types, defaults and keys, indexes, foreign keys, and the
// conditions that rows have to meet, whatever way the tables were made.
func shape(t *testing.T, db *store.DB) string {
	t.Helper()
	var lines []string
	view(t, db, func(tx *sql.Tx) error {
		for _, query := range []string{
			`SELECT 'table', l.name, l.wr, l.strict FROM pragma_table_list l WHERE l.schema = 'main' AND l.name NOT LIKE 'sqlite_%' ORDER BY 2`,
			`SELECT 'column', m.name, c.cid, c.name, c.type, c."notnull", c.dflt_value, c.pk FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 2, 3`,
			`SELECT 'index', m.name, i.name, i."unique", i.origin, i.partial, c.seqno, c.name, c.desc, c.coll FROM sqlite_schema m, pragma_index_list(m.name) i, pragma_index_xinfo(i.name) c WHERE m.type = 'table' ORDER BY 2, 3, 7`,
			`SELECT 'key', m.name, f.* FROM sqlite_schema m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table' ORDER BY 2, 3, 4`,
			`SELECT type, name, sql FROM sqlite_schema WHERE type IN ('view', 'trigger') ORDER BY 2`,
			`SELECT 'text', name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY 2`,
		} {
			more, err := describe(t.Context(), tx, query)
			if err != nil {
				return err
			}
			lines = append(lines, more...)
		}
		return nil
	})
	return strings.Join(lines, "\n")
}

var check = regexp.MustCompile(`(?i)CHECK\s*\([^)]*\)|COLLATE \w+|GENERATED.*`)

func describe(ctx context.Context, tx *sql.Tx, query string) ([]string, error) {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var lines []string
	for rows.Next() {
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		words := make([]string, len(values))
		for i, v := range values {
			words[i] = v.String
		}
		if words[0] == "text" { // of the text, what no pragma tells
			words = append(words[:2], check.FindAllString(values[2].String, -1)...)
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return lines, rows.Err()
}
