package server_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"thatch/agent"
	"thatch/agent/facts"
	"thatch/agent/simulated"
	"thatch/agentapi"
	"thatch/agentapi/server"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/computers"
	"thatch/node/computers/compliance"
	"thatch/node/nodetest"
	"thatch/node/policies"
	"thatch/node/store"
)

// These tests have real agents on simulated computers talk to a real node over TLS.

const appKey = `SOFTWARE\Test`

func app(version string) *rule.Rule {
	return rule.Test("RegSz", "Key", "HKEY_LOCAL_MACHINE", "Subkey", appKey, "Value", "app", "Comparison", "EqualTo", "Data", version)
}

func setApp(version string) simulated.Change {
	return simulated.Change{Registry: &simulated.RegistryChange{Key: appKey, Name: "app", Text: version}}
}

// update gives the site bulletin KB-version, whose update brings the app to a version, with a package per language.
func (s *site) update(t testing.TB, version string, languages ...string) {
	t.Helper()
	id := "u" + version
	docs := []document.Document{
		bulletinstest.Doc(t, document.Bulletin, "b"+version, nil, catalog.Bulletin{Name: "KB" + version, Source: "sdp"}),
		bulletinstest.Doc(t, document.Update, id, nil, catalog.Update{
			Name: id, Bulletin: "b" + version, Source: "sdp",
			Rules: catalog.Rules{Applicable: rule.Test("RegValueExists", "Key", "HKEY_LOCAL_MACHINE", "Subkey", appKey, "Value", "app"), Installed: app(version)},
		}),
	}
	var after []store.Statement
	for _, language := range languages {
		content, err := simulated.Payload(simulated.Effect{Output: language, Changes: []simulated.Change{setApp(version)}})
		if err != nil {
			t.Fatal(err)
		}
		content = append(content, language...) // so that each language's payload is another
		sum := sha256.Sum256(content)
		digest := hex.EncodeToString(sum[:])
		if _, err := s.Content.Put(t.Context(), digest, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		file := "app-" + language + ".exe"
		pack := bulletinstest.Doc(t, document.Package, id+"-"+language, []string{language}, catalog.Package{
			Update: id, Name: file, Files: []catalog.File{{Name: file, SHA256: digest, Size: int64(len(content))}},
			Installer: catalog.Installer{Type: catalog.EXE, File: file, DefaultResult: catalog.Failed, Codes: []catalog.ReturnCode{{Code: 0, Result: catalog.Succeeded}}},
		})
		docs = append(docs, pack)
		payload := bulletinstest.Doc(t, document.Payload, pack.ID, []string{language}, catalog.Payload{
			Package: pack.ID, PackageDigest: pack.Digest, Files: []catalog.StagedFile{{Name: file, SHA256: digest, Size: int64(len(content))}},
		})
		s.Identity.Sign(&payload)
		after = append(after, store.Put(payload, "", store.Former{})...)
		after = append(after, store.Statement{
			SQL: `INSERT INTO holding (sha256, node, size) VALUES (?, 'n', 1) ON CONFLICT DO NOTHING`, Args: []any{sum[:]},
		})
	}
	bulletinstest.Save(t, s.Bulletins, "sdp", "file "+version, docs...)
	after = append(after, store.Statement{SQL: `INSERT INTO staged (bulletin, since, actor) VALUES (?, '', 'test')`, Args: []any{"b" + version}})
	bulletinstest.Write(t, s.Writer(), after...)
}

// pc is a simulated computer with its agent.
type pc struct {
	*agent.Agent
	simulated *simulated.Computer
	name      string
}

func (s *site) pc(t testing.TB, name, language, folder, hardware string) *pc {
	t.Helper()
	p := &pc{name: name}
	p.simulated = simulated.New(simulated.Definition{
		Machine: facts.Machine{ID: "id-" + name, Hardware: hardware, Name: name, Boot: "1"},
		Facts: &memory.Host{System: &rule.System{
			Platform: "windows", Product: "Windows 10", Major: 10, Build: 17763, Revision: 1, ProductType: 1, Architecture: "x64", Languages: []string{language},
		}},
	})
	if err := p.simulated.Change(setApp("1.0")); err != nil {
		t.Fatal(err)
	}
	var err error
	p.Agent, err = agent.Open(agent.Config{
		Dir: folder, Source: p.simulated, Runner: p.simulated, Version: "test", Simulated: true, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() }) // some tests close it themselves
	if !p.Enrolled() {
		if err := p.Enrol(t.Context(), []string{"https://" + s.Address()}, s.token); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *pc) round(t testing.TB) {
	t.Helper()
	if _, err := p.RunOnce(t.Context()); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// status of an update on a computer, as people see it.
func (s *site) status(t testing.TB, computer, update string) *compliance.UpdateStatus {
	t.Helper()
	d, err := s.Compliance.Show(t.Context(), computer, s.Policies.Orders)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range d.Updates {
		if u.Update == update {
			return u
		}
	}
	return &compliance.UpdateStatus{}
}

func newAgentSite(t testing.TB) *site {
	t.Helper()
	s := newSite(t)
	if _, err := s.Settings.Set(t.Context(), "agents.require_signed", json.RawMessage("false"), -1); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAgentsInstallInTheirLanguageAndInTurn(t *testing.T) {
	s := newAgentSite(t)
	s.update(t, "2.0", "de", "en")
	var all []*pc
	for name, language := range map[string]string{"berlin": "de-at", "london": "en-gb", "paris": "fr-fr"} {
		all = append(all, s.pc(t, name, language, t.TempDir(), "hw-"+name))
	}
	for _, p := range all {
		p.round(t)
		if got := s.status(t, p.name, "u2.0"); got.Status != computers.DownloadRequired || got.LastApplied != computers.Never {
			t.Errorf("before it is ordered, %s says %s, last applied %s", p.name, got.Status, got.LastApplied)
		}
	}
	made, err := s.Policies.Create(t.Context(), policies.Draft{Name: "p", Bulletins: []string{"KB2.0"}, Plan: &policy.Plan{When: "asap", Simultaneous: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for round := range 4 {
		before := installed(all)
		for _, p := range all {
			p.round(t)
		}
		if now := installed(all); now > before+2 {
			t.Errorf("round %d: %d computers installed where one may at a time", round, now-before)
		}
	}
	for _, p := range all {
		got := s.status(t, p.name, "u2.0")
		switch p.name {
		case "paris":
			if len(p.simulated.Runs()) != 0 || got.Status != computers.WaitingForSite {
				t.Errorf("a computer without a package in its language ran %v and says %s (%s)", p.simulated.Runs(), got.Status, got.Text)
			}
		default:
			if len(p.simulated.Runs()) != 1 || got.Status != computers.Installed || got.LastApplied == computers.Never {
				t.Errorf("%s ran %v and says %s, last applied %s", p.name, p.simulated.Runs(), got.Status, got.LastApplied)
			}
		}
	}
	d, err := s.Policies.Show(t.Context(), made.ID)
	if err != nil || d.Done != 2 || d.Waiting != 1 || d.Targeted != 3 {
		t.Errorf("policy %+v, %v", d.Progress, err)
	}
}

// installed counts the computers whose installer ran.
func installed(all []*pc) (count int) {
	for _, p := range all {
		count += min(1, len(p.simulated.Runs()))
	}
	return count
}

func TestUninstalledByHandComesBack(t *testing.T) {
	s := newAgentSite(t)
	s.update(t, "2.0", "de")
	p := s.pc(t, "berlin", "de-de", t.TempDir(), "hw")
	if _, err := s.Policies.Create(t.Context(), policies.Draft{Name: "p", Bulletins: []string{"KB2.0"}}); err != nil {
		t.Fatal(err)
	}
	p.round(t)
	p.round(t)
	if err := p.simulated.Change(setApp("1.0")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		p.round(t)
	}
	if got := s.status(t, "berlin", "u2.0"); len(p.simulated.Runs()) != 2 || got.Status != computers.Installed {
		t.Errorf("uninstalled by hand: ran %v, %s", p.simulated.Runs(), got.Status)
	}
	rows, _, err := s.Compliance.Bulletins(t.Context(), store.Query{}, false)
	if err != nil || rows[0].Installed != 1 || rows[0].Missing != 0 || *rows[0].Percent != 100 {
		t.Errorf("compliance %+v, %v", rows[0].Counts, err)
	}
}

func TestPausedAndDeletedPoliciesInstallNothing(t *testing.T) {
	s := newAgentSite(t)
	s.update(t, "2.0", "de")
	p := s.pc(t, "berlin", "de-de", t.TempDir(), "hw")
	p.round(t)
	made, err := s.Policies.Create(t.Context(), policies.Draft{Name: "p", Bulletins: []string{"KB2.0"}})
	if err == nil {
		err = s.Policies.Pause(t.Context(), made.ID, 0, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.round(t)
	p.round(t)
	if err := s.Policies.Delete(t.Context(), made.ID, 0); err != nil {
		t.Fatal(err)
	}
	p.round(t)
	if len(p.simulated.Runs()) != 0 {
		t.Errorf("ran %v", p.simulated.Runs())
	}
}

func TestReinstalledAndClonedAgents(t *testing.T) {
	s := newAgentSite(t)
	s.update(t, "2.0", "de")
	folder := t.TempDir()
	original := s.pc(t, "berlin", "de-de", folder, "hw-1")
	original.round(t)
	if err := original.Close(); err != nil {
		t.Fatal(err)
	}
	// The agent's folder was lost with the system: the same machine enrols anew and takes its row.
	again := s.pc(t, "berlin", "de-de", t.TempDir(), "hw-1")
	again.round(t)
	if all := s.Computers.Computers(); len(all) != 1 || all[0].Counter == 0 {
		t.Fatalf("%d computers after reinstalling", len(all))
	}
	// The first folder's certificate is one that another machine replaced.
	former := s.pc(t, "berlin", "de-de", folder, "hw-1")
	_, err := former.RunOnce(t.Context())
	wantCode(t, "the former installation", err, agentapi.CodeClone)
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestClonedFolderIsToldApart(t *testing.T) {
	s := newAgentSite(t)
	s.update(t, "2.0", "de")
	folder := t.TempDir()
	original := s.pc(t, "berlin", "de-de", folder, "hw-1")
	original.round(t)
	if err := original.Close(); err != nil {
		t.Fatal(err)
	}
	clone := s.pc(t, "berlin", "de-de", folder, "hw-2") // the disk in another machine
	_, err := clone.RunOnce(t.Context())
	wantCode(t, "a clone", err, agentapi.CodeClone)
	own := s.pc(t, "berlin", "de-de", t.TempDir(), "hw-2")
	own.round(t)
	if all := s.Computers.Computers(); len(all) != 2 {
		t.Errorf("%d computers, want the original and its clone", len(all))
	}
	if _, err := s.Compliance.Find("berlin"); err == nil {
		t.Error("a name that two computers bear finds one of them")
	}
}

// A node that starts again goes on where it was: certificates, sets, orders and turns.
func TestNodeStartsAgain(t *testing.T) {
	dir := t.TempDir()
	first, err := node.New(t.Context(), node.Config{Dir: dir, Listen: "127.0.0.1:0", Languages: []string{"de"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Node: first}
	stop := nodetest.Run(t, s.Node, map[string]http.Handler{"/agent/v1/": server.New(s.Node)})
	if _, err := s.Settings.Set(t.Context(), "agents.require_signed", json.RawMessage("false"), -1); err != nil {
		t.Fatal(err)
	}
	s.token = s.newToken(t, 0)
	s.update(t, "2.0", "de")
	p := s.pc(t, "berlin", "de-de", t.TempDir(), "hw")
	p.round(t)
	before := s.Computers.Member(s.Computers.Computers()[0].ID)
	address := s.Address()
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := &site{Node: nodetest.NewWith(t, node.Config{Dir: dir, Listen: address})}
	nodetest.Run(t, again.Node, map[string]http.Handler{"/agent/v1/": server.New(again.Node)})
	after := again.Computers.Member(before.ID)
	if after == nil || after.Counter != before.Counter || after.Cursor != before.Cursor {
		t.Fatalf("after the start memory holds %+v, before it %+v", after, before)
	}
	if _, err := again.Policies.Create(t.Context(), policies.Draft{Name: "p", Bulletins: []string{"KB2.0"}, Plan: &policy.Plan{When: "asap", Simultaneous: 1}}); err != nil {
		t.Fatal(err)
	}
	p.round(t)
	p.round(t)
	if got := again.status(t, "berlin", "u2.0"); got.Status != computers.Installed || got.LastApplied == computers.Never {
		t.Errorf("after the start: %s, last applied %s (%s)", got.Status, got.LastApplied, got.Text)
	}
}
