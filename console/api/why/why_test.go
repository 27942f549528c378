package why_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/client"
	routes "thatch/console/api/policies"
	"thatch/console/api/why"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/computers"
	"thatch/node/nodetest"
	"thatch/node/policies"
	"thatch/node/policies/ordering"
	"thatch/node/policies/windows"
	"thatch/node/store"
	"thatch/schedule"
)

// site is a node with a bulletin of one update whose payload it holds, and a computer that misses it.
type site struct {
	*node.Node
	*client.Client
	clock    *nodetest.Clock
	payload  [32]byte
	computer string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{clock: nodetest.NewClock(), payload: sha256.Sum256([]byte("payload"))}
	s.Node = nodetest.NewWith(t, node.Config{Dir: t.TempDir(), Site: "Test", Languages: []string{"en", "de"}, Now: s.clock.Now})
	nodetest.Run(t, s.Node, map[string]http.Handler{"/": api.New(s.Node, append(why.Routes(s.Node), routes.Routes(s.Node)...)...)})
	s.Client = apitest.Local(t, s.Node)
	digest := hex.EncodeToString(s.payload[:])
	if _, err := s.Content.Put(t.Context(), digest, bytes.NewReader([]byte("payload"))); err != nil {
		t.Fatal(err)
	}
	pack := bulletinstest.Doc(t, document.Package, "v/p", nil, catalog.Package{
		Update: "v/u", Name: "p", Files: []catalog.File{{Name: "a.exe", SHA256: digest}}, Installer: catalog.Installer{Type: catalog.EXE, File: "a.exe"},
	})
	bulletinstest.Save(t, s.Bulletins, "sdp", "file",
		bulletinstest.Doc(t, document.Bulletin, "v/b", nil, catalog.Bulletin{Name: "KB1", Source: "sdp", Severity: catalog.Critical}),
		bulletinstest.Doc(t, document.Update, "v/u", nil, catalog.Update{
			Name: "Update", Bulletin: "v/b", Source: "sdp", Relations: catalog.Relations{Prerequisites: [][]string{{"v/first", "v/unheard"}}},
			Rules: catalog.Rules{Applicable: rule.And(rule.Test(rule.Architecture, "Is", "x64"), rule.Test("RegKeyExists", "Key", "HKEY_LOCAL_MACHINE", "Subkey", "Software")), Installed: rule.Test(rule.WindowsBuild, "Comparison", "GreaterThanOrEqualTo", "Build", "99999")},
		}),
		bulletinstest.Doc(t, document.Update, "v/first", nil, catalog.Update{Name: "First", Bulletin: "v/b", Source: "sdp", Rules: catalog.Rules{Applicable: rule.Test("True")}}), pack)
	payload := bulletinstest.Doc(t, document.Payload, "v/p", nil, catalog.Payload{
		Package: "v/p", PackageDigest: pack.Digest, Files: []catalog.StagedFile{{Name: "a.exe", SHA256: digest, Size: 7}},
	})
	s.Identity.Sign(&payload)
	bulletinstest.Write(t, s.Writer(), append(store.Put(payload, "", store.Former{}),
		store.Statement{SQL: `INSERT INTO staged (bulletin, since, actor) VALUES ('v/b', '', 'test')`})...)
	s.hold(t)
	s.enrol(t)
	return s
}

func (s *site) hold(t *testing.T) {
	t.Helper()
	bulletinstest.Write(t, s.Writer(), store.Statement{
		SQL: `INSERT INTO holding (sha256, node, size) VALUES (?, 'n', 7) ON CONFLICT DO NOTHING`, Args: []any{s.payload[:]},
	})
}

func (s *site) enrol(t *testing.T) {
	t.Helper()
	newcomer := computers.Newcomer{Name: "pc-17", MachineID: "m", Hardware: "h", Platform: "windows", Languages: []string{"de-de"}}
	place, err := s.Computers.Place(t.Context(), newcomer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Computers.Enrol(t.Context(), newcomer, place, "serial")
	if err != nil {
		t.Fatal(err)
	}
	s.computer = c.ID
	_, err = s.Computers.Report(t.Context(), c.ID, computers.Report{
		At: s.Now(), Cursor: computers.Cursor{Index: 1 << 40}, Applicable: computers.Change{Add: []uint32{2}}, Installed: computers.Change{Add: []uint32{1}},
		Facts: &computers.Facts{Name: "pc-17", System: rule.System{Platform: "windows", Product: "Windows 10", Architecture: "x64", Build: 17763, Languages: []string{"de-de"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) why(t *testing.T) *why.Why {
	t.Helper()
	var w why.Why
	if err := s.Get(t.Context(), client.Path("computers", "PC-17", "updates", "v/u"), nil, &w); err != nil {
		t.Fatal(err)
	}
	return &w
}

func (s *site) expect(t *testing.T, what string, waits ...ordering.Reason) *why.Why {
	t.Helper()
	w := s.why(t)
	if !slices.Equal(w.Next.Waits, waits) {
		t.Errorf("%s: waits for %q, want %q", what, w.Next.Waits, waits)
	}
	return w
}

func TestRulesAndWhatTheComputerSaid(t *testing.T) {
	s := newSite(t)
	w := s.expect(t, "no policy")
	if w.Said.Verdict != why.Applicable || w.Said.At.IsZero() || !w.Said.Covered || w.Update.Status != computers.DownloadRequired {
		t.Errorf("said %+v, status %q", w.Said, w.Update.Status)
	}
	if len(w.Rules) != 2 || w.Rules[0].Name != "installed" || w.Rules[0].Answer != rule.False || w.Rules[0].Only {
		t.Fatalf("rules %+v", w.Rules)
	}
	applicable := w.Rules[1]
	if applicable.Answer != rule.Unknown || !applicable.Only || applicable.Rules[0].Answer != rule.True || applicable.Rules[1].Answer != rule.Unknown {
		t.Errorf("applicable:\n%s", applicable.Explanation)
	}
	if len(w.Prerequisites) != 1 || w.Prerequisites[0][0] != (why.Other{ID: "v/first", Update: "First", Verdict: why.Installed}) ||
		w.Prerequisites[0][1].Verdict != why.Unevaluated {
		t.Errorf("prerequisites %+v", w.Prerequisites)
	}
	for _, path := range []string{client.Path("computers", "nobody", "updates", "v/u"), client.Path("computers", "pc-17", "updates", "none")} {
		var e *client.Error
		if err := s.Get(t.Context(), path, nil, nil); !errors.As(err, &e) || e.Status != http.StatusNotFound {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestWhatAPolicyWaitsFor(t *testing.T) {
	s := newSite(t)
	var made policies.Created
	if err := s.Post(t.Context(), "/policies", policies.Draft{Name: "p", Bulletins: []string{"KB1"}}, &made); err != nil {
		t.Fatal(err)
	}
	path := client.Path("policies", made.ID)
	do := func(method, path string, body any) {
		t.Helper()
		send := s.Post
		if method == "PUT" {
			send = s.Put
		}
		if err := send(t.Context(), path, body, nil); err != nil {
			t.Fatal(method, path, err)
		}
	}
	w := s.expect(t, "nothing keeps it")
	if w.Next.When == nil || w.Next.When.After(s.Now()) || !w.Policies[0].Ordered || !w.Policies[0].Targeted || !w.Policies[0].Packages[0].Held {
		t.Errorf("at once: %+v, policy %+v", w.Next, w.Policies[0])
	}
	do("POST", path+"/pause", map[string]any{})
	if w := s.expect(t, "paused", ordering.Paused); w.Next.When != nil {
		t.Errorf("paused, and begins %v", w.Next.When)
	}
	do("POST", path+"/resume", map[string]any{})
	do("POST", path+"/disable", map[string]any{})
	s.expect(t, "off", ordering.Off)
	do("POST", path+"/enable", map[string]any{})
	bulletinstest.Write(t, s.Writer(), store.Statement{SQL: `DELETE FROM holding`})
	s.expect(t, "not held", ordering.Content)
	s.hold(t)
	do("PUT", path, map[string]any{"target": policy.Target{Names: []string{"other-*"}}})
	s.expect(t, "another target", ordering.NotTargeted)
	do("PUT", path, map[string]any{"target": policy.Target{}})
	start := s.Now().Add(2 * time.Hour).Format("15:04")
	do("POST", "/windows", windows.Body{Window: schedule.Window{Name: "later", Repeat: schedule.Daily, Start: start, Minutes: 60}})
	w = s.expect(t, "no window is open", ordering.Window)
	if w.Next.When == nil || w.Next.When.Sub(s.Now()) > 2*time.Hour || w.Next.When.Sub(s.Now()) < 119*time.Minute || len(w.Windows) != 1 || w.Windows[0].IsOpen {
		t.Errorf("begins %v, windows %+v", w.Next.When, w.Windows)
	}
	s.clock.Move(2 * time.Hour)
	if w := s.expect(t, "the window is open"); len(w.Windows) != 1 || !w.Windows[0].IsOpen {
		t.Errorf("windows %+v", w.Windows)
	}
}
