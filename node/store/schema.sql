-- The truth of a site's database. A new file is made from this text; a migration is a batch whose last state equals it.
-- Each section belongs to the room named in its heading. Times are RFC 3339 text in UTC, digests are blobs.

---------------------------------------------------------------------------------------------------- store: the core

-- What this file is: the index of the last batch in it, and the version of this text.
CREATE TABLE applied (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  idx        INTEGER NOT NULL,
  schema     INTEGER NOT NULL
);

-- Requests seen, so that a retry after a lost answer is not applied twice but answered as the first one was. Pruned
-- by idx.
CREATE TABLE request (
  id         TEXT PRIMARY KEY,
  idx        INTEGER NOT NULL,
  conflicts  TEXT                      -- the mark of its batch, and of the groups that were not applied a list in JSON
) WITHOUT ROWID;
CREATE INDEX request_idx ON request (idx);

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

-- Every document revision held: current ones, and earlier ones while a policy pins them. Found by its digest alone: every
-- index more is a price that each imported document pays.
CREATE TABLE revision (
  digest     BLOB PRIMARY KEY,
  kind       TEXT NOT NULL,
  id         TEXT NOT NULL,
  languages  TEXT NOT NULL,            -- comma-joined, '' neutral
  origin     TEXT NOT NULL,
  signature  BLOB NOT NULL,
  body       BLOB NOT NULL
);

-- The current document of each kind and id.
CREATE TABLE document (
  kind       TEXT NOT NULL,
  id         TEXT NOT NULL,
  digest     BLOB NOT NULL,            -- of its revision
  audience   TEXT NOT NULL DEFAULT '', -- '' everyone
  idx        INTEGER NOT NULL,         -- sequence of its last change
  pos        INTEGER NOT NULL,
  PRIMARY KEY (kind, id)
) WITHOUT ROWID;

-- Every change of a document, in order. A tombstone has no digest and keeps the languages and audience it had.
CREATE TABLE journal (
  idx        INTEGER NOT NULL,
  pos        INTEGER NOT NULL,
  kind       TEXT NOT NULL,
  id         TEXT NOT NULL,
  digest     BLOB,
  languages  TEXT NOT NULL,
  audience   TEXT NOT NULL,
  former_languages TEXT,               -- NULL: there was none
  former_audience  TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (idx, pos)
) WITHOUT ROWID;
-- Three in a list would cost every entry a temporary table.
CREATE INDEX journal_settings ON journal (idx, pos) WHERE kind = 'assignment' OR kind = 'severity' OR kind = 'window';

-- Up to where the journal keeps no more than it needs: of a document that was changed or removed since, entries up to here may
-- be gone. No row: everything is there.
CREATE TABLE journal_start (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  idx        INTEGER NOT NULL,
  pos        INTEGER NOT NULL
);

-- What a policy pins: revisions that stay although they are not current.
CREATE TABLE pin (
  policy     TEXT NOT NULL,
  digest     BLOB NOT NULL,
  PRIMARY KEY (policy, digest)
) WITHOUT ROWID;
CREATE INDEX pin_digest ON pin (digest);

------------------------------------------------------------------------------------- computers: what the site manages

CREATE TABLE computer (
  number     INTEGER PRIMARY KEY,      -- in bitmaps; never used again
  id         TEXT NOT NULL UNIQUE,
  name       TEXT NOT NULL,
  platform   TEXT NOT NULL,
  languages  TEXT NOT NULL,            -- comma-joined, default first
  machine    TEXT NOT NULL,            -- id of the installed system
  hardware   TEXT NOT NULL,            -- '' not known
  grp        TEXT NOT NULL,
  simulated  INTEGER NOT NULL,
  certificate TEXT NOT NULL,           -- serial of the present one
  enrolled   TEXT NOT NULL,
  last_seen  TEXT NOT NULL,            -- coarse; the exact time is in memory
  retired    TEXT NOT NULL DEFAULT '', -- when; a retired computer keeps its row and is never counted
  doubt      TEXT NOT NULL DEFAULT '', -- why two machines seem to be this computer
  version    INTEGER NOT NULL,
  idx        INTEGER NOT NULL,         -- of the last change
  node       TEXT NOT NULL DEFAULT ''  -- that heard of it last; as coarse as last_seen
);
CREATE INDEX computer_machine ON computer (machine);
CREATE INDEX computer_hardware ON computer (hardware);
CREATE INDEX computer_idx ON computer (idx);

CREATE TABLE computer_facts (
  number     INTEGER PRIMARY KEY,
  body       BLOB NOT NULL,            -- JSON
  at         TEXT NOT NULL,
  idx        INTEGER NOT NULL
);
CREATE INDEX computer_facts_idx ON computer_facts (idx);

-- The three sets of a computer. No row: it never reported, or is retired.
CREATE TABLE computer_sets (
  number     INTEGER PRIMARY KEY,
  counter    INTEGER NOT NULL,         -- of reports taken
  base       INTEGER NOT NULL,         -- of the last report, with its digest: the same report again changes nothing
  digest     BLOB NOT NULL,
  cursor_idx INTEGER NOT NULL,         -- of the rules it evaluated
  cursor_pos INTEGER NOT NULL,
  at         TEXT NOT NULL,
  sets       BLOB NOT NULL,            -- applicable, installed, unknown
  delta      BLOB,                     -- from counter-1 to counter; NULL: read the sets
  reasons    BLOB,                     -- JSON: text to update numbers
  idx        INTEGER NOT NULL
);
CREATE INDEX computer_sets_idx ON computer_sets (idx);

CREATE TABLE computer_state (          -- of ordered updates
  number     INTEGER NOT NULL,
  upd        INTEGER NOT NULL,
  policy     TEXT NOT NULL,
  status     TEXT NOT NULL,
  text       TEXT NOT NULL,
  starts     TEXT NOT NULL,            -- '' not scheduled
  last_applied TEXT NOT NULL,          -- '' never by the agent
  at         TEXT NOT NULL,
  idx        INTEGER NOT NULL,
  PRIMARY KEY (number, upd)
) WITHOUT ROWID;
CREATE INDEX computer_state_policy ON computer_state (policy);
CREATE INDEX computer_state_idx ON computer_state (idx);

CREATE TABLE computer_attempt (
  number     INTEGER NOT NULL,
  id         TEXT NOT NULL,            -- made by the agent
  upd        INTEGER NOT NULL,
  policy     TEXT NOT NULL,
  package    TEXT NOT NULL,
  started    TEXT NOT NULL,
  ended      TEXT NOT NULL,
  code       INTEGER NOT NULL,
  success    INTEGER NOT NULL,
  restart    INTEGER NOT NULL,
  remained   INTEGER NOT NULL,
  text       TEXT NOT NULL,
  PRIMARY KEY (number, id)
) WITHOUT ROWID;

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

-- Attempts counted by the day on which they ended, in UTC: those that are kept no more too.
CREATE TABLE delivery (
  day        TEXT NOT NULL,
  policy     TEXT NOT NULL,
  upd        INTEGER NOT NULL,
  succeeded  INTEGER NOT NULL,
  failed     INTEGER NOT NULL,
  remained   INTEGER NOT NULL,         -- the installer succeeded, and the update is missing still
  PRIMARY KEY (day, policy, upd)
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

-------------------------------------------------------------------------------------------- identity: who is who

CREATE TABLE authority (               -- of the site
  one         INTEGER PRIMARY KEY CHECK (one = 1),
  certificate BLOB NOT NULL            -- DER
);

-- The site's private keys (its authority's, and the one that signs documents), sealed to the key of each node that votes,
-- and to the recovery key that is kept off the site.
CREATE TABLE sealed_keys (
  holder      TEXT PRIMARY KEY,        -- id of a node, or 'recovery'
  recipient   BLOB NOT NULL,           -- the holder's public key, X25519
  sealed      BLOB NOT NULL,
  at          TEXT NOT NULL
) WITHOUT ROWID;

-- Certificates made for computers. One that is not here, or is revoked, is good for nothing.
CREATE TABLE certificate (
  serial      TEXT PRIMARY KEY,        -- hexadecimal
  computer    TEXT NOT NULL,
  not_after   TEXT NOT NULL,
  issued      TEXT NOT NULL,
  revoked     TEXT NOT NULL DEFAULT '',-- when, '' in force
  reason      TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX certificate_computer ON certificate (computer);

CREATE TABLE enrolment_token (
  id          TEXT PRIMARY KEY,
  name        TEXT NOT NULL,
  hash        BLOB NOT NULL UNIQUE,    -- SHA-256 of the secret
  computer_group TEXT NOT NULL,        -- of computers enrolled with it, '' none
  use_limit   INTEGER NOT NULL,        -- 0 any number
  used        INTEGER NOT NULL,
  expires     TEXT NOT NULL,
  created     TEXT NOT NULL,
  created_by  TEXT NOT NULL,
  revoked     INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE api_token (
  id          TEXT PRIMARY KEY,
  name        TEXT NOT NULL,
  hash        BLOB NOT NULL UNIQUE,
  scope       TEXT NOT NULL,
  expires     TEXT NOT NULL,
  created     TEXT NOT NULL,
  created_by  TEXT NOT NULL,
  revoked     INTEGER NOT NULL DEFAULT 0,
  part        TEXT NOT NULL DEFAULT '',-- of the site that it is good for: JSON, '' the whole
  operator    TEXT NOT NULL DEFAULT '' -- id of whose own it is, '' nobody's
) WITHOUT ROWID;

CREATE TABLE audit (                   -- changes that people and nodes made, by the index of their batch
  idx         INTEGER NOT NULL,
  pos         INTEGER NOT NULL,
  at          TEXT NOT NULL,
  actor       TEXT NOT NULL,
  action      TEXT NOT NULL,
  request     TEXT NOT NULL,
  detail      TEXT NOT NULL,           -- what was asked for, as JSON, without secrets
  subject     TEXT NOT NULL DEFAULT '', -- path of what was changed, below /api/v1; '' where none is named
  changes     TEXT NOT NULL DEFAULT '', -- how that differs from before, as JSON; '' not known
  PRIMARY KEY (idx, pos)
) WITHOUT ROWID;
CREATE INDEX audit_at ON audit (at);

------------------------------------------------------------------------------------------------ tasks: what is run

CREATE TABLE task (                    -- work with its parameters, under a name
  name        TEXT PRIMARY KEY,
  kind        TEXT NOT NULL,
  params      TEXT NOT NULL,           -- JSON
  schedule    TEXT NOT NULL,           -- recurrence, '' by hand alone
  enabled     INTEGER NOT NULL,
  version     INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE run (                     -- one execution of a task
  id          TEXT PRIMARY KEY,
  task        TEXT NOT NULL,
  kind        TEXT NOT NULL,
  busy        TEXT UNIQUE,             -- while it goes on, what no other run may work on; then NULL
  node        TEXT NOT NULL,           -- id of the node that runs it
  state       TEXT NOT NULL,
  actor       TEXT NOT NULL,
  params      TEXT NOT NULL,           -- JSON
  resumes     TEXT NOT NULL,           -- id of the interrupted run that it goes on with, '' none
  started     TEXT NOT NULL,
  ended       TEXT NOT NULL DEFAULT '',
  progress    TEXT NOT NULL,           -- JSON, in coarse steps
  result      TEXT NOT NULL DEFAULT '',-- JSON
  error       TEXT NOT NULL DEFAULT '',
  term        INTEGER NOT NULL DEFAULT 0, -- of the leader that runs it; 0: it is that node's own, whoever leads
  cancel      TEXT NOT NULL DEFAULT '' -- who wants it to end
);
CREATE INDEX run_task ON run (task, started);
CREATE INDEX run_started ON run (started);
CREATE INDEX run_state ON run (state) WHERE state IN ('running', 'interrupted');
CREATE INDEX run_resumes ON run (resumes) WHERE resumes <> '';

CREATE TABLE leader (                  -- who does what only one node of the site may do
  one         INTEGER PRIMARY KEY CHECK (one = 1),
  node        TEXT NOT NULL,           -- id
  term        INTEGER NOT NULL,        -- of raft
  epoch       TEXT NOT NULL,           -- of the site: after a restore, terms begin anew
  since       TEXT NOT NULL
);

CREATE TABLE run_line (                -- log of a run
  run         TEXT NOT NULL,
  number      INTEGER NOT NULL,
  at          TEXT NOT NULL,
  text        TEXT NOT NULL,
  PRIMARY KEY (run, number)
) WITHOUT ROWID;

---------------------------------------------------------------------------------------------------- bulletins

-- Vendor files that were imported. A fingerprint that ends in '|' is that of a file of which an import was cut.
CREATE TABLE import_file (
  source      TEXT NOT NULL,
  name        TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  imported    TEXT NOT NULL,
  PRIMARY KEY (source, name)
) WITHOUT ROWID;

-- What each vendor file says of each key of its source: the parts from which documents are merged.
CREATE TABLE import_part (
  source     TEXT NOT NULL,
  key        TEXT NOT NULL,
  file       TEXT NOT NULL,
  body       BLOB NOT NULL,
  PRIMARY KEY (source, key, file)
) WITHOUT ROWID;
CREATE INDEX import_part_file ON import_part (source, file);

-- What could not be imported of vendor files that were.
CREATE TABLE import_failure (
  source     TEXT NOT NULL,
  key        TEXT NOT NULL,            -- that could not be merged; '' something else in the file
  file       TEXT NOT NULL,
  warnings   TEXT NOT NULL,            -- JSON
  PRIMARY KEY (source, key, file)
) WITHOUT ROWID;

-- The documents that were merged from each key.
CREATE TABLE import_document (
  source     TEXT NOT NULL,
  key        TEXT NOT NULL,
  kind       TEXT NOT NULL,
  id         TEXT NOT NULL,
  PRIMARY KEY (source, key, kind, id)
) WITHOUT ROWID;

-- Site-local numbers of updates, for bitmaps. A row stays when its update is withdrawn, so that a number never means
-- another update; numbers never leave the site and are void with its epoch.
CREATE TABLE software_update (
  number     INTEGER PRIMARY KEY,
  id         TEXT NOT NULL UNIQUE
);

-- Bulletins that the site stages.
CREATE TABLE staged (
  bulletin   TEXT PRIMARY KEY,         -- document id
  since      TEXT NOT NULL,
  actor      TEXT NOT NULL
) WITHOUT ROWID;

-- Packages that could not be staged as they are: void when the package's digest changes, removed by a retry. Policies may
-- pin several revisions of one.
CREATE TABLE staging_failure (
  package    TEXT NOT NULL,            -- document id
  digest     BLOB NOT NULL,            -- of the package document that was tried
  reason     TEXT NOT NULL,            -- see staging.Reason
  detail     TEXT NOT NULL,
  at         TEXT NOT NULL,
  PRIMARY KEY (package, digest)
) WITHOUT ROWID;

-- Which node holds which payload file, whole and verified.
CREATE TABLE holding (
  sha256     BLOB NOT NULL,
  node       TEXT NOT NULL,
  size       INTEGER NOT NULL,
  PRIMARY KEY (sha256, node)
) WITHOUT ROWID;

-- Sources of catalogs: where each is read, when, and what is left out.
CREATE TABLE source (
  name       TEXT PRIMARY KEY,
  location   TEXT NOT NULL,            -- '' the vendor's own
  schedule   TEXT NOT NULL,            -- cron; '' by hand alone
  exclude    TEXT NOT NULL,            -- JSON list of product families
  version    INTEGER NOT NULL
) WITHOUT ROWID;

------------------------------------------------------------------------------------- policies: what is ordered

-- What this site decides about a policy beside its document, of its own or of a site above.
CREATE TABLE policy (
  id         TEXT PRIMARY KEY,         -- document id
  name       TEXT NOT NULL,
  enabled    INTEGER NOT NULL,
  paused     INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  created    TEXT NOT NULL,
  created_by TEXT NOT NULL,
  changed    TEXT NOT NULL,
  idx        INTEGER NOT NULL,         -- of the last change
  settings   TEXT NOT NULL DEFAULT '', -- how far the sender's settings stood: JSON, '' it sends none, or the policy is our own
  maker      TEXT NOT NULL DEFAULT ''  -- whose work on it no approver has switched on, '' nobody's
) WITHOUT ROWID;

-- The site's own switch of a policy from above that is not for it any more: it is in force again when the policy is.
CREATE TABLE policy_switch (
  policy     TEXT PRIMARY KEY,
  enabled    INTEGER NOT NULL,
  paused     INTEGER NOT NULL,
  gone       TEXT NOT NULL             -- when the policy went
) WITHOUT ROWID;

-- What the site that made a policy says of it: an index over the documents of kind policy-state.
CREATE TABLE policy_state (
  policy     TEXT PRIMARY KEY,
  enabled    INTEGER NOT NULL,
  paused     INTEGER NOT NULL,
  local      INTEGER NOT NULL          -- sites below may pause it and switch it off for themselves
) WITHOUT ROWID;

CREATE TABLE policy_bulletin (         -- that a policy was made from
  policy     TEXT NOT NULL,
  bulletin   TEXT NOT NULL,            -- document id
  PRIMARY KEY (policy, bulletin)
) WITHOUT ROWID;

-- Turns: which computers may install at once, where a policy limits how many.
CREATE TABLE policy_turn (
  policy     TEXT NOT NULL,
  computer   INTEGER NOT NULL,         -- number
  granted    TEXT NOT NULL,
  until      TEXT NOT NULL,            -- whoever has not finished by then loses the turn
  PRIMARY KEY (policy, computer)
) WITHOUT ROWID;
CREATE INDEX policy_turn_computer ON policy_turn (computer);

------------------------------------------------------------------------ sites: the tree that this site stands in

-- The site above. No row: this site is at the top, or alone.
CREATE TABLE parent (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  id         TEXT NOT NULL,
  name       TEXT NOT NULL,
  urls       TEXT NOT NULL,            -- JSON list, the first is tried first
  authority  BLOB NOT NULL,            -- certificate, DER
  joined     TEXT NOT NULL,
  link       TEXT NOT NULL,            -- JSON: rules and limits as the parent last told them
  told       TEXT NOT NULL,            -- when it did, '' never
  version    INTEGER NOT NULL
);

-- An attempt to join a parent that goes on. While there is one, this site takes no child: two sites that join each other
-- at once would make a ring.
CREATE TABLE joining (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  attempt    TEXT NOT NULL,
  url        TEXT NOT NULL,
  since      TEXT NOT NULL
);

CREATE TABLE child (
  id         TEXT PRIMARY KEY,         -- of the site
  name       TEXT NOT NULL,            -- what it is called here
  authority  BLOB NOT NULL,            -- certificate, DER
  token      TEXT NOT NULL,            -- id of the one it joined with
  joined     TEXT NOT NULL,
  seen       TEXT NOT NULL,            -- coarse; the exact time is in memory
  revoked    TEXT NOT NULL DEFAULT '', -- when, '' in force
  reason     TEXT NOT NULL DEFAULT '',
  link       TEXT NOT NULL,            -- JSON: windows and bandwidth
  version    INTEGER NOT NULL,
  idx        INTEGER NOT NULL          -- of the last change of anything but seen
) WITHOUT ROWID;

CREATE TABLE child_token (             -- each lets one site become a child
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,            -- what it is for
  hash       BLOB NOT NULL UNIQUE,     -- SHA-256 of the secret
  expires    TEXT NOT NULL,
  created    TEXT NOT NULL,
  created_by TEXT NOT NULL,
  revoked    INTEGER NOT NULL DEFAULT 0,
  used       TEXT NOT NULL DEFAULT '', -- when
  child      TEXT NOT NULL DEFAULT '', -- id of the site that used it
  authority  TEXT NOT NULL DEFAULT ''  -- fingerprint of that site's authority
) WITHOUT ROWID;

CREATE TABLE replication_rule (
  id         TEXT PRIMARY KEY,
  type       TEXT NOT NULL,            -- languages, data, policies, settings
  name       TEXT NOT NULL,
  enabled    INTEGER NOT NULL,
  children   TEXT NOT NULL,            -- JSON list of ids, '' all
  documents  TEXT NOT NULL,            -- JSON list of "kind/id", '' all of the type
  mode       TEXT NOT NULL,
  schedule   TEXT NOT NULL,            -- '' at once, differential, complete, or a recurrence
  verify     INTEGER NOT NULL,         -- percent
  version    INTEGER NOT NULL,
  idx        INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE alarm (                   -- what calls for a person
  kind       TEXT NOT NULL,
  subject    TEXT NOT NULL,
  text       TEXT NOT NULL,
  advice     TEXT NOT NULL,            -- what to do
  since      TEXT NOT NULL,
  cleared    TEXT NOT NULL DEFAULT '', -- when, '' it still stands
  PRIMARY KEY (kind, subject)
) WITHOUT ROWID;

CREATE TABLE link_run (                -- what went over a link, of one type in one direction
  id         TEXT PRIMARY KEY,
  neighbour  TEXT NOT NULL,            -- id of the site at the other end
  direction  TEXT NOT NULL,            -- down, up
  type       TEXT NOT NULL,
  mode       TEXT NOT NULL,            -- differential, complete, verification
  state      TEXT NOT NULL,            -- done, failed, cancelled
  started    TEXT NOT NULL,
  ended      TEXT NOT NULL,
  result     TEXT NOT NULL,            -- JSON: documents, bytes, verified, repaired, refused
  error      TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX link_run_neighbour ON link_run (neighbour, direction, type, started);
CREATE INDEX link_run_started ON link_run (started);
-------------------------------------------------------------------------- replicas: what comes from neighbours, and how far

-- How far what a neighbour sends is held. Written in the batch that holds it.
CREATE TABLE cursor (
  neighbour  TEXT NOT NULL,            -- id of the site
  direction  TEXT NOT NULL,            -- down, up
  type       TEXT NOT NULL,
  state      TEXT NOT NULL,            -- JSON, '' none yet
  progress   TEXT NOT NULL,            -- of a complete run under way: JSON, '' none
  idx        INTEGER NOT NULL,         -- of the last change
  PRIMARY KEY (neighbour, direction, type)
) WITHOUT ROWID;

-- Documents of neighbours that cannot be accepted. What was held before stays.
CREATE TABLE quarantine (
  neighbour  TEXT NOT NULL,
  direction  TEXT NOT NULL,
  type       TEXT NOT NULL,
  kind       TEXT NOT NULL,
  id         TEXT NOT NULL,
  digest     BLOB NOT NULL,
  origin     TEXT NOT NULL,            -- that it claims
  languages  TEXT NOT NULL,            -- likewise
  reason     TEXT NOT NULL,            -- see replicas.Reason
  detail     TEXT NOT NULL,
  since      TEXT NOT NULL,
  due        INTEGER NOT NULL,         -- somebody wants it tried again
  PRIMARY KEY (neighbour, direction, kind, id)
) WITHOUT ROWID;

-- Kinds that this version does not know, by the type with which they first came.
CREATE TABLE learned_kind (
  kind       TEXT PRIMARY KEY,
  type       TEXT NOT NULL
) WITHOUT ROWID;

-- Running digests of the journal: each is over the one before and the entries since.
CREATE TABLE journal_mark (
  idx        INTEGER NOT NULL,
  pos        INTEGER NOT NULL,
  digest     BLOB NOT NULL,
  at         TEXT NOT NULL DEFAULT '', -- when it was made, '' before that was written down
  PRIMARY KEY (idx, pos)
) WITHOUT ROWID;

----------------------------------------------------------------------------------- operators: who works at the console

CREATE TABLE operator (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,     -- to sign in with, lower case
  display    TEXT NOT NULL,            -- for people, '' the name
  scope      TEXT NOT NULL,
  part       TEXT NOT NULL,            -- of the site: JSON, '' the whole
  password   TEXT NOT NULL,            -- argon2id in PHC form, '' none
  totp       BLOB,                     -- sealed secret of the second factor, NULL none
  totp_next  BLOB,                     -- one that is to be confirmed
  totp_step  INTEGER NOT NULL,         -- time step of the last code that was taken: each is good once
  recovery   TEXT NOT NULL,            -- JSON list of the hashes of recovery codes that are left
  issuer     TEXT NOT NULL,            -- OpenID Connect, with subject
  subject    TEXT NOT NULL,            -- '' none
  locked     TEXT NOT NULL,            -- until, '' not
  disabled   INTEGER NOT NULL,
  preferences TEXT NOT NULL,           -- JSON
  signed_in  TEXT NOT NULL,            -- last, '' never
  created    TEXT NOT NULL,
  created_by TEXT NOT NULL,
  version    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX operator_subject ON operator (issuer, subject) WHERE subject <> '';

CREATE TABLE session (
  hash       BLOB PRIMARY KEY,         -- SHA-256 of the cookie
  id         TEXT NOT NULL UNIQUE,     -- for lists
  operator   TEXT NOT NULL,            -- id
  created    TEXT NOT NULL,
  seen       TEXT NOT NULL,            -- coarse
  origin     TEXT NOT NULL,            -- address that it was opened from
  agent      TEXT NOT NULL,            -- the browser's name for itself
  method     TEXT NOT NULL,            -- password, link, oidc
  pending    INTEGER NOT NULL,         -- good for the second factor alone
  second     INTEGER NOT NULL          -- a second factor was shown
) WITHOUT ROWID;
CREATE INDEX session_operator ON session (operator);

-- Links with which people choose a password: of an operator, or the site's first administrator.
CREATE TABLE operator_link (
  hash       BLOB PRIMARY KEY,         -- SHA-256 of the code
  operator   TEXT NOT NULL UNIQUE,     -- id, '' whoever comes first
  expires    TEXT NOT NULL,
  enters     INTEGER NOT NULL            -- 1: it opens a session, and no password is chosen
) WITHOUT ROWID;

CREATE TABLE operator_view (           -- of a list, as an operator saved it
  operator   TEXT NOT NULL,            -- id
  id         TEXT NOT NULL,
  page       TEXT NOT NULL,
  name       TEXT NOT NULL,
  query      TEXT NOT NULL,
  PRIMARY KEY (operator, id),
  UNIQUE (operator, page, name)
) WITHOUT ROWID;

---------------------------------------------------------------------------------------------------- members: the nodes of the site

-- The nodes of the site. The one that leads has the quorum follow this table. A row stays when its node was removed: that one
-- never comes back, and whoever looks sees why.
CREATE TABLE node (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,            -- what people call it
  addresses  TEXT NOT NULL,            -- JSON list of HOST:PORT, those to try first first
  votes      INTEGER NOT NULL,         -- whether it is to vote
  tls_key    BLOB NOT NULL,            -- SHA-256 of the public key of its certificates
  seal_key   BLOB NOT NULL,            -- X25519 public key to which secrets are sealed
  version    TEXT NOT NULL,            -- of its program
  schema     INTEGER NOT NULL,         -- newest version of this text that its program knows
  added      TEXT NOT NULL,
  removed    TEXT NOT NULL DEFAULT '', -- when
  reason     TEXT NOT NULL DEFAULT ''  -- why it was removed
) WITHOUT ROWID;

CREATE TABLE node_token (              -- each lets one node join
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,            -- what it is for
  hash       BLOB NOT NULL UNIQUE,     -- SHA-256 of the secret
  expires    TEXT NOT NULL,
  created    TEXT NOT NULL,
  created_by TEXT NOT NULL,
  revoked    INTEGER NOT NULL DEFAULT 0,
  used       TEXT NOT NULL DEFAULT '', -- when
  node       TEXT NOT NULL DEFAULT ''  -- id of the node that used it
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

---------------------------------------------------------------------------------------- backup: copies of the site off the site

CREATE TABLE backup (                  -- files that nodes made, while they are kept
  name       TEXT PRIMARY KEY,         -- of the file
  node       TEXT NOT NULL,            -- id, on whose machine it lies
  folder     TEXT NOT NULL,
  made       TEXT NOT NULL,
  size       INTEGER NOT NULL,         -- in bytes
  sha256     TEXT NOT NULL,
  recovery   TEXT NOT NULL,            -- name of the recovery key that opens it, '' none
  body       TEXT NOT NULL             -- JSON: what it holds
) WITHOUT ROWID;
