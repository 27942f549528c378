-- The truth of a site's database. A new file is made from this text; a migration is a batch whose last state equals it.
-- Each section belongs to the room named in its heading. Times are RFC 3339 text in UTC, digests are blobs.

---------------------------------------------------------------------------------------------------- store: the core

-- What this file is: the index of the last batch in it, and the version of this text.
CREATE TABLE applied (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  idx        INTEGER NOT NULL,
  schema     INTEGER NOT NULL
);

-- Requests seen, so that a retry after a lost answer is not applied twice. Pruned by idx.
CREATE TABLE request (
  id         TEXT PRIMARY KEY,
  idx        INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE site (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  id         TEXT NOT NULL,            -- never changes
  name       TEXT NOT NULL,
  epoch      TEXT NOT NULL,            -- changes when the site is restored from a backup
  created    TEXT NOT NULL
);

CREATE TABLE language (                -- managed languages
  tag        TEXT PRIMARY KEY,         -- lower-case BCP 47
  since      TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE setting (
  name       TEXT PRIMARY KEY,
  value      TEXT NOT NULL,            -- JSON
  version    INTEGER NOT NULL
) WITHOUT ROWID;

-- Every document revision held: current ones, and earlier ones while a policy pins them.
CREATE TABLE revision (
  digest     BLOB PRIMARY KEY,
  kind       TEXT NOT NULL,
  id         TEXT NOT NULL,
  languages  TEXT NOT NULL,            -- comma-joined, '' neutral
  origin     TEXT NOT NULL,
  signature  BLOB NOT NULL,
  body       BLOB NOT NULL
);
CREATE INDEX revision_of ON revision (kind, id);

-- The current document of each kind and id.
CREATE TABLE document (
  kind       TEXT NOT NULL,
  id         TEXT NOT NULL,
  digest     BLOB NOT NULL REFERENCES revision (digest),
  audience   TEXT NOT NULL DEFAULT '', -- '' everyone
  idx        INTEGER NOT NULL,         -- sequence of its last change
  pos        INTEGER NOT NULL,
  PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX document_sequence ON document (idx, pos);
CREATE INDEX document_digest ON document (digest);

-- Every change of a document, in order. A tombstone has no digest and keeps the languages and audience it had.
CREATE TABLE journal (
  idx        INTEGER NOT NULL,
  pos        INTEGER NOT NULL,
  kind       TEXT NOT NULL,
  id         TEXT NOT NULL,
  digest     BLOB,
  languages  TEXT NOT NULL,
  audience   TEXT NOT NULL,
  former_languages TEXT NOT NULL DEFAULT '',
  former_audience  TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (idx, pos)
) WITHOUT ROWID;

-- What a policy pins: revisions that stay although they are not current.
CREATE TABLE pin (
  policy     TEXT NOT NULL,
  digest     BLOB NOT NULL,
  PRIMARY KEY (policy, digest)
) WITHOUT ROWID;
CREATE INDEX pin_digest ON pin (digest);
