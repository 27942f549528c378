package api_test

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/catalog/policy"
	"thatch/console/api"
	"thatch/console/api/client"
	orders "thatch/console/api/policies"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/policies"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
)

// TestPolicyFromAbove: what the making site says, what this site says, and what is in force; switches where the maker
// leaves them to this site, 409 where it does not.
func TestPolicyFromAbove(t *testing.T) {
	o := newOrdering(t)
	ctx := t.Context()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	public, ok := private.Public().(ed25519.PublicKey)
	if !ok {
		t.Fatal("a key of another kind")
	}
	key, err := document.NewKey("head", public, private)
	if err != nil {
		t.Fatal(err)
	}
	site := bulletinstest.Doc(t, document.Site, "head", nil, federation.Site{Name: "Head office", Authority: []byte{1}})
	site.Sign("head", private)
	bulletinstest.Write(t, o.Writer(), append(store.Put(key, "", store.Former{}), store.Put(site, "", store.Former{})...)...)
	bulletinstest.Write(t, o.Writer(), store.Statement{
		SQL: `INSERT INTO parent (one, id, name, urls, authority, joined, link, told, version) VALUES (1, 'head', 'Head office', '[]', x'', '', '{}', '', 1)`,
	})
	const id = "policy:head:1"
	sends := func(kind document.Kind, body any) {
		t.Helper()
		doc := bulletinstest.Doc(t, kind, id, nil, body)
		doc.Sign("head", private)
		outcome, err := o.Replicas.Repair(ctx, replicas.Neighbour{ID: "head", Direction: dataset.Down}, dataset.Policies,
			[]dataset.Entry{{Head: doc.Head, Body: doc.Body}})
		if err != nil || len(outcome.Quarantined) > 0 {
			t.Fatalf("%+v, %v", outcome, err)
		}
	}
	sends(document.Policy, policy.Policy{
		Name: "March", Updates: []policy.Update{{Update: "u9", Digest: document.Digest{9}, Enabled: true}}, Plan: policy.Plan{When: policy.StartASAP},
	})
	sends(document.PolicyState, federation.State{Enabled: true})
	path := client.Path("policies", id)
	err = o.Post(ctx, path+"/pause", api.Seen{}, nil)
	wantStatus(t, "paused here", err, 409)
	if !strings.Contains(err.Error(), "Head office (head)") || !strings.Contains(err.Error(), "--local-control") {
		t.Errorf("who made it is not told: %v", err)
	}
	wantStatus(t, "changed here", o.Put(ctx, path, orders.PolicyChange{Edit: policies.Edit{Local: new(bool)}}, nil), 409)
	wantStatus(t, "revised here", o.Post(ctx, path+"/revise", api.Seen{}, nil), 409)
	wantStatus(t, "deleted here", o.Delete(ctx, path), 409)
	sends(document.PolicyState, federation.State{Enabled: true, Local: true})
	var now policies.Detail
	if err := o.Post(ctx, path+"/disable", api.Seen{}, &now); err != nil {
		t.Fatal(err)
	}
	if now.Enabled || now.Above == nil || !now.Above.Enabled || now.Here.Enabled || !now.Local || now.Site != "Head office" || now.Awaited.Documents != 1 {
		t.Errorf("switched off here: %+v, awaits %+v", now.Row, now.Awaited)
	}
	var list api.List[map[string]any]
	if err := o.Get(ctx, "/policies", map[string][]string{"site": {"Head office"}}, &list); err != nil || list.Total != 1 {
		t.Fatalf("%d policies of Head office, %v", list.Total, err)
	}
	row := list.Items[0]
	above, _ := row["above"].(map[string]any)
	here, _ := row["here"].(map[string]any)
	if row["origin"] != "head" || row["enabled"] != false || above["enabled"] != true || here["enabled"] != false || row["local"] != true ||
		row["awaited_documents"] != 1.0 {
		t.Errorf("in the list: %v", row)
	}
	// One's own has nothing above it; whether sites below may switch it is changed like the rest of it.
	var made policies.Created
	if err := o.Post(ctx, "/policies", policies.Draft{Name: "own", Bulletins: []string{"KB1"}, Local: true}, &made); err != nil {
		t.Fatal(err)
	}
	now = policies.Detail{}
	if err := o.Get(ctx, client.Path("policies", "own"), nil, &now); err != nil || now.Above != nil || !now.Local || now.Version != 1 {
		t.Errorf("our own: %+v, %v", now.Row, err)
	}
	if err := o.Put(ctx, client.Path("policies", "own"), orders.PolicyChange{Edit: policies.Edit{Local: new(bool)}}, &now); err != nil || now.Local || now.Version != 2 || !now.Enabled {
		t.Errorf("without switches for sites below: %+v, %v", now.Row, err)
	}
}
