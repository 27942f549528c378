-- A file of version 1 of the schema of the migration test, as its program left it at index 41.
PRAGMA foreign_keys = OFF;
BEGIN TRANSACTION;
CREATE TABLE applied (one INTEGER PRIMARY KEY CHECK (one = 1), idx INTEGER NOT NULL, schema INTEGER NOT NULL);
INSERT INTO applied VALUES (1, 41, 1);
CREATE TABLE cow (name TEXT PRIMARY KEY, owner TEXT NOT NULL CHECK (owner <> ''), note TEXT);
INSERT INTO cow VALUES ('Berta', 'Anna', 'born 2019');
INSERT INTO cow VALUES ('Elsa', 'Otto', NULL);
INSERT INTO cow VALUES ('Flora', 'Anna', 'born 2021');
CREATE TABLE stable (name TEXT PRIMARY KEY);
INSERT INTO stable VALUES ('north');
COMMIT;
