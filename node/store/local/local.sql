-- What is a node's own: never part of the site's truth, in no snapshot, and lost with the node.
CREATE TABLE own (                     -- small values by name
  name       TEXT PRIMARY KEY,
  value      BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE download (                -- payloads on their way to this node
  digest     BLOB PRIMARY KEY,         -- SHA-256 of the whole
  size       INTEGER NOT NULL,         -- bytes, 0 where unknown
  have       INTEGER NOT NULL,         -- bytes on disk
  source     TEXT NOT NULL,            -- where they come from
  began      TEXT NOT NULL,            -- RFC 3339, UTC
  problem    TEXT NOT NULL             -- why it stands still, '' while it goes on
) WITHOUT ROWID;
