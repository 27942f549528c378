package sites_test

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"thatch/node/identity"
	"thatch/node/members"
)

// TestNodesOfThisSite sends the forms by which nodes join, vote, lead and go, beside a node that is on record and not there.
func TestNodesOfThisSite(t *testing.T) {
	s := start(t, "Bern", "en")
	own, err := s.Members.Nodes(t.Context())
	if err != nil || len(own) != 1 {
		t.Fatalf("%d nodes, %v", len(own), err)
	}
	lacks(t, s.Get(t, "/site"), `value="lead"`, `value="votes"`, `value="remove-node"`) // nothing to choose from
	key := make([]byte, members.KeySize)
	if err := s.Members.Tell(t.Context(), members.Node{ID: "n-2", Name: "<b>paris", Addresses: []string{"127.0.0.1:1"}, TLSKey: key, SealKey: key}); err != nil {
		t.Fatal(err)
	}
	knows(t, s, 2)
	s.Get(t, "/site").Has(t, `value="lead"`, `value="votes"`, `value="remove-node"`, "&lt;b&gt;paris", "1 of 1 voting nodes answer")

	s.Post(t, "/site", form("do", "invite", "name", "", "hours", "24")).Has(t, `role="alert"`, "what the token is for")
	s.Post(t, "/site", form("do", "invite", "name", "rome", "hours", "1000")).Has(t, `role="alert"`, "thirty days", `value="1000"`)
	made := s.Post(t, "/site", form("do", "invite", "name", "rome", "hours", "2"))
	made.Has(t, "thatch node join --site-node https://", "--token tn1-")
	if text := regexp.MustCompile(`tn1-[a-z0-9-]+`).FindString(made.Body); text == "" {
		t.Error("the token is not shown")
	} else {
		lacks(t, s.Get(t, "/site"), text) // again
	}

	s.Post(t, "/site", form("do", "votes", "node", own[0].ID, "votes", "no")).Has(t, `role="alert"`)
	s.Post(t, "/site", form("do", "lead", "node", "n-2")).Has(t, `role="alert"`)
	s.Post(t, "/site", form("do", "lead", "node", "nobody")).Has(t, `role="alert"`, "not found")
	s.Post(t, "/site", form("do", "remove-node", "node", own[0].ID)).Has(t, `role="alert"`)

	s.Operator.Scope = identity.Operate
	lacks(t, s.Get(t, "/site"), `value="lead"`, `value="invite"`, `value="remove-node"`)
	for _, do := range []string{"invite", "votes", "lead", "remove-node"} {
		if got := s.Send(t, "/site", form("do", do, "node", "n-2", "name", "x", "hours", "1")); got.Status != http.StatusForbidden {
			t.Errorf("%s by an operator answers %d", do, got.Status)
		}
	}
	s.Operator.Scope = identity.Administrator
	s.Post(t, "/site", form("do", "remove-node", "node", "n-2")).Has(t, "is shut out")
	knows(t, s, 1)
	lacks(t, s.Get(t, "/site"), "paris")
	s.Post(t, "/site", form("do", "remove-node", "node", "n-2")).Has(t, `role="alert"`)
}

// knows waits until the node that answers knows of so many nodes of its site.
func knows(t *testing.T, s site, nodes int) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for deadline := time.After(time.Minute); len(s.Sisters().Report(t.Context()).Nodes) != nodes; {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("the node does not know of %d nodes", nodes)
		}
	}
}
