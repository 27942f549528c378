package backups_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/backups"
	"thatch/console/api/client"
	"thatch/node/backup"
	"thatch/node/identity"
	"thatch/node/identity/sealed"
	"thatch/node/nodetest"
	"thatch/node/tasks"
)

func refused(t *testing.T, err error, status int, text string) {
	t.Helper()
	var answer *client.Error
	if !errors.As(err, &answer) || answer.Status != status || !strings.Contains(answer.Text, text) {
		t.Errorf("got %v, want %d with %q", err, status, text)
	}
}

func standing(t *testing.T, c *client.Client) (s backup.Standing) {
	t.Helper()
	if err := c.Get(t.Context(), "/backups/standing", nil, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBackupsOverTheAPI(t *testing.T) {
	n := nodetest.New(t)
	nodetest.Run(t, n, map[string]http.Handler{"/": api.New(n, backups.Routes(n)...)})
	c := apitest.Local(t, n)
	if s := standing(t, c); s.RecoveryKey != nil || s.Last != nil || s.Schedule != "" || s.Keep != backup.Keep || len(s.Advice) != 3 {
		t.Errorf("%+v", s)
	}
	_, key, err := sealed.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	for _, public := range [][]byte{nil, key.Public()[:31], make([]byte, 32)} {
		refused(t, c.Put(t.Context(), "/backups/recovery-key", backups.PublicKey{Public: public}, nil), http.StatusBadRequest, "recovery key")
	}
	var told identity.RecoveryKey
	if err := c.Put(t.Context(), "/backups/recovery-key", backups.PublicKey{Public: key.Public()}, &told); err != nil || told.Name != sealed.Name(key.Public()) {
		t.Fatal(told, err)
	}
	folder := filepath.Join(t.TempDir(), "b")
	ended := apitest.Run(t, c, "/backups", backups.Wanted{Folder: folder})
	var made backup.Backup
	if err := json.Unmarshal(ended.Result, &made); err != nil || ended.State != tasks.Done || made.Folder != folder || made.Recovery != told.Name {
		t.Fatalf("%s %s %+v %v", ended.State, ended.Error, made, err)
	}
	if ended := apitest.Run(t, c, "/backups/"+made.Name+"/verify", nil); ended.State != tasks.Done {
		t.Error(ended.Error)
	}
	if err := os.Truncate(filepath.Join(folder, made.Name), made.Size-1); err != nil {
		t.Fatal(err)
	}
	if ended := apitest.Run(t, c, "/backups/"+made.Name+"/verify", nil); ended.State != tasks.Failed || !strings.Contains(ended.Error, made.Name) {
		t.Errorf("a cut backup: %s, %s", ended.State, ended.Error)
	}
	var list api.List[backup.Backup]
	if err := c.Get(t.Context(), "/backups", nil, &list); err != nil || list.Total != 1 || list.Items[0].State != backup.Missing {
		t.Errorf("%+v, %v", list, err)
	}
	refused(t, c.Post(t.Context(), "/backups/nothing/verify", nil, nil), http.StatusNotFound, "nothing")
	refused(t, c.Post(t.Context(), "/backups", backups.Wanted{Folder: "here"}, nil), http.StatusBadRequest, "absolute")

	remote := apitest.Remote(t, n, apitest.Token(t, n, identity.Administrator))
	refused(t, remote.Post(t.Context(), "/backups", backups.Wanted{Folder: folder}, nil), http.StatusForbidden, "--data")
	if ended := apitest.Run(t, remote, "/backups", backups.Wanted{}); ended.State != tasks.Done {
		t.Error(ended.Error)
	}
	viewer := apitest.Remote(t, n, apitest.Token(t, n, identity.Operate))
	refused(t, viewer.Post(t.Context(), "/backups", backups.Wanted{}, nil), http.StatusForbidden, "")
	refused(t, viewer.Put(t.Context(), "/backups/recovery-key", backups.PublicKey{Public: key.Public()}, nil), http.StatusForbidden, "")
	standing(t, viewer)
}

func TestScheduleOfBackups(t *testing.T) {
	n := nodetest.New(t)
	nodetest.Run(t, n, map[string]http.Handler{"/": api.New(n, backups.Routes(n)...)})
	c := apitest.Local(t, n)
	folder := filepath.Join(t.TempDir(), "b")
	var s backup.Standing
	if err := c.Put(t.Context(), "/backups/schedule", backups.Schedule{Schedule: "@daily", Enabled: true, Folder: folder, Keep: 3}, &s); err != nil {
		t.Fatal(err)
	}
	if s.Schedule != "@daily" || s.Folder != folder || s.Keep != 3 || s.Next == nil {
		t.Errorf("%+v", s)
	}
	for want, in := range map[string]backups.Schedule{
		"absolute": {Schedule: "@daily", Folder: "x"}, "10,000": {Schedule: "@daily", Keep: 20_000}, "task backup": {Schedule: "often"},
	} {
		refused(t, c.Put(t.Context(), "/backups/schedule", in, nil), http.StatusBadRequest, want)
	}
	if err := c.Put(t.Context(), "/backups/schedule", backups.Schedule{Schedule: "@daily", Folder: folder, Keep: 3}, nil); err != nil {
		t.Fatal(err)
	}
	if s := standing(t, c); s.Schedule != "" || s.Next != nil || s.Folder != folder {
		t.Errorf("%+v", s)
	}
}

func TestNodeKeyIsChanged(t *testing.T) {
	n := nodetest.New(t)
	nodetest.Run(t, n, map[string]http.Handler{"/": api.New(n, backups.Routes(n)...)})
	if err := n.Sisters().Settled(t.Context()); err != nil { // it tells of itself while it serves already
		t.Fatal(err)
	}
	c := apitest.Local(t, n)
	before, err := sealed.NodeKey(n.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Post(t.Context(), "/site/node-key", nil, nil); err != nil {
		t.Fatal(err)
	}
	after, err := sealed.NodeKey(n.Dir())
	if err != nil || bytes.Equal(before.Public(), after.Public()) {
		t.Errorf("the key is the former one: %v", err)
	}
	nodes, err := n.Members.Nodes(t.Context())
	if err != nil || len(nodes) != 1 || !bytes.Equal(nodes[0].SealKey, after.Public()) {
		t.Errorf("on record is another key: %+v, %v", nodes, err)
	}
	viewer := apitest.Remote(t, n, apitest.Token(t, n, identity.Operate))
	refused(t, viewer.Post(t.Context(), "/site/node-key", nil, nil), http.StatusForbidden, "")
}
