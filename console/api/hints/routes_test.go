package hints_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/client"
	"thatch/console/api/hints"
	"thatch/node/members"
	"thatch/node/nodetest"
)

func TestHints(t *testing.T) {
	n := nodetest.New(t)
	nodetest.Run(t, n, map[string]http.Handler{"/": api.New(n, hints.Routes(n)...)})
	c, ctx := apitest.Local(t, n), t.Context()
	key := make([]byte, members.KeySize)
	if err := n.Members.Tell(ctx, members.Node{ID: "n-2", Name: "paris", Addresses: []string{"paris:1"}, TLSKey: key, SealKey: key}); err != nil {
		t.Fatal(err)
	}
	var row hints.Row
	for _, subnet := range []string{"10.1.0.0/16", "2001:db8::/32", "10.1.0.0/16"} {
		if err := c.Put(ctx, "/site/hints", hints.Set{Subnet: subnet, Node: "Paris", Note: "office"}, &row); err != nil || row.Node != "n-2" || row.Subnet != subnet {
			t.Fatalf("%+v, %v", row, err)
		}
	}
	for name, in := range map[string]hints.Set{
		"no subnet": {Subnet: "paris", Node: "paris"}, "bits": {Subnet: "10.1.2.3/16", Node: "paris"}, "no node": {Subnet: "10.2.0.0/16", Node: "rome"},
	} {
		var refused *client.Error
		if err := c.Put(ctx, "/site/hints", in, nil); !errors.As(err, &refused) || refused.Status != 400 && refused.Status != 404 {
			t.Errorf("%s: %v", name, err)
		}
	}
	var list api.List[hints.Row]
	if err := c.Get(ctx, "/site/hints", url.Values{"name": {"paris"}, "sort": {"subnet"}}, &list); err != nil || list.Total != 2 || list.Items[0].Note != "office" || list.Items[0].Gone {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := c.Delete(ctx, client.Path("site", "hints", "10.1.0.0/16")); err != nil {
		t.Fatal(err)
	}
	var refused *client.Error
	if err := c.Delete(ctx, client.Path("site", "hints", "10.1.0.0/16")); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("removed again: %v", err)
	}
}
