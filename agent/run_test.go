package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"thatch/agent/folder"
	"thatch/agentapi"
)

// idler runs an agent on a clock that moves by what it waits for. At every wait it calls do, and ends when that says so.
type idler struct {
	*site
	log   bytes.Buffer
	asked []time.Time // when a node was called
	waits []time.Duration
}

func newIdler(s *site) *idler {
	i := &idler{site: s}
	s.agent.cfg.Log = slog.New(slog.NewTextHandler(&i.log, nil))
	s.agent.cfg.Random = func() float64 { return 0 }
	return i
}

func (i *idler) refuse(code string) {
	i.node.Lock()
	defer i.node.Unlock()
	i.node.Fault = func(string) *agentapi.Error {
		i.asked = append(i.asked, i.clock.at)
		if code == "" {
			return nil
		}
		return &agentapi.Error{Code: code, Text: "this computer is " + code}
	}
}

func (i *idler) run(do func() (goOn bool)) {
	i.Helper()
	ctx, cancel := context.WithCancel(i.Context())
	defer cancel()
	i.agent.cfg.After = func(d time.Duration) <-chan time.Time {
		if d < 0 || d > 24*time.Hour {
			i.Errorf("a wait of %s", d)
		}
		i.waits = append(i.waits, d)
		if len(i.waits) > 60_000 {
			i.Error("it waits for ever")
			cancel()
		} else if !do() {
			cancel()
		}
		i.clock.advance(d)
		ready := make(chan time.Time, 1)
		ready <- i.clock.at
		return ready
	}
	if err := i.agent.Run(ctx); err != nil {
		i.Fatal(err)
	}
}

// A retired computer's agent stays up, says why once, leaves its folder alone, asks ever more seldom, and goes on when
// its site knows it again.
func TestRetiredComputerStaysIdle(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	i := newIdler(s)
	i.refuse(agentapi.CodeRetired)
	began := s.clock.at
	i.run(func() bool {
		if len(i.waits)%40 != 1 && s.clock.at.Sub(began) < 4*24*time.Hour {
			return true
		}
		switch status, err := ReadStatus(s.dir); {
		case err != nil:
			t.Fatal(err)
		case s.clock.at.Sub(began) < 4*24*time.Hour:
			if !status.Idle || !strings.Contains(status.Error, "retired") || status.Next == nil || !status.Next.After(s.clock.at) {
				t.Fatalf("after %s: %+v", s.clock.at.Sub(began), status)
			}
			if unlock, err := folder.Lock(s.agent.folder.Path("lock")); err != nil {
				t.Fatalf("the folder is not left to an enrolment: %v", err)
			} else if err := unlock(); err != nil {
				t.Fatal(err)
			}
		case status.Idle:
			i.refuse("")
		default:
			return false
		}
		return true
	})
	if said := strings.Count(i.log.String(), "nothing to do until"); said != 1 {
		t.Errorf("said %d times:\n%s", said, i.log.String())
	}
	var asked []time.Time
	for _, at := range i.asked {
		if len(asked) == 0 || asked[len(asked)-1] != at {
			asked = append(asked, at)
		}
	}
	if len(asked) < 8 || len(asked) > 20 {
		t.Errorf("a node was asked at %d times in four days: %v", len(asked), asked)
	}
	for n := 2; n < len(asked); n++ {
		former, next := asked[n-1].Sub(asked[n-2]), asked[n].Sub(asked[n-1])
		if next < former || next > 24*time.Hour || n == 2 && former > 10*time.Minute {
			t.Errorf("asked again after %s and then after %s", former, next)
		}
	}
	s.expect(id, agentapi.Installed, "")
}

// Whoever enrols the computer again need not restart its service.
func TestIdleAgentGoesOnOnceEnrolledAgain(t *testing.T) {
	for name, c := range map[string]struct {
		trouble func(*idler)
		text    string
	}{
		"retired":           {func(i *idler) { i.refuse(agentapi.CodeRetired) }, "retired"},
		"clone by the site": {func(i *idler) { i.refuse(agentapi.CodeClone) }, "clone"},
		"clone":             {func(i *idler) { i.computer.machine.ID = "machine-2" }, ErrClone.Error()},
		"not enrolled": {func(i *idler) {
			if err := i.agent.Forget(); err != nil {
				i.Fatal(err)
			}
		}, ErrNotEnrolled.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			s, id := orderedSite(t, "set app=2")
			i := newIdler(s)
			c.trouble(i)
			var enrolled time.Time
			i.run(func() bool {
				if status, err := ReadStatus(s.dir); err != nil {
					t.Fatal(err)
				} else if enrolled.IsZero() && (!status.Idle || !strings.Contains(status.Error, c.text)) {
					t.Fatalf("%+v", status)
				} else if !enrolled.IsZero() && !status.Idle && status.Enrolled {
					return false
				}
				if len(i.waits) == 500 { // two hours
					i.refuse("")
					s.enrolAgain()
					enrolled = s.clock.at
				}
				return true
			})
			if took := s.clock.at.Sub(enrolled); enrolled.IsZero() || took > time.Minute+600*time.Second { // and the wait after the round
				t.Errorf("it went on after %s", took)
			}
			s.expect(id, agentapi.Installed, "")
			s.ran("pack-1.exe /S")
		})
	}
}

// enrolAgain is what thatch-agent enrol --again does in another process.
func (s *site) enrolAgain() {
	s.Helper()
	s.node.Lock()
	s.node.Uses = 1
	s.node.Unlock()
	other, err := Open(s.config())
	if err != nil {
		s.Fatal(err)
	}
	if err := other.Forget(); err != nil {
		s.Fatal(err)
	}
	if err := other.Enrol(s.Context(), []string{s.node.URL()}, s.node.Token.String()); err != nil {
		s.Fatal(err)
	}
	if err := other.Close(); err != nil {
		s.Fatal(err)
	}
}

// An enrolment that takes its time holds the folder; the agent waits for it.
func TestIdleAgentWaitsForAnEnrolmentUnderWay(t *testing.T) {
	s, _ := orderedSite(t, "set app=2")
	i := newIdler(s)
	i.refuse(agentapi.CodeRetired)
	var unlock func() error
	held := 0
	i.run(func() bool {
		switch {
		case held == 0:
			var err error
			if unlock, err = folder.Lock(s.agent.folder.Path("lock")); err != nil {
				t.Fatal(err)
			}
			held = len(i.asked)
		case len(i.waits) == 100:
			if len(i.asked) != held {
				t.Error("a round was made in a folder that another agent held")
			}
			if err := unlock(); err != nil {
				t.Fatal(err)
			}
		}
		return len(i.asked) == held
	})
	if len(i.waits) <= 100 {
		t.Errorf("%d waits", len(i.waits))
	}
}

// Close ends an idle agent for good.
func TestIdleAgentIsClosed(t *testing.T) {
	s, _ := orderedSite(t, "set app=2")
	i := newIdler(s)
	i.refuse(agentapi.CodeRetired)
	i.agent.cfg.After = func(d time.Duration) <-chan time.Time {
		if err := s.agent.Close(); err != nil {
			t.Error(err)
		}
		i.clock.advance(d)
		ready := make(chan time.Time, 1)
		ready <- i.clock.at
		return ready
	}
	if err := s.agent.Run(t.Context()); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("Run ended with %v", err)
	}
}
