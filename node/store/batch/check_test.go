package batch_test

import (
	"strings"
	"testing"

	"thatch/node/store/batch"
)

func TestSQLThatNodesCouldDisagreeAboutIsRefused(t *testing.T) {
	for _, c := range []struct {
		sql  string
		says string // of the refusal; empty: allowed
	}{
		{`INSERT INTO setting (name, value, version) VALUES ('random()', 'now', 1)`, ""},
		{`insert into setting values ('a', '', 1);`, ""},
		{"-- a comment; with a semicolon\nDELETE FROM setting /* random() */", ""},
		{`UPDATE "random" SET "changes" = 1`, ""},
		{`UPDATE setting SET version = version + 1 WHERE name = replace('ab', 'b', 'c')`, ""},
		{`WITH x AS (SELECT 1) UPDATE setting SET version = (SELECT * FROM x)`, ""},
		{`INSERT INTO setting SELECT name, value, 1 FROM other ORDER BY name`, ""},
		{`INSERT INTO setting (name, value, version) VALUES ('a', (SELECT value FROM setting LIMIT 1), 1)`, ""},
		{`UPDATE setting SET value = strftime('%Y', '2020-01-01')`, ""},
		{`CREATE TABLE x (id INTEGER PRIMARY KEY, at TEXT) WITHOUT ROWID`, ""},
		{`CREATE VIEW x AS SELECT 1`, ""},
		{`UPDATE setting SET value = 'it''s; fine'`, ""},

		{``, "no SQL"},
		{`-- nothing`, "no SQL"},
		{`SELECT 1`, "INSERT, UPDATE, DELETE"},
		{`PRAGMA user_version = 2`, "INSERT, UPDATE, DELETE"},
		{`REPLACE INTO setting VALUES ('a', '', 1)`, "INSERT, UPDATE, DELETE"},
		{`COMMIT`, "INSERT, UPDATE, DELETE"},
		{`ATTACH 'x' AS y`, "INSERT, UPDATE, DELETE"},
		{`DELETE FROM setting; DELETE FROM site`, "more than one"},
		{`INSERT OR REPLACE INTO setting VALUES ('a', '', 1)`, "ON CONFLICT"},
		{"INSERT OR\n\tROLLBACK INTO setting VALUES ('a', '', 1)", "ON CONFLICT"},
		{`UPDATE OR FAIL setting SET version = 1`, "ON CONFLICT"},
		{`UPDATE setting SET value = random()`, "differ"},
		{`UPDATE setting SET value = hex(randomblob (16))`, "differ"},
		{`UPDATE setting SET value = current_timestamp`, "differ"},
		{`INSERT INTO x VALUES (last_insert_rowid())`, "differ"},
		{`DELETE FROM setting WHERE rowid = 4`, "differ"},
		{`UPDATE setting SET value = datetime('now')`, "clock"},
		{`UPDATE setting SET value = date()`, "clock"},
		{`UPDATE setting SET value = strftime('%Y', 'NOW')`, "clock"},
		{`INSERT INTO setting SELECT name, value, 1 FROM other`, "ORDER BY"},
		{`INSERT INTO setting SELECT name, value, (SELECT 1 ORDER BY 1) FROM other`, "ORDER BY"},
		{`CREATE TABLE x AS SELECT 1 ORDER BY 1`, "create, then insert"},
		{`UPDATE setting SET value = :name`, "not named"},
		{`UPDATE setting SET value = ?`, "0 arguments for 1"},
		{`UPDATE setting SET value = ?3`, "0 arguments for 3"},
	} {
		err := write(batch.Statement{SQL: c.sql}).Check()
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", c.sql, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want %q", c.sql, err, c.says)
		}
	}
}

func TestGroupsAndWantsAreChecked(t *testing.T) {
	in := func(groups ...int) batch.Batch {
		b := write()
		for _, g := range groups {
			s := set("a", "1")
			s.Group = g
			b.Statements = append(b.Statements, s)
		}
		return b
	}
	if err := in(0, 0, 7, 3, 3, -1).Check(); err != nil {
		t.Error(err)
	}
	if err := in(0, 1, 0).Check(); err == nil || !strings.Contains(err.Error(), "statement 2: group 0 comes again") {
		t.Errorf("torn group: %v", err)
	}
	for text, counts := range map[string]bool{
		`CREATE TABLE x (a)`: false, `ALTER TABLE x ADD COLUMN b`: false, `DROP TABLE x`: false,
		`INSERT INTO x VALUES (1)`: true, `UPDATE x SET a = 1`: true, `DELETE FROM x`: true, `WITH y AS (SELECT 1) DELETE FROM x`: true,
	} {
		if err := write(batch.Statement{SQL: text, Want: 1}).Check(); (err == nil) != counts {
			t.Errorf("rows wanted of %s: %v", text, err)
		}
	}
	if err := write(batch.Statement{SQL: `DELETE FROM x`, Want: -2}).Check(); err == nil {
		t.Error("-2 rows may be wanted")
	}
}

func TestArgumentsAreCounted(t *testing.T) {
	for sql, n := range map[string]int{
		`INSERT INTO x VALUES (?, ?, '?')`:              2,
		`INSERT INTO x VALUES (?1, ?2, ?1)`:             2,
		`UPDATE x SET a = ?1 WHERE b = ? AND c = ?`:     3,
		`DELETE FROM x WHERE a IN (?,?,?) -- and not ?`: 3,
		`DELETE FROM x WHERE "a?" = [b?]`:               0,
	} {
		for given := range 5 {
			err := write(batch.Statement{SQL: sql, Args: make([]any, given)}).Check()
			if (err == nil) != (given == n) {
				t.Errorf("%s with %d arguments: %v", sql, given, err)
			}
		}
	}
}

func TestEveryClockIsKnown(t *testing.T) {
	for _, call := range []string{"date", "time", "datetime", "julianday", "unixepoch", "STRFTIME"} {
		for _, args := range []string{"()", "('now')", "( 'Now', '+1 day')"} {
			if err := write(batch.Statement{SQL: `UPDATE x SET a = ` + call + args}).Check(); err == nil {
				t.Errorf("%s%s was allowed", call, args)
			}
		}
		if err := write(batch.Statement{SQL: `UPDATE x SET a = ` + call + `('2020-01-01')`}).Check(); err != nil {
			t.Error(err)
		}
	}
	for _, call := range []string{"random", "randomblob", "changes", "total_changes", "last_insert_rowid", "sqlite_version", "sqlite_source_id"} {
		if err := write(batch.Statement{SQL: `UPDATE x SET a = ` + call + `(1)`}).Check(); err == nil {
			t.Errorf("%s was allowed", call)
		}
	}
	for _, word := range []string{"current_timestamp", "CURRENT_TIME", "current_date", "rowid", "_rowid_"} {
		if err := write(batch.Statement{SQL: `UPDATE x SET a = ` + word}).Check(); err == nil {
			t.Errorf("%s was allowed", word)
		}
	}
}
