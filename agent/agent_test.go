package agent

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/agent/folder"
	"thatch/agentapi"
	"thatch/catalog"
	"thatch/catalog/content/authenticode"
	"thatch/catalog/content/authenticode/authenticodetest"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
	"thatch/schedule"
)

func TestWhatIsOrderedIsInstalledAndReported(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	cycle := s.round()
	if cycle.Installed != 1 || cycle.Failed != 0 {
		t.Fatalf("%+v", cycle)
	}
	s.ran("pack-1.exe /S")
	s.expect(id, agentapi.Installed, "")
	view := s.node.View()
	if !view.Installed[1] || view.Applicable[1] || len(view.Attempts) != 1 {
		t.Fatalf("the site sees %+v", view)
	}
	for _, attempt := range view.Attempts {
		if !attempt.Success || attempt.Package != "pack-1" || attempt.Policy != "policy-1" || attempt.Ended.IsZero() {
			t.Fatalf("%+v", attempt)
		}
	}
	if applied := s.state(id).LastApplied; applied == nil || !applied.Equal(s.clock.at) {
		t.Fatalf("last applied %v", applied)
	}
	s.round()
	s.ran("pack-1.exe /S")
}

func TestEnrolmentTellsTheComputer(t *testing.T) {
	s := newSite(t)
	got := s.node.View().Enrolled
	if got.Name != "PC-1" || got.MachineID != "machine-1" || got.Hardware != "hw-1" || got.Platform != "windows" || !slices.Equal(got.Languages, []string{"de-de"}) {
		t.Fatalf("%+v", got)
	}
	if err := s.agent.Enrol(context.Background(), []string{s.node.URL()}, s.node.Token.String()); err == nil {
		t.Fatal("an enrolled folder was enrolled again")
	}
	s.start()
	s.round()
	if f := s.node.View().Facts; f == nil || f.Name != "PC-1" || f.Agent != "test" || f.System.Build != 17763 {
		t.Fatalf("facts %+v", f)
	}
}

func TestEnrolmentIsRefused(t *testing.T) {
	s := newSite(t)
	if err := s.agent.Forget(); err != nil {
		t.Fatal(err)
	}
	s.failingRound(ErrNotEnrolled)
	err := s.agent.Enrol(context.Background(), []string{s.node.URL()}, s.node.Token.String())
	if !agentapi.HasCode(err, agentapi.CodeTokenUsed) {
		t.Fatalf("%v, want that the token is used", err)
	}
	other := s.node.Token
	other.Fingerprint[0] ^= 1
	if err := s.agent.Enrol(context.Background(), []string{s.node.URL()}, other.String()); !errors.Is(err, agentapi.ErrUntrusted) {
		t.Fatalf("%v, want ErrUntrusted", err)
	}
	if err := s.agent.Enrol(context.Background(), []string{s.node.URL()}, "x"); !errors.Is(err, agentapi.ErrToken) {
		t.Fatalf("%v, want ErrToken", err)
	}
}

func TestEnrolmentTriesTheNextNode(t *testing.T) {
	s := newSite(t)
	if err := s.agent.Forget(); err != nil {
		t.Fatal(err)
	}
	s.node.Lock()
	s.node.Uses = 1
	s.node.Unlock()
	gone := "https://127.0.0.1:1"
	if err := s.agent.Enrol(context.Background(), []string{gone, s.node.URL()}, s.node.Token.String()); err != nil {
		t.Fatal(err)
	}
	if nodes := s.agent.identity.Nodes; !slices.Equal(nodes, []string{s.node.URL(), gone}) {
		t.Fatalf("nodes %q", nodes)
	}
	s.round()
}

func TestUninstallingByHandBringsItBack(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	s.round()
	s.computer.values["app"] = "1"
	s.clock.advance(time.Hour)
	s.round()
	s.ran("pack-1.exe /S", "pack-1.exe /S")
	s.expect(id, agentapi.Installed, "")
}

func TestInstalledBySomeoneElse(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	s.computer.values["app"] = "2"
	s.round()
	s.ran()
	s.expect(id, agentapi.Installed, "")
	if applied := s.state(id).LastApplied; applied != nil {
		t.Fatalf("last applied %v, want never", applied)
	}
}

func TestFailuresAreTriedAgainUpToTheSetting(t *testing.T) {
	s, id := orderedSite(t, "exit 5")
	s.round()
	s.expect(id, agentapi.FailedRescheduled, "returned 5")
	if starts := s.state(id).Starts; starts == nil || !starts.Equal(s.clock.at.Add(10*time.Minute)) {
		t.Fatalf("starts %v", starts)
	}
	s.round() // not yet
	s.ran("pack-1.exe /S")
	for range 5 {
		s.clock.advance(time.Hour)
		s.round()
	}
	s.ran("pack-1.exe /S", "pack-1.exe /S", "pack-1.exe /S")
	s.expect(id, agentapi.FailedToInstall, "returned 5")
	if view := s.node.View(); len(view.Attempts) != 3 || !view.Applicable[1] {
		t.Fatalf("the site sees %+v", view)
	}
	// A revised policy starts anew.
	s.node.Order([]agentapi.AssignedPolicy{s.policyOf("policy-1", map[string][]*pack{id: {{id: "pack-1", script: "set app=2"}}})})
	s.round()
	s.expect(id, agentapi.Installed, "")
}

func TestPolicysAttemptsCountBeforeTheSites(t *testing.T) {
	s, id := orderedSite(t, "exit 5", func(p *policy.Policy) { p.Attempts = 1 })
	s.round()
	s.expect(id, agentapi.FailedToInstall, "returned 5")
}

func TestRemained(t *testing.T) {
	s, id := orderedSite(t, "exit 0")
	s.round()
	s.expect(id, agentapi.FailedRescheduled, "still say that it is not installed")
	for _, attempt := range s.node.View().Attempts {
		if !attempt.Remained || attempt.Success {
			t.Fatalf("%+v", attempt)
		}
	}
}

func TestTimeLimit(t *testing.T) {
	s, id := orderedSite(t, "hang")
	s.round()
	s.expect(id, agentapi.FailedRescheduled, "took too long")
}

func TestRestart(t *testing.T) {
	s, id := orderedSite(t, "restart\nset app=2")
	s.round()
	s.expect(id, agentapi.WaitingForRestart, "")
	for _, attempt := range s.node.View().Attempts {
		if !attempt.Success || !attempt.Restart {
			t.Fatalf("%+v", attempt)
		}
	}
	s.clock.advance(time.Hour)
	s.round()
	s.ran("pack-1.exe /S")
	s.computer.restart()
	s.start()
	s.round()
	s.expect(id, agentapi.Installed, "")
	s.ran("pack-1.exe /S")
	if view := s.node.View(); !view.Installed[1] {
		t.Fatalf("the site sees %+v", view)
	}
}

func TestRestartThatBroughtNothing(t *testing.T) {
	s, id := orderedSite(t, "restart")
	s.round()
	s.computer.restart()
	s.round()
	s.expect(id, agentapi.FailedRescheduled, "restarted, and the rules still")
	s.clock.advance(time.Hour)
	s.round()
	s.expect(id, agentapi.WaitingForRestart, "")
	s.ran("pack-1.exe /S", "pack-1.exe /S")
}

func TestLanguages(t *testing.T) {
	for _, c := range []struct {
		name      string
		languages []string
		want      string
		status    agentapi.Status
	}{
		{"own", []string{"de-de"}, "p-de.exe", agentapi.Installed},
		{"second", []string{"it-it", "fr-fr"}, "p-fr.exe", agentapi.Installed},
		{"own before others", []string{"fr-fr", "de-de"}, "p-fr.exe", agentapi.Installed},
		{"region", []string{"pt-br"}, "p-pt.exe", agentapi.Installed},
		{"other region", []string{"pt-pt"}, "", agentapi.CannotTell},
		{"none", []string{"ja-jp"}, "", agentapi.CannotTell},
		{"not known", nil, "", agentapi.CannotTell},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.computer.values["app"], s.computer.languages = "1", c.languages
			id := s.update(1, "app", "2")
			s.node.Order([]agentapi.AssignedPolicy{s.policyOf("p", map[string][]*pack{id: {
				{id: "p-fr", language: "fr", script: "set app=2"},
				{id: "p-de", language: "de", script: "set app=2"},
				{id: "p-pt", language: "pt-br", script: "set app=2"},
			}})})
			s.round()
			s.expect(id, c.status, "")
			if c.want == "" {
				s.ran()
			} else {
				s.ran(c.want + " /S")
			}
		})
	}
}

func TestNeutralPackageServesEverybody(t *testing.T) {
	s := newSite(t)
	s.computer.values["app"], s.computer.languages = "1", nil
	id := s.update(1, "app", "2")
	s.node.Order([]agentapi.AssignedPolicy{s.policyOf("p", map[string][]*pack{id: {
		{id: "p-fr", language: "fr", script: "set app=2"}, {id: "p-any", script: "set app=2"},
	}})})
	s.round()
	s.ran("p-any.exe /S")
}

// What is refused must neither run nor disturb the rest.
func TestRefusals(t *testing.T) {
	type change = func(s *site, id string, p *agentapi.AssignedPolicy)
	for name, c := range map[string]struct {
		change change
		text   string
	}{
		"tampered policy": {func(_ *site, _ string, p *agentapi.AssignedPolicy) {
			p.Document.Body = append(slices.Clone(p.Document.Body), ' ')
		}, "does not match its digest"},
		"policy of an unknown site": {func(_ *site, _ string, p *agentapi.AssignedPolicy) { p.Document.Origin = "site-2" }, "no signing key"},
		"policy with another's signature": {func(s *site, id string, p *agentapi.AssignedPolicy) {
			p.Document.Signature = s.updates[id].Signature
		}, "not signed by its origin"},
		"no policy at all": {func(s *site, id string, p *agentapi.AssignedPolicy) { p.Document = s.updates[id] }, "where a policy belongs"},
		"another revision of the update": {func(s *site, id string, p *agentapi.AssignedPolicy) {
			p.Updates[0].Update = s.node.Document(s, document.Update, id, nil, catalog.Update{Name: "evil", Rules: catalog.Rules{Applicable: exists("app"), Installed: has("app", "2")}})
		}, "is not what policy"},
		"an update that is not in the policy": {func(s *site, _ string, p *agentapi.AssignedPolicy) {
			p.Updates[0].Update = s.node.Document(s, document.Update, "test:other", nil, catalog.Update{Name: "other"})
		}, "is not what policy"},
		"a package that is not pinned": {func(s *site, id string, p *agentapi.AssignedPolicy) {
			evil := &pack{id: "pack-1", script: "set app=2\nset evil=1"}
			s.makePack(id, evil)
			p.Updates[0].Packages, p.Updates[0].Payloads = []document.Document{evil.doc}, []document.Document{evil.staged}
		}, "not what policy"},
		"a payload that is not pinned": {func(s *site, id string, p *agentapi.AssignedPolicy) {
			evil := &pack{id: "pack-1", script: "set app=2", payload: func(p *catalog.Payload) { p.Files[0].SHA256 = s.node.PutPayload([]byte("set evil=1")) }}
			s.makePack(id, evil)
			p.Updates[0].Payloads = []document.Document{evil.staged}
		}, "not what policy"},
		"tampered package": {func(_ *site, _ string, p *agentapi.AssignedPolicy) {
			doc := &p.Updates[0].Packages[0]
			doc.Body = slices.Replace(slices.Clone(doc.Body), 0, 1, []byte(" {")...)
		}, "does not match its digest"},
		"no payload document": {func(_ *site, _ string, p *agentapi.AssignedPolicy) { p.Updates[0].Payloads = nil }, "without its payload"},
		"no package":          {func(_ *site, _ string, p *agentapi.AssignedPolicy) { p.Updates[0].Packages = nil }, "none of its 0 packages"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.computer.values["app"], s.computer.values["good"] = "1", "1"
			id, good := s.update(1, "app", "2"), s.update(2, "good", "2")
			bad := s.policyOf("bad", map[string][]*pack{id: {{id: "pack-1", script: "set app=2"}}})
			c.change(s, id, &bad)
			s.node.Order([]agentapi.AssignedPolicy{bad, s.policyOf("good", map[string][]*pack{good: {{id: "pack-2", script: "set good=2"}}})})
			s.round()
			s.ran("pack-2.exe /S")
			s.expect(id, agentapi.CannotTell, c.text)
			s.expect(good, agentapi.Installed, "")
		})
	}
}

func TestPackagesThatContradictThemselves(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*catalog.Package)
		payload func(*catalog.Payload)
		text    string
	}{
		"path in a name":         {nil, func(p *catalog.Payload) { p.Files[0].Name = `..\evil.exe` }, "not plain"},
		"slash in a name":        {nil, func(p *catalog.Payload) { p.Files[0].Name = "a/pack-1.exe" }, "not plain"},
		"a stranger's file":      {nil, func(p *catalog.Payload) { p.Files[0].Name = "other.exe" }, "does not name"},
		"not the vendor's bytes": {func(p *catalog.Package) { p.Files[0].SHA256 = string(make([]byte, 64)) }, nil, "not the vendor's"},
		"not the vendor's size":  {func(p *catalog.Package) { p.Files[0].Size++ }, nil, "not the vendor's"},
		"runs what it lacks":     {func(p *catalog.Package) { p.Installer.File = "setup.exe" }, nil, "lacks files"},
		"another update's":       {func(p *catalog.Package) { p.Update = "test:other" }, nil, "belongs to update"},
		"staged for another":     {nil, func(p *catalog.Payload) { p.PackageDigest[0] ^= 1 }, "another revision"},
		"its rule says no":       {func(p *catalog.Package) { p.Applicable = exists("no such") }, nil, "not applicable"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.computer.values["app"] = "1"
			id := s.update(1, "app", "2")
			s.node.Order([]agentapi.AssignedPolicy{s.policyOf("p", map[string][]*pack{
				id: {{id: "pack-1", script: "set app=2", change: c.change, payload: c.payload}},
			})})
			s.round()
			s.ran()
			s.expect(id, agentapi.CannotTell, c.text)
		})
	}
}

func TestNodeThatServesOtherBytes(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	s.node.Lock()
	s.node.Serve = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("set evil=")) }
	s.node.Unlock()
	s.round()
	s.ran()
	s.expect(id, agentapi.Retry, "does not match its digest")
	s.node.Lock()
	s.node.Serve = nil
	s.node.Unlock()
	s.clock.advance(time.Hour)
	s.round()
	s.expect(id, agentapi.Installed, "")
}

// A node that has no place for the download names a time: the payload is not asked for before.
func TestNodeThatAsksToStayAway(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	asked := 0
	s.node.Lock()
	s.node.Serve = func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Retry-After", "1000")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	s.node.Unlock()
	s.round()
	s.expect(id, agentapi.Retry, "429")
	s.clock.advance(16 * time.Minute) // longer than the agent waits by itself
	s.round()
	if asked != 1 {
		t.Fatalf("asked %d times within the time", asked)
	}
	s.node.Lock()
	s.node.Serve = nil
	s.node.Unlock()
	s.clock.advance(time.Minute)
	s.round()
	s.expect(id, agentapi.Installed, "")
}

func TestNodeThatDoesNotHaveThePayload(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	held := maps.Clone(s.node.Payloads)
	s.node.Lock()
	clear(s.node.Payloads)
	s.node.Unlock()
	s.round()
	s.expect(id, agentapi.Retry, "404")
	s.node.Lock()
	s.node.Payloads = held
	s.node.Unlock()
	s.clock.advance(time.Hour)
	s.round()
	s.expect(id, agentapi.Installed, "")
}

func TestPayloadIsVerifiedAtTheMomentOfUse(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	s.step = func(name string) {
		if name != "laid out" {
			return
		}
		files, err := filepath.Glob(filepath.Join(s.dir, runFolder, "*", "*.exe"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		if err := os.WriteFile(files[0], []byte("set evil=9"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.round()
	s.ran()
	s.expect(id, agentapi.FailedRescheduled, "ordered are")
	s.step = func(string) {}
	s.clock.advance(time.Hour)
	s.round()
	s.expect(id, agentapi.Installed, "")
}

func TestUnsignedIsRefusedWhereSignaturesAreRequired(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	s.node.Lock()
	s.node.Settings.RequireSigned = true
	s.node.Unlock()
	s.round()
	s.ran()
	s.expect(id, agentapi.FailedRescheduled, "signature")
}

// An agent trusts whom its site names: the roots of the setting reach it with its orders.
func TestAgentTrustsTheRootsOfItsSite(t *testing.T) {
	root := authenticodetest.Authority(t, "Root")
	program := authenticodetest.Signer(t, root, "Signer").Sign(t, authenticodetest.Program("text"))
	path := filepath.Join(t.TempDir(), "a.exe")
	if err := os.WriteFile(path, program, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		roots string
		want  error
	}{
		"none": {"", authenticode.ErrUntrusted}, "its root": {root.PEM(), nil},
		"another's": {authenticodetest.Authority(t, "Other").PEM(), authenticode.ErrUntrusted},
	} {
		s, _ := orderedSite(t, "set app=2")
		s.node.Lock()
		s.node.Settings.RequireSigned, s.node.Settings.Roots = true, c.roots
		s.node.Unlock()
		s.round()
		s.clock.at = time.Now() // the certificates are of today
		judge, err := s.agent.signatures(s.agent.ordered)
		if err != nil || judge == nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := judge.VerifyFile(path); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestOrderWithdrawnJustBeforeTheInstall(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	s.step = func(name string) {
		if name == "downloaded" {
			s.node.Order(nil)
		}
	}
	s.round()
	s.ran()
	if states := s.agent.memory.States; len(states) != 0 {
		t.Fatalf("states of what is not ordered: %v", states)
	}
	_ = id
}

func TestInstalledByHandJustBeforeTheInstall(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	s.step = func(name string) {
		if name == "downloaded" {
			s.computer.values["app"] = "2"
		}
	}
	s.round()
	s.ran()
	s.expect(id, agentapi.Installed, "")
}

func TestNothingIsInstalledWithoutConfirmation(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	down := false
	s.node.Lock()
	s.node.Fault = func(path string) *agentapi.Error {
		if down && path == agentapi.PathAssignments {
			return &agentapi.Error{Code: agentapi.CodeBusy, Text: "no leader", After: 60}
		}
		return nil
	}
	s.node.Unlock()
	s.step = func(name string) { down = down || name == "downloaded" }
	if _, err := s.agent.RunOnce(context.Background()); !agentapi.HasCode(err, agentapi.CodeBusy) {
		t.Fatal(err)
	}
	s.ran()
	down, s.step = false, func(string) {}
	s.round()
	s.expect(id, agentapi.Installed, "")
}

func TestPauseTurnTargetAndSwitch(t *testing.T) {
	for name, c := range map[string]struct {
		assigned func(*agentapi.AssignedPolicy)
		body     func(*policy.Policy)
		status   agentapi.Status
		text     string
	}{
		"paused":       {func(p *agentapi.AssignedPolicy) { p.Paused = true }, nil, agentapi.Scheduled, "paused"},
		"not its turn": {func(p *agentapi.AssignedPolicy) { p.Wait = true }, nil, agentapi.Scheduled, "as many computers"},
		"not held":     {func(p *agentapi.AssignedPolicy) { p.Updates[0].Held = false }, nil, agentapi.WaitingForSuccessor, "hold"},
		"disabled":     {nil, func(p *policy.Policy) { p.Updates[0].Enabled = false }, "", ""},
		"not meant":    {nil, func(p *policy.Policy) { p.Target.Names = []string{"server-*"} }, "", ""},
		"target that nobody understands": {nil, func(p *policy.Policy) {
			p.Target.Unknown = []string{"x"}
			p.Target.Names = []string{"no one"}
		}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.computer.values["app"] = "1"
			id := s.update(1, "app", "2")
			change := c.body
			if change == nil {
				change = func(*policy.Policy) {}
			}
			p := s.policyOf("p", map[string][]*pack{id: {{id: "pack-1", script: "set app=2"}}}, change)
			if c.assigned != nil {
				c.assigned(&p)
			}
			s.node.Order([]agentapi.AssignedPolicy{p})
			s.round()
			s.ran()
			s.expect(id, c.status, c.text)
		})
	}
}

func TestPolicysCommandLine(t *testing.T) {
	s, _ := orderedSite(t, "set app=2", func(p *policy.Policy) { p.Updates[0].CommandLine = `/quiet /log "a b"` })
	s.round()
	s.ran(`pack-1.exe /quiet /log "a b"`)
}

func (s *site) window(window schedule.Window) document.Document {
	return s.node.Document(s, document.Window, "window-"+window.Name, nil, window)
}

// Noon of Monday, 2 March 2026.
func TestWindows(t *testing.T) {
	night := schedule.Window{Name: "night", Repeat: schedule.Daily, Start: "22:00", Minutes: 120}
	for name, c := range map[string]struct {
		windows  func(*site) []document.Document
		override bool
		starts   time.Time
		text     string
	}{
		"closed": {func(s *site) []document.Document { return []document.Document{s.window(night)} }, false, time.Date(2026, 3, 2, 22, 0, 0, 0, time.UTC), "maintenance window"},
		"one that cannot be read is closed": {func(s *site) []document.Document {
			return []document.Document{s.window(schedule.Window{Name: "x", Repeat: "yearly"})}
		}, false, time.Time{}, "yearly"},
		"a tampered one is closed, the other counts": {func(s *site) []document.Document {
			open := s.window(schedule.Window{Name: "open", Repeat: schedule.Daily, Start: "00:00", Minutes: 1440})
			open.Body = slices.Replace(slices.Clone(open.Body), 0, 1, []byte(" {")...)
			return []document.Document{open, s.window(night)}
		}, false, time.Date(2026, 3, 2, 22, 0, 0, 0, time.UTC), "maintenance window"},
		"over": {func(s *site) []document.Document {
			w := night
			w.Until = "2026-01-01"
			return []document.Document{s.window(w)}
		}, false, time.Time{}, "no maintenance window opens again"},
		"overridden": {func(s *site) []document.Document { return []document.Document{s.window(night)} }, true, time.Time{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.computer.values["app"] = "1"
			id := s.update(1, "app", "2")
			p := s.policyOf("p", map[string][]*pack{id: {{id: "pack-1", script: "set app=2"}}}, func(p *policy.Policy) { p.OverrideWindows = c.override })
			s.node.Order([]agentapi.AssignedPolicy{p}, c.windows(s)...)
			cycle := s.round()
			if c.override {
				s.expect(id, agentapi.Installed, "")
				return
			}
			s.expect(id, agentapi.Scheduled, c.text)
			if starts := s.state(id).Starts; c.starts.IsZero() && starts != nil || !c.starts.IsZero() && (starts == nil || !starts.Equal(c.starts)) {
				t.Fatalf("starts %v, want %v", starts, c.starts)
			}
			s.ran()
			if c.starts.IsZero() {
				return
			}
			s.clock.at = c.starts
			if cycle.Next.After(c.starts) {
				t.Fatalf("the next round is due at %v", cycle.Next)
			}
			s.round()
			s.expect(id, agentapi.Installed, "")
		})
	}
}

func TestPlans(t *testing.T) {
	for name, c := range map[string]struct {
		plan   policy.Plan
		cron   string
		starts time.Time
	}{
		"at a moment": {policy.Plan{When: policy.StartAt, At: "2026-03-02T20:00:00+02:00"}, "", time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC)},
		"own clock":   {policy.Plan{When: policy.StartAt, At: "2026-03-02T19:30"}, "", time.Date(2026, 3, 2, 19, 30, 0, 0, time.UTC)},
		"the agent's": {policy.Plan{When: policy.StartDefault}, "0 3 * * *", time.Date(2026, 3, 3, 3, 0, 0, 0, time.UTC)},
	} {
		t.Run(name, func(t *testing.T) {
			s, id := orderedSite(t, "set app=2", func(p *policy.Policy) { p.Plan = c.plan })
			s.node.Lock()
			s.node.Settings.InstallCron = c.cron
			s.node.Unlock()
			s.round()
			s.expect(id, agentapi.Scheduled, "")
			if starts := s.state(id).Starts; starts == nil || !starts.Equal(c.starts) {
				t.Fatalf("starts %v, want %v", starts, c.starts)
			}
			s.clock.at = c.starts.Add(time.Second)
			s.start()
			s.round()
			s.expect(id, agentapi.Installed, "")
		})
	}
}

func TestSpread(t *testing.T) {
	s, id := orderedSite(t, "set app=2", func(p *policy.Policy) { p.Plan.SpreadMinutes = 600 })
	s.round()
	s.expect(id, agentapi.Scheduled, "")
	starts := s.state(id).Starts
	if starts == nil || starts.Before(s.clock.at) || starts.After(s.clock.at.Add(10*time.Hour)) {
		t.Fatalf("starts %v", starts)
	}
	s.clock.at = *starts
	s.round()
	s.expect(id, agentapi.Installed, "")
}

func TestPlanThatMakesNoSenseIsRefused(t *testing.T) {
	s, id := orderedSite(t, "set app=2", func(p *policy.Policy) { p.Plan = policy.Plan{When: policy.StartAt, At: "tomorrow"} })
	s.round()
	s.ran()
	s.expect(id, agentapi.CannotTell, "tomorrow")
}

func TestOrderOfInstalls(t *testing.T) {
	s := newSite(t)
	packs := map[string][]*pack{}
	for number, name := range []string{"exclusive", "yes", "maybe", "unsaid", "no"} {
		s.computer.values[name] = "1"
		change := func(p *catalog.Package) {
			p.Installer.Arguments = ""
			switch name {
			case "exclusive":
				p.Exclusive = true
			case "yes":
				p.Restart = catalog.RestartAlways
			case "maybe":
				p.Restart = catalog.RestartMaybe
			case "no":
				p.Restart = catalog.RestartNever
			}
		}
		packs[s.update(uint32(number+1), name, "2")] = []*pack{{id: name, script: "set " + name + "=2", change: change}}
	}
	s.node.Order([]agentapi.AssignedPolicy{s.policyOf("p", packs)})
	s.round()
	s.ran("no.exe", "maybe.exe", "unsaid.exe", "yes.exe")
	s.expect("test:exclusive-2", agentapi.Scheduled, "")
	s.round()
	s.ran("no.exe", "maybe.exe", "unsaid.exe", "yes.exe", "exclusive.exe")
}

func TestPrerequisitesComeFirst(t *testing.T) {
	s := newSite(t)
	s.computer.values["base"], s.computer.values["app"] = "1", "1"
	app := s.update(1, "app", "2", func(u *catalog.Update) { u.Prerequisites = [][]string{{"test:base-2"}} })
	base := s.update(2, "base", "2")
	s.node.Order([]agentapi.AssignedPolicy{s.policyOf("p", map[string][]*pack{
		app: {{id: "a", script: "set app=2"}}, base: {{id: "b", script: "set base=2"}},
	})})
	s.round()
	s.ran("b.exe /S", "a.exe /S")
}

func TestPrerequisiteThatNobodyOrdered(t *testing.T) {
	s := newSite(t)
	s.computer.values["base"], s.computer.values["app"] = "1", "1"
	app := s.update(1, "app", "2", func(u *catalog.Update) { u.Prerequisites = [][]string{{"test:base-2"}} })
	s.update(2, "base", "2")
	s.node.Order([]agentapi.AssignedPolicy{s.policyOf("p", map[string][]*pack{app: {{id: "a", script: "set app=2"}}})})
	s.round()
	s.ran()
	s.expect(app, agentapi.Pending, "base 2 must be installed first")
}

func TestSupersededGivesWay(t *testing.T) {
	build := func(held, enabled bool) (s *site, old, next string) {
		s = newSite(t)
		s.computer.values["app"] = "1"
		old = s.update(1, "app", "2", func(u *catalog.Update) { u.Applicable = has("app", "1") })
		s.update(2, "app", "3", func(u *catalog.Update) { u.Supersedes = []string{old} })
		next = s.update(3, "app", "4", func(u *catalog.Update) { u.Supersedes = []string{"test:app-3"} })
		p := s.policyOf("p", map[string][]*pack{old: {{id: "old", script: "set app=2"}}, next: {{id: "next", script: "set app=4"}}},
			func(p *policy.Policy) { p.Updates[1].Enabled = enabled })
		p.Updates[1].Held = held
		s.node.Order([]agentapi.AssignedPolicy{p})
		return s, old, next
	}
	s, _, next := build(true, true)
	s.round()
	s.ran("next.exe /S")
	s.expect(next, agentapi.Installed, "")

	s, old, next := build(false, true)
	s.round()
	s.ran("old.exe /S")
	s.expect(old, agentapi.Installed, "")
	s.expect(next, agentapi.WaitingForSuccessor, "")

	s, old, _ = build(true, false)
	s.round()
	s.ran("old.exe /S")
	s.expect(old, agentapi.Installed, "")
}

func TestSupersededByWhatIsInstalledIsNotMissing(t *testing.T) {
	s := newSite(t)
	s.computer.values["app"] = "3"
	old := s.update(1, "app", "2")
	s.update(2, "app", "3", func(u *catalog.Update) { u.Supersedes = []string{old} })
	s.node.Order([]agentapi.AssignedPolicy{s.policyOf("p", map[string][]*pack{old: {{id: "old", script: "set app=2"}}})})
	s.round()
	if view := s.node.View(); view.Applicable[1] || !view.Installed[2] {
		t.Fatalf("the site sees %+v", view)
	}
	s.ran()
	s.expect(old, agentapi.Superseded, "app 3")
}

func TestCloneIsRefused(t *testing.T) {
	s, _ := orderedSite(t, "set app=2")
	s.computer.machine.ID = "machine-2"
	s.failingRound(ErrClone)
	s.ran()
	s.computer.machine.ID = "" // not readable today: no reason to stop
	s.round()
}

func TestCertificateIsRenewedAtTwoThirdsOfItsLife(t *testing.T) {
	s := newSite(t)
	s.round()
	first := s.node.View().Serial
	s.clock.advance(59 * 24 * time.Hour)
	s.round()
	if s.node.View().Serial != first {
		t.Fatal("renewed too early")
	}
	s.clock.advance(2 * 24 * time.Hour)
	s.round()
	second := s.node.View().Serial
	if second == first {
		t.Fatal("not renewed")
	}
	s.start()
	s.round()
	if s.node.View().Serial != second {
		t.Fatal("the new certificate was not kept")
	}
}

func TestCertificateThatCannotBeRenewed(t *testing.T) {
	s := newSite(t)
	s.round()
	s.node.Lock()
	s.node.Fault = func(path string) *agentapi.Error {
		if path == agentapi.PathRenew {
			return &agentapi.Error{Code: agentapi.CodeBusy, Text: "no leader"}
		}
		return nil
	}
	s.node.Unlock()
	s.clock.advance(70 * 24 * time.Hour)
	s.round()
	s.clock.advance(30 * 24 * time.Hour)
	if _, err := s.agent.RunOnce(context.Background()); err == nil {
		t.Fatal("a round was made with a certificate that has ended")
	}
}

func TestOneAgentPerFolder(t *testing.T) {
	s := newSite(t)
	if _, err := Open(s.config()); !errors.Is(err, folder.ErrLocked) {
		t.Fatalf("%v, want folder.ErrLocked", err)
	}
}

func TestRunGoesOnAfterFailures(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	failures := 2
	s.node.Lock()
	s.node.Fault = func(string) *agentapi.Error {
		if failures > 0 {
			failures--
			return &agentapi.Error{Code: agentapi.CodeBusy, Text: "starting", After: 50}
		}
		return nil
	}
	s.node.Unlock()
	var waits []time.Duration
	s.agent.cfg.Random = func() float64 { return 0 }
	s.agent.cfg.After = func(d time.Duration) <-chan time.Time {
		waits = append(waits, d)
		s.clock.advance(d)
		if len(waits) == 3 {
			cancel()
		}
		ready := make(chan time.Time, 1)
		ready <- s.clock.at
		return ready
	}
	if err := s.agent.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if waits[0] != 50*time.Second || waits[1] != 50*time.Second || waits[2] != 600*time.Second {
		t.Fatalf("waits %v", waits)
	}
	s.expect(id, agentapi.Installed, "")
}

// An update of several packages in one language is installed when all of them are.
func TestUpdateOfSeveralPackages(t *testing.T) {
	s := newSite(t)
	s.computer.values["app"] = "1"
	id := s.update(1, "app", "2", func(u *catalog.Update) { u.Installed = rule.And(has("one", "2"), has("two", "2")) })
	part := func(name, language, script string) *pack {
		return &pack{id: name, language: language, script: script, change: func(p *catalog.Package) {
			p.Installed, p.Installer.Arguments = has(name, "2"), ""
		}}
	}
	packs := []*pack{part("one", "", "set one=2"), part("two", "de", "set two=2"), part("trois", "fr", "set trois=2")}
	s.node.Order([]agentapi.AssignedPolicy{s.policyOf("p", map[string][]*pack{id: packs})})
	s.round()
	s.ran("two.exe", "one.exe")
	s.expect(id, agentapi.Installed, "")
	for _, attempt := range s.node.View().Attempts {
		if !attempt.Success {
			t.Errorf("%+v", attempt)
		}
	}
	delete(s.computer.values, "one")
	s.round()
	s.ran("two.exe", "one.exe", "one.exe")
}

func TestRulesKnowWhatTheAgentInstalledOnce(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	next := s.update(2, "app", "3", func(u *catalog.Update) {
		u.Applicable = rule.Test("InstalledOnce", rule.Update, id)
	})
	s.round()
	if view := s.node.View(); !view.Applicable[2] {
		t.Fatalf("%s: the site sees %v", next, view.Applicable)
	}
}

// A round in which nothing changed says so once, and not twice.
func TestQuietRoundsReportOnce(t *testing.T) {
	s, id := orderedSite(t, "set app=2")
	s.round()
	before := s.node.View().Reports
	s.round()
	s.round()
	if after := s.node.View().Reports; after != before+2 {
		t.Errorf("two quiet rounds made %d reports", after-before)
	}
	s.expect(id, agentapi.Installed, "")
}

func TestStatusNamesTheUpdates(t *testing.T) {
	s, _ := orderedSite(t, "exit 4")
	s.round()
	status, err := ReadStatus(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(status.Updates) != 1 || status.Updates[0].Name != "app 2" || status.Updates[0].Status != agentapi.FailedRescheduled {
		t.Errorf("%+v", status.Updates)
	}
	if !status.Enrolled || status.Computer != "computer-1" || status.Counts.Applicable != 1 || status.Next == nil || status.Contact == nil || status.Error != "" {
		t.Errorf("%+v", status)
	}
	s.node.Lock()
	s.node.Fault = func(string) *agentapi.Error { return &agentapi.Error{Code: agentapi.CodeBusy, Text: "no leader"} }
	s.node.Unlock()
	if _, err := s.agent.RunOnce(context.Background()); err == nil {
		t.Fatal("a round was made without a node")
	}
	if status, err := ReadStatus(s.dir); err != nil || !strings.Contains(status.Error, "no leader") {
		t.Errorf("%+v, %v", status, err)
	}
}

// Another installation under way is no try: the update waits for it as long as it takes.
func TestBusyInstallerIsNoTry(t *testing.T) {
	s := newSite(t)
	s.computer.values["app"] = "1"
	id := s.update(1, "app", "2")
	s.node.Order([]agentapi.AssignedPolicy{s.policyOf("p", map[string][]*pack{id: {{id: "busy", script: "exit 1618", change: func(p *catalog.Package) {
		p.Installer.Type = catalog.MSI
	}}}})})
	for range 5 {
		s.round()
		s.expect(id, agentapi.Retry, "another installation")
		s.clock.advance(time.Hour)
	}
}

// Wrong clocks are common on computers that were switched off for long.
func TestClockThatRanAhead(t *testing.T) {
	s, id := orderedSite(t, "exit 5")
	right := s.clock.at
	s.clock.at = right.AddDate(0, 1, 0)
	s.round()
	s.clock.at = right
	s.round()
	s.ran("pack-1.exe /S", "pack-1.exe /S")
	s.expect(id, agentapi.FailedRescheduled, "returned 5")
}
