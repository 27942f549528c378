package policies_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"thatch/catalog/policy"
	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/client"
	ordered "thatch/console/api/policies"
	"thatch/console/api/policies/policiestest"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/policies"
	"thatch/node/policies/outlook"
	"thatch/node/policies/windows"
	"thatch/schedule"
)

// start runs a node with a staged bulletin KB1 of two updates, and a computer that misses them.
func start(t testing.TB) (*node.Node, *client.Client) {
	t.Helper()
	n, c := apitest.Start(t)
	policiestest.Fill(t, n, 1)
	return n, c
}

func refused(t *testing.T, what string, err error, status int) {
	t.Helper()
	var answer *client.Error
	if !errors.As(err, &answer) || answer.Status != status {
		t.Errorf("%s: %v, want status %d", what, err, status)
	}
}

func TestPreview(t *testing.T) {
	n, c := start(t)
	window := windows.Body{Window: schedule.Window{Name: "night", Repeat: schedule.Daily, Start: "22:00", Minutes: 60}}
	if err := c.Post(t.Context(), "/windows", window, nil); err != nil {
		t.Fatal(err)
	}
	viewer := apitest.Remote(t, n, apitest.Token(t, n, identity.Viewer))
	var p ordered.Preview
	if err := viewer.Post(t.Context(), "/policies/preview", policies.Draft{Name: "p", Bulletins: []string{"KB1"}}, &p); err != nil {
		t.Fatal(err)
	}
	if p.Computers != (outlook.Figures{All: 1, Targeted: 1, Missing: 1}) || len(p.Windows) != 1 || p.Windows[0].Count != 1 || p.Free != 0 ||
		len(p.Updates) != 2 || p.Updates[0].Arguments != "/quiet" || len(p.Sites) != 1 || !p.Sites[0].Exact || p.Sites[0].Missing != 1 ||
		len(p.List) != 1 || p.List[0].Name != "pc-1" || p.Groups[0] != (outlook.Count{Value: "berlin", Targeted: 1, Missing: 1}) {
		t.Errorf("%+v, windows %+v, sites %+v", p.Outlook, p.Windows, p.Sites)
	}
	var list api.List[policies.PolicyRow]
	if err := viewer.Get(t.Context(), "/policies", nil, &list); err != nil || list.Total != 0 {
		t.Errorf("a preview made %d policies, %v", list.Total, err)
	}
	refused(t, "nothing chosen", viewer.Post(t.Context(), "/policies/preview", policies.Draft{Name: "p"}, nil), 400)
	refused(t, "no such bulletin", viewer.Post(t.Context(), "/policies/preview", policies.Draft{Name: "p", Bulletins: []string{"KB9"}}, nil), 404)
	refused(t, "a page that is none", viewer.Do(t.Context(), client.Request{
		Method: "POST", Path: "/policies/preview", Query: url.Values{"page": {"0"}}, In: policies.Draft{Name: "p", Bulletins: []string{"KB1"}},
	}, nil), 400)
	var opens windows.Preview
	if err := viewer.Post(t.Context(), "/windows/preview", window, &opens); err != nil || opens.Computers != 1 || len(opens.Openings) < 8 {
		t.Errorf("%+v, %v", opens, err)
	}
	refused(t, "no such zone", viewer.Do(t.Context(), client.Request{
		Method: "POST", Path: "/windows/preview", Query: url.Values{"zone": {"Moon/Base"}}, In: window,
	}, nil), 400)
}

// TestHistoryFollowsNames: a policy's history is its own, whatever it was called, and whoever else had its name before.
func TestHistoryFollowsNames(t *testing.T) {
	_, c := start(t)
	ctx := t.Context()
	make := func(name string) (made policies.Created) {
		t.Helper()
		if err := c.Post(ctx, "/policies", policies.Draft{Name: name, Bulletins: []string{"KB1"}}, &made); err != nil {
			t.Fatal(err)
		}
		return made
	}
	rename := func(id, name string) {
		t.Helper()
		if err := c.Put(ctx, client.Path("policies", id), ordered.PolicyChange{Edit: policies.Edit{Name: &name}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	first := make("March")
	if err := c.Delete(ctx, client.Path("policies", first.ID)); err != nil {
		t.Fatal(err)
	}
	made, other := make("February, all"), make("February")
	for _, verb := range []string{"pause", "resume"} {
		if err := c.Post(ctx, client.Path("policies", made.ID, verb), api.Seen{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	rename(made.ID, "February 100%")
	rename(made.ID, "March")
	if err := c.Post(ctx, client.Path("policies", made.ID, "disable"), api.Seen{}, nil); err != nil {
		t.Fatal(err)
	}
	did := func(id string) string {
		t.Helper()
		var events api.List[ordered.Event]
		if err := c.Get(ctx, client.Path("policies", id, "history"), nil, &events); err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, e := range events.Items {
			words = append(words, e.Did)
		}
		return strings.Join(words, " ")
	}
	if got := did(made.ID); got != "disable change change resume pause create" {
		t.Errorf("its history: %s", got)
	}
	if got := did(other.ID); got != "create" {
		t.Errorf("the other's history: %s", got)
	}
	refused(t, "none", c.Get(ctx, "/policies/none/history", nil, nil), 404)
}

func TestListsOfAPolicy(t *testing.T) {
	_, c := start(t)
	ctx := t.Context()
	var made policies.Created
	if err := c.Post(ctx, "/policies", policies.Draft{Name: "p", Bulletins: []string{"KB1"}, Target: &policy.Target{NeedsIt: true}}, &made); err != nil {
		t.Fatal(err)
	}
	path := client.Path("policies", made.ID)
	var on api.List[outlook.Standing]
	if err := c.Get(ctx, path+"/computers", url.Values{"state": {"waiting"}}, &on); err != nil || on.Total != 1 || on.Items[0].Missing != 2 || on.Items[0].Group != "berlin" {
		t.Errorf("computers %+v, %v", on, err)
	}
	var updates api.List[policies.PinnedUpdate]
	if err := c.Get(ctx, path+"/updates", url.Values{"outdated": {"no"}}, &updates); err != nil || updates.Total != 2 || !strings.HasPrefix(updates.Items[0].Name, "Update u1") {
		t.Errorf("updates %+v, %v", updates, err)
	}
	var sites api.List[ordered.Site]
	if err := c.Get(ctx, path+"/sites", nil, &sites); err != nil || sites.Total != 1 || sites.Items[0].Missing != 1 || !sites.Items[0].Exact {
		t.Errorf("sites %+v, %v", sites, err)
	}
	var revision outlook.Revision
	if err := c.Get(ctx, path+"/revision", nil, &revision); err != nil || len(revision.Changes) != 0 {
		t.Errorf("revision %+v, %v", revision, err)
	}
	for _, of := range []string{"computers", "updates", "sites", "revision", "history"} {
		refused(t, of+" of none", c.Get(ctx, "/policies/none/"+of, nil, nil), 404)
	}
}
