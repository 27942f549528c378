package server_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"thatch/agent/simulated"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/computers"
	"thatch/node/policies"
	"thatch/node/policies/pinned"
	"thatch/node/store"
)

// tool is an update that brings a tool, of bulletin KBT.
type tool struct {
	name    string
	body    catalog.Update
	payload []byte
}

func newTool(t testing.TB, name string) *tool {
	t.Helper()
	has := rule.Test("RegSz", "Key", "HKEY_LOCAL_MACHINE", "Subkey", appKey, "Value", name, "Comparison", "EqualTo", "Data", "1")
	content, err := simulated.Payload(simulated.Effect{Output: name, Changes: []simulated.Change{
		{Registry: &simulated.RegistryChange{Key: appKey, Name: name, Text: "1"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return &tool{name, catalog.Update{
		Name: name, Bulletin: "bt", Source: "sdp", Product: catalog.Product{Name: "Tools"}, Rules: catalog.Rules{Applicable: rule.Test("True"), Installed: has},
	}, content}
}

func (tl *tool) digest() string {
	sum := sha256.Sum256(tl.payload)
	return hex.EncodeToString(sum[:])
}

func (tl *tool) pack(t testing.TB) document.Document {
	file := tl.name + ".exe"
	return bulletinstest.Doc(t, document.Package, tl.name+"-p", nil, catalog.Package{
		Update: tl.name, Name: file, Files: []catalog.File{{Name: file, SHA256: tl.digest(), Size: int64(len(tl.payload))}},
		Installer: catalog.Installer{Type: catalog.EXE, File: file, DefaultResult: catalog.Failed, Codes: []catalog.ReturnCode{{Code: 0, Result: catalog.Succeeded}}},
	})
}

// tools makes the vendor file of bulletin KBT say these updates, and no others.
func (s *site) tools(t testing.TB, all ...*tool) {
	t.Helper()
	docs := []document.Document{bulletinstest.Doc(t, document.Bulletin, "bt", nil, catalog.Bulletin{Name: "KBT", Source: "sdp"})}
	for _, tl := range all {
		docs = append(docs, bulletinstest.Doc(t, document.Update, tl.name, nil, tl.body), tl.pack(t))
	}
	bulletinstest.Save(t, s.Bulletins, "sdp", "tools", docs...)
}

// stage holds the payloads of tools, and says so.
func (s *site) stage(t testing.TB, all ...*tool) {
	t.Helper()
	after := []store.Statement{{SQL: `INSERT INTO staged (bulletin, since, actor) VALUES ('bt', '', 'test') ON CONFLICT DO NOTHING`}}
	for _, tl := range all {
		if _, err := s.Content.Put(t.Context(), tl.digest(), bytes.NewReader(tl.payload)); err != nil {
			t.Fatal(err)
		}
		payload := bulletinstest.Doc(t, document.Payload, tl.name+"-p", nil, catalog.Payload{
			Package: tl.name + "-p", PackageDigest: tl.pack(t).Digest,
			Files: []catalog.StagedFile{{Name: tl.name + ".exe", SHA256: tl.digest(), Size: int64(len(tl.payload))}},
		})
		s.Identity.Sign(&payload)
		after = append(after, store.Put(payload, "", store.Former{})...)
		sum := sha256.Sum256(tl.payload)
		after = append(after, store.Statement{
			SQL: `INSERT INTO holding (sha256, node, size) VALUES (?, 'n', 1) ON CONFLICT DO NOTHING`, Args: []any{sum[:]},
		})
	}
	bulletinstest.Write(t, s.Writer(), after...)
}

func (p *pc) ran() string {
	var outputs []string
	for _, run := range p.simulated.Runs() {
		outputs = append(outputs, run.File)
	}
	return strings.Join(outputs, " ")
}

// What becomes of three updates after they were ordered: one leaves the catalog, one is withdrawn, and one gets another
// rule, by which nobody needs it, and another package. A computer that enrols then installs what was ordered all the same;
// Revise alone follows the catalog.
func TestWhatIsPinnedIsInstalledWhateverTheCatalogBecomes(t *testing.T) {
	s := newAgentSite(t)
	gone, withdrawn, revised, stays := newTool(t, "gone"), newTool(t, "withdrawn"), newTool(t, "revised"), newTool(t, "stays")
	s.tools(t, gone, withdrawn, revised, stays)
	s.stage(t, gone, withdrawn, revised, stays)
	before := s.pc(t, "before", "de-de", t.TempDir(), "hw-1")
	made, err := s.Policies.Create(t.Context(), policies.Draft{Name: "p", Bulletins: []string{"KBT"}})
	if err != nil {
		t.Fatal(err)
	}
	before.round(t)
	former := revised.digest()
	withdrawn.body.Withdrawn = true
	revised.body.Applicable, revised.payload = rule.Test("False"), append(revised.payload, ' ')
	s.tools(t, withdrawn, revised, stays)
	s.stage(t, revised)

	after := s.pc(t, "after", "en-gb", t.TempDir(), "hw-2")
	for range 2 {
		before.round(t)
		after.round(t)
	}
	for _, p := range []*pc{before, after} {
		if got := len(p.simulated.Runs()); got != 4 {
			t.Errorf("%s ran %s, want four installers", p.name, p.ran())
		}
		for _, name := range []string{"gone", "withdrawn", "revised", "stays"} {
			if got := s.status(t, p.name, name); got.Status != computers.Installed || !got.Ordered || got.LastApplied == computers.Never {
				t.Errorf("%s on %s: %s (%s), ordered %v, last applied %s", name, p.name, got.Status, got.Text, got.Ordered, got.LastApplied)
			}
		}
	}
	d, err := s.Policies.Show(t.Context(), made.ID)
	if err != nil || d.Targeted != 2 || d.Done != 2 || d.State != policies.StateDone {
		t.Errorf("policy %+v, %s, %v", d.Progress, d.State, err)
	}
	want := map[string]string{
		"gone":      "left the catalog; still ordered",
		"withdrawn": "withdrawn by the vendor, as imported on " + bulletinstest.At.Format(time.DateOnly) + "; still ordered",
		"revised":   "a newer revision exists: revise", "stays": "",
	}
	for _, u := range d.UpdateList {
		if u.Note != want[u.Name] || u.Outdated != (u.Standing != pinned.Current) || !u.Held || u.Missing != 0 {
			t.Errorf("%+v, want note %q", u, want[u.Name])
		}
	}
	if _, err := s.Staging.Prune(t.Context(), s.Content, time.Now().Add(time.Hour)); err != nil || !s.Content.Has(gone.digest()) || !s.Content.Has(former) {
		t.Errorf("housekeeping removed what a policy pins: %v", err)
	}
	s.revised(t, made.ID, before, after)
}

// revised goes on after Revise: what somebody uninstalls now stays so, but for what the catalog still orders.
func (s *site) revised(t *testing.T, policy string, all ...*pc) {
	answer, err := s.Policies.Revise(t.Context(), policy, 0)
	if err != nil || answer.Updates != 2 || answer.Changed != 3 {
		t.Fatalf("revised %+v, %v", answer, err)
	}
	for _, p := range all {
		for _, name := range []string{"gone", "withdrawn", "revised", "stays"} {
			if err := p.simulated.Change(simulated.Change{Registry: &simulated.RegistryChange{Key: appKey, Name: name, Text: "0"}}); err != nil {
				t.Fatal(err)
			}
		}
		p.round(t)
		p.round(t)
		if got := len(p.simulated.Runs()); got != 5 {
			t.Errorf("after the revision %s ran %s, want one installer more", p.name, p.ran())
		}
	}
}

// A withdrawn update that is ordered with a limit takes turns, and gives them back where its rules say that nobody needs
// it.
func TestPinnedAloneTakesTurns(t *testing.T) {
	s := newAgentSite(t)
	tl := newTool(t, "tool")
	tl.body.Applicable = rule.Test("RegValueExists", "Key", "HKEY_LOCAL_MACHINE", "Subkey", appKey, "Value", "wants")
	s.tools(t, tl)
	s.stage(t, tl)
	made, err := s.Policies.Create(t.Context(), policies.Draft{Name: "p", Bulletins: []string{"KBT"}, Plan: &policy.Plan{When: "asap", Simultaneous: 1}})
	if err != nil {
		t.Fatal(err)
	}
	s.tools(t)
	var all []*pc
	for _, name := range []string{"a", "b", "c", "d"} {
		p := s.pc(t, name, "de-de", t.TempDir(), "hw-"+name)
		if name != "b" {
			if err := p.simulated.Change(simulated.Change{Registry: &simulated.RegistryChange{Key: appKey, Name: "wants", Text: "1"}}); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, p)
	}
	for range 4 {
		before := installed(all)
		for _, p := range all {
			p.round(t)
		}
		if now := installed(all); now > before+3 {
			t.Errorf("%d computers installed in one round", now-before)
		}
	}
	d, err := s.Policies.Show(t.Context(), made.ID)
	if err != nil || installed(all) != 3 || d.Targeted != 3 || d.Done != 3 {
		t.Errorf("%d installed, %+v, %v", installed(all), d.Progress, err)
	}
	if got := s.status(t, "b", "tool"); got.Update != "" {
		t.Errorf("a computer that does not need it: %+v", got)
	}
}
