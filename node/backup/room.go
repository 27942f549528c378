package backup

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"thatch/node/disk"
	"thatch/node/identity"
	"thatch/node/store"
	"thatch/node/store/rows"
	"thatch/node/tasks"
)

// Task is the name of the task that makes backups, and of its kind.
const Task = "backup"

// VerifyKind is the kind of task that reads a backup.
const VerifyKind = "backup-verify"

// Daily is when the task runs once it is switched on, and Keep how many backups it leaves, unless somebody says otherwise.
const (
	Daily = "41 2 * * *"
	Keep  = 7
)

// lately is how old the newest backup may be before somebody is told.
const lately = 8 * 24 * time.Hour

// Database is what is copied.
type Database interface {
	store.Reader
	Snapshot(ctx context.Context, path string) (index uint64, err error)
}

// Keys tells the recovery key in force.
type Keys interface {
	RecoveryKey(ctx context.Context) (*identity.RecoveryKey, error)
}

// Config is what the room needs.
type Config struct {
	Settings Settings // of this node
	Dir      string   // its data folder
	Scratch  string   // where a copy of the database lies for a while
	Version  string
	Term     func() uint64 // of the quorum
	Database Database
	Writer   store.Writer
	Keys     Keys
	Tasks    *tasks.Room
	Now      func() time.Time
}

// Room makes backups and knows those that there are.
type Room struct{ cfg Config }

// New makes the room, and registers its kinds of work.
func New(cfg Config) *Room {
	r := &Room{cfg: cfg}
	cfg.Tasks.Register(tasks.Kind{
		Name: Task, Text: "Write a backup of the site: database, sealed keys and a list of the payloads; leave the newest", Do: r.do,
		Here:  func(params json.RawMessage) bool { var p Params; return json.Unmarshal(params, &p) == nil && p.Here },
		Tasks: []tasks.Task{{Name: Task, Schedule: Daily, Params: json.RawMessage(fmt.Sprintf(`{"keep":%d}`, Keep))}},
	})
	cfg.Tasks.Register(tasks.Kind{
		Name: VerifyKind, Text: "Read a backup and hold it against its digests", Do: r.verify,
		Key:  func(params json.RawMessage) string { return string(params) },
		Here: func(json.RawMessage) bool { return true },
	})
	return r
}

// Params are those of the task.
type Params struct {
	Folder string `json:"folder,omitempty"` // absolute, on the machine of the node that leads; empty: "backups" in its data folder
	Keep   int    `json:"keep,omitempty"`   // how many are left in that folder; 0: all
	Here   bool   `json:"here,omitempty"`   // the node that is asked makes it, whoever leads
}

// Check says what is wrong with parameters.
func (p *Params) Check() error {
	switch {
	case p.Folder != "" && !filepath.IsAbs(p.Folder):
		return store.Invalid("the folder of backups %q: want an absolute path on the node's machine", p.Folder)
	case p.Keep < 0 || p.Keep > 10_000:
		return store.Invalid("%d backups are to be kept: want 0 (all) to 10,000", p.Keep)
	}
	return nil
}

// Backup is a file that a node made.
type Backup struct {
	Name     string    `json:"name"`
	Node     string    `json:"node"` // id, on whose machine it lies
	Folder   string    `json:"folder"`
	Made     time.Time `json:"made"`
	Size     int64     `json:"size"`
	SHA256   string    `json:"sha256"`
	Recovery string    `json:"recovery_key"` // name of the key that opens it, empty: none
	Index    uint64    `json:"index"`
	Epoch    string    `json:"epoch"`
	Payloads int       `json:"payloads"`
	State    string    `json:"state"` // "here", "missing", or "elsewhere": at another node
	Removed  []string  `json:"removed,omitempty"`
}

// States of a backup.
const (
	Here      = "here"
	Missing   = "missing"
	Elsewhere = "elsewhere"
)

// body is what is kept beside the columns.
type body struct {
	Index    uint64 `json:"index"`
	Epoch    string `json:"epoch"`
	Payloads int    `json:"payloads"`
}

func (r *Room) do(ctx context.Context, job *tasks.Job) (any, error) {
	var p Params
	if err := job.Decode(&p); err != nil {
		return nil, err
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.Folder == "" {
		var err error
		if p.Folder, err = filepath.Abs(filepath.Join(r.cfg.Dir, "backups")); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(p.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of backups: %w", err)
	}
	adopted, err := r.adopt(ctx, p.Folder)
	for _, name := range adopted {
		job.Log("%s had been written before the node was stopped: it is on record now", name)
	}
	if err != nil {
		return nil, err
	}
	f, err := r.write(ctx, p.Folder, func(done, total int64) {
		job.Progress(tasks.Progress{Done: done, Total: total, Unit: "bytes", Text: "the database"})
	})
	if err != nil {
		return nil, err
	}
	made := r.made(f, p.Folder)
	job.Log("%s has %d bytes and holds index %d", f.Path, f.Size, made.Index)
	if made.Recovery == "" {
		job.Log("the site has no recovery key, so nobody can restore this backup: make one with thatch backup recovery-key, then make another backup")
	}
	if err := r.record(ctx, made); err != nil {
		return made, err
	}
	made.Removed, err = r.prune(ctx, p)
	for _, name := range made.Removed {
		job.Log("%s was removed: the newest %d are kept", name, p.Keep)
	}
	return made, err
}

// made is what is kept of a file that this node made.
func (r *Room) made(f File, folder string) Backup {
	return Backup{
		Name: filepath.Base(f.Path), Node: r.cfg.Settings.Node, Folder: folder, Made: f.Manifest.Made, Size: f.Size, SHA256: f.SHA256,
		Recovery: f.Manifest.Recovery, Index: f.Manifest.Index, Epoch: f.Manifest.Epoch, Payloads: f.Manifest.Payloads.Count, State: Here,
	}
}

// write makes a copy of the database and a backup of it.
func (r *Room) write(ctx context.Context, folder string, progress Progress) (File, error) {
	if err := r.dropPartial(ctx, folder); err != nil {
		return File{}, err
	}
	scratch, err := os.MkdirTemp(r.cfg.Scratch, "backup-")
	if err != nil {
		return File{}, fmt.Errorf("make a folder for the copy of the database: %w", err)
	}
	defer os.RemoveAll(scratch)
	space, err := disk.Of(scratch)
	if size := r.size(); err == nil && space.Free < size+size/10 {
		return File{}, fmt.Errorf("the copy of the database takes %d bytes in %s for a while, and %d are free: make room, then try again",
			size, r.cfg.Scratch, space.Free)
	}
	database := filepath.Join(scratch, databaseName)
	m := Manifest{Made: r.cfg.Now().UTC().Truncate(time.Second), Version: r.cfg.Version, Settings: r.cfg.Settings, Term: r.cfg.Term()}
	if _, err := r.cfg.Database.Snapshot(ctx, database); err != nil {
		return File{}, err
	}
	return Write(ctx, &m, database, folder, progress)
}

func (r *Room) size() int64 {
	if sized, ok := r.cfg.Database.(interface{ Size() int64 }); ok {
		return sized.Size()
	}
	return 0
}

// dropPartial removes what backups of this site left that were cut. Only one is made at a time.
func (r *Room) dropPartial(ctx context.Context, folder string) error {
	now, err := r.site(ctx)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("read the folder of backups: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix(now.Site, now.SiteID)) && strings.HasSuffix(e.Name(), Extension+partial) {
			if err := removeIfThere(filepath.Join(folder, e.Name())); err != nil {
				return fmt.Errorf("remove a backup that was cut: %w", err)
			}
		}
	}
	return nil
}

// site is who the site is now.
func (r *Room) site(ctx context.Context) (c Content, err error) {
	err = r.cfg.Database.View(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT name, id, epoch FROM site`).Scan(&c.Site, &c.SiteID, &c.Epoch)
	})
	if err != nil {
		err = fmt.Errorf("read the site: %w", err)
	}
	return c, err
}

func (r *Room) record(ctx context.Context, b Backup) error {
	text, err := json.Marshal(body{b.Index, b.Epoch, b.Payloads})
	if err != nil {
		return err
	}
	return r.put(ctx, "backup "+b.Name+" was made", store.Statement{
		SQL:  `INSERT INTO backup (name, node, folder, made, size, sha256, recovery, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		Args: []any{b.Name, b.Node, b.Folder, rows.Stamp(b.Made), b.Size, b.SHA256, b.Recovery, string(text)}, Want: 1,
	})
}

func (r *Room) put(ctx context.Context, reason string, statements ...store.Statement) error {
	applied, err := r.cfg.Writer.Write(ctx, store.Batch{Reason: reason, Topics: []string{"backup"}, Statements: statements})
	if err = errors.Join(err, applied.Err()); err != nil {
		return fmt.Errorf("%s: %w", reason, err)
	}
	return nil
}

// prune removes the oldest backups on record of this node in a folder beyond those that are kept. Files of which the site
// has no record are nobody's to remove.
func (r *Room) prune(ctx context.Context, p Params) (removed []string, err error) {
	all, err := r.all(ctx)
	if err != nil || p.Keep == 0 {
		return nil, err
	}
	mine := slices.DeleteFunc(all, func(b Backup) bool { return b.Node != r.cfg.Settings.Node || b.Folder != p.Folder })
	var statements []store.Statement
	for i, b := range mine { // the newest first
		if i < p.Keep {
			continue
		}
		if err := removeIfThere(filepath.Join(b.Folder, b.Name)); err != nil {
			return removed, fmt.Errorf("remove an old backup: %w", err)
		}
		removed = append(removed, b.Name)
		statements = append(statements, store.Statement{SQL: `DELETE FROM backup WHERE name = ?`, Args: []any{b.Name}})
	}
	if len(statements) == 0 {
		return nil, nil
	}
	return removed, r.put(ctx, "forget old backups", statements...)
}

var columns = rows.Columns{
	From: `name, node, folder, made, size, sha256, recovery, body FROM backup`,
	Names: map[string]string{
		"name": "name", "node": "node", "folder": "folder", "made": "made", "size": "size", "recovery_key": "recovery",
	},
	Kinds:  map[string]store.Kind{"made": store.Time, "size": store.Number},
	Search: []string{"name", "folder"}, Order: "made DESC, name DESC",
}

// Columns are what backups can be filtered and sorted by.
var Columns = columns.Known()

// List is a page of the backups on record, newest first, and how many there are.
func (r *Room) List(ctx context.Context, q store.Query) ([]Backup, int, error) {
	list, total, err := rows.List(ctx, r.cfg.Database, q, columns, func(row *sql.Rows) (b Backup, err error) {
		var made, text string
		if err := row.Scan(&b.Name, &b.Node, &b.Folder, &made, &b.Size, &b.SHA256, &b.Recovery, &text); err != nil {
			return b, err
		}
		var more body
		err = json.Unmarshal([]byte(text), &more)
		b.Made, b.Index, b.Epoch, b.Payloads = rows.Unstamp(made), more.Index, more.Epoch, more.Payloads
		return b, err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read the backups on record: %w", err)
	}
	for i := range list {
		list[i].State = r.state(&list[i])
	}
	return list, total, nil
}

func (r *Room) state(b *Backup) string {
	if info, err := os.Stat(filepath.Join(b.Folder, b.Name)); err == nil && info.Size() == b.Size {
		return Here
	}
	if b.Node != r.cfg.Settings.Node {
		return Elsewhere
	}
	return Missing
}

func (r *Room) all(ctx context.Context) ([]Backup, error) {
	list, _, err := r.List(ctx, store.Query{})
	return list, err
}

// Named finds a backup on record.
func (r *Room) Named(ctx context.Context, name string) (Backup, error) {
	all, err := r.all(ctx)
	for _, b := range all {
		if b.Name == name {
			return b, nil
		}
	}
	return Backup{}, errors.Join(err, store.NotFound("backup", name))
}

func (r *Room) verify(ctx context.Context, job *tasks.Job) (any, error) {
	var p struct {
		Name string `json:"name"`
	}
	if err := job.Decode(&p); err != nil {
		return nil, err
	}
	b, err := r.Named(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	if b.State != Here {
		return nil, fmt.Errorf("%s is not on this node's machine but on that of node %s, in %s: read it there with thatch backup verify", b.Name, b.Node, b.Folder)
	}
	f, err := Verify(ctx, filepath.Join(b.Folder, b.Name), r.cfg.Scratch, func(done, total int64) {
		job.Progress(tasks.Progress{Done: done, Total: total, Unit: "bytes"})
	})
	if err != nil {
		return nil, err
	}
	if f.SHA256 != b.SHA256 {
		return f, fmt.Errorf("%s is whole, but is another file than the one that was made: its SHA-256 was %s, and is %s", b.Name, b.SHA256, f.SHA256)
	}
	job.Log("%s is whole", b.Name)
	return f, nil
}

// Standing is how the site would come back if it were lost now.
type Standing struct {
	RecoveryKey *identity.RecoveryKey `json:"recovery_key,omitempty"` // nil: none was made
	Last        *Backup               `json:"last,omitempty"`         // the newest; nil: there is none
	Schedule    string                `json:"schedule"`               // empty: backups are made by hand alone
	Folder      string                `json:"folder"`                 // of scheduled ones; empty: in the data folder of the node that leads
	Keep        int                   `json:"keep"`
	Next        *time.Time            `json:"next,omitempty"`
	Trouble     *Trouble              `json:"trouble,omitempty"` // with those made by schedule
	Advice      []string              `json:"advice"`            // what to do beside, the most pressing first
}

// Standing reads it.
func (r *Room) Standing(ctx context.Context) (s Standing, err error) {
	if s.RecoveryKey, err = r.cfg.Keys.RecoveryKey(ctx); err != nil {
		return s, err
	}
	list, _, err := r.List(ctx, store.Query{Limit: 1})
	if err != nil {
		return s, err
	}
	if len(list) > 0 {
		s.Last = &list[0]
	}
	task, err := r.cfg.Tasks.Task(ctx, Task)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return s, err
	}
	if task.Enabled {
		s.Schedule, s.Next = task.Schedule, task.Next
	}
	var p Params
	if len(task.Params) > 0 && json.Unmarshal(task.Params, &p) == nil {
		s.Folder, s.Keep = p.Folder, p.Keep
	}
	s.Trouble = s.trouble(&task, r.cfg.Now())
	s.Advice = s.advice(r.cfg.Now())
	return s, nil
}

const old = "The newest backup was made at %s: make another with thatch backup, or look at the runs of the task backup."

func (s *Standing) advice(now time.Time) []string {
	advice := []string{}
	if s.RecoveryKey == nil {
		advice = append(advice, "No recovery key was made, so no backup could be restored: make one with thatch backup recovery-key, and keep it off the site.")
	}
	switch {
	case s.Last == nil:
		advice = append(advice, "There is no backup: make one with thatch backup, or switch the schedule on.")
	case s.Trouble != nil:
	case s.Last.State == Missing:
		advice = append(advice, "The newest backup is not where it was written: look for it, or make another with thatch backup.")
	case s.RecoveryKey != nil && s.Last.Recovery != s.RecoveryKey.Name:
		advice = append(advice, "The newest backup is not sealed to the recovery key in force: make another with thatch backup.")
	case now.Sub(s.Last.Made) > lately:
		advice = append(advice, fmt.Sprintf(old, rows.Stamp(s.Last.Made)))
	}
	if s.Schedule == "" {
		advice = append(advice, "Backups are made by hand alone: switch the schedule on with thatch backup schedule.")
	}
	return advice
}
