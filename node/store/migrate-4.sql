-- From version 3 of the schema to version 4: several nodes, one site.
-- Statements end with a semicolon at the end of a line.

-- Files that versions before 3 made list the kinds of this index, which costs every entry of the journal a temporary table.
DROP INDEX IF EXISTS journal_settings;
CREATE INDEX journal_settings ON journal (idx, pos) WHERE kind = 'assignment' OR kind = 'severity' OR kind = 'window';
