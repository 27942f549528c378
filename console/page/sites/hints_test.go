package sites_test

import (
	"strings"
	"testing"

	"thatch/node/identity"
)

func TestHintsOfSubnets(t *testing.T) {
	s := start(t, "Bern", "en")
	nodes, err := s.Members.Nodes(t.Context())
	if err != nil || len(nodes) == 0 {
		t.Fatalf("%d nodes, %v", len(nodes), err)
	}
	s.Get(t, "/site").Has(t, `href="/site/hints"`)
	s.Get(t, "/site/hints").Has(t, "No hint has been given", "Give a hint")
	s.Post(t, "/site/hints", form("do", "set", "of", "10.1.2.3/16", "at", nodes[0].ID)).Has(t, "did you mean 10.1.0.0/16", `value="10.1.2.3/16"`)
	s.Post(t, "/site/hints", form("do", "set", "of", "10.1.0.0/16", "at", nodes[0].ID, "for", "<b>ground floor")).
		Has(t, "Computers of 10.1.0.0/16 talk to node", "&lt;b&gt;ground floor", "1 to 1 of 1")
	s.Language = "de"
	s.Get(t, "/site/hints").Has(t, "Einen Hinweis geben")
	s.Language = ""
	s.Operator.Scope = identity.Operate
	if body := s.Get(t, "/site/hints").Body; strings.Contains(body, `value="set"`) || strings.Contains(body, `value="remove"`) {
		t.Error("an operator is shown what administrators do")
	}
	for _, do := range []string{"set", "remove"} {
		if answer := s.Post(t, "/site/hints", form("do", do, "key", "10.1.0.0/16")); answer.Status != 403 {
			t.Errorf("an operator may %s: %d", do, answer.Status)
		}
	}
	s.Operator.Scope = identity.Administrator
	s.Post(t, "/site/hints", form("do", "remove", "key", "10.1.0.0/16")).Has(t, "1 hint was removed.", "No hint has been given")
}
