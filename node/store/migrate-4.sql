-- From version 3 of the schema to version 4: several nodes, one site.
-- Statements end with a semicolon at the end of a line.

-- Files that versions before 3 made list the kinds of this index, which costs every entry of the journal a temporary table.
DROP INDEX IF EXISTS journal_settings;
CREATE INDEX journal_settings ON journal (idx, pos) WHERE kind = 'assignment' OR kind = 'severity' OR kind = 'window';

CREATE TABLE node (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,
  addresses  TEXT NOT NULL,
  votes      INTEGER NOT NULL,
  tls_key    BLOB NOT NULL,
  seal_key   BLOB NOT NULL,
  version    TEXT NOT NULL,
  schema     INTEGER NOT NULL,
  added      TEXT NOT NULL,
  removed    TEXT NOT NULL DEFAULT '',
  reason     TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

CREATE TABLE node_token (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,
  hash       BLOB NOT NULL UNIQUE,
  expires    TEXT NOT NULL,
  created    TEXT NOT NULL,
  created_by TEXT NOT NULL,
  revoked    INTEGER NOT NULL DEFAULT 0,
  used       TEXT NOT NULL DEFAULT '',
  node       TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- The site's private keys, sealed. A node moves its key files here when it opens its rooms.
CREATE TABLE sealed_keys (
  holder      TEXT PRIMARY KEY,
  recipient   BLOB NOT NULL,
  sealed      BLOB NOT NULL,
  at          TEXT NOT NULL
) WITHOUT ROWID;

-- Keys with which nodes encrypt what they gossip, sealed to each node of the site.
CREATE TABLE gossip_key (
  number     INTEGER PRIMARY KEY,      -- rises
  made       TEXT NOT NULL,
  used       TEXT NOT NULL DEFAULT ''  -- since when nodes encrypt with it; '' it is on its way to them
);
CREATE TABLE gossip_box (
  key        INTEGER NOT NULL,         -- its number
  node       TEXT NOT NULL,            -- id
  recipient  BLOB NOT NULL,            -- the node's public key, X25519
  sealed     BLOB NOT NULL,
  PRIMARY KEY (key, node)
) WITHOUT ROWID;

CREATE TABLE node_hint (               -- which node the computers of a subnet talk to
  subnet     TEXT PRIMARY KEY,         -- 10.1.0.0/16
  node       TEXT NOT NULL,            -- id
  note       TEXT NOT NULL,
  changed_by TEXT NOT NULL,
  changed    TEXT NOT NULL
) WITHOUT ROWID;

ALTER TABLE computer ADD COLUMN node TEXT NOT NULL DEFAULT '';

-- What operators asked of computers outside of their turns: the latest of each.
CREATE TABLE computer_prompt (
  number     INTEGER PRIMARY KEY,
  id         TEXT NOT NULL,            -- of the asking, one for all computers asked together
  kind       TEXT NOT NULL,            -- scan, cycle
  asked      TEXT NOT NULL,
  asked_by   TEXT NOT NULL,
  expires    TEXT NOT NULL,
  told       TEXT NOT NULL DEFAULT '', -- when the agent heard of it first
  done       TEXT NOT NULL DEFAULT '',
  failed     INTEGER NOT NULL DEFAULT 0,
  text       TEXT NOT NULL DEFAULT '', -- what the agent said of it
  cancelled  TEXT NOT NULL DEFAULT '',
  cancelled_by TEXT NOT NULL DEFAULT '',
  idx        INTEGER NOT NULL
);
CREATE INDEX computer_prompt_idx ON computer_prompt (idx);
CREATE TABLE journal_start (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  idx        INTEGER NOT NULL,
  pos        INTEGER NOT NULL
);

ALTER TABLE journal_mark ADD COLUMN at TEXT NOT NULL DEFAULT '';

ALTER TABLE operator DROP COLUMN failures;

-- The migration to version 3 left attempts on days to come where a computer's clock ran ahead: they count for the last day that
-- the site knows of, as those do that came by reports.
INSERT INTO delivery (day, policy, upd, succeeded, failed, remained)
SELECT (SELECT substr(max(started), 1, 10) FROM run), policy, upd, sum(succeeded), sum(failed), sum(remained) FROM delivery
WHERE day > (SELECT substr(max(started), 1, 10) FROM run) GROUP BY policy, upd ORDER BY policy, upd
ON CONFLICT (day, policy, upd) DO UPDATE SET succeeded = succeeded + excluded.succeeded, failed = failed + excluded.failed,
  remained = remained + excluded.remained;

DELETE FROM delivery WHERE day > (SELECT substr(max(started), 1, 10) FROM run);
-- Work of the leader moves with the lead.
ALTER TABLE run ADD COLUMN term INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN cancel TEXT NOT NULL DEFAULT '';
CREATE TABLE leader (
  one         INTEGER PRIMARY KEY CHECK (one = 1),
  node        TEXT NOT NULL,
  term        INTEGER NOT NULL,
  epoch       TEXT NOT NULL,
  since       TEXT NOT NULL
);

-- The audit log tells what stood there before a change, and what after.
ALTER TABLE audit ADD COLUMN subject TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN changes TEXT NOT NULL DEFAULT '';

CREATE TABLE backup (
  name       TEXT PRIMARY KEY,
  node       TEXT NOT NULL,
  folder     TEXT NOT NULL,
  made       TEXT NOT NULL,
  size       INTEGER NOT NULL,
  sha256     TEXT NOT NULL,
  recovery   TEXT NOT NULL,
  body       TEXT NOT NULL
) WITHOUT ROWID;

-- Figures of compliance, day by day. A sheet is the rows of one report on a day, laid down in parts; days share the parts that say the same.
CREATE TABLE compliance_day (
  day        TEXT PRIMARY KEY,         -- in the site's time zone
  taken      TEXT NOT NULL,
  totals     TEXT NOT NULL             -- JSON
) WITHOUT ROWID;
CREATE TABLE compliance_sheet (
  day        TEXT NOT NULL,
  sheet      TEXT NOT NULL,            -- name of the report
  plan       TEXT NOT NULL,            -- JSON: columns, and the rows of each piece
  parts      BLOB NOT NULL,            -- digests of the parts, 16 bytes each, in their order
  PRIMARY KEY (day, sheet)
) WITHOUT ROWID;
CREATE TABLE compliance_part (
  digest     BLOB PRIMARY KEY,         -- first 16 bytes of the SHA-256 of what is packed
  body       BLOB NOT NULL,            -- zstd
  last       TEXT NOT NULL             -- latest day that stands on it
);
CREATE INDEX compliance_part_last ON compliance_part (last);
