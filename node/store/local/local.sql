-- What is a node's own: never part of the site's truth, in no snapshot, and lost with the node.
CREATE TABLE own (                     -- small values by name
  name       TEXT PRIMARY KEY,
  value      BLOB NOT NULL
) WITHOUT ROWID;
