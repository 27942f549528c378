-- From version 1 of the schema to version 2: sites stand in a tree. What is made here equals schema.sql, and a test says so.
-- Statements end with a semicolon at the end of a line.

-- Since version 2 an entry of the journal tells a document that had no languages from one that was not there before.
CREATE TABLE journal_next (
  idx        INTEGER NOT NULL,
  pos        INTEGER NOT NULL,
  kind       TEXT NOT NULL,
  id         TEXT NOT NULL,
  digest     BLOB,
  languages  TEXT NOT NULL,
  audience   TEXT NOT NULL,
  former_languages TEXT,
  former_audience  TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (idx, pos)
) WITHOUT ROWID;

INSERT INTO journal_next (idx, pos, kind, id, digest, languages, audience, former_languages, former_audience)
SELECT idx, pos, kind, id, digest, languages, audience,
  iif(lag(digest) OVER (PARTITION BY kind, id ORDER BY idx, pos) IS NULL, NULL, former_languages), former_audience
FROM journal ORDER BY idx, pos;

DROP TABLE journal;

ALTER TABLE journal_next RENAME TO journal;

CREATE TABLE import_failure (
  source     TEXT NOT NULL,
  key        TEXT NOT NULL,
  file       TEXT NOT NULL,
  warnings   TEXT NOT NULL,
  PRIMARY KEY (source, key, file)
) WITHOUT ROWID;

CREATE TABLE parent (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  id         TEXT NOT NULL,
  name       TEXT NOT NULL,
  urls       TEXT NOT NULL,
  authority  BLOB NOT NULL,
  joined     TEXT NOT NULL,
  link       TEXT NOT NULL,
  told       TEXT NOT NULL,
  version    INTEGER NOT NULL
);

CREATE TABLE joining (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  attempt    TEXT NOT NULL,
  url        TEXT NOT NULL,
  since      TEXT NOT NULL
);

CREATE TABLE child (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,
  authority  BLOB NOT NULL,
  token      TEXT NOT NULL,
  joined     TEXT NOT NULL,
  seen       TEXT NOT NULL,
  revoked    TEXT NOT NULL DEFAULT '',
  reason     TEXT NOT NULL DEFAULT '',
  link       TEXT NOT NULL,
  version    INTEGER NOT NULL,
  idx        INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE child_token (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,
  hash       BLOB NOT NULL UNIQUE,
  expires    TEXT NOT NULL,
  created    TEXT NOT NULL,
  created_by TEXT NOT NULL,
  revoked    INTEGER NOT NULL DEFAULT 0,
  used       TEXT NOT NULL DEFAULT '',
  child      TEXT NOT NULL DEFAULT '',
  authority  TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

CREATE TABLE replication_rule (
  id         TEXT PRIMARY KEY,
  type       TEXT NOT NULL,
  name       TEXT NOT NULL,
  enabled    INTEGER NOT NULL,
  children   TEXT NOT NULL,
  documents  TEXT NOT NULL,
  mode       TEXT NOT NULL,
  schedule   TEXT NOT NULL,
  verify     INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  idx        INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE alarm (
  kind       TEXT NOT NULL,
  subject    TEXT NOT NULL,
  text       TEXT NOT NULL,
  advice     TEXT NOT NULL,
  since      TEXT NOT NULL,
  cleared    TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (kind, subject)
) WITHOUT ROWID;

CREATE TABLE link_run (
  id         TEXT PRIMARY KEY,
  neighbour  TEXT NOT NULL,
  direction  TEXT NOT NULL,
  type       TEXT NOT NULL,
  mode       TEXT NOT NULL,
  state      TEXT NOT NULL,
  started    TEXT NOT NULL,
  ended      TEXT NOT NULL,
  result     TEXT NOT NULL,
  error      TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX link_run_neighbour ON link_run (neighbour, direction, type, started);

CREATE INDEX link_run_started ON link_run (started);

CREATE TABLE cursor (
  neighbour  TEXT NOT NULL,
  direction  TEXT NOT NULL,
  type       TEXT NOT NULL,
  state      TEXT NOT NULL,
  progress   TEXT NOT NULL,
  idx        INTEGER NOT NULL,
  PRIMARY KEY (neighbour, direction, type)
) WITHOUT ROWID;

CREATE TABLE quarantine (
  neighbour  TEXT NOT NULL,
  direction  TEXT NOT NULL,
  type       TEXT NOT NULL,
  kind       TEXT NOT NULL,
  id         TEXT NOT NULL,
  digest     BLOB NOT NULL,
  origin     TEXT NOT NULL,
  languages  TEXT NOT NULL,
  reason     TEXT NOT NULL,
  detail     TEXT NOT NULL,
  since      TEXT NOT NULL,
  due        INTEGER NOT NULL,
  PRIMARY KEY (neighbour, direction, kind, id)
) WITHOUT ROWID;

CREATE TABLE learned_kind (
  kind       TEXT PRIMARY KEY,
  type       TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE journal_mark (
  idx        INTEGER NOT NULL,
  pos        INTEGER NOT NULL,
  digest     BLOB NOT NULL,
  PRIMARY KEY (idx, pos)
) WITHOUT ROWID;

CREATE INDEX journal_settings ON journal (idx, pos) WHERE kind = 'assignment' OR kind = 'severity' OR kind = 'window';

ALTER TABLE policy ADD COLUMN settings TEXT NOT NULL DEFAULT '';

-- The site's own switch of a policy from above that is not for it any more: it is in force again when the policy is.
CREATE TABLE policy_switch (
  policy     TEXT PRIMARY KEY,
  enabled    INTEGER NOT NULL,
  paused     INTEGER NOT NULL,
  gone       TEXT NOT NULL             -- when the policy went
) WITHOUT ROWID;

CREATE TABLE policy_state (
  policy     TEXT PRIMARY KEY,
  enabled    INTEGER NOT NULL,
  paused     INTEGER NOT NULL,
  local      INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE staging_failure_next (
  package    TEXT NOT NULL,
  digest     BLOB NOT NULL,
  reason     TEXT NOT NULL,
  detail     TEXT NOT NULL,
  at         TEXT NOT NULL,
  PRIMARY KEY (package, digest)
) WITHOUT ROWID;

INSERT INTO staging_failure_next (package, digest, reason, detail, at)
SELECT package, digest, reason, detail, at FROM staging_failure ORDER BY package;

DROP TABLE staging_failure;

ALTER TABLE staging_failure_next RENAME TO staging_failure;
