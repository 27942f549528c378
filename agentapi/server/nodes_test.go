package server_test

import (
	"testing"
	"time"

	"thatch/agentapi"
	"thatch/node/hints"
	"thatch/node/identity"
	"thatch/node/members"
)

func (s *site) member(t *testing.T, id string, addresses ...string) {
	t.Helper()
	key := make([]byte, members.KeySize)
	if err := s.Members.Tell(t.Context(), members.Node{ID: id, Name: "name of " + id, Addresses: addresses, TLSKey: key, SealKey: key}); err != nil {
		t.Fatal(err)
	}
}

func named(answer agentapi.NodesResponse, id string) *agentapi.SiteNode {
	for i := range answer.Nodes {
		if answer.Nodes[i].ID == id {
			return &answer.Nodes[i]
		}
	}
	return nil
}

func TestNodesAndHints(t *testing.T) {
	s := newSite(t)
	m := s.enrol(t, "pc")
	s.member(t, "n1", "node1:8743")
	s.member(t, "n2", "node2:8743", "10.0.0.2:8743")
	ask := func(addresses ...string) agentapi.NodesResponse {
		t.Helper()
		answer, err := m.Nodes(t.Context(), agentapi.NodesRequest{Addresses: addresses})
		if err != nil {
			t.Fatal(err)
		}
		if answer.Version == "" || answer.Version != m.NodesVersion() {
			t.Errorf("version %q in the answer, %q before it", answer.Version, m.NodesVersion())
		}
		return answer
	}
	first := ask("10.1.2.3")
	if n2 := named(first, "n2"); n2 == nil || len(n2.Addresses) != 2 || n2.Hinted || first.MoveSeconds < 2 {
		t.Fatalf("%+v", first)
	}
	room := hints.New(s.Reader(), s.Writer(), s.Members, s.Now)
	for subnet, node := range map[string]string{"10.1.0.0/16": "n1", "10.1.2.0/24": "name of n2"} {
		if _, err := room.Set(t.Context(), "anna", subnet, node, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Assignments(t.Context(), agentapi.AssignmentsRequest{}); err != nil || m.NodesVersion() == first.Version {
		t.Errorf("hints changed, and the version that comes with an answer did not: %v", err)
	}
	if second := ask("192.168.0.1", "10.1.2.3"); !named(second, "n2").Hinted || named(second, "n1").Hinted {
		t.Errorf("%+v", second)
	}
	if second := ask("10.1.3.3", "nonsense"); !named(second, "n1").Hinted {
		t.Errorf("%+v", second)
	}
	if _, err := room.Set(t.Context(), "anna", "127.0.0.0/8", "n2", ""); err != nil {
		t.Fatal(err)
	}
	if third := ask(); !named(third, "n2").Hinted {
		t.Errorf("the address that a computer calls from does not count: %+v", third)
	}
	if err := s.Members.Remove(t.Context(), "n2", "gone"); err == nil {
		if fourth := ask(); named(fourth, "n2") != nil {
			t.Errorf("a node that was removed is listed: %+v", fourth)
		}
	} else {
		t.Log(err)
	}
	if took, err := m.Here(t.Context()); err != nil || took <= 0 {
		t.Errorf("measured %s, %v", took, err)
	}
	if _, err := s.client(t, nil).Nodes(t.Context(), agentapi.NodesRequest{}); err == nil {
		t.Error("strangers are told the nodes")
	}
}

// A connection that is resumed from a ticket is asked for its certificate's standing like any other.
func TestResumedSessionsAreNoWayAroundRevocation(t *testing.T) {
	s := newSite(t)
	m := s.enrol(t, "pc")
	resume := func() {
		t.Helper()
		for range 500 { // a connection that just answered may not be idle yet, and then it is used again
			m.Close()
			response, err := m.HTTP().Get("https://" + s.Address() + agentapi.PathHere)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.TLS.DidResume {
				return
			}
		}
		t.Fatal("sessions are not resumed")
	}
	resume()
	if err := s.Computers.Retire(t.Context(), "test", m.id, 0, identity.RevokeComputer(m.id, "retired", time.Now())); err != nil {
		t.Fatal(err)
	}
	resume()
	_, err := m.Assignments(t.Context(), agentapi.AssignmentsRequest{})
	wantCode(t, "a revoked certificate in a resumed session", err, agentapi.CodeRetired)
}
