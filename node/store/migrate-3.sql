-- From version 2 of the schema to version 3: operators sign in, for the whole site or a part of it; what some make, others approve.
-- Statements end with a semicolon at the end of a line.

ALTER TABLE api_token ADD COLUMN part TEXT NOT NULL DEFAULT '';

ALTER TABLE api_token ADD COLUMN operator TEXT NOT NULL DEFAULT '';

ALTER TABLE policy ADD COLUMN maker TEXT NOT NULL DEFAULT '';

CREATE TABLE operator (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,
  display    TEXT NOT NULL,
  scope      TEXT NOT NULL,
  part       TEXT NOT NULL,
  password   TEXT NOT NULL,
  totp       BLOB,
  totp_next  BLOB,
  totp_step  INTEGER NOT NULL,
  recovery   TEXT NOT NULL,
  issuer     TEXT NOT NULL,
  subject    TEXT NOT NULL,
  failures   INTEGER NOT NULL,
  locked     TEXT NOT NULL,
  disabled   INTEGER NOT NULL,
  preferences TEXT NOT NULL,
  signed_in  TEXT NOT NULL,
  created    TEXT NOT NULL,
  created_by TEXT NOT NULL,
  version    INTEGER NOT NULL
) WITHOUT ROWID;

CREATE UNIQUE INDEX operator_subject ON operator (issuer, subject) WHERE subject <> '';

CREATE TABLE session (
  hash       BLOB PRIMARY KEY,
  id         TEXT NOT NULL UNIQUE,
  operator   TEXT NOT NULL,
  created    TEXT NOT NULL,
  seen       TEXT NOT NULL,
  origin     TEXT NOT NULL,
  agent      TEXT NOT NULL,
  method     TEXT NOT NULL,
  pending    INTEGER NOT NULL,
  second     INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX session_operator ON session (operator);

CREATE TABLE operator_link (
  hash       BLOB PRIMARY KEY,
  operator   TEXT NOT NULL UNIQUE,
  expires    TEXT NOT NULL,
  enters     INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE operator_view (
  operator   TEXT NOT NULL,
  id         TEXT NOT NULL,
  page       TEXT NOT NULL,
  name       TEXT NOT NULL,
  query      TEXT NOT NULL,
  PRIMARY KEY (operator, id),
  UNIQUE (operator, page, name)
) WITHOUT ROWID;

-- The first files of version 2 had no switches of policies that went, and one failure for each package.
CREATE TABLE IF NOT EXISTS policy_switch (
  policy     TEXT PRIMARY KEY,
  enabled    INTEGER NOT NULL,
  paused     INTEGER NOT NULL,
  gone       TEXT NOT NULL
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
SELECT package, digest, reason, detail, at FROM staging_failure ORDER BY package, digest;

DROP TABLE staging_failure;

ALTER TABLE staging_failure_next RENAME TO staging_failure;

CREATE TABLE delivery (
  day        TEXT NOT NULL,
  policy     TEXT NOT NULL,
  upd        INTEGER NOT NULL,
  succeeded  INTEGER NOT NULL,
  failed     INTEGER NOT NULL,
  remained   INTEGER NOT NULL,
  PRIMARY KEY (day, policy, upd)
) WITHOUT ROWID;

INSERT INTO delivery (day, policy, upd, succeeded, failed, remained)
SELECT substr(CASE ended WHEN '' THEN started ELSE ended END, 1, 10), policy, upd, sum(success AND NOT remained),
  sum(NOT success AND NOT remained), sum(remained)
FROM computer_attempt WHERE started <> '' OR ended <> '' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
