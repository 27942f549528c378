package agent

import (
	"errors"
	"strings"
	"testing"
	"time"

	"thatch/agentapi"
)

var errBroken = errors.New("the registry is broken")

// prompted runs an agent whose node asks something of it in its n'th waiting call, and ends when it has said what became of it.
func prompted(t *testing.T, s *site, n int, kind string) (i *idler, done agentapi.Done) {
	t.Helper()
	i = newIdler(s)
	s.node.Lock()
	s.node.Wait = func(q agentapi.WaitRequest) (*agentapi.WaitResponse, error) {
		if n--; n == 0 {
			return &agentapi.WaitResponse{Prompt: &agentapi.Prompt{ID: "p1", Kind: kind}}, nil
		}
		if q.Done != nil {
			done = *q.Done
		}
		return &agentapi.WaitResponse{After: 60}, nil
	}
	s.node.Unlock()
	i.run(func() bool {
		s.node.Lock()
		defer s.node.Unlock()
		return done.Prompt == ""
	})
	return i, done
}

// A scan looks and reports, leaves what is ordered alone, and leaves the time of the next round as it is.
func TestScanNow(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	s.computer.onRun = func() { s.computer.values["later"] = "1" } // after the first round
	s.update(2, "later", "2")
	began := s.clock.at
	i, done := prompted(t, s, 3, agentapi.PromptScan)
	s.ran("pack-1.exe /S") // by the first round
	if done.Failed || done.Text != "missing 1, cannot tell 0" {
		t.Errorf("%+v", done)
	}
	if took := s.clock.at.Sub(began); took > 4*time.Minute {
		t.Errorf("it took %s: %v", took, i.waits)
	}
	s.expect(id, agentapi.Installed, "")
	if view := s.node.View(); !view.Applicable[2] || view.Facts.Protocol != agentapi.Protocol {
		t.Errorf("reported were %v, protocol %d", view.Applicable, view.Facts.Protocol)
	}
	if status, err := ReadStatus(s.dir); err != nil || !status.Next.Equal(began.Add(600*time.Second)) {
		t.Errorf("the next round is due at %v, %v; the first was at %s", status.Next, err, began)
	}
}

// A scan installs nothing, a cycle does, within what windows and policies allow.
func TestCycleNow(t *testing.T) {
	for _, kind := range []string{agentapi.PromptScan, agentapi.PromptCycle} {
		s, id := orderedSite(t, "set app=2")
		ordered := s.node.TakeOrders()
		calls := 0
		i := newIdler(s)
		var done agentapi.Done
		s.node.Lock()
		s.node.Wait = func(q agentapi.WaitRequest) (*agentapi.WaitResponse, error) {
			if q.Done != nil {
				done = *q.Done
			}
			if calls++; calls != 2 {
				return &agentapi.WaitResponse{After: 60}, nil
			}
			return &agentapi.WaitResponse{Prompt: &agentapi.Prompt{ID: "p1", Kind: kind}}, nil
		}
		s.node.Unlock()
		i.run(func() bool {
			s.node.Order(ordered) // after the first round
			s.node.Lock()
			defer s.node.Unlock()
			return done.Prompt == ""
		})
		if kind == agentapi.PromptScan {
			s.ran()
			s.expect(id, agentapi.DownloadRequired, "")
			continue
		}
		s.ran("pack-1.exe /S")
		s.expect(id, agentapi.Installed, "")
		if done.Text != "installed now 1, failed 0; missing 0, cannot tell 0" {
			t.Errorf("%+v", done)
		}
	}
}

func TestPromptThatCannotBeDone(t *testing.T) {
	s, _ := orderedSite(t, "set app=2")
	if _, done := prompted(t, s, 1, "dance"); !done.Failed || !strings.Contains(done.Text, "does not know") {
		t.Errorf("a kind of a later version: %+v", done)
	}
	s, _ = orderedSite(t, "set app=2")
	i := newIdler(s)
	var done agentapi.Done
	calls := 0
	s.node.Lock()
	s.node.Wait = func(q agentapi.WaitRequest) (*agentapi.WaitResponse, error) {
		if calls++; calls == 1 {
			s.computer.readErr = errBroken
			return &agentapi.WaitResponse{Prompt: &agentapi.Prompt{ID: "p1", Kind: agentapi.PromptScan}}, nil
		}
		if q.Done != nil {
			done = *q.Done
		}
		return &agentapi.WaitResponse{After: 60}, nil
	}
	s.node.Unlock()
	i.run(func() bool {
		s.node.Lock()
		defer s.node.Unlock()
		return done.Prompt == ""
	})
	if !done.Failed || !strings.Contains(done.Text, errBroken.Error()) {
		t.Errorf("facts that cannot be read: %+v", done)
	}
}

// A node that answers at once although it could wait is not asked all the time; one that fails is asked ever more seldom.
func TestWaitingCallsAreBounded(t *testing.T) {
	for name, answer := range map[string]func() (*agentapi.WaitResponse, error){
		"at once": func() (*agentapi.WaitResponse, error) { return &agentapi.WaitResponse{}, nil },
		"busy": func() (*agentapi.WaitResponse, error) {
			return nil, &agentapi.Error{Code: agentapi.CodeBusy, Text: "busy", After: 120}
		},
		"no such path": nil,
	} {
		s, _ := orderedSite(t, "set app=2")
		i := newIdler(s)
		calls := 0
		s.node.Lock()
		if answer != nil {
			s.node.Wait = func(agentapi.WaitRequest) (*agentapi.WaitResponse, error) {
				calls++
				return answer()
			}
		}
		s.node.Unlock()
		began := s.clock.at
		i.run(func() bool { return s.clock.at.Sub(began) < time.Hour })
		most := map[string]int{"at once": 3700, "busy": 40}[name]
		if calls > most || most > 0 && calls < 10 {
			t.Errorf("%s: %d waiting calls in an hour", name, calls)
		}
		if view := s.node.View(); view.Reports < 6 || view.Reports > 16 {
			t.Errorf("%s: %d reports in an hour", name, view.Reports)
		}
	}
}

// A computer that is retired while its agent waits hears of it then.
func TestRetiredWhileWaiting(t *testing.T) {
	s, _ := orderedSite(t, "set app=2")
	i := newIdler(s)
	s.node.Lock()
	s.node.Wait = func(agentapi.WaitRequest) (*agentapi.WaitResponse, error) {
		return &agentapi.WaitResponse{After: 10}, nil
	}
	s.node.Unlock()
	began := s.clock.at
	i.run(func() bool {
		if s.clock.at.Sub(began) > 30*time.Second {
			i.refuse(agentapi.CodeRetired)
		}
		status, err := ReadStatus(s.dir)
		return err == nil && !status.Idle
	})
	if took := s.clock.at.Sub(began); took > 2*time.Minute {
		t.Errorf("it took %s", took)
	}
}
