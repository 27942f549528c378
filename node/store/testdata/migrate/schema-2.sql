-- Version 2 of the schema of the migration test.
CREATE TABLE applied (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  idx        INTEGER NOT NULL,
  schema     INTEGER NOT NULL
);
CREATE TABLE cow (
  name       TEXT PRIMARY KEY,
  owner      TEXT NOT NULL CHECK (owner <> ''),
  born       TEXT NOT NULL DEFAULT ''
);
CREATE INDEX cow_owner ON cow (owner, born);
CREATE TABLE owner (
  name       TEXT PRIMARY KEY,
  cows       INTEGER NOT NULL
) WITHOUT ROWID;
