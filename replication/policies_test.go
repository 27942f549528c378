package replication_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/agent"
	"thatch/agent/facts"
	"thatch/agent/simulated"
	"thatch/agentapi"
	agents "thatch/agentapi/server"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/identity"
	"thatch/node/policies"
	"thatch/node/policies/windows"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication/joining"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
	"thatch/schedule"
)

const appKey = `SOFTWARE\Test`

func setApp(version string) simulated.Change {
	return simulated.Change{Registry: &simulated.RegistryChange{Key: appKey, Name: "app", Text: version}}
}

// ordering is a site whose agents may call.
func ordering(t testing.TB, cfg replicationtest.Config) *replicationtest.Linked {
	t.Helper()
	cfg.Doors = func(n *node.Node) map[string]http.Handler {
		return map[string]http.Handler{"/agent/v1/": agents.New(n)}
	}
	s := replicationtest.Start(t, cfg)
	if _, err := s.Settings.Set(t.Context(), "agents.require_signed", json.RawMessage("false"), -1); err != nil {
		t.Fatal(err)
	}
	return s
}

// payload is what installs the app of a version in a language.
func payload(t testing.TB, version, language string) (content []byte, digest string) {
	t.Helper()
	content, err := simulated.Payload(simulated.Effect{Output: language, Changes: []simulated.Change{setApp(version)}})
	if err != nil {
		t.Fatal(err)
	}
	content = append(content, language...)
	sum := sha256.Sum256(content)
	return content, hex.EncodeToString(sum[:])
}

// brings gives a site bulletin KB-version, staged, whose update brings the app to a version, in some languages.
func brings(t testing.TB, s *replicationtest.Linked, version, title string, languages ...string) {
	t.Helper()
	id := "u" + version
	docs := []document.Document{
		bulletinstest.Doc(t, document.Bulletin, "b"+version, nil, catalog.Bulletin{Name: "KB" + version, Source: "sdp"}),
		bulletinstest.Doc(t, document.Update, id, nil, catalog.Update{
			Name: id, Bulletin: "b" + version, Source: "sdp", Title: title,
			Rules: catalog.Rules{Applicable: rule.Test("RegValueExists", "Key", "HKEY_LOCAL_MACHINE", "Subkey", appKey, "Value", "app"), Installed: rule.Test("RegSz", "Key", "HKEY_LOCAL_MACHINE", "Subkey", appKey, "Value", "app", "Comparison", "EqualTo", "Data", version)},
		}),
	}
	var after []store.Statement
	for _, language := range languages {
		content, digest := payload(t, version, language)
		file := "app-" + language + ".exe"
		pack := bulletinstest.Doc(t, document.Package, id+"-"+language, []string{language}, catalog.Package{
			Update: id, Name: file, Files: []catalog.File{{Name: file, SHA256: digest, Size: int64(len(content))}},
			Installer: catalog.Installer{Type: catalog.EXE, File: file, DefaultResult: catalog.Failed, Codes: []catalog.ReturnCode{{Code: 0, Result: catalog.Succeeded}}},
		})
		docs = append(docs, pack)
		staged := bulletinstest.Doc(t, document.Payload, pack.ID, []string{language}, catalog.Payload{
			Package: pack.ID, PackageDigest: pack.Digest, Files: []catalog.StagedFile{{Name: file, SHA256: digest, Size: int64(len(content))}},
		})
		s.Identity.Sign(&staged)
		after = append(after, store.Put(staged, "", store.Former{})...)
	}
	bulletinstest.Save(t, s.Bulletins, "sdp", "file "+version, docs...)
	bulletinstest.Write(t, s.Writer(), append(after, store.Statement{
		SQL: `INSERT INTO staged (bulletin, since, actor) VALUES (?, '', 'test') ON CONFLICT DO NOTHING`, Args: []any{"b" + version},
	})...)
	for _, language := range languages {
		holds(t, s, version, language)
	}
}

// holds puts the payload of a version in a language into a site's store.
func holds(t testing.TB, s *replicationtest.Linked, version, language string) {
	t.Helper()
	content, digest := payload(t, version, language)
	if _, err := s.Content.Put(t.Context(), digest, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	bulletinstest.Write(t, s.Writer(), store.Statement{
		SQL: `INSERT INTO holding (sha256, node, size) VALUES (?, 'n', 1) ON CONFLICT DO NOTHING`, Args: []any{sum[:]},
	})
}

// agentPC is a simulated computer of a site with version 1.0 of the app, and its agent.
type agentPC struct {
	*agent.Agent
	simulated *simulated.Computer
}

func newPC(t testing.TB, s *replicationtest.Linked, name, language string) *agentPC {
	t.Helper()
	p := &agentPC{simulated: simulated.New(simulated.Definition{
		Machine: facts.Machine{ID: "id-" + name, Hardware: "hw-" + name, Name: name, Boot: "1"},
		Facts: &memory.Host{System: &rule.System{
			Platform: "windows", Product: "Windows 10", Major: 10, Build: 17763, Revision: 1, ProductType: 1, Architecture: "x64", Languages: []string{language},
		}},
	})}
	if err := p.simulated.Change(setApp("1.0")); err != nil {
		t.Fatal(err)
	}
	var err error
	p.Agent, err = agent.Open(agent.Config{
		Dir: t.TempDir(), Source: p.simulated, Runner: p.simulated, Version: "test", Simulated: true, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() }) // it is asked for nothing more
	token, err := s.Identity.NewEnrolmentToken(t.Context(), identity.EnrolmentToken{Name: name, Expires: s.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Enrol(t.Context(), []string{s.URL()}, token.Token); err != nil {
		t.Fatal(err)
	}
	return p
}

// rounds has the agent look and do what is ordered, some times.
func (p *agentPC) rounds(t testing.TB, count int) {
	t.Helper()
	for range count {
		if _, err := p.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func shown(t testing.TB, s *replicationtest.Linked, policy string) *policies.Detail {
	t.Helper()
	d, err := s.Policies.Show(t.Context(), policy)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// inForce is nil when a policy stands at a site as wanted: "on", "paused", "off", "gone", "awaiting".
func inForce(s *replicationtest.Linked, id, want string) error {
	is := "on"
	d, err := s.Policies.Show(context.Background(), id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		is = "gone"
	case err != nil:
		return err
	case !d.Enabled:
		is = "off"
	case d.Paused:
		is = "paused"
	case d.State == policies.StateAwaiting:
		is = "awaiting"
	}
	if is != want {
		return fmt.Errorf("policy %s at %s is %s, want %s", id, s.Site().Name, is, want)
	}
	return nil
}

func threeLevels(t *testing.T) (top, berlin, mitte *replicationtest.Linked) {
	top = ordering(t, replicationtest.Config{Name: "Top", Languages: []string{"de", "en"}})
	berlin = ordering(t, replicationtest.Config{Name: "Berlin", Languages: []string{"de"}})
	mitte = ordering(t, replicationtest.Config{Name: "Mitte", Languages: []string{"de"}})
	berlin.Join(t, top)
	mitte.Join(t, berlin)
	return top, berlin, mitte
}

// TestAPolicyOfTheTopPatchesTheTree: agents of the child and the grandchild install what it pins, although the catalog went
// on; what the top says of it afterwards is in force everywhere at once.
func TestAPolicyOfTheTopPatchesTheTree(t *testing.T) {
	top, berlin, mitte := threeLevels(t)
	brings(t, top, "2.0", "first", "de", "en")
	made, err := top.Policies.Create(t.Context(), policies.Draft{Name: "March", Bulletins: []string{"KB2.0"}, Local: true})
	if err != nil {
		t.Fatal(err)
	}
	brings(t, top, "2.0", "revised since", "de", "en")
	below := []*replicationtest.Linked{berlin, mitte}
	for _, s := range below {
		s.Eventually(t, "the policy has come", func() error { return inForce(s, made.ID, "on") })
		d := shown(t, s, "March")
		if d.Origin != top.Site().ID || d.Site != "Top" || d.Awaited.Documents != 0 || len(d.Bulletins) != 1 || d.Bulletins[0] != "KB2.0" || !d.Local {
			t.Errorf("at %s: %+v, awaits %+v", s.Site().Name, d.PolicyRow, d.Awaited)
		}
		holds(t, s, "2.0", "de")
		p := newPC(t, s, "pc-"+s.Site().Name, "de-de")
		p.rounds(t, 3)
		if runs := p.simulated.Runs(); len(runs) != 1 {
			t.Errorf("at %s the agent ran %v", s.Site().Name, runs)
		}
		if d := shown(t, s, "March"); d.Done != 1 || d.Targeted != 1 {
			t.Errorf("at %s: %+v, %q", s.Site().Name, d.Progress, d.WaitsFor)
		}
	}
	later := newPC(t, mitte, "later", "de-de")
	for _, step := range []struct {
		want string
		do   func() error
	}{
		{"paused", func() error { return top.Policies.Pause(t.Context(), made.ID, 0, true) }},
		{"on", func() error { return top.Policies.Pause(t.Context(), made.ID, 0, false) }},
		{"off", func() error { return top.Policies.Enable(t.Context(), made.ID, 0, false) }},
	} {
		began := time.Now()
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		for _, s := range below {
			s.Eventually(t, "what the top says", func() error { return inForce(s, made.ID, step.want) })
		}
		t.Logf("%s two levels below after %s", step.want, time.Since(began).Round(time.Millisecond))
	}
	later.rounds(t, 2)
	if runs := later.simulated.Runs(); len(runs) != 0 {
		t.Errorf("an agent ran %v by a policy that is off above", runs)
	}
	if err := top.Policies.Enable(t.Context(), made.ID, 0, true); err != nil {
		t.Fatal(err)
	}
	berlin.Eventually(t, "on again", func() error { return inForce(berlin, made.ID, "on") })
	// Berlin switches it off for itself; Mitte does as the top says.
	if err := berlin.Policies.Enable(t.Context(), "March", 0, false); err != nil {
		t.Fatal(err)
	}
	mitte.Eventually(t, "on at Mitte", func() error { return inForce(mitte, made.ID, "on") })
	if err := inForce(berlin, made.ID, "off"); err != nil {
		t.Error(err)
	}
	off := false
	if err := top.Policies.Change(t.Context(), made.ID, 0, policies.Edit{Local: &off}); err != nil {
		t.Fatal(err)
	}
	berlin.Eventually(t, "what Berlin says counts no more", func() error { return inForce(berlin, made.ID, "on") })
	if err := berlin.Policies.Pause(t.Context(), "March", 0, true); !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "site Top") {
		t.Errorf("paused at Berlin: %v", err)
	}
	if err := top.Policies.Delete(t.Context(), made.ID, 0); err != nil {
		t.Fatal(err)
	}
	for _, s := range below {
		s.Eventually(t, "deleted above", func() error {
			return errors.Join(inForce(s, made.ID, "gone"), s.Holds(document.PolicyState, 0))
		})
	}
}

// TestAPauseAsksNoWindow: with the link's windows closed a change of data waits, and what the top says of a policy does not.
func TestAPauseAsksNoWindow(t *testing.T) {
	top := ordering(t, replicationtest.Config{Name: "Top", Languages: []string{"de"}})
	child := ordering(t, replicationtest.Config{Name: "North", Languages: []string{"de"}})
	child.Join(t, top)
	brings(t, top, "2.0", "first", "de")
	made, err := top.Policies.Create(t.Context(), policies.Draft{Name: "March", Bulletins: []string{"KB2.0"}})
	if err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "the policy has come", func() error { return inForce(child, made.ID, "on") })
	day := schedule.Weekday(strings.ToLower(time.Now().UTC().Add(72 * time.Hour).Weekday().String()))
	closed := schedule.Window{Name: "far", Repeat: schedule.Weekly, Weekdays: []schedule.Weekday{day}, Start: "00:00", Minutes: 60, Zone: "UTC"}
	if _, err := top.Sites.Limit(t.Context(), child.Site().ID, sites.Limits{Windows: schedule.Windows{closed}}, -1); err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "the link's window is closed", func() error {
		if state := child.Link.State(); state.Link == nil || len(state.Link.Limits.Windows) != 1 {
			return errors.New("the child has not heard")
		}
		return nil
	})
	brings(t, top, "3.0", "later", "de")
	if err := top.Policies.Pause(t.Context(), made.ID, 0, true); err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "paused", func() error { return inForce(child, made.ID, "paused") })
	if err := child.Holds(document.Update, 1); err != nil {
		t.Errorf("data came through a closed window: %v", err)
	}
	if err := top.Policies.Delete(t.Context(), made.ID, 0); err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "deleted", func() error { return inForce(child, made.ID, "gone") })
}

// TestPoliciesWaitForWindows: a policy that comes before the maintenance windows it was made under installs nothing, and
// goes on by itself when they are here.
func TestPoliciesWaitForWindows(t *testing.T) {
	var top *replicationtest.Linked
	var deaf sync.RWMutex // to requests for settings, while it is locked
	top = ordering(t, replicationtest.Config{Name: "Top", Languages: []string{"de"}, Before: func(_ http.ResponseWriter, r *http.Request) http.Handler {
		if r.URL.Path != wire.PathPage && r.URL.Path != wire.PathComplete {
			return nil
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if !bytes.Contains(body, []byte(`"settings"`)) {
			return nil
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !deaf.TryRLock() {
				http.Error(w, "not now", http.StatusServiceUnavailable)
				return
			}
			defer deaf.RUnlock()
			top.Parent.ServeHTTP(w, r)
		})
	}})
	child := ordering(t, replicationtest.Config{Name: "North", Languages: []string{"de"}})
	brings(t, top, "2.0", "first", "de")
	child.Join(t, top)
	if _, err := top.Windows.Create(t.Context(), windows.Body{Window: schedule.Window{Name: "old", Repeat: schedule.Daily, Start: "00:00", Minutes: 1440}}); err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "the first window", func() error { return child.Holds(document.Window, 1) })
	holds(t, child, "2.0", "de")
	p := newPC(t, child, "pc", "de-de")
	deaf.Lock()
	id, err := top.Windows.Create(t.Context(), windows.Body{Window: schedule.Window{Name: "new", Repeat: schedule.Daily, Start: "00:00", Minutes: 1440}})
	if err != nil {
		t.Fatal(err)
	}
	made, err := top.Policies.Create(t.Context(), policies.Draft{Name: "March", Bulletins: []string{"KB2.0"}, Plan: &policy.Plan{When: policy.StartASAP}})
	if err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "the policy comes before its window", func() error { return inForce(child, made.ID, "awaiting") })
	p.rounds(t, 3)
	d := shown(t, child, "March")
	if runs := p.simulated.Runs(); len(runs) != 0 || !strings.Contains(strings.Join(d.WaitsFor, ";"), "waits for maintenance windows") {
		t.Errorf("before the window is here the agent ran %v, the policy waits for %q", runs, d.WaitsFor)
	}
	deaf.Unlock()
	child.Eventually(t, "the window has come", func() error { return inForce(child, made.ID, "on") })
	if w, err := child.Windows.Find(t.Context(), id); err != nil || w.Site != "Top" || w.Origin != top.Site().ID {
		t.Errorf("the window: %+v, %v", w, err)
	}
	p.rounds(t, 2)
	if runs := p.simulated.Runs(); len(runs) != 1 {
		t.Errorf("the agent ran %v", runs)
	}
	wantForeign := child.Windows.Delete(t.Context(), "new", "")
	if !errors.Is(wantForeign, store.ErrConflict) || !strings.Contains(wantForeign.Error(), "site Top") {
		t.Errorf("deleted below: %v", wantForeign)
	}
	// A window that is not for this child never comes, and holds up no policy.
	ruled, err := top.Sites.Rule(t.Context(), "Standard settings")
	if err != nil {
		t.Fatal(err)
	}
	ruled.Documents = []string{"window/" + id}
	if _, err := top.Sites.ChangeRule(t.Context(), ruled.ID, ruled, -1); err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "one window is left", func() error { return child.Holds(document.Window, 1) })
	if _, err := top.Windows.Create(t.Context(), windows.Body{Window: schedule.Window{Name: "theirs", Repeat: schedule.Daily, Start: "00:00", Minutes: 60}}); err != nil {
		t.Fatal(err)
	}
	if err := top.Policies.Pause(t.Context(), made.ID, 0, true); err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "paused", func() error { return inForce(child, made.ID, "paused") })
	if err := top.Policies.Pause(t.Context(), made.ID, 0, false); err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "going on", func() error { return inForce(child, made.ID, "on") })
}

// TestAgentsKnowTheKeysOfThoseAbove: agents accept what their site and the sites above it signed, and nothing of a site
// below or beside it, although their site knows those keys.
func TestAgentsKnowTheKeysOfThoseAbove(t *testing.T) {
	top, berlin, mitte := threeLevels(t)
	top.Put(t, document.Severity, "ours", `{}`)
	mitte.Eventually(t, "what the top made is here", func() error { return mitte.HoldsID(document.Severity, "ours") })
	agentsKnow(t, map[*replicationtest.Linked][]*replicationtest.Linked{top: {top}, berlin: {berlin, top}, mitte: {mitte, berlin, top}})
	// A site that leaves keeps what came from above, and its agents the keys to judge it by; of Berlin it holds nothing.
	if err := joining.Leave(t.Context(), mitte.Node, false); err != nil {
		t.Fatal(err)
	}
	agentsKnow(t, map[*replicationtest.Linked][]*replicationtest.Linked{mitte: {mitte, top}, berlin: {berlin, top}})
}

// agentsKnow wants agents that enrol at some sites to get the keys of others.
func agentsKnow(t *testing.T, at map[*replicationtest.Linked][]*replicationtest.Linked) {
	t.Helper()
	for s, want := range at {
		s.Eventually(t, "keys", func() error {
			if n := s.Count(t, document.SigningKey); n != 3 {
				return fmt.Errorf("%s knows %d keys", s.Site().Name, n)
			}
			return nil
		})
		token, err := s.Identity.NewEnrolmentToken(t.Context(), identity.EnrolmentToken{Name: "keys", Expires: s.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		if err != nil {
			t.Fatal(err)
		}
		client, err := agentapi.NewClient(s.URL(), agentapi.Trust{Fingerprint: agentapi.Fingerprint(s.Identity.Authority())}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		answer, err := client.Enrol(t.Context(), agentapi.EnrolRequest{
			Token: token.Token, CSR: csr, Name: "pc", MachineID: "m", Hardware: "h", Platform: "windows",
		})
		if err != nil {
			t.Fatal(err)
		}
		var have, meant []string
		for _, doc := range answer.Keys {
			have = append(have, doc.ID)
		}
		for _, site := range want {
			meant = append(meant, site.Site().ID)
		}
		slices.Sort(have)
		slices.Sort(meant)
		if !slices.Equal(have, meant) {
			t.Errorf("agents at %s get the keys of %q, want %q", s.Site().Name, have, meant)
		}
	}
}

// TestWhatHappenedWhileTheChildWasOff: a policy deleted, another paused, and one made with a target of a later version.
func TestWhatHappenedWhileTheChildWasOff(t *testing.T) {
	dir := t.TempDir()
	top := ordering(t, replicationtest.Config{Name: "Top", Languages: []string{"de"}})
	child := ordering(t, replicationtest.Config{Name: "North", Languages: []string{"de"}, Dir: dir})
	child.Join(t, top)
	brings(t, top, "2.0", "first", "de")
	make := func(name string) string {
		t.Helper()
		made, err := top.Policies.Create(t.Context(), policies.Draft{Name: name, Bulletins: []string{"KB2.0"}})
		if err != nil {
			t.Fatal(err)
		}
		return made.ID
	}
	gone, paused, unselected := make("gone"), make("paused"), make("unselected")
	for _, id := range []string{gone, paused, unselected} {
		child.Eventually(t, "the policies have come", func() error { return inForce(child, id, "on") })
	}
	child.Stop()
	if err := errors.Join(top.Policies.Delete(t.Context(), gone, 0), top.Policies.Pause(t.Context(), paused, 0, true)); err != nil {
		t.Fatal(err)
	}
	ruled, err := top.Sites.Rule(t.Context(), "Standard policies")
	if err != nil {
		t.Fatal(err)
	}
	later := "policy:" + top.Site().ID + ":later"
	body := `{"name":"later","updates":[{"update":"u2.0","digest":"` + strings.Repeat("0", 64) + `","enabled":true}],"target":{"moon_phase":"full"},"plan":{"when":"asap"}}`
	top.Put(t, document.Policy, later, body)
	top.Put(t, document.PolicyState, later, `{"enabled":true}`)
	ruled.Documents = []string{"policy/" + paused, "policy/" + later}
	if _, err := top.Sites.ChangeRule(t.Context(), ruled.ID, ruled, -1); err != nil {
		t.Fatal(err)
	}
	child = ordering(t, replicationtest.Config{Name: "North", Dir: dir})
	for id, want := range map[string]string{gone: "gone", unselected: "gone", paused: "paused", later: "awaiting"} {
		child.Eventually(t, "what happened meanwhile", func() error { return inForce(child, id, want) })
	}
	d := shown(t, child, "later")
	if says := strings.Join(d.WaitsFor, "; "); d.Targeted != 0 || !strings.Contains(says, "moon_phase") || !strings.Contains(says, "u2.0") {
		t.Errorf("a target of a later version means %d computers, and is told as %q", d.Targeted, says)
	}
	ruled.Version++
	ruled.Documents = []string{"policy/" + later}
	if _, err := top.Sites.ChangeRule(t.Context(), ruled.ID, ruled, -1); err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "unselected while the link is up", func() error { return inForce(child, paused, "gone") })
}

// TestSettingsFromAbove: custom severities and their assignments come with their site's name, stand beside the child's
// own, and are changed where they were made alone.
func TestSettingsFromAbove(t *testing.T) {
	top := replicationtest.Start(t, replicationtest.Config{Name: "Top", Languages: []string{"de"}})
	child := replicationtest.Start(t, replicationtest.Config{Name: "North", Languages: []string{"de"}})
	child.Join(t, top)
	brings(t, top, "2.0", "first", "de")
	order := 50
	if _, err := top.Bulletins.CreateSeverity(t.Context(), "This week", &order); err != nil {
		t.Fatal(err)
	}
	if err := top.Bulletins.AssignSeverity(t.Context(), "This week", "KB2.0"); err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "settings and data", func() error {
		return errors.Join(child.Holds(document.Severity, 1), child.Holds(document.Assignment, 1), child.Holds(document.Bulletin, 1), child.Holds(document.Site, 2))
	})
	if _, err := child.Bulletins.CreateSeverity(t.Context(), "Here", nil); err != nil {
		t.Fatal(err)
	}
	list, total, err := child.Bulletins.Severities(t.Context(), store.Query{})
	if err != nil || total != 2 || list[0].Name != "Here" || list[0].Site != "North" || list[1].Name != "This week" || list[1].Site != "Top" || list[1].Bulletins != 1 {
		t.Errorf("severities %+v %+v, %v", list[0], list[len(list)-1], err)
	}
	rows, _, err := child.Bulletins.List(t.Context(), store.Query{Filter: map[string]string{"custom_severity": "This week"}})
	if err != nil || len(rows) != 1 {
		t.Errorf("%d bulletins of the severity from above, %v", len(rows), err)
	}
	if err := top.Bulletins.NeverOffer(t.Context(), true, "KB2.0"); err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "never offered below either", func() error {
		rows, err := child.Bulletins.Rows(t.Context(), rows[0].ID)
		if err == nil && (!rows[0].Never || rows[0].CustomSeverity != "This week") {
			err = fmt.Errorf("bulletin %+v", rows[0])
		}
		return err
	})
	name := "That week"
	for what, err := range map[string]error{
		"renamed":    child.Bulletins.ChangeSeverity(t.Context(), "This week", "", &name, nil),
		"deleted":    child.Bulletins.DeleteSeverity(t.Context(), "This week", "", "none"),
		"reassigned": child.Bulletins.AssignSeverity(t.Context(), "Here", "KB2.0"),
		"offered":    child.Bulletins.NeverOffer(t.Context(), false, "KB2.0"),
	} {
		if !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "site Top") {
			t.Errorf("%s below: %v", what, err)
		}
	}
}
