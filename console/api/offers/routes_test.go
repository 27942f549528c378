package offers_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/client"
	"thatch/console/api/offers"
	"thatch/console/api/policies"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/identity"
	"thatch/node/nodetest"
)

// TestNeverOffered: such a bulletin is not staged any more, cannot be staged, and can go into no policy, until it is offered
// again; its custom severity stays.
func TestNeverOffered(t *testing.T) {
	n := nodetest.New(t)
	nodetest.Run(t, n, map[string]http.Handler{"/": api.New(n, append(offers.Routes(n), policies.Routes(n)...)...)})
	c := apitest.Local(t, n)
	ctx := t.Context()
	bulletinstest.Save(t, n.Bulletins, "sdp", "f",
		bulletinstest.Doc(t, document.Bulletin, "v/B", nil, catalog.Bulletin{Name: "B 1", Source: "sdp"}),
		bulletinstest.Doc(t, document.Update, "v/u", nil, catalog.Update{Name: "u", Bulletin: "v/B", Source: "sdp", Rules: catalog.Rules{Applicable: rule.Test("True")}}))
	severity, err := n.Bulletins.CreateSeverity(ctx, "Urgent", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Bulletins.AssignSeverity(ctx, severity, "v/B"); err != nil {
		t.Fatal(err)
	}
	if err := n.Staging.Stage(ctx, "v/B"); err != nil {
		t.Fatal(err)
	}
	var answer offers.Decided
	for range 2 { // again changes nothing
		if err := c.Post(ctx, "/bulletins/never-offer", offers.Named{Bulletins: []string{"b 1"}}, &answer); err != nil {
			t.Fatal(err)
		}
		if b := answer.Bulletins[0]; !b.Never || b.Staged || b.CustomSeverity != "Urgent" {
			t.Fatalf("never offered: %+v", b)
		}
	}
	refused(t, c, 400, "never offered", "/bulletins/stage", api.Named{Bulletins: []string{"v/B"}})
	refused(t, c, 400, "not staged", "/policies", map[string]any{"name": "p", "bulletins": []string{"v/B"}})
	if ready, not, err := n.Bulletins.ReadyUpdates(ctx, "v/B"); err != nil || len(ready) != 0 || len(not) != 1 || !not[0].Blocks {
		t.Errorf("ready %v, not %+v, %v", ready, not, err)
	}
	if err := n.Bulletins.AssignSeverity(ctx, "none", "v/B"); err != nil {
		t.Fatal(err)
	}
	if rows, err := n.Bulletins.Rows(ctx, "v/B"); err != nil || !rows[0].Never || rows[0].CustomSeverity != "" {
		t.Errorf("without its custom severity: %+v, %v", rows[0], err)
	}
	if err := c.Post(ctx, "/bulletins/offer", offers.Named{Bulletins: []string{"v/B"}}, &answer); err != nil || answer.Bulletins[0].Never {
		t.Errorf("offered again: %+v, %v", answer, err)
	}
	if err := c.Post(ctx, "/bulletins/stage", api.Named{Bulletins: []string{"v/B"}}, nil); err != nil {
		t.Errorf("staged again: %v", err)
	}
	refused(t, c, 404, "nothing", "/bulletins/never-offer", offers.Named{Bulletins: []string{"B 1", "nothing"}})
	refused(t, c, 400, "name 1 to", "/bulletins/never-offer", offers.Named{})
	if rows, err := n.Bulletins.Rows(ctx, "v/B"); err != nil || rows[0].Never {
		t.Errorf("a refused decision was taken in part: %+v, %v", rows[0], err)
	}
	viewer := apitest.Remote(t, n, apitest.Token(t, n, identity.Viewer))
	refused(t, viewer, 403, "", "/bulletins/never-offer", offers.Named{Bulletins: []string{"B 1"}})
}

func refused(t *testing.T, c *client.Client, status int, text, path string, body any) {
	t.Helper()
	var e *client.Error
	if err := c.Post(t.Context(), path, body, nil); !errors.As(err, &e) || e.Status != status || !strings.Contains(e.Text, text) {
		t.Errorf("%s: %v, want %d that says %q", path, err, status, text)
	}
}
