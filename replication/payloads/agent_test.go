package payloads_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/agent"
	"thatch/agent/facts"
	"thatch/agent/simulated"
	agentserver "thatch/agentapi/server"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/identity"
	"thatch/replication/replicationtest"
)

const toolKey = `SOFTWARE\Test`

// tool fills a site's catalog with bulletin B of update U, which brings a tool to simulated computers.
func tool(t *testing.T, s *replicationtest.Linked, v *vendor) {
	t.Helper()
	body, err := simulated.Payload(simulated.Effect{Output: "done", Changes: []simulated.Change{
		{Registry: &simulated.RegistryChange{Key: toolKey, Name: "tool", Text: "1"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	v.mu.Lock()
	v.files["tool.exe"] = body
	v.mu.Unlock()
	bulletinstest.Save(t, s.Bulletins, "sdp", "f",
		bulletinstest.Doc(t, document.Bulletin, "B", nil, catalog.Bulletin{Name: "B", Source: "sdp"}),
		bulletinstest.Doc(t, document.Update, "U", nil, catalog.Update{
			Name: "U", Bulletin: "B", Source: "sdp", Rules: catalog.Rules{Applicable: rule.Test("True"), Installed: rule.Test("RegSz", "Key", "HKEY_LOCAL_MACHINE", "Subkey", toolKey, "Value", "tool", "Comparison", "EqualTo", "Data", "1")},
		}),
		bulletinstest.Doc(t, document.Package, "P", nil, catalog.Package{
			Update: "U", Name: "tool.exe", Files: []catalog.File{{Name: "tool.exe", SHA256: sum(body), Size: int64(len(body)), URL: v.URL + "/tool.exe"}},
			Installer: catalog.Installer{Type: catalog.EXE, File: "tool.exe", DefaultResult: catalog.Failed, Codes: []catalog.ReturnCode{{Code: 0, Result: catalog.Succeeded}}},
		}))
}

// computer is a simulated computer of a site, with its agent.
func computer(t *testing.T, s *replicationtest.Linked) (*agent.Agent, *simulated.Computer) {
	t.Helper()
	pc := simulated.New(simulated.Definition{
		Machine: facts.Machine{ID: "m-1", Hardware: "hw-1", Name: "PC-1", Boot: "1"},
		Facts: &memory.Host{System: &rule.System{
			Platform: "windows", Product: "Windows 10", Major: 10, Build: 17763, Revision: 1, ProductType: 1, Architecture: "x64", Languages: []string{"de-de"},
		}},
	})
	a, err := agent.Open(agent.Config{
		Dir: t.TempDir(), Source: pc, Runner: pc, Version: "test", Simulated: true, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() }) // the node may be gone
	token, err := s.Identity.NewEnrolmentToken(t.Context(), identity.EnrolmentToken{Name: "test", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Enrol(t.Context(), []string{s.URL()}, token.Token); err != nil {
		t.Fatal(err)
	}
	return a, pc
}

// TestAnAgentBelowInstallsWhenThePayloadIsThere has a policy of the top arrive at the grandchild before its payload, which
// the site between is kept from sending: agents hear nothing of it, and people what is awaited. When the payload arrives,
// the policy begins by itself.
func TestAnAgentBelowInstallsWhenThePayloadIsThere(t *testing.T) {
	v, d := newVendor(t), &door{}
	top := start(t, replicationtest.Config{Name: "Top"})
	middle := start(t, replicationtest.Config{Name: "Middle", Before: d.before})
	low := start(t, replicationtest.Config{Name: "Low", Doors: func(n *node.Node) map[string]http.Handler {
		return map[string]http.Handler{"/agent/v1/": agentserver.New(n)}
	}})
	set(t, low, "agents.require_signed", `false`)
	tool(t, top, v)
	staged(t, top)
	below(t, middle, top)
	below(t, low, middle)
	d.set(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"code":"busy","error":"held back","after":1}`))
	})
	id := order(t, top)
	low.Eventually(t, "the policy says what it waits for", func() error {
		p, err := low.Policies.Show(t.Context(), id)
		if err == nil && !slices.ContainsFunc(p.WaitsFor, func(why string) bool {
			return strings.HasPrefix(why, "payloads are awaited from parent Middle: 0 of 1 files") && strings.HasSuffix(why, "held back")
		}) {
			err = fmt.Errorf("it waits for %q", p.WaitsFor)
		}
		return err
	})
	a, pc := computer(t, low)
	for range 2 {
		if _, err := a.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(pc.Runs()); n != 0 {
		t.Fatalf("%d installers ran of what the site does not hold", n)
	}
	d.set(nil)
	low.Eventually(t, "the computer installs it", func() error {
		if _, err := a.RunOnce(t.Context()); err != nil {
			return err
		}
		if len(pc.Runs()) != 1 {
			return errors.New("nothing ran yet")
		}
		return nil
	})
	low.Eventually(t, "the policy is done", func() error {
		if _, err := a.RunOnce(t.Context()); err != nil {
			return err
		}
		p, err := low.Policies.Show(t.Context(), id)
		if err == nil && (p.Done != 1 || p.Awaited.Coming != nil) {
			err = fmt.Errorf("%+v waits for %q", p.Progress, p.WaitsFor)
		}
		return err
	})
	if n := v.requests("tool.exe"); n != 1 {
		t.Errorf("the vendor was asked %d times", n)
	}
}
