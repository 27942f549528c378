package api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/client"
	orders "thatch/console/api/policies"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/computers"
	"thatch/node/computers/compliance"
	"thatch/node/computers/compliance/report"
	"thatch/node/identity"
	"thatch/node/policies"
	"thatch/node/policies/windows"
	"thatch/node/store"
	"thatch/schedule"
)

// ordering is a node with a staged bulletin KB1 of one update, and a computer that misses it.
type ordering struct {
	*node.Node
	*client.Client
	computer string
}

func newOrdering(t testing.TB) *ordering {
	t.Helper()
	n, c := apitest.Start(t)
	o := &ordering{Node: n, Client: c}
	content := []byte("payload")
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	if _, err := n.Content.Put(t.Context(), digest, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	pack := bulletinstest.Doc(t, document.Package, "p1", nil, catalog.Package{
		Update: "u1", Name: "p1", Files: []catalog.File{{Name: "a.exe", SHA256: digest}}, Installer: catalog.Installer{Type: catalog.EXE, File: "a.exe"},
	})
	bulletinstest.Save(t, n.Bulletins, "sdp", "file",
		bulletinstest.Doc(t, document.Bulletin, "b1", nil, catalog.Bulletin{
			Name: "KB1", Source: "sdp", Severity: catalog.Critical, CVEs: []catalog.CVE{{ID: "CVE-2019-0001", Exploited: true}},
			Named: []catalog.NamedBy{{File: "2019-Feb", CVEs: 1}},
		}),
		bulletinstest.Doc(t, document.Update, "u1", nil, catalog.Update{
			Name: "Update 1", Bulletin: "b1", Source: "sdp", CVEs: []string{"CVE-2019-0001"}, Rules: catalog.Rules{Applicable: rule.Test("True")},
		}), pack)
	payload := bulletinstest.Doc(t, document.Payload, "p1", nil, catalog.Payload{
		Package: "p1", PackageDigest: pack.Digest, Files: []catalog.StagedFile{{Name: "a.exe", SHA256: digest, Size: 7}},
	})
	n.Identity.Sign(&payload)
	bulletinstest.Write(t, n.Writer(), append(store.Put(payload, "", store.Former{}),
		store.Statement{SQL: `INSERT INTO staged (bulletin, since, actor) VALUES ('b1', '', 'test')`},
		store.Statement{SQL: `INSERT INTO holding (sha256, node, size) VALUES (?, 'n', 7) ON CONFLICT DO NOTHING`, Args: []any{sum[:]}})...)
	o.enrol(t)
	return o
}

func (o *ordering) enrol(t testing.TB) {
	t.Helper()
	newcomer := computers.Newcomer{Name: "pc-17", MachineID: "m", Hardware: "h", Platform: "windows", Languages: []string{"de-de"}, Group: "berlin"}
	place, err := o.Computers.Place(t.Context(), newcomer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := o.Computers.Enrol(t.Context(), newcomer, place, "serial")
	if err != nil {
		t.Fatal(err)
	}
	o.computer = c.ID
	_, err = o.Computers.Report(t.Context(), c.ID, computers.Report{
		At: o.Now(), Cursor: computers.Cursor{Index: 1 << 40}, Applicable: computers.Change{Add: []uint32{1}},
		Facts: &computers.Facts{Name: "pc-17", System: rule.System{Platform: "windows", Product: "Windows 10", Languages: []string{"de-de"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func wantStatus(t testing.TB, what string, err error, status int) {
	t.Helper()
	var answer *client.Error
	if !errors.As(err, &answer) || answer.Status != status {
		t.Errorf("%s: %v, want status %d", what, err, status)
	}
}

func TestPolicyRoutesRefuse(t *testing.T) {
	o := newOrdering(t)
	ctx := t.Context()
	wantStatus(t, "no such policy", o.Get(ctx, "/policies/none", nil, nil), 404)
	wantStatus(t, "no such bulletin", o.Post(ctx, "/policies", policies.Draft{Name: "p", Bulletins: []string{"KB9"}}, nil), 404)
	wantStatus(t, "no name", o.Post(ctx, "/policies", policies.Draft{Bulletins: []string{"KB1"}}, nil), 400)
	wantStatus(t, "unknown field", o.Post(ctx, "/policies", map[string]any{"name": "p", "bulletins": []string{"KB1"}, "colour": 1}, nil), 400)
	wantStatus(t, "unknown part of the target", o.Post(ctx, "/policies", map[string]any{
		"name": "p", "bulletins": []string{"KB1"}, "target": map[string]any{"colour": "red"},
	}, nil), 400)
	wantStatus(t, "no column", o.Get(ctx, "/policies", url.Values{"sort": {"colour"}}, nil), 400)
	var made policies.Created
	if err := o.Post(ctx, "/policies", policies.Draft{Name: "p", Bulletins: []string{"KB1"}}, &made); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, "stale version", o.Post(ctx, client.Path("policies", made.ID, "pause"), api.Seen{Version: 7}, nil), 409)
	wantStatus(t, "stale change", o.Put(ctx, client.Path("policies", made.ID), orders.PolicyChange{Version: 7, Edit: policies.Edit{Disable: []string{"u1"}}}, nil), 409)
	wantStatus(t, "version that is none", o.Do(ctx, client.Request{
		Method: "DELETE", Path: client.Path("policies", made.ID), Query: url.Values{"version": {"x"}},
	}, nil), 400)
	wantStatus(t, "stale delete", o.Do(ctx, client.Request{
		Method: "DELETE", Path: client.Path("policies", made.ID), Query: url.Values{"version": {"7"}},
	}, nil), 409)
	viewer := apitest.Remote(t, o.Node, apitest.Token(t, o.Node, identity.Viewer))
	wantStatus(t, "a viewer orders", viewer.Post(ctx, "/policies", policies.Draft{Name: "p", Bulletins: []string{"KB1"}}, nil), 403)
	wantStatus(t, "a viewer retires", viewer.Post(ctx, client.Path("computers", o.computer, "retire"), api.Seen{}, nil), 403)
	wantStatus(t, "a viewer makes a window", viewer.Post(ctx, "/windows", windows.Body{}, nil), 403)
}

func TestPolicyLife(t *testing.T) {
	o := newOrdering(t)
	ctx := t.Context()
	var made policies.Created
	err := o.Post(ctx, "/policies", policies.Draft{Name: "February", Bulletins: []string{"KB1"}, Plan: &policy.Plan{When: "asap", Simultaneous: 5}}, &made)
	if err != nil || made.Updates != 1 {
		t.Fatalf("made %+v, %v", made, err)
	}
	path := client.Path("policies", "February")
	var d policies.Detail
	for _, step := range []struct {
		verb            string
		enabled, paused bool
	}{{"pause", true, true}, {"resume", true, false}, {"disable", false, false}, {"enable", true, false}} {
		if err := o.Post(ctx, path+"/"+step.verb, api.Seen{}, &d); err != nil || d.Enabled != step.enabled || d.Paused != step.paused {
			t.Errorf("%s: enabled %v, paused %v, %v", step.verb, d.Enabled, d.Paused, err)
		}
	}
	name := "March"
	if err := o.Put(ctx, path, orders.PolicyChange{Edit: policies.Edit{Name: &name}, Version: d.Version}, &d); err != nil || d.Name != "March" {
		t.Errorf("renamed to %q, %v", d.Name, err)
	}
	var list api.List[*policies.PolicyRow]
	if err := o.Get(ctx, "/policies", url.Values{"state": {"waiting"}}, &list); err != nil || list.Total != 1 || list.Items[0].Targeted != 1 || list.Items[0].Waiting != 1 {
		t.Errorf("list %+v, %v", list, err)
	}
	if err := o.Post(ctx, client.Path("policies", "March", "revise"), api.Seen{}, &made); err != nil || made.Changed != 0 {
		t.Errorf("revise: %+v, %v", made, err)
	}
	if err := o.Delete(ctx, client.Path("policies", made.ID)); err != nil {
		t.Fatal(err)
	}
	if err := o.Get(ctx, "/policies", nil, &list); err != nil || list.Total != 0 {
		t.Errorf("after deletion: %d, %v", list.Total, err)
	}
}

func TestWindowLife(t *testing.T) {
	o := newOrdering(t)
	ctx := t.Context()
	body := windows.Body{Window: schedule.Window{Name: "night", Repeat: schedule.Daily, Start: "22:00", Minutes: 60}}
	var w windows.Row
	if err := o.Post(ctx, "/windows", body, &w); err != nil || w.Count != 1 || w.ID == "" {
		t.Fatalf("made %+v, %v", w, err)
	}
	bad := body
	bad.Start = "noon"
	wantStatus(t, "impossible start", o.Post(ctx, "/windows", bad, nil), 400)
	wantStatus(t, "stale", o.Put(ctx, client.Path("windows", w.ID), orders.WindowChange{Body: body, Version: strings.Repeat("0", 63) + "1"}, nil), 409)
	body.Minutes = 90
	if err := o.Put(ctx, client.Path("windows", "night"), orders.WindowChange{Body: body, Version: w.Version}, &w); err != nil || w.Minutes != 90 {
		t.Errorf("changed to %+v, %v", w, err)
	}
	var list api.List[*windows.Row]
	if err := o.Get(ctx, "/windows", url.Values{"q": {"nig"}}, &list); err != nil || list.Total != 1 {
		t.Errorf("list %+v, %v", list, err)
	}
	if err := o.Delete(ctx, client.Path("windows", w.ID)); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, "deleted", o.Get(ctx, client.Path("windows", w.ID), nil, nil), 404)
}

func TestComputersAndCompliance(t *testing.T) {
	o := newOrdering(t)
	ctx := t.Context()
	var computers api.List[*report.ComputerRow]
	if err := o.Get(ctx, "/computers", url.Values{"group": {"berlin"}, "missing": {">0"}}, &computers); err != nil || computers.Total != 1 ||
		computers.Items[0].Exploited != 1 || computers.Items[0].Product != "Windows 10" {
		t.Errorf("computers %+v, %v", computers, err)
	}
	var d compliance.Detail
	if err := o.Get(ctx, client.Path("computers", "PC-17"), nil, &d); err != nil || d.ID != o.computer || len(d.Updates) != 1 ||
		d.Updates[0].Status != "Download required" || d.Updates[0].LastApplied != "Never" {
		t.Errorf("computer %+v, %v", d, err)
	}
	var statuses api.List[*compliance.UpdateStatus]
	if err := o.Get(ctx, client.Path("computers", "pc-17", "updates"), url.Values{"status": {"installed"}}, &statuses); err != nil || statuses.Total != 0 {
		t.Errorf("installed there: %+v, %v", statuses, err)
	}
	for _, report := range []string{"bulletins", "updates", "cves", "months", "computers"} {
		var list api.List[map[string]any]
		if err := o.Get(ctx, "/compliance/"+report, url.Values{"sort": {"-missing"}, "all": {"true"}}, &list); err != nil || list.Total != 1 || fmt.Sprint(list.Items[0]["missing"]) != "1" {
			t.Errorf("%s: %+v, %v", report, list, err)
		}
		wantStatus(t, report+" by no column", o.Get(ctx, "/compliance/"+report, url.Values{"sort": {"colour"}}, nil), 400)
	}
	var on api.List[*compliance.OnComputer]
	if err := o.Get(ctx, "/compliance/updates/1/computers", nil, &on); err != nil || on.Total != 1 || on.Items[0].Status != "missing" {
		t.Errorf("computers of the update: %+v, %v", on, err)
	}
	wantStatus(t, "no such update", o.Get(ctx, "/compliance/updates/99/computers", nil, nil), 404)
	if err := o.Put(ctx, client.Path("computers", "pc-17"), api.ComputerChange{Group: "paris"}, nil); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, "stale retire", o.Post(ctx, client.Path("computers", "pc-17", "retire"), api.Seen{Version: 99}, nil), 409)
	if err := o.Post(ctx, client.Path("computers", "pc-17", "retire"), api.Seen{}, nil); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, "retire twice", o.Post(ctx, client.Path("computers", o.computer, "retire"), api.Seen{}, nil), 409)
	if err := o.Get(ctx, "/computers", nil, &computers); err != nil || computers.Total != 0 {
		t.Errorf("after retiring: %d computers, %v", computers.Total, err)
	}
	if err := o.Get(ctx, "/computers", url.Values{"with_retired": {"true"}}, &computers); err != nil || computers.Total != 1 || computers.Items[0].Group != "paris" {
		t.Errorf("with retired ones: %+v, %v", computers, err)
	}
	wantStatus(t, "nobody", o.Get(ctx, client.Path("computers", "nobody"), nil, nil), 404)
}
