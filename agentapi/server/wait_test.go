package server_test

import (
	"net/http"
	"testing"
	"time"

	"thatch/agentapi"
	"thatch/agentapi/server"
	"thatch/node/computers/prompts"
	"thatch/node/identity"
	"thatch/node/nodetest"
)

// number is that of a computer in the tables.
func (s *site) number(t testing.TB, m *machine) uint32 {
	t.Helper()
	member := s.Computers.Member(m.id)
	if member == nil {
		t.Fatalf("no computer %s", m.id)
	}
	return member.Number
}

func (s *site) prompt(t testing.TB, kind prompts.Kind, numbers ...uint32) {
	t.Helper()
	if _, err := s.Computers.Prompts.Ask(t.Context(), "anna", kind, time.Now().Add(time.Hour), numbers); err != nil {
		t.Fatal(err)
	}
}

func TestAgentsHearOfPrompts(t *testing.T) {
	s := newSite(t)
	m, other := s.enrol(t, "pc"), s.enrol(t, "other")
	if answer, err := m.Wait(t.Context(), agentapi.WaitRequest{}); err != nil || answer.Prompt != nil || answer.After < 60 {
		t.Fatalf("nothing to do, and not ready to wait: %+v, %v", answer, err)
	}
	if answer, err := m.Wait(t.Context(), agentapi.WaitRequest{Seconds: 1}); err != nil || answer.Prompt != nil || answer.After != 0 {
		t.Fatalf("nothing to do within a second: %+v, %v", answer, err)
	}
	heard := make(chan agentapi.WaitResponse, 1)
	go func() {
		answer, err := m.Wait(t.Context(), agentapi.WaitRequest{Seconds: 600})
		if err != nil {
			t.Error(err)
		}
		heard <- answer
	}()
	s.prompt(t, prompts.Cycle, s.number(t, m))
	answer := <-heard
	if answer.Prompt == nil || answer.Prompt.Kind != agentapi.PromptCycle {
		t.Fatalf("%+v", answer)
	}
	state := func() prompts.Prompt {
		p, _ := s.Computers.Prompts.Of(s.number(t, m))
		return p
	}
	if got := state().State(time.Now()); got != prompts.Told {
		t.Errorf("after the agent heard of it it is %s", got)
	}
	// The agent was ended on the way: it is told again.
	if again, err := m.Wait(t.Context(), agentapi.WaitRequest{}); err != nil || again.Prompt == nil || *again.Prompt != *answer.Prompt {
		t.Errorf("asked again: %+v, %v", again, err)
	}
	for range 2 { // the first answer may be lost
		done := &agentapi.Done{Prompt: answer.Prompt.ID, Text: "installed now 1"}
		if again, err := m.Wait(t.Context(), agentapi.WaitRequest{Done: done}); err != nil || again.Prompt != nil {
			t.Errorf("after it was done: %+v, %v", again, err)
		}
	}
	if p := state(); p.State(time.Now()) != prompts.Done || p.Text != "installed now 1" {
		t.Errorf("%+v", p)
	}
	if _, err := other.Wait(t.Context(), agentapi.WaitRequest{Done: &agentapi.Done{Prompt: answer.Prompt.ID, Failed: true, Text: "x"}}); err != nil {
		t.Error(err)
	}
	if p := state(); p.Failed {
		t.Error("another computer says what became of it")
	}
	if err := s.Computers.Retire(t.Context(), "test", m.id, 0, identity.RevokeComputer(m.id, "retired", time.Now())); err != nil {
		t.Fatal(err)
	}
	_, err := m.Wait(t.Context(), agentapi.WaitRequest{})
	wantCode(t, "a retired computer waits", err, agentapi.CodeRetired)
}

// Beyond the places the others ask now and then, and hear of prompts all the same.
func TestMoreAgentsThanPlaces(t *testing.T) {
	s := &site{Node: nodetest.New(t)}
	stop := nodetest.Run(t, s.Node, map[string]http.Handler{"/agent/v1/": server.NewWith(s.Node, server.Limits{Waiting: 1, Asking: 1})})
	s.token = s.newToken(t, 0)
	held, more := s.enrol(t, "held"), s.enrol(t, "more")
	ended := make(chan error, 1)
	go func() {
		for { // until it is held, and then until the node stops
			if _, err := held.Wait(t.Context(), agentapi.WaitRequest{Seconds: 600}); err != nil {
				ended <- err
				return
			}
		}
	}()
	for { // until the first one holds the place
		answer, err := more.Wait(t.Context(), agentapi.WaitRequest{Seconds: 1})
		if err != nil {
			t.Fatal(err)
		}
		if answer.After > 0 {
			if answer.After < 60 || answer.After > 66 {
				t.Errorf("asked to come again after %d seconds", answer.After)
			}
			break
		}
	}
	s.prompt(t, prompts.Scan, s.number(t, more))
	if answer, err := more.Wait(t.Context(), agentapi.WaitRequest{Seconds: 600}); err != nil || answer.Prompt == nil {
		t.Errorf("%+v, %v", answer, err)
	}
	stop()
	wantCode(t, "the node stops", <-ended, agentapi.CodeLeaving)
}

// A computer holds no more than its share of the places.
func TestOwnShareOfWaits(t *testing.T) {
	s := newSite(t)
	m := s.enrol(t, "pc")
	const share = 3
	for range share {
		go func() {
			for t.Context().Err() == nil && len(s.Computers.Prompts.All()) == 0 {
				_, _ = m.Wait(t.Context(), agentapi.WaitRequest{Seconds: 600}) // it may find its share taken
			}
		}()
	}
	for { // until all of them are held
		_, err := m.Wait(t.Context(), agentapi.WaitRequest{Seconds: 1})
		if err != nil {
			wantCode(t, "beyond a computer's share", err, agentapi.CodeBusy)
			break
		}
	}
	s.prompt(t, prompts.Scan, s.number(t, m))
}
