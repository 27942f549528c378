package recovery_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"thatch/node"
	"thatch/node/backup"
	"thatch/node/folder"
	"thatch/node/identity/identitytest"
	"thatch/node/identity/sealed"
	"thatch/node/membership"
	"thatch/node/nodetest"
	"thatch/node/recovery"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/node/store/sqlite"
	"thatch/node/tasks"
)

// site is a running node with something in it.
type site struct {
	*node.Node
	stop func()
	dir  string
}

func begin(t *testing.T, dir string) *site {
	t.Helper()
	n := nodetest.NewWith(t, node.Config{Dir: dir, Site: "Bern & Söhne", Languages: []string{"de", "en"}})
	return &site{Node: n, stop: nodetest.Run(t, n, nil), dir: dir}
}

func (s *site) end(t *testing.T) {
	t.Helper()
	s.stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func (s *site) set(t *testing.T, name, value string) {
	t.Helper()
	applied, err := s.Writer().Write(t.Context(), store.Batch{Actor: "test", Reason: "a test", Statements: []store.Statement{{
		SQL:  `INSERT INTO setting (name, value, version) VALUES (?, ?, 1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
		Args: []any{name, value},
	}}})
	if err = errors.Join(err, applied.Err()); err != nil {
		t.Fatal(err)
	}
}

func (s *site) setting(t *testing.T, name string) (value string) {
	t.Helper()
	return text(t, s.Reader(), `SELECT coalesce(max(value), '') FROM setting WHERE name = ?`, name)
}

// recoveryKey gives the site one.
func (s *site) recoveryKey(t *testing.T) *sealed.Key {
	t.Helper()
	_, key, err := sealed.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	told, err := s.Identity.SetRecoveryKey(t.Context(), key.Public())
	if err != nil || told.Name != sealed.Name(key.Public()) {
		t.Fatal(told, err)
	}
	return key
}

// backUp runs the task and returns the path of what it made.
func (s *site) backUp(t *testing.T, p backup.Params) string {
	t.Helper()
	run := s.run(t, p)
	if run.State != tasks.Done {
		t.Fatalf("%s: %s", run.State, run.Error)
	}
	var made backup.Backup
	if err := json.Unmarshal(run.Result, &made); err != nil {
		t.Fatal(err)
	}
	if known, err := s.Backups.Named(t.Context(), made.Name); err != nil || known.State != backup.Here || known.SHA256 != made.SHA256 {
		t.Fatalf("%+v, %v", known, err)
	}
	return filepath.Join(made.Folder, made.Name)
}

func (s *site) run(t *testing.T, p backup.Params) tasks.Run {
	t.Helper()
	id, err := s.Tasks.Run(t.Context(), backup.Task, p)
	if err != nil {
		t.Fatal(err)
	}
	run, err := s.Tasks.Wait(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func restore(t *testing.T, file, dir string, key *sealed.Key) recovery.Result {
	t.Helper()
	r, err := recovery.Restore(t.Context(), file, recovery.Config{Dir: dir, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBackupAndRestore(t *testing.T) {
	s := begin(t, t.TempDir())
	key := s.recoveryKey(t)
	sealedSecret, err := s.Identity.Seal("p", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	_, csr := identitytest.Key(t)
	issued, err := s.Identity.Issue(csr, "c1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Writer().Write(t.Context(), store.Batch{Actor: "test", Reason: "issue", Statements: issued.Record}); err != nil {
		t.Fatal(err)
	}
	s.set(t, "before", "1")
	file := s.backUp(t, backup.Params{})
	s.set(t, "after", "1")
	before := s.Site()
	s.end(t)

	dir := filepath.Join(t.TempDir(), "new")
	r := restore(t, file, dir, key)
	if r.SiteID != before.ID || r.Epoch == before.Epoch || r.Node == "" {
		t.Errorf("%+v", r)
	}
	back := begin(t, dir)
	if now := back.Site(); now.ID != before.ID || now.Name != before.Name || now.Epoch != r.Epoch {
		t.Errorf("%+v, was %+v", now, before)
	}
	if back.setting(t, "before") != "1" || back.setting(t, "after") != "" {
		t.Error("the site is not as it was when the backup was made")
	}
	if got, err := back.Identity.Unseal("p", sealedSecret); err != nil || string(got) != "secret" {
		t.Errorf("what the site kept sealed: %q, %v", got, err)
	}
	if !bytes.Equal(back.Identity.Authority(), s.Identity.Authority()) {
		t.Error("the site has another authority")
	}
	if _, err := back.Identity.Peer(t.Context(), identitytest.Connected(t, issued.DER, back.Identity.Authority())); err != nil {
		t.Errorf("the certificate of a computer is not good any more: %v", err)
	}
	if entry := text(t, back.Reader(), `SELECT action FROM audit WHERE action LIKE 'the site was restored%'`); !strings.Contains(entry, r.Node) {
		t.Errorf("the audit log says %q", entry)
	}
	if left := text(t, back.Reader(), `SELECT count(*) FROM sealed_keys`); left != "2" {
		t.Errorf("the site's keys are sealed to %s, want the node and the recovery key", left)
	}
	if out := text(t, back.Reader(), `SELECT count(*) FROM node WHERE removed = '' AND id <> ?`, r.Node); out != "0" {
		t.Errorf("%s former nodes are of the site", out)
	}
	back.set(t, "anew", "1")
	again := back.backUp(t, backup.Params{})
	back.end(t)
	restore(t, again, filepath.Join(t.TempDir(), "third"), key)
}

func TestBackupsWhileTheNodeWrites(t *testing.T) {
	s := begin(t, t.TempDir())
	key := s.recoveryKey(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() {
		written := 0
		for ; ctx.Err() == nil; written++ {
			s.set(t, fmt.Sprint("w", written%50), fmt.Sprint(written))
		}
		ended <- written
	}()
	var files []string
	for range 3 {
		files = append(files, s.backUp(t, backup.Params{Folder: filepath.Join(s.dir, "b"), Here: true}))
	}
	cancel()
	if written := <-ended; written == 0 {
		t.Error("nothing was written meanwhile")
	}
	for _, file := range files {
		f, err := backup.Verify(t.Context(), file, t.TempDir(), nil)
		if err != nil {
			t.Error(err)
		}
		restore(t, file, filepath.Join(t.TempDir(), "new"), key)
		if f.Manifest.Index == 0 || f.Manifest.Recovery != sealed.Name(key.Public()) || f.Manifest.Site != "Bern & Söhne" {
			t.Errorf("%+v", f.Manifest)
		}
	}
}

func TestRetention(t *testing.T) {
	clock := nodetest.NewClock()
	dir := t.TempDir()
	n := nodetest.NewWith(t, node.Config{Dir: dir, Site: "Test", Now: clock.Now})
	s := &site{Node: n, stop: nodetest.Run(t, n, nil), dir: dir}
	folder := filepath.Join(dir, "b")
	strangers := []string{"thatch-other-12345678-20200101T000000Z-1.tar.zst", "notes.txt"}
	for i := range 4 {
		clock.Move(time.Hour)
		if i == 1 {
			for _, name := range append(strangers, "thatch-test-"+n.Site().ID[:8]+"-20200101T000000Z-1.tar.zst.partial") {
				if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.backUp(t, backup.Params{Folder: folder, Keep: 2})
	}
	found, bad, err := backup.In(folder)
	if err != nil || len(found) != 2 || len(bad) != 1 || !found[0].Manifest.Made.Equal(clock.Now().Truncate(time.Second)) {
		t.Errorf("%d backups, %v, %v; want the newest two, and the other's that is none", len(found), bad, err)
	}
	entries, _ := os.ReadDir(folder)
	if len(entries) != 2+len(strangers) {
		t.Errorf("the folder holds %v", entries)
	}
	if err := os.Remove(found[0].Path); err != nil {
		t.Fatal(err)
	}
	standing, err := s.Backups.Standing(t.Context())
	if err != nil || standing.Last.State != backup.Missing || standing.RecoveryKey != nil {
		t.Errorf("%+v, %v", standing, err)
	}
	for _, want := range []string{"No recovery key", "not where it was written", "by hand alone"} {
		if !strings.Contains(strings.Join(standing.Advice, "\n"), want) {
			t.Errorf("the advice lacks %q: %q", want, standing.Advice)
		}
	}
	for want, p := range map[string]backup.Params{
		"absolute path": {Folder: "here"}, "10,000": {Keep: -1}, "folder of backups": {Folder: filepath.Join(folder, "notes.txt")},
	} {
		if run := s.run(t, p); run.State != tasks.Failed || !strings.Contains(run.Error, want) {
			t.Errorf("%+v: %s, %s", p, run.State, run.Error)
		}
	}
}

// A backup that was written and not recorded, because the node was killed in between, is found by the next one, and goes when it
// is old; one that was forgotten and is put back later stays where it is.
func TestBackupWithoutRecord(t *testing.T) {
	clock, dir := nodetest.NewClock(), t.TempDir()
	n := nodetest.NewWith(t, node.Config{Dir: dir, Site: "Test", Now: clock.Now})
	s, folder := &site{Node: n, stop: nodetest.Run(t, n, nil), dir: dir}, filepath.Join(dir, "b")
	var made []string
	for i := range 4 {
		clock.Move(time.Hour)
		made = append(made, s.backUp(t, backup.Params{Folder: folder, Keep: 2}))
		switch i {
		case 0:
			if err := os.Link(made[0], made[0]+".kept"); err != nil {
				t.Skip("this file system knows no hard links: ", err)
			}
		case 1:
			s.exec(t, `DELETE FROM backup WHERE name = ?`, filepath.Base(made[1]))
		case 2: // the first went, the second came back on record
			if got := strings.Join(s.onRecord(t), " "); got != filepath.Base(made[2])+" "+filepath.Base(made[1]) {
				t.Errorf("on record are %s", got)
			}
			if err := os.Rename(made[0]+".kept", made[0]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := strings.Join(s.onRecord(t), " "); got != filepath.Base(made[3])+" "+filepath.Base(made[2]) {
		t.Errorf("on record are %s", got)
	}
	for i, there := range []bool{true, false, true, true} {
		if _, err := os.Stat(made[i]); (err == nil) != there {
			t.Errorf("backup %d: %v, want it there: %t", i, err, there)
		}
	}
}

func (s *site) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	applied, err := s.Writer().Write(t.Context(), store.Batch{Actor: "test", Reason: "a test", Topics: []string{"backup"}, Statements: []store.Statement{{SQL: statement, Args: args, Want: 1}}})
	if err = errors.Join(err, applied.Err()); err != nil {
		t.Fatal(err)
	}
}

func (s *site) onRecord(t *testing.T) (names []string) {
	t.Helper()
	list, _, err := s.Backups.List(t.Context(), store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range list {
		names = append(names, b.Name)
	}
	return names
}

// Scheduled backups that fail are told of where people look: an alarm, a metric, the status of the site.
func TestScheduledBackupsThatFail(t *testing.T) {
	s := begin(t, t.TempDir())
	metrics := prometheus.NewRegistry()
	s.Collect(metrics)
	metric := func(name string) float64 {
		t.Helper()
		families, err := metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == name {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		t.Fatalf("there is no metric %s", name)
		return 0
	}
	alarm := func() string {
		t.Helper()
		if err := s.Sites.Judge(t.Context()); err != nil {
			t.Fatal(err)
		}
		standing, err := s.Sites.Standing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range standing {
			if a.Kind == sites.Backup {
				return a.Text
			}
		}
		return ""
	}
	scheduled := func(folder string) {
		t.Helper()
		text, err := json.Marshal(backup.Params{Folder: folder, Keep: 2})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Tasks.Change(t.Context(), tasks.Task{Name: backup.Task, Schedule: "0 0 1 1 *", Enabled: true, Params: text}); err != nil {
			t.Fatal(err)
		}
		id, err := s.Tasks.RunTask(t.Context(), backup.Task)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Tasks.Wait(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if got := alarm(); got != "" || metric("thatch_backup_trouble") != 0 || metric("thatch_backup_time_seconds") != 0 {
		t.Errorf("at first: %q", got)
	}
	scheduled(filepath.Join(s.dir, "site.db"))
	if got := alarm(); !strings.Contains(got, "failed (make the folder of backups: ") || metric("thatch_backup_trouble") != 1 {
		t.Errorf("after one that failed: %q", got)
	}
	report := s.Sisters().Report(t.Context())
	if !slices.ContainsFunc(report.Problems, func(p membership.Problem) bool {
		return p.Kind == membership.ProblemBackup && p.Level == membership.LevelWarning
	}) {
		t.Errorf("the status of the site says %+v", report.Problems)
	}
	scheduled(filepath.Join(s.dir, "b"))
	if got := alarm(); got != "" || metric("thatch_backup_trouble") != 0 || metric("thatch_backup_time_seconds") < 1e9 {
		t.Errorf("after a good one: %q", got)
	}
	if err := os.RemoveAll(filepath.Join(s.dir, "b")); err != nil {
		t.Fatal(err)
	}
	if got := alarm(); !strings.Contains(got, "not where it was written") {
		t.Errorf("after it was removed by hand: %q", got)
	}
}

func TestRestoreRefuses(t *testing.T) {
	s := begin(t, t.TempDir())
	without := s.backUp(t, backup.Params{Folder: filepath.Join(s.dir, "without")})
	key := s.recoveryKey(t)
	file := s.backUp(t, backup.Params{Folder: filepath.Join(s.dir, "with")})
	other := s.recoveryKey(t)
	s.end(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func([]byte) []byte) string {
		path := filepath.Join(t.TempDir(), "file.tar.zst")
		if err := os.WriteFile(path, change(bytes.Clone(whole)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	flipped := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[(len(b)+at)%len(b)] ^= 4; return b }
	}
	used := t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	empty := func() string { return filepath.Join(t.TempDir(), "new") }
	for name, c := range map[string]struct {
		file, dir, want string
		key             *sealed.Key
	}{
		"no file":              {file: file + "x", want: "no such file"},
		"no backup":            {file: with(func([]byte) []byte { return bytes.Repeat([]byte("x"), 9000) }), want: "its end is missing"},
		"empty":                {file: with(func([]byte) []byte { return nil }), want: "it has 0 bytes"},
		"cut":                  {file: with(func(b []byte) []byte { return b[:len(b)-1000] }), want: "its end is missing"},
		"cut in the middle":    {file: with(func(b []byte) []byte { return append(b[:len(b)/2], b[len(b)-56:]...) }), want: "no backup, or was cut or altered"},
		"altered":              {file: with(flipped(len(whole) / 2)), want: "no backup, or was cut or altered"},
		"altered at the start": {file: with(flipped(30)), want: "no backup, or was cut or altered"},
		"another digest":       {file: with(flipped(-1)), want: "its end says"},
		"no key":               {file: file, key: nil, want: "give it"},
		"wrong key":            {file: file, key: other, want: "and the one given is " + sealed.Name(other.Public())},
		"no recovery key":      {file: without, key: key, want: "no recovery key"},
		"a site":               {file: file, key: key, dir: s.dir, want: "holds a site"},
		"used":                 {file: file, key: key, dir: used, want: "is not empty (x)"},
	} {
		dir := c.dir
		if dir == "" {
			dir = empty()
		}
		if c.key == nil && name != "no key" {
			c.key = key
		}
		before := names(t, dir)
		_, err := recovery.Restore(t.Context(), c.file, recovery.Config{Dir: dir, Key: c.key})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		after := strings.ReplaceAll(names(t, dir), "node.lock ", "")
		if strings.ReplaceAll(before, "node.lock ", "") != after {
			t.Errorf("%s: the folder held %q, and holds %q", name, before, after)
		}
	}
}

func names(t *testing.T, dir string) (all string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		all += e.Name() + " "
	}
	return all
}

func TestNewerSchemaIsNotRestored(t *testing.T) {
	s := begin(t, t.TempDir())
	key := s.recoveryKey(t)
	s.end(t)
	path := filepath.Join(s.dir, folder.DatabaseFile)
	if err := exec(path, fmt.Sprintf(`UPDATE applied SET schema = %d`, store.SchemaVersion+1)); err != nil {
		t.Fatal(err)
	}
	m := backup.Manifest{Made: time.Now(), Version: "9.9"}
	f, err := backup.Write(t.Context(), &m, path, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "new")
	if _, err := recovery.Restore(t.Context(), f.Path, recovery.Config{Dir: dir, Key: key}); err == nil || !strings.Contains(err.Error(), "made it (9.9), or a newer one") {
		t.Error(err)
	}
}

// TestRestoreThatWasCut has a restore end in each of its steps: the folder is empty to whoever looks, or whole.
func TestRestoreThatWasCut(t *testing.T) {
	s := begin(t, t.TempDir())
	key := s.recoveryKey(t)
	s.set(t, "a", "1")
	file := s.backUp(t, backup.Params{})
	s.end(t)
	opens := func(dir string) error {
		n, err := node.New(t.Context(), node.Config{Dir: dir, Listen: "127.0.0.1:0", Passwords: nodetest.Cheap})
		if err != nil {
			return err
		}
		defer n.Close()
		if n.Site().ID != s.Site().ID {
			return fmt.Errorf("another site: %+v", n.Site())
		}
		return nil
	}

	t.Run("while the files were made", func(t *testing.T) {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		_, err := recovery.Restore(ctx, file, recovery.Config{Dir: dir, Key: key, Progress: func(int64, int64) { cancel() }})
		if !errors.Is(err, context.Canceled) || names(t, dir) != "node.lock " {
			t.Errorf("cancelled: %v, it holds %q", err, names(t, dir))
		}
		if err := errors.Join(os.Mkdir(filepath.Join(dir, "restoring"), 0o700), os.WriteFile(filepath.Join(dir, "restoring", "site.db"), []byte("half"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := opens(dir); !errors.Is(err, folder.ErrCut) || !strings.Contains(err.Error(), "thatch restore again") {
			t.Errorf("a node starts on half a folder: %v", err)
		}
		restore(t, file, dir, key)
		if err := opens(dir); err != nil {
			t.Error(err)
		}
	})
	for moved := range 5 {
		t.Run(fmt.Sprintf("after %d files were in their place", moved), func(t *testing.T) {
			dir := t.TempDir()
			restore(t, file, dir, key)
			made := filepath.Join(dir, "restored")
			if err := os.Mkdir(made, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"node.id", "site.db", "quorum", "node.key"}[:4-min(moved, 4)] {
				if err := os.Rename(filepath.Join(dir, name), filepath.Join(made, name)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := recovery.Restore(t.Context(), file, recovery.Config{Dir: dir, Key: key}); err == nil || !strings.Contains(err.Error(), "holds a site") {
				t.Errorf("another restore begins: %v", err)
			}
			if err := opens(dir); err != nil {
				t.Error(err)
			}
		})
	}
}

func exec(path, statement string) error {
	c, err := sqlite.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(c.Script(statement), c.Close())
}

// text reads one value.
func text(t *testing.T, r store.Reader, query string, args ...any) (value string) {
	t.Helper()
	err := r.View(t.Context(), func(tx *sql.Tx) error { return tx.QueryRow(query, args...).Scan(&value) })
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestStatusSaysHowTheSiteWouldComeBack looks at what the site says of itself.
func TestStatusSaysHowTheSiteWouldComeBack(t *testing.T) {
	s := begin(t, t.TempDir())
	said := func() (all string) {
		for _, p := range s.Sisters().Report(t.Context()).Problems {
			if p.Kind == membership.ProblemBackup {
				all += p.Text + " / " + p.Advice + "\n"
			}
		}
		return all
	}
	if got := said(); !strings.Contains(got, "No recovery key was made, so no backup could be restored / make one with thatch backup recovery-key") ||
		!strings.Contains(got, "There is no backup / ") {
		t.Errorf("it says:\n%s", got)
	}
	s.recoveryKey(t)
	s.backUp(t, backup.Params{})
	if got := said(); strings.Contains(got, "recovery key") || !strings.Contains(got, "by hand alone / switch the schedule on") {
		t.Errorf("it says:\n%s", got)
	}
}
