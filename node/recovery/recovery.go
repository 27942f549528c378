// Package recovery brings a site back while no node of it runs: from a backup, or from the folder of a node that is left. What
// comes of it is a site of one node, in a new epoch, which others join.
package recovery

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"thatch/node/backup"
	"thatch/node/folder"
	"thatch/node/identity"
	"thatch/node/identity/sealed"
	"thatch/node/quorum"
	"thatch/node/store"
	"thatch/node/store/rows"
	"thatch/node/store/sqlite"
)

// Config says how.
type Config struct {
	Dir      string      // the data folder
	Key      *sealed.Key // the recovery key; nil: none is given
	Actor    string      // who does it, for the audit log
	Now      func() time.Time
	Log      *slog.Logger
	Progress backup.Progress
}

func (c *Config) complete() {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Actor == "" {
		c.Actor = "operator local"
	}
}

// Result is the site that was brought back.
type Result struct {
	Site    string `json:"site"`
	SiteID  string `json:"site_id"`
	Node    string `json:"node"` // id of the one node
	Dir     string `json:"dir"`
	Index   uint64 `json:"index"`                // that the site goes on from
	Epoch   string `json:"epoch"`                // the new one
	Nodes   int    `json:"nodes"`                // that the site had and has no more
	Former  string `json:"former_log,omitempty"` // folder of the log that is of no use any more
	Lost    string `json:"lost,omitempty"`       // what could not be read of the former log
	Applied uint64 `json:"applied"`              // batches that were in the log and not in the database
}

// site is what a database says of its site.
type site struct {
	id, name  string
	authority []byte
}

func readSite(ctx context.Context, db *store.DB) (s site, err error) {
	err = db.View(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT id, name FROM site`).Scan(&s.id, &s.name); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT certificate FROM authority`).Scan(&s.authority)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return s, errors.New("the database holds no site")
	}
	return s, err
}

// keys opens the site's private keys with a holder's key.
func (s *site) keys(ctx context.Context, db *store.DB, holder string, key *sealed.Key) (k sealed.Keys, err error) {
	err = db.View(ctx, func(tx *sql.Tx) error {
		box, err := sealed.BoxOf(ctx, tx, holder)
		if err != nil {
			return err
		}
		if box == nil {
			return fmt.Errorf("the site's keys are not sealed to %s", holder)
		}
		if k, err = box.Open(s.id, holder, key); err != nil {
			return err
		}
		return k.Belong(ctx, tx, s.id, s.authority)
	})
	return k, err
}

// change is the batch by which a database becomes that of a site of one node, in a new epoch.
type change struct {
	node, epoch string
	why         string // "restored from a backup of 2026-01-02T03:04:05Z"
	actor       string
	at          time.Time
	seal        store.Statement // of the site's keys to the node
	back        bool            // the site went back in time: what could be used once may have been
}

func (c *change) batch() store.Batch {
	reason := "the site was " + c.why
	statements := []store.Statement{
		identity.AuditEntry(c.at, c.actor, reason+": a new epoch begins, with node "+c.node+" alone"),
		{SQL: `UPDATE site SET epoch = ?`, Args: []any{c.epoch}, Want: 1},
		{SQL: `UPDATE node SET removed = ?, reason = ? WHERE removed = '' AND id <> ?`, Args: []any{rows.Stamp(c.at), reason, c.node}},
		{SQL: `UPDATE node SET votes = 1 WHERE id = ?`, Args: []any{c.node}},
		{SQL: `DELETE FROM sealed_keys WHERE holder <> ? AND holder <> ?`, Args: []any{c.node, sealed.Recovery}},
		c.seal,
		{SQL: `DELETE FROM holding WHERE node <> ?`, Args: []any{c.node}},
		{SQL: `DELETE FROM leader`},
		{
			SQL:  `UPDATE run SET state = 'interrupted', error = ?, ended = ?, busy = NULL WHERE state IN ('running', 'queued')`,
			Args: []any{reason, rows.Stamp(c.at)},
		},
	}
	if c.back {
		statements = append(statements,
			store.Statement{SQL: `UPDATE node_token SET revoked = 1 WHERE used = ''`},
			store.Statement{SQL: `UPDATE child_token SET revoked = 1 WHERE used = ''`},
			store.Statement{SQL: `DELETE FROM session`},
			store.Statement{SQL: `DELETE FROM operator_link`},
			store.Statement{SQL: `DELETE FROM backup`},
		)
	}
	return store.Batch{Actor: c.actor, Reason: reason, At: c.at, Statements: statements}
}

// begin makes the database that of a site of one node, and a log for it in a folder where nothing is.
func (c *Config) begin(ctx context.Context, db *store.DB, ch change, anew quorum.Site) error {
	applied, err := db.Write(ctx, ch.batch())
	if err = errors.Join(err, applied.Err()); err != nil {
		return fmt.Errorf("begin a new epoch: %w", err)
	}
	if err := db.Sync(); err != nil {
		return err
	}
	anew.DB, anew.ID, anew.Log = db, ch.node, c.Log
	return quorum.Anew(ctx, anew)
}

// Restore makes a site anew from a backup, in a folder where nothing is. Cut wherever it is, there is nothing, or all.
func Restore(ctx context.Context, file string, c Config) (r Result, err error) {
	c.complete()
	f, err := backup.Look(file)
	if err != nil {
		return r, err
	}
	if err := c.mayRestore(&f); err != nil {
		return r, err
	}
	dir, err := folder.Lock(c.Dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	making, err := dir.Begin()
	if err != nil {
		return r, err
	}
	r, err = c.restore(ctx, &f, making)
	if err != nil {
		return r, errors.Join(err, os.RemoveAll(making))
	}
	r.Dir = c.Dir
	return r, dir.Commit()
}

// mayRestore refuses early what cannot come to a good end.
func (c *Config) mayRestore(f *backup.File) error {
	m := &f.Manifest
	switch {
	case m.Schema > store.SchemaVersion:
		return fmt.Errorf("%s: its schema has version %d, this program knows %d: restore it with the version that made it (%s), or a newer one",
			f.Path, m.Schema, store.SchemaVersion, m.Version)
	case m.Recovery == "":
		return fmt.Errorf("%s was made while the site had no recovery key, so nobody can open the site's keys in it", f.Path)
	case c.Key == nil:
		return fmt.Errorf("%s is opened by recovery key %s: give it", f.Path, m.Recovery)
	case sealed.Name(c.Key.Public()) != m.Recovery:
		return fmt.Errorf("%s is opened by recovery key %s, and the one given is %s", f.Path, m.Recovery, sealed.Name(c.Key.Public()))
	}
	return nil
}

func (c *Config) restore(ctx context.Context, f *backup.File, making string) (r Result, err error) {
	path := filepath.Join(making, folder.DatabaseFile)
	if _, err := backup.Extract(ctx, f.Path, path, c.Progress); err != nil {
		return r, err
	}
	db, err := store.Open(ctx, store.Config{Path: path, Log: c.Log})
	if err != nil {
		return r, fmt.Errorf("open the database of the backup: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Migrate(ctx, db, store.SchemaVersion, c.Now().UTC()); err != nil {
		return r, err
	}
	s, err := readSite(ctx, db)
	if err != nil {
		return r, err
	}
	k, err := s.keys(ctx, db, sealed.Recovery, c.Key)
	if err != nil {
		return r, err
	}
	ch := change{
		node: uuid.NewString(), epoch: uuid.NewString(), actor: c.Actor, at: c.Now().UTC(), back: true,
		why: "restored from a backup of " + rows.Stamp(f.Manifest.Made),
	}
	if ch.seal, err = sealNew(k, s.id, ch, making); err != nil {
		return r, err
	}
	if err := c.begin(ctx, db, ch, quorum.Site{Dir: filepath.Join(making, folder.QuorumFolder), Term: f.Manifest.Term}); err != nil {
		return r, err
	}
	if err := folder.Name(making, ch.node); err != nil {
		return r, err
	}
	return Result{
		Site: s.name, SiteID: s.id, Node: ch.node, Index: db.Applied(), Epoch: ch.epoch, Nodes: len(f.Manifest.Nodes),
	}, nil
}

// sealNew seals the site's keys to the key of the node of a folder, which is made where there is none.
func sealNew(k sealed.Keys, siteID string, ch change, dir string) (store.Statement, error) {
	key, err := sealed.NodeKey(dir)
	if err != nil {
		return store.Statement{}, err
	}
	return k.SealTo(siteID, ch.node, key.Public(), ch.at)
}

// Recover makes a site of one node of the folder of a node that is left, or whose log is damaged: of what its database
// and what can be read of its log hold. Cut wherever it is, it can be done again.
func Recover(ctx context.Context, c Config) (r Result, err error) {
	c.complete()
	if _, err := os.Stat(filepath.Join(c.Dir, folder.QuorumFolder)); err != nil {
		if _, err := os.Stat(filepath.Join(c.Dir, folder.DatabaseFile)); err != nil {
			return r, fmt.Errorf("%s holds no node of a site: name the data folder of the one that is left", c.Dir)
		}
	}
	dir, err := folder.Open(c.Dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	db, err := store.Open(ctx, store.Config{Path: dir.Path(folder.DatabaseFile), Log: c.Log})
	if err != nil {
		return r, fmt.Errorf("open the site's database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return c.recover(ctx, dir, db)
}

// Names of the folders of the log while it is made anew.
const (
	anewFolder   = "quorum-anew"
	formerFolder = "quorum-former"
)

func (c *Config) recover(ctx context.Context, dir *folder.Folder, db *store.DB) (r Result, err error) {
	salvaged, err := quorum.Salvage(ctx, dir.Path(folder.QuorumFolder), db, c.Log)
	if err != nil {
		return r, fmt.Errorf("bring the database as far as the log leads: %w", err)
	}
	if db.Applied() == 0 {
		return r, errors.Join(fmt.Errorf("neither the database nor the log of %s holds anything: restore a backup (thatch restore)", c.Dir), salvaged.Lost)
	}
	if err := db.Migrate(ctx, db, store.SchemaVersion, c.Now().UTC()); err != nil {
		return r, err
	}
	s, err := readSite(ctx, db)
	if err != nil {
		return r, err
	}
	ch := change{node: dir.ID, epoch: uuid.NewString(), actor: c.Actor, at: c.Now().UTC(), why: "made a site of one node of what node " + dir.ID + " held"}
	if ch.seal, err = c.resealed(ctx, &s, db, ch); err != nil {
		return r, err
	}
	var nodes int
	if err := db.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM node WHERE removed = '' AND id <> ?`, dir.ID).Scan(&nodes)
	}); err != nil {
		return r, fmt.Errorf("count the nodes: %w", err)
	}
	anew := dir.Path(anewFolder)
	if err := os.RemoveAll(anew); err != nil {
		return r, err
	}
	if err := c.begin(ctx, db, ch, quorum.Site{Dir: anew, Term: salvaged.Term}); err != nil {
		return r, err
	}
	r = Result{
		Site: s.name, SiteID: s.id, Node: dir.ID, Dir: c.Dir, Index: db.Applied(), Epoch: ch.epoch, Nodes: nodes, Applied: salvaged.To - salvaged.From,
	}
	if salvaged.Lost != nil {
		r.Lost = salvaged.Lost.Error()
	}
	r.Former, err = exchange(dir, ch.at)
	return r, err
}

// resealed seals the site's keys to the node again: they are opened with its own key, else with the recovery key. A folder
// of an earlier version has them in files.
func (c *Config) resealed(ctx context.Context, s *site, db *store.DB, ch change) (store.Statement, error) {
	k, own := s.ownKeys(ctx, db, ch.node, c.Dir)
	if own == nil {
		return sealNew(k, s.id, ch, c.Dir)
	}
	if c.Key == nil {
		return store.Statement{}, fmt.Errorf("the node cannot open the site's keys (%w): give the recovery key (--recovery-key)", own)
	}
	k, err := s.keys(ctx, db, sealed.Recovery, c.Key)
	if err != nil {
		return store.Statement{}, err
	}
	path := filepath.Join(c.Dir, sealed.NodeKeyFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return store.Statement{}, fmt.Errorf("make the node's key anew: %w", err)
	}
	return sealNew(k, s.id, ch, c.Dir)
}

func (s *site) ownKeys(ctx context.Context, db *store.DB, node, dir string) (sealed.Keys, error) {
	if former, err := sealed.FormerKeys(dir); former != nil || err != nil {
		if err == nil {
			err = db.View(ctx, func(tx *sql.Tx) error { return former.Belong(ctx, tx, s.id, s.authority) })
		}
		if err == nil {
			return *former, nil
		}
	}
	mine, err := sealed.ReadNodeKey(dir)
	if err != nil {
		return sealed.Keys{}, err
	}
	if mine == nil {
		return sealed.Keys{}, errors.New(sealed.NodeKeyFile + " is missing")
	}
	return s.keys(ctx, db, node, mine)
}

// exchange puts the new log in the place of the former, which stays beside it.
func exchange(dir *folder.Folder, at time.Time) (former string, err error) {
	now := dir.Path(folder.QuorumFolder)
	former = dir.Path(formerFolder + "-" + at.Format("20060102T150405.000000000Z"))
	if err := os.Rename(now, former); errors.Is(err, fs.ErrNotExist) {
		former = ""
	} else if err != nil {
		return "", fmt.Errorf("put the former log aside: %w", err)
	}
	if err := os.Rename(dir.Path(anewFolder), now); err != nil {
		return "", fmt.Errorf("put the new log in its place: %w", err)
	}
	return former, sqlite.SyncFolder(dir.Dir)
}
