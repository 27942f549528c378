package payloads_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/client"
	"thatch/console/api/payloads"
	"thatch/node"
	"thatch/node/bulletins/stock"
	"thatch/node/folder"
	"thatch/node/identity"
	"thatch/node/nodetest"
	"thatch/node/tasks"
)

// TestContent takes files from a disk, lists, alters and checks them, and refuses folders to whoever comes over the network.
func TestContent(t *testing.T) {
	n := nodetest.New(t)
	nodetest.Run(t, n, map[string]http.Handler{"/": api.New(n, payloads.Routes(n)...)})
	c, disk := apitest.Local(t, n), t.TempDir()
	if err := os.WriteFile(filepath.Join(disk, "x"), []byte("payload"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := apitest.Run(t, c, "/content/import", node.Disk{Folder: disk}); got.State != tasks.Done || !strings.Contains(string(got.Result), `"unknown":1`) {
		t.Errorf("import: %s %s %s", got.State, got.Result, got.Error)
	}
	if got := apitest.Run(t, c, "/content/import", node.Disk{Folder: disk, All: true}); got.State != tasks.Done || !strings.Contains(string(got.Result), `"taken":1`) {
		t.Errorf("import of all: %s %s %s", got.State, got.Result, got.Error)
	}
	var list api.List[*stock.Row]
	if err := c.Get(t.Context(), "/content", nil, &list); err != nil || list.Total != 1 || list.Items[0].Size != 7 || list.Items[0].Needed {
		t.Fatalf("%+v, %v", list, err)
	}
	var standing payloads.Standing
	if err := c.Get(t.Context(), "/content/awaited", nil, &standing); err != nil || standing.Awaited != nil || standing.Sentence != "nothing is awaited" {
		t.Errorf("%+v, %v", standing, err)
	}
	sum := list.Items[0].SHA256
	if err := os.WriteFile(filepath.Join(n.Dir(), folder.ContentFolder, "payloads", sum[:2], sum), []byte("pAyload"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := apitest.Run(t, c, "/content/verify", nil); got.State != tasks.Failed || !strings.Contains(got.Error, "1 of 1 payloads were altered") {
		t.Errorf("verify: %s %s %s", got.State, got.Result, got.Error)
	}
	if got := apitest.Run(t, c, "/content/export", node.Disk{Folder: filepath.Join(disk, "out")}); got.State != tasks.Done {
		t.Errorf("export: %s %s", got.State, got.Error)
	}
	for what, status := range map[node.Disk]int{{}: http.StatusBadRequest, {Folder: disk, For: "nobody"}: http.StatusNotFound} {
		refused(t, c.Post(t.Context(), "/content/export", what, nil), status)
	}
	remote := apitest.Remote(t, n, apitest.Token(t, n, identity.Administrator))
	refused(t, remote.Post(t.Context(), "/content/import", node.Disk{Folder: disk}, nil), http.StatusForbidden)
	viewer := apitest.Remote(t, n, apitest.Token(t, n, identity.Viewer))
	refused(t, viewer.Post(t.Context(), "/content/verify", nil, nil), http.StatusForbidden)
	if err := viewer.Get(t.Context(), "/content", nil, &list); err != nil {
		t.Error(err)
	}
}

func refused(t *testing.T, err error, status int) {
	t.Helper()
	var answer *client.Error
	if !errors.As(err, &answer) || answer.Status != status {
		t.Errorf("%v, want status %d", err, status)
	}
}
