package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/evaluate"
	"thatch/catalog/rule"
	"thatch/console/api"
	"thatch/console/api/apitest"
	apicatalog "thatch/console/api/catalog"
	"thatch/console/api/client"
	"thatch/console/api/evaluation"
	"thatch/node"
	"thatch/node/bulletins"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/staging"
	"thatch/node/identity"
	"thatch/node/imports"
	"thatch/node/tasks"
)

const payload = "a payload of a format without signatures"

// stocked runs a node whose catalog has one bulletin: an update with a package at the vendor, one whose payload the
// vendor no longer hosts, and one without a package.
func stocked(t *testing.T) (*node.Node, *client.Client) {
	t.Helper()
	n, c := apitest.Start(t)
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/good.bin" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(payload))
	}))
	t.Cleanup(vendor.Close)
	sum := sha256.Sum256([]byte(payload))
	file := func(name string) []catalog.File {
		return []catalog.File{{Name: name, Size: int64(len(payload)), SHA256: hex.EncodeToString(sum[:]), URL: vendor.URL + "/" + name}}
	}
	gone := file("gone.bin")
	gone[0].SHA256 = strings.Repeat("ab", 32)
	x64 := rule.Test(rule.Architecture, "Is", "x64")
	update := func(id string) document.Document {
		return bulletinstest.Doc(t, document.Update, id, nil, catalog.Update{Name: id, Bulletin: "v/B", Source: "sdp", Rules: catalog.Rules{Applicable: x64, Installed: rule.Not(x64)}})
	}
	bulletinstest.Save(t, n.Bulletins, "sdp", "f",
		bulletinstest.Doc(t, document.Bulletin, "v/B", nil, catalog.Bulletin{Name: "B 1", Source: "sdp", Severity: catalog.Critical}),
		update("v/good"), update("v/gone"), update("v/none"),
		bulletinstest.Doc(t, document.Package, "v/good/P", nil, catalog.Package{Update: "v/good", Name: "good", Files: file("good.bin")}),
		bulletinstest.Doc(t, document.Package, "v/gone/P", nil, catalog.Package{Update: "v/gone", Name: "gone", Files: gone}))
	return n, c
}

func TestStageThroughTheDoor(t *testing.T) {
	_, c := stocked(t)
	ctx := t.Context()
	var answer api.StageAnswer
	if err := c.Post(ctx, "/bulletins/stage", api.Named{Bulletins: []string{"b 1"}}, &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Run == "" || len(answer.Bulletins) != 1 || !answer.Bulletins[0].Staged {
		t.Fatalf("answer %+v", answer)
	}
	run, err := c.WaitRun(ctx, answer.Run, nil)
	if err != nil || run.State != tasks.Done {
		t.Fatalf("run %+v, %v", run, err)
	}
	var result staging.Result
	if err := json.Unmarshal(run.Result, &result); err != nil || result.Staged != 1 || len(result.Failed) != 1 || result.Failed[0].Reason != staging.Gone {
		t.Errorf("result %s, %v", run.Result, err)
	}
	var now api.StageAnswer
	if err := c.Get(ctx, "/staging", url.Values{"bulletin": {"v/B"}}, &now); err != nil {
		t.Fatal(err)
	}
	if b := now.Bulletins[0]; b.Updates != 3 || b.Downloaded != 1 || len(now.Alarms) != 2 {
		t.Errorf("afterwards %+v, alarms %+v", b, now.Alarms)
	}
	var ready api.Ready
	if err := c.Get(ctx, client.Path("bulletins", "v/B", "ready"), nil, &ready); err != nil || ready.Complete || len(ready.Ready) != 1 || len(ready.NotReady) != 2 {
		t.Errorf("ready %+v, %v", ready, err)
	}
	var alarms api.List[staging.Alarm]
	if err := c.Get(ctx, "/staging/alarms", nil, &alarms); err != nil || alarms.Total != 2 {
		t.Errorf("alarms %+v, %v", alarms, err)
	}
	if err := c.Post(ctx, "/bulletins/unstage", api.Named{Bulletins: []string{"B 1"}}, &answer); err != nil || answer.Bulletins[0].Staged {
		t.Errorf("unstaged: %+v, %v", answer, err)
	}
	if err := c.Get(ctx, "/staging/alarms", nil, &alarms); err != nil || alarms.Total != 0 {
		t.Errorf("alarms of nothing staged: %+v, %v", alarms, err)
	}
	for _, named := range [][]string{nil, {"nothing"}, {"B 1", "nothing"}} {
		err := c.Post(ctx, "/bulletins/stage", api.Named{Bulletins: named}, nil)
		var e *client.Error
		if !errors.As(err, &e) || e.Status != 400 && e.Status != 404 {
			t.Errorf("staging %v: %v", named, err)
		}
	}
}

func TestListsThroughTheDoor(t *testing.T) {
	_, c := stocked(t)
	ctx := t.Context()
	var rows api.List[bulletins.Row]
	if err := c.Get(ctx, "/bulletins", url.Values{"severity": {"critical"}, "sort": {"-updates"}}, &rows); err != nil || rows.Total != 1 || rows.Items[0].Name != "B 1" {
		t.Errorf("bulletins %+v, %v", rows, err)
	}
	var detail bulletins.Detail
	if err := c.Get(ctx, client.Path("bulletins", "v/B"), nil, &detail); err != nil || len(detail.UpdateList) != 3 {
		t.Errorf("bulletin %+v, %v", detail, err)
	}
	var groups api.List[struct{ Value string }]
	if err := c.Get(ctx, "/bulletin-groups", url.Values{"by": {"severity"}}, &groups); err != nil || groups.Total != 1 || groups.Items[0].Value != "Critical" {
		t.Errorf("groups %+v, %v", groups, err)
	}
	var updates api.List[bulletins.UpdateRow]
	if err := c.Get(ctx, "/updates", url.Values{"status": {"no package"}}, &updates); err != nil || updates.Total != 1 || updates.Items[0].ID != "v/none" {
		t.Errorf("updates %+v, %v", updates, err)
	}
	var packages api.List[bulletins.PackageRow]
	if err := c.Get(ctx, "/packages", url.Values{"q": {"b"}, "limit": {"1"}, "page": {"2"}}, &packages); err != nil || packages.Total != 2 || len(packages.Items) != 1 {
		t.Errorf("packages %+v, %v", packages, err)
	}
	for path, want := range map[string]int{
		"/bulletins?colour=red": 400, "/bulletins?sort=colour": 400, "/bulletin-groups?by=colour": 400, "/bulletins/nothing": 404,
		"/updates/nothing": 404, "/packages/nothing": 404, "/bulletins/nothing/ready": 404,
	} {
		path, query, _ := strings.Cut(path, "?")
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		var e *client.Error
		if err := c.Get(ctx, path, values, nil); !errors.As(err, &e) || e.Status != want {
			t.Errorf("%s?%s: %v, want status %d", path, query, err, want)
		}
	}
}

func TestPackagesThroughTheDoor(t *testing.T) {
	n, c := stocked(t)
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "hand.bin")
	if err := os.WriteFile(path, []byte("by hand"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := apicatalog.PackageRequest{NewPackage: bulletins.NewPackage{Update: "v/none", Type: "exe"}, Paths: []string{path}}
	remote := apitest.Remote(t, n, apitest.Token(t, n, identity.Administrator))
	var e *client.Error
	if err := remote.Post(ctx, "/packages", in, nil); !errors.As(err, &e) || e.Status != 400 || !strings.Contains(e.Text, "data folder") {
		t.Errorf("a path from elsewhere: %v", err)
	}
	for _, bad := range []string{"hand.bin", filepath.Dir(path), path + ".missing"} {
		in := in
		in.Paths = []string{bad}
		if err := c.Post(ctx, "/packages", in, nil); !errors.As(err, &e) || e.Status != 400 {
			t.Errorf("path %s: %v", bad, err)
		}
	}
	var made api.Made
	if err := c.Post(ctx, "/packages", in, &made); err != nil {
		t.Fatal(err)
	}
	var answer api.StageAnswer
	if err := c.Post(ctx, "/bulletins/stage", api.Named{Bulletins: []string{"B 1"}}, &answer); err != nil {
		t.Fatal(err)
	}
	if run, err := c.WaitRun(ctx, answer.Run, nil); err != nil || run.State != tasks.Done {
		t.Fatalf("%+v, %v", run, err)
	}
	var d bulletins.PackageDetail
	if err := c.Get(ctx, client.Path("packages", made.ID), nil, &d); err != nil || d.Status != staging.Ready || len(d.Staged) != 1 || d.Staged[0].Size != 7 {
		t.Errorf("package %+v, %v", d, err)
	}
	if err := c.Delete(ctx, client.Path("packages", made.ID)); err != nil {
		t.Error(err)
	}
	if err := c.Delete(ctx, client.Path("packages", "v/good/P")); !errors.As(err, &e) || e.Status != 400 {
		t.Errorf("removing a vendor's package: %v", err)
	}
}

func TestSeveritiesThroughTheDoor(t *testing.T) {
	_, c := stocked(t)
	ctx := t.Context()
	var made api.Made
	if err := c.Post(ctx, "/severities", apicatalog.NewSeverity{Name: "This week"}, &made); err != nil {
		t.Fatal(err)
	}
	var answer api.StageAnswer
	if err := c.Post(ctx, "/bulletins/severity", api.Named{Severity: "this week", Bulletins: []string{"B 1"}}, &answer); err != nil || answer.Bulletins[0].CustomSeverity != "This week" {
		t.Errorf("assigned: %+v, %v", answer, err)
	}
	name, order := "Today", 5
	if err := c.Put(ctx, client.Path("severities", made.ID), apicatalog.SeverityChange{Name: &name, Order: &order}, nil); err != nil {
		t.Error(err)
	}
	var list api.List[bulletins.SeverityRow]
	if err := c.Get(ctx, "/severities", nil, &list); err != nil || list.Total != 1 || list.Items[0].Name != "Today" || list.Items[0].Bulletins != 1 {
		t.Errorf("severities %+v, %v", list, err)
	}
	var e *client.Error
	if err := c.Delete(ctx, client.Path("severities", "Today")); !errors.As(err, &e) || e.Status != 400 {
		t.Errorf("deleting one in use: %v", err)
	}
	del := client.Request{Method: "DELETE", Path: client.Path("severities", "Today"), Query: url.Values{"reassign": {"none"}}}
	if err := c.Do(ctx, del, nil); err != nil {
		t.Error(err)
	}
	if err := c.Put(ctx, client.Path("severities", made.ID), apicatalog.SeverityChange{Name: &name}, nil); !errors.As(err, &e) || e.Status != 404 {
		t.Errorf("changing what is gone: %v", err)
	}
}

func TestImportsThroughTheDoor(t *testing.T) {
	n, c := apitest.Start(t)
	ctx := t.Context()
	var e *client.Error
	remote := apitest.Remote(t, n, apitest.Token(t, n, identity.Administrator))
	dir := t.TempDir()
	if err := remote.Post(ctx, "/catalog/imports", imports.Import{Source: "msrc", From: dir}, nil); !errors.As(err, &e) || e.Status != 400 {
		t.Errorf("a folder from elsewhere: %v", err)
	}
	if err := remote.Put(ctx, "/catalog/sources/msrc", imports.Change{From: []string{dir}}, nil); !errors.As(err, &e) || e.Status != 400 {
		t.Errorf("a folder as location from elsewhere: %v", err)
	}
	for _, bad := range []imports.Import{{Source: "msrc", From: "some/folder"}, {Source: "nobody"}, {}} {
		if err := c.Post(ctx, "/catalog/imports", bad, nil); !errors.As(err, &e) || e.Status != 400 {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	text := `<cvrfdoc xmlns="http://www.icasi.org/CVRF/schema/cvrf/1.1"><DocumentTitle>t</DocumentTitle><DocumentTracking>` +
		`<Identification><ID>2019-Feb</ID></Identification><CurrentReleaseDate>2019-02-12T08:00:00Z</CurrentReleaseDate></DocumentTracking></cvrfdoc>`
	if err := os.WriteFile(filepath.Join(dir, "a.xml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Put(ctx, "/catalog/sources/msrc", imports.Change{From: []string{dir}}, nil); err != nil {
		t.Fatal(err)
	}
	var started api.Run
	if err := c.Post(ctx, "/catalog/imports", imports.Import{Source: "msrc"}, &started); err != nil {
		t.Fatal(err)
	}
	run, err := c.WaitRun(ctx, started.Run, nil)
	if err != nil || run.State != tasks.Done {
		t.Fatalf("%+v, %v", run, err)
	}
	var result map[string]any
	if err := json.Unmarshal(run.Result, &result); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"documents", "changed", "kbs", "kb_products", "supersedence_edges", "warnings", "skipped", "failed", "bulletins", "updates", "packages"} {
		if _, ok := result[key]; !ok {
			t.Errorf("the result has no %q: %s", key, run.Result)
		}
	}
	var sources api.List[imports.Source]
	if err := c.Get(ctx, "/catalog/sources", nil, &sources); err != nil {
		t.Fatal(err)
	}
	for _, s := range sources.Items {
		if s.Name == "msrc" && (s.Files != 1 || s.Last == nil || s.Last.ID != started.Run || s.From[0] != dir) {
			t.Errorf("source %+v", s)
		}
	}
	var runs api.List[tasks.Run]
	if err := c.Get(ctx, "/catalog/runs", nil, &runs); err != nil || runs.Total != 1 {
		t.Errorf("runs %+v, %v", runs, err)
	}
}

func TestEvaluateThroughTheDoor(t *testing.T) {
	_, c := stocked(t)
	ctx := t.Context()
	in := evaluation.Evaluation{Host: json.RawMessage(`{"name":"PC","system":{"platform":"windows","architecture":"x64"}}`), Notes: []string{"a doubt"}, Locale: "de-de"}
	var result evaluate.Result
	if err := c.Post(ctx, "/evaluate", in, &result); err != nil {
		t.Fatal(err)
	}
	if len(result.Missing) != 3 || result.Host.Name != "PC" || result.Host.Language != "de-de" || len(result.Notes) != 1 {
		t.Errorf("result %+v", result)
	}
	for _, bad := range []evaluation.Evaluation{
		{Host: json.RawMessage(`{}`)}, {Host: json.RawMessage(`7`)}, {Host: in.Host, AsOf: "yesterday"}, {},
	} {
		var e *client.Error
		if err := c.Post(ctx, "/evaluate", bad, nil); !errors.As(err, &e) || e.Status != 400 {
			t.Errorf("%s %s: %v", bad.Host, bad.AsOf, err)
		}
	}
	var e *client.Error
	huge := evaluation.Evaluation{Host: json.RawMessage(`"` + strings.Repeat("x", 7<<20) + `"`)}
	if err := c.Post(ctx, "/evaluate", huge, nil); !errors.As(err, &e) || e.Status != 413 {
		t.Errorf("a recording of 7 MiB: %v", err)
	}
}
