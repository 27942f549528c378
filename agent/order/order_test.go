package order_test

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"thatch/agent/order"
	"thatch/agentapi"
	"thatch/agentapi/agentapitest"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
	"thatch/schedule"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func reader(t testing.TB, node *agentapitest.Node) order.Reader {
	t.Helper()
	keys := document.Keyring{}
	if _, err := keys.Learn(node.Key(t)); err != nil {
		t.Fatal(err)
	}
	return order.Reader{Keys: keys, Log: quiet}
}

func answer(t testing.TB, node *agentapitest.Node) agentapi.AssignmentsResponse {
	t.Helper()
	update := node.Document(t, document.Update, "u", nil, catalog.Update{Name: "U", Rules: catalog.Rules{Applicable: rule.Test("True")}})
	off := node.Document(t, document.Update, "off", nil, catalog.Update{Name: "Off"})
	body := policy.Policy{
		Name: "p", Plan: policy.Plan{When: policy.StartASAP},
		Updates: []policy.Update{{Update: "u", Digest: update.Digest, Enabled: true}, {Update: "off", Digest: off.Digest}},
	}
	window := schedule.Window{Name: "w", Repeat: schedule.Daily, Start: "22:00", Minutes: 60}
	return agentapi.AssignmentsResponse{
		Tag:     "t",
		Windows: []document.Document{node.Document(t, document.Window, "w", nil, window), node.Document(t, document.Window, "bad", nil, schedule.Window{Name: "x"})},
		Policies: []agentapi.AssignedPolicy{{
			Document: node.Document(t, document.Policy, "p", nil, body),
			Updates:  []agentapi.OrderedUpdate{{Number: 1, Update: update}, {Number: 2, Update: off}},
		}},
	}
}

func TestRead(t *testing.T) {
	node := agentapitest.NewNode(t, time.Now)
	as := reader(t, node).Read(answer(t, node), "e")
	if len(as.Orders) != 1 || as.Orders[0].Err != nil || as.Orders[0].ID() != "u" || as.Orders[0].Pin == nil || as.Orders[0].Policy.Name != "p" {
		t.Fatalf("orders %+v", as.Orders)
	}
	if len(as.Windows) != 1 || as.Closed == "" {
		t.Fatalf("windows %+v, closed %q", as.Windows, as.Closed)
	}
}

func TestKeysOfOthersVerifyNothing(t *testing.T) {
	node, other := agentapitest.NewNode(t, time.Now), agentapitest.NewNode(t, time.Now)
	for _, o := range reader(t, other).Read(answer(t, node), "e").Orders {
		if !errors.Is(o.Err, order.ErrRefused) || !errors.Is(o.Err, document.ErrSignature) {
			t.Errorf("%s: %v", o.ID(), o.Err)
		}
	}
}

// Nothing that the site did not sign may come out as an order, whatever a node sends.
func FuzzRead(f *testing.F) {
	node := agentapitest.NewNode(f, time.Now)
	good, err := json.Marshal(answer(f, node))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"policies":[{"updates":[{}]}],"windows":[{}]}`))
	f.Add([]byte(`{"policies":[{"document":{"kind":"policy","id":"p","body":"e30="},"updates":[{"packages":[{}],"payloads":[{}]}]}]}`))
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	r := order.Reader{Keys: document.Keyring{node.Site.ID: public, "": public}, Log: quiet}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var a agentapi.AssignmentsResponse
		if json.Unmarshal(raw, &a) != nil {
			return
		}
		as := r.Read(a, "e")
		for _, o := range as.Orders {
			if !errors.Is(o.Err, order.ErrRefused) {
				t.Fatalf("%+v came out as an order", o)
			}
		}
		if len(as.Windows) > 0 {
			t.Fatalf("windows %+v came out", as.Windows)
		}
	})
}
