package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"thatch/agent/facts"
	"thatch/agent/install"
	"thatch/agentapi"
	"thatch/agentapi/agentapitest"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
)

const softKey = `SOFTWARE\Test`

// computer is a made-up Windows computer: values under HKLM\SOFTWARE\Test, and an installer that sets them. The file
// that is run holds lines such as "set app=2", "exit 3", "restart", "die".
type computer struct {
	machine   facts.Machine
	languages []string
	values    map[string]string
	after     map[string]string // set by the next start of the system
	runs      []string          // what was run, with its arguments
	readErr   error
	unread    map[string]bool // values that cannot be read
	onRun     func()
}

func newComputer() *computer {
	return &computer{
		machine:   facts.Machine{ID: "machine-1", Hardware: "hw-1", Name: "PC-1", Boot: "boot-1"},
		languages: []string{"de-de"}, values: map[string]string{}, after: map[string]string{}, unread: map[string]bool{},
	}
}

func (c *computer) Read(context.Context) (*rule.Facts, error) {
	if c.readErr != nil {
		return nil, c.readErr
	}
	return &rule.Facts{Registry: c, System: &rule.System{
		Platform: "windows", Major: 10, Build: 17763, Revision: 1, ProductType: 1, Architecture: "x64", Languages: c.languages,
	}}, nil
}

func (c *computer) Machine(context.Context) (facts.Machine, error) { return c.machine, nil }

func (c *computer) Key(_ rule.View, path string) (bool, error) { return path == softKey, nil }

func (c *computer) Value(_ rule.View, path, name string) (rule.Value, bool, error) {
	if c.unread[name] {
		return rule.Value{}, false, fmt.Errorf("%w: access denied", rule.ErrUnknown)
	}
	text, has := c.values[name]
	return rule.Value{Type: "REG_SZ", Data: text}, has && path == softKey, nil
}

func (c *computer) Subkeys(rule.View, string) ([]string, bool, error) { return nil, false, nil }

func (c *computer) restart() {
	maps.Copy(c.values, c.after)
	clear(c.after)
	c.machine.Boot += "+"
}

// Run implements install.Runner.
func (c *computer) Run(ctx context.Context, job install.Job) (install.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return install.Outcome{}, err
	}
	raw, err := os.ReadFile(job.File)
	if err != nil {
		return install.Outcome{}, err
	}
	c.runs = append(c.runs, strings.TrimSpace(filepath.Base(job.File)+" "+job.Arguments))
	if c.onRun != nil {
		c.onRun()
	}
	code := 0
	target := c.values
	for _, line := range strings.Split(string(raw), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "set":
			name, value, _ := strings.Cut(rest, "=")
			target[name] = value
		case "restart":
			target, code = c.after, 3010
		case "exit":
			code, _ = strconv.Atoi(rest)
		case "hang":
			return install.Outcome{Code: -1, Output: "still busy"}, install.ErrTimeLimit
		}
	}
	return install.Outcome{Code: code, Output: "done"}, nil
}

// clock is a time that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) advance(d time.Duration) { c.at = c.at.Add(d) }

// site is a node, a computer and the agent on it.
type site struct {
	*testing.T
	clock    *clock
	node     *agentapitest.Node
	computer *computer
	dir      string
	agent    *Agent
	step     func(string)
	updates  map[string]document.Document
	numbers  map[string]uint32
}

func newSite(t *testing.T) *site {
	t.Helper()
	c := &clock{time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}
	s := &site{
		T: t, clock: c, node: agentapitest.NewNode(t, c.now), computer: newComputer(), dir: t.TempDir(),
		step: func(string) {}, updates: map[string]document.Document{}, numbers: map[string]uint32{},
	}
	s.start()
	if err := s.agent.Enrol(context.Background(), []string{s.node.URL()}, s.node.Token.String()); err != nil {
		t.Fatal(err)
	}
	return s
}

// start opens the agent of the folder, as after a start of the program.
func (s *site) start() {
	s.Helper()
	s.stop()
	opened, err := open(s.config(), func(name string) { s.step(name) })
	if err != nil {
		s.Fatal(err)
	}
	s.agent = opened
	s.Cleanup(s.stop)
}

func (s *site) config() Config {
	return Config{
		Dir: s.dir, Source: s.computer, Runner: s.computer, Version: "test", Now: s.clock.now, Zone: time.UTC,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Resume: time.Millisecond,
	}
}

func (s *site) stop() {
	if s.agent != nil {
		if err := s.agent.Close(); err != nil {
			s.Error(err)
		}
		s.agent = nil
	}
}

func (s *site) round() Cycle {
	s.Helper()
	cycle, err := s.agent.RunOnce(context.Background())
	if err != nil {
		s.Fatal(err)
	}
	return cycle
}

func (s *site) failingRound(want error) {
	s.Helper()
	if _, err := s.agent.RunOnce(context.Background()); !errors.Is(err, want) {
		s.Fatalf("the round ended with %v, want %v", err, want)
	}
}

// has is a rule that a value is there and has a content.
func has(name, value string) *rule.Rule {
	return rule.Test("RegSz", "Key", "HKEY_LOCAL_MACHINE", "Subkey", softKey, "Value", name, "Comparison", "EqualTo", "Data", value)
}

// exists is a rule that a value is there.
func exists(name string) *rule.Rule {
	return rule.Test("RegValueExists", "Key", "HKEY_LOCAL_MACHINE", "Subkey", softKey, "Value", name)
}

// update makes an update that brings the value "app" of a computer that has it to a version.
func (s *site) update(number uint32, app, version string, change ...func(*catalog.Update)) string {
	s.Helper()
	id := fmt.Sprintf("test:%s-%s", app, version)
	body := catalog.Update{
		Name: app + " " + version, Source: "test", Vendor: "Test", Product: catalog.Product{Name: app},
		Rules: catalog.Rules{Applicable: exists(app), Installed: has(app, version)},
	}
	for _, c := range change {
		c(&body)
	}
	doc := s.node.Document(s, document.Update, id, nil, body)
	s.updates[id], s.numbers[id] = doc, number
	s.node.SetUpdate(number, doc)
	return id
}

// pack is a package of an update: what its installer does, in one language.
type pack struct {
	id       string
	language string
	script   string
	change   func(*catalog.Package)
	payload  func(*catalog.Payload)
	doc      document.Document
	staged   document.Document
}

func (s *site) makePack(update string, p *pack) {
	s.Helper()
	digest := s.node.PutPayload([]byte(p.script))
	file := p.id + ".exe"
	body := catalog.Package{
		Update: update, Name: p.id, Files: []catalog.File{{Name: file, Size: int64(len(p.script)), SHA256: digest}},
		Installer: catalog.Installer{Type: catalog.EXE, File: file, Arguments: "/S"},
	}
	if p.change != nil {
		p.change(&body)
	}
	var languages []string
	if p.language != "" {
		languages = []string{p.language}
	}
	p.doc = s.node.Document(s, document.Package, p.id, languages, body)
	staged := catalog.Payload{Package: p.id, PackageDigest: p.doc.Digest, Files: []catalog.StagedFile{{Name: file, SHA256: digest, Size: int64(len(p.script))}}}
	if p.payload != nil {
		p.payload(&staged)
	}
	p.staged = s.node.Document(s, document.Payload, p.id, languages, staged)
}

// policyOf orders updates, each with its packages.
func (s *site) policyOf(id string, packs map[string][]*pack, change ...func(*policy.Policy)) agentapi.AssignedPolicy {
	s.Helper()
	body := policy.Policy{Name: id, Target: policy.Target{NeedsIt: true}, Plan: policy.Plan{When: policy.StartASAP}}
	var ordered []agentapi.OrderedUpdate
	for _, update := range slices.Sorted(maps.Keys(packs)) {
		pin := policy.Update{Update: update, Digest: s.updates[update].Digest, Enabled: true}
		given := agentapi.OrderedUpdate{Number: s.numbers[update], Update: s.updates[update], Held: true}
		for _, p := range packs[update] {
			s.makePack(update, p)
			pin.Packages = append(pin.Packages, policy.Pin{ID: p.id, Digest: p.doc.Digest, PayloadDigest: p.staged.Digest})
			given.Packages = append(given.Packages, p.doc)
			given.Payloads = append(given.Payloads, p.staged)
		}
		body.Updates = append(body.Updates, pin)
		ordered = append(ordered, given)
	}
	for _, c := range change {
		c(&body)
	}
	return agentapi.AssignedPolicy{Document: s.node.Document(s, document.Policy, id, nil, body), Updates: ordered}
}

// order is a site with one update of one neutral package, ordered, on a computer that needs it.
func orderedSite(t *testing.T, script string, change ...func(*policy.Policy)) (*site, string) {
	t.Helper()
	s := newSite(t)
	s.computer.values["app"] = "1"
	id := s.update(1, "app", "2")
	s.node.Order([]agentapi.AssignedPolicy{s.policyOf("policy-1", map[string][]*pack{id: {{id: "pack-1", script: script}}}, change...)})
	return s, id
}

func (s *site) state(id string) agentapi.UpdateState {
	s.Helper()
	view := s.node.View()
	return view.States[s.numbers[id]]
}

func (s *site) expect(id string, status agentapi.Status, text string) {
	s.Helper()
	state := s.state(id)
	if state.Status != status || !strings.Contains(state.Text, text) {
		s.Fatalf("%s is %q (%s), want %q with %q", id, state.Status, state.Text, status, text)
	}
}

func (s *site) ran(want ...string) {
	s.Helper()
	if !slices.Equal(s.computer.runs, want) {
		s.Fatalf("run were %q, want %q", s.computer.runs, want)
	}
}
