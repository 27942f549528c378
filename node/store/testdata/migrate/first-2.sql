-- After site-2.sql: the site as the first program of version 2 left it.
DROP TABLE policy_switch;
DROP TABLE staging_failure;
CREATE TABLE staging_failure (
  package    TEXT PRIMARY KEY,         -- document id
  digest     BLOB NOT NULL,            -- of the package document that was tried
  reason     TEXT NOT NULL,            -- see staging.Reason
  detail     TEXT NOT NULL,
  at         TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO staging_failure (package, digest, reason, detail, at) VALUES ('u1/p', x'0a', 'unsigned', 'by nobody', '2026-01-02T00:00:00Z');
