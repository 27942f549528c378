package store

import (
	"context"
	_ "embed" // the texts of migrations
	"fmt"
	"maps"
	"strings"
	"time"

	"thatch/node/store/sqlite"
)

// Schema is the text that makes an empty file, and the steps by which files of earlier versions come to equal it.
// Its first table is "applied", as in schema.sql.
type Schema struct {
	Text    string
	Version int
	Steps   map[int][]string // by the version they start from: statements that lead to the next
}

var siteSchema = Schema{Text: schemaText, Version: SchemaVersion, Steps: siteSteps}

// SiteSchema is that of a site's database, as a copy.
func SiteSchema() Schema {
	s := siteSchema
	s.Steps = maps.Clone(s.Steps)
	return s
}

//go:embed migrate-2.sql
var toVersion2 string

//go:embed migrate-3.sql
var toVersion3 string

//go:embed migrate-4.sql
var toVersion4 string

// siteSteps are the migrations of the site's database. Statements obey Batch.Check.
var siteSteps = map[int][]string{1: scriptOf(toVersion2), 2: scriptOf(toVersion3), 3: scriptOf(toVersion4)}

// scriptOf splits a text into its statements, each of which ends with a semicolon at the end of a line.
func scriptOf(text string) []string {
	var statements []string
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" || strings.HasPrefix(line, "--") {
			continue
		}
		body, ends := strings.CutSuffix(line, ";")
		lines = append(lines, body)
		if ends {
			statements = append(statements, strings.Join(lines, "\n"))
			lines = nil
		}
	}
	return statements
}

// create makes the tables of an empty file in one transaction.
func (s Schema) create(c *sqlite.Conn) error {
	if err := c.Script("BEGIN IMMEDIATE;" + s.Text); err != nil {
		c.Exec("ROLLBACK")
		return err
	}
	if _, err := c.Exec("INSERT INTO applied (one, idx, schema) VALUES (1, 0, ?)", int64(s.Version)); err != nil {
		c.Exec("ROLLBACK")
		return err
	}
	_, err := c.Exec("COMMIT")
	return err
}

// Migrations returns the batches that take a file from one version to another, one for each step, made at the time
// given. Each step is one group that wants the version before it: written twice, the second is a conflict and changes
// nothing.
func (s Schema) Migrations(from, to int, at time.Time) ([]Batch, error) {
	if to > s.Version {
		return nil, fmt.Errorf("migration to version %d of the schema: this program knows %d", to, s.Version)
	}
	var batches []Batch
	for version := from; version < to; version++ {
		step, ok := s.Steps[version]
		if !ok {
			return nil, fmt.Errorf("no migration leads from version %d of the schema to the next: "+
				"first run a version of the program that has it", version)
		}
		b := Batch{Actor: "system", Reason: fmt.Sprintf("migrate the schema to version %d", version+1), At: at}
		b.Statements = append(b.Statements, Statement{
			SQL: "UPDATE applied SET schema = ? WHERE schema = ?", Args: []any{version + 1, version}, Want: 1,
		})
		for _, text := range step {
			b.Statements = append(b.Statements, Statement{SQL: text})
		}
		batches = append(batches, b)
	}
	return batches, nil
}

// Migrations are those of the database's own schema, see Schema.Migrations.
func (db *DB) Migrations(from, to int, at time.Time) ([]Batch, error) {
	return db.schema.Migrations(from, to, at)
}

// Migrate writes the migrations that the file lacks up to a version that every node of the site knows. Whoever leads
// calls it. That another did so meanwhile is no error.
func (db *DB) Migrate(ctx context.Context, w Writer, to int, at time.Time) error {
	batches, err := db.Migrations(db.Schema(), to, at)
	if err != nil {
		return err
	}
	for _, b := range batches {
		applied, err := w.Write(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", b.Reason, err)
		}
		if err := applied.Err(); err != nil && !missedFirst(applied) {
			return fmt.Errorf("%s: %w", b.Reason, err)
		}
	}
	return nil
}

// missedFirst says that a migration found another version than the one it starts from.
func missedFirst(a Applied) bool {
	return len(a.Conflicts) == 1 && a.Conflicts[0].Statement == 0 && a.Conflicts[0].Problem == ""
}
