package agent

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/agent/progress"
	"thatch/agent/rulebook"
	"thatch/agentapi"
	"thatch/catalog"
)

// killed is what a step panics with when the process ends there.
type killed struct{ at string }

// roundUntil makes rounds and ends the process at the n'th step (from 1). It returns whether the step was reached.
func (s *site) roundUntil(n int) (reached bool, at string) {
	s.Helper()
	count := 0
	s.step = func(name string) {
		count++
		if count == n {
			panic(killed{name})
		}
	}
	defer func() {
		s.step = func(string) {}
		if k, ok := recover().(killed); ok {
			reached, at = true, k.at
			// Whatever the process held is gone: the next one begins with the folder alone. Locks and files of a
			// killed process are closed by the operating system.
			_ = s.agent.rules.Close()
			_ = s.agent.unlock()
			s.agent = nil
		}
	}()
	s.round()
	return false, ""
}

// A kill at each step of a round that fetches rules, downloads, installs three updates (one of them failing, one
// asking for a restart) and reports must lose nothing: the same rounds afterwards end as if nothing had happened.
func TestKillAtEveryStep(t *testing.T) {
	steps := map[string]bool{}
	stride := 1
	if testing.Short() {
		stride = 9
	}
	for n := 1; ; n += stride {
		reached, at := killAt(t, n)
		if !reached {
			if n < 60 {
				t.Errorf("only %d steps were tried", n)
			}
			break
		}
		steps[at] = true
	}
	if testing.Short() {
		return
	}
	for _, step := range []string{
		"rules", "appended rules", "reported", "download", "downloaded file", "staged file", "laid out", "verified", "started", "ran", "looked",
		"synced " + memoryFile, "renamed " + assignmentsFile,
	} {
		if !steps[step] {
			t.Errorf("step %q was never reached; reached were %q", step, slices.Sorted(maps.Keys(steps)))
		}
	}
}

func killAt(t *testing.T, n int) (reached bool, at string) {
	s := newSite(t)
	s.node.PageSize = 2
	packs := map[string][]*pack{}
	for number, app := range []string{"good", "bad", "restarts"} {
		s.computer.values[app] = "1"
		script := map[string]string{"good": "set good=2", "bad": "exit 9", "restarts": "restart\nset restarts=2"}[app]
		packs[s.update(uint32(number+1), app, "2")] = []*pack{{id: app, script: script, change: func(p *catalog.Package) { p.Installer.Arguments = "" }}}
	}
	s.node.Order([]agentapi.AssignedPolicy{s.policyOf("p", packs)})
	reached, at = s.roundUntil(n)
	if !reached {
		return false, ""
	}
	s.start()
	for range 5 {
		s.clock.advance(time.Hour)
		s.round()
	}
	s.computer.restart()
	s.start()
	s.round()
	for id, want := range map[string]agentapi.Status{
		"test:good-2": agentapi.Installed, "test:bad-2": agentapi.FailedToInstall, "test:restarts-2": agentapi.Installed,
	} {
		if got := s.state(id); got.Status != want {
			t.Errorf("killed at step %d (%s): %s is %q (%s), want %q", n, at, id, got.Status, got.Text, want)
		}
	}
	s.checkAccount(t, n, at)
	s.stop()
	return true, at
}

// checkAccount compares what was run with what the site was told.
func (s *site) checkAccount(t *testing.T, n int, at string) {
	t.Helper()
	view := s.node.View()
	runs, told := map[string]int{}, map[string]int{}
	for _, run := range s.computer.runs {
		runs[strings.TrimSuffix(run, ".exe")]++
	}
	for _, attempt := range view.Attempts {
		told[attempt.Package]++
	}
	// A kill between "started" and the installer's start makes an attempt that never ran; never the other way round.
	for app, count := range runs {
		if told[app] < count || told[app] > count+1 {
			t.Errorf("killed at step %d (%s): %s ran %d times, the site was told of %d", n, at, app, count, told[app])
		}
	}
	if runs["good"] != 1 || runs["bad"] > 3 || runs["restarts"] > 2 {
		t.Errorf("killed at step %d (%s): run were %v", n, at, runs)
	}
	if !view.Installed[1] || !view.Applicable[2] || !view.Installed[3] || len(view.Unknown) > 0 {
		t.Errorf("killed at step %d (%s): the site sees %v %v %v", n, at, view.Applicable, view.Installed, view.Unknown)
	}
}

func TestKilledDuringEnrolmentEnrolsAgain(t *testing.T) {
	for n := 1; n <= 4; n++ {
		s := newSite(t)
		if err := s.agent.Forget(); err != nil {
			t.Fatal(err)
		}
		s.node.Lock()
		s.node.Uses = 2
		s.node.Unlock()
		count := 0
		s.step = func(name string) {
			if count++; count == n {
				panic(killed{name})
			}
		}
		func() {
			defer func() {
				if _, ok := recover().(killed); !ok {
					t.Fatalf("step %d was not reached", n)
				}
				s.step = func(string) {}
				_ = s.agent.rules.Close()
				_ = s.agent.unlock()
				s.agent = nil
			}()
			_ = s.agent.Enrol(context.Background(), []string{s.node.URL()}, s.node.Token.String())
		}()
		s.start()
		if !s.agent.Enrolled() {
			if err := s.agent.Enrol(context.Background(), []string{s.node.URL()}, s.node.Token.String()); err != nil {
				t.Fatal(err)
			}
		}
		s.round()
	}
}

func TestInterruptedInstallIsJudgedByTheRules(t *testing.T) {
	for name, c := range map[string]struct {
		script  string
		success bool
		status  agentapi.Status
	}{
		"it is installed":     {"set app=2", true, agentapi.Installed},
		"it is not installed": {"set other=2", false, agentapi.FailedRescheduled},
	} {
		t.Run(name, func(t *testing.T) {
			s, id := orderedSite(t, c.script)
			s.kill("ran")
			s.start()
			s.round()
			s.expect(id, c.status, "")
			view := s.node.View()
			if len(view.Attempts) != 1 {
				t.Fatalf("attempts %+v", view.Attempts)
			}
			for _, attempt := range view.Attempts {
				if attempt.Success != c.success || !strings.Contains(attempt.Text, "agent was ended") {
					t.Fatalf("%+v", attempt)
				}
			}
			if applied := s.state(id).LastApplied; (applied != nil) != c.success {
				t.Fatalf("last applied %v", applied)
			}
		})
	}
}

// kill ends the process at the first step of that name.
func (s *site) kill(step string) {
	s.Helper()
	s.step = func(name string) {
		if name == step {
			panic(killed{name})
		}
	}
	defer func() {
		if _, ok := recover().(killed); !ok {
			s.Fatalf("step %q was not reached", step)
		}
		s.step = func(string) {}
		_ = s.agent.rules.Close()
		_ = s.agent.unlock()
		s.agent = nil
	}()
	s.round()
}

func TestInterruptedInstallOfWhatIsNotOrderedAnyMore(t *testing.T) {
	s, _ := orderedSite(t, "set app=2")
	s.kill("ran")
	s.node.Order(nil)
	s.start()
	s.round()
	s.clock.advance(time.Hour)
	s.round()
	view := s.node.View()
	if len(view.Attempts) != 1 || !view.Installed[1] {
		t.Fatalf("the site sees %+v", view)
	}
	for _, attempt := range view.Attempts {
		if !attempt.Success {
			t.Fatalf("%+v", attempt)
		}
	}
}

// An answer that got lost must not make the site and the agent see different things.
func TestLostAcknowledgementLeadsToAWholeReport(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	s.kill("reported")
	s.start()
	s.round()
	s.expect(id, agentapi.Installed, "")
	if view := s.node.View(); !view.Installed[1] || view.Applicable[1] {
		t.Fatalf("the site sees %+v", view)
	}
	counter := s.node.View().Counter
	s.node.Lock()
	s.node.Computer.Counter += 5 // the site was set back, or another agent used the identity
	s.node.Unlock()
	s.computer.values["app"] = "1"
	s.node.Order(nil)
	s.round()
	view := s.node.View()
	if view.Counter <= counter || !view.Applicable[1] || view.Installed[1] {
		t.Fatalf("the site sees %+v", view)
	}
}

func TestNewEpochVoidsNumbersAndCounters(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	s.round()
	s.node.Lock()
	s.node.Site.Epoch = "e2"
	s.node.Unlock()
	s.round()
	s.expect(id, agentapi.Installed, "")
	if view := s.node.View(); !view.Installed[1] || s.agent.memory.Epoch != "e2" {
		t.Fatalf("the site sees %+v", view)
	}
}

func TestDamagedFilesAreMadeAgain(t *testing.T) {
	for _, name := range []string{memoryFile, assignmentsFile, rulebook.File, outcomeFile, progress.FileOf("test:app-2")} {
		for _, damage := range []string{"", "{", "\x00\x00\x00\x00\x00\x00\x00\x00", strings.Repeat("x", 5000)} {
			t.Run(fmt.Sprintf("%s %.4q", name, damage), func(t *testing.T) {
				s, id := orderedSite(t, "set app=2")
				s.round()
				s.stop()
				if err := os.WriteFile(s.agent0(name), []byte(damage), 0o600); err != nil {
					t.Fatal(err)
				}
				s.start()
				s.round()
				s.expect(id, agentapi.Installed, "")
				s.ran("pack-1.exe /S")
			})
		}
	}
}

func (s *site) agent0(name string) string { return filepath.Join(s.dir, name) }

func TestDamagedIdentityAsksForAnEnrolment(t *testing.T) {
	s := newSite(t)
	s.stop()
	if err := os.WriteFile(s.agent0(identityFile), []byte(`{"computer":"c","key":"AAAA"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.config()); err == nil || !strings.Contains(err.Error(), "enrol this computer again") {
		t.Fatalf("%v", err)
	}
}
