package simulated_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thatch/agent/facts"
	"thatch/agent/facts/factstest"
	"thatch/agent/install"
	"thatch/agent/simulated"
	"thatch/catalog"
	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
)

func machine() simulated.Definition {
	return simulated.Definition{Machine: facts.Machine{ID: "m1", Name: "SIM-1"}}
}

func TestConformance(t *testing.T) {
	factstest.Conform(t, simulated.New(machine()))
}

func payload(t *testing.T, name string, effect simulated.Effect) string {
	t.Helper()
	content, err := simulated.Payload(effect)
	if err != nil {
		t.Fatal(err)
	}
	// As in the data of a program: bytes before, and zeroes after.
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, append(append([]byte("MZ\x00\xff"), content...), make([]byte, 300)...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, c *simulated.Computer) *rule.Facts {
	t.Helper()
	f, err := c.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if !f.Simulated {
		t.Fatal("it does not say that it is simulated")
	}
	return f
}

func number(n int64) *int64 { return &n }

func TestInstallersChangeTheFacts(t *testing.T) {
	system, revision := 37, 99
	effect := simulated.Effect{Code: 3010, Output: "done", Changes: []simulated.Change{
		{Registry: &simulated.RegistryChange{Key: `SOFTWARE\Example`, Name: "Version", Text: "2.0"}},
		{Registry: &simulated.RegistryChange{WOW64: true, Key: `SOFTWARE\Example`, Name: "Count", Number: number(7)}},
		{File: &simulated.FileChange{CSIDL: &system, Path: "example.dll", Version: "1.2.3.4", Size: 5}},
		{Product: &memory.Product{Code: "{A}", Version: "2.0"}},
		{Hotfix: "4487044"},
		{Hotfix: "4487044"},
	}, AfterRestart: []simulated.Change{{Revision: &revision}}}
	path := filepath.Join(t.TempDir(), "computer.json")
	c, err := simulated.Create(path, machine())
	if err != nil {
		t.Fatal(err)
	}
	before := read(t, c)
	outcome, err := c.Run(context.Background(), install.Job{Type: catalog.EXE, File: payload(t, "Setup.exe", effect), Arguments: "/S"})
	if err != nil || outcome.Code != 3010 || outcome.Output != "done" {
		t.Fatalf("%+v, %v", outcome, err)
	}
	if exists, _ := before.Registry.Key(rule.Native, `SOFTWARE\Example`); exists {
		t.Error("facts that were read before have changed")
	}
	c, err = simulated.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	f := read(t, c)
	if v, _, err := f.Registry.Value(rule.Native, `SOFTWARE\Example`, "Version"); err != nil || v.Data != "2.0" {
		t.Errorf("registry: %v, %v", v, err)
	}
	if v, _, err := f.Registry.Value(rule.WOW64, `SOFTWARE\Example`, "Count"); err != nil || v.Data != uint32(7) {
		t.Errorf("registry of 32 bits: %v, %v", v, err)
	}
	if info, _, err := f.Files.Stat(37, "example.dll"); err != nil || info.Version != [4]uint16{1, 2, 3, 4} || info.Size != 5 {
		t.Errorf("file: %v, %v", info, err)
	}
	if p, installed, err := f.Installer.Product("{a}"); err != nil || !installed || p.Version != "2.0" {
		t.Errorf("product: %v, %v, %v", p, installed, err)
	}
	if len(f.Hotfixes.KBs) != 1 || f.System.Revision != 1 {
		t.Errorf("hotfixes %v, revision %d", f.Hotfixes.KBs, f.System.Revision)
	}
	checkRestart(t, c, path)
}

func checkRestart(t *testing.T, c *simulated.Computer, path string) {
	t.Helper()
	first, err := c.Machine(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Restart(); err != nil {
		t.Fatal(err)
	}
	c, err = simulated.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Machine(context.Background())
	if err != nil || first.Boot == second.Boot {
		t.Errorf("starts %q and %q, %v", first.Boot, second.Boot, err)
	}
	if f := read(t, c); f.System.Revision != 99 {
		t.Errorf("revision %d after the restart", f.System.Revision)
	}
	if runs := c.Runs(); len(runs) != 1 || runs[0] != (simulated.Run{File: "Setup.exe", Arguments: "/S", Code: 3010}) {
		t.Errorf("runs %+v", runs)
	}
}

func TestPayloadsThatSayNothing(t *testing.T) {
	def := machine()
	def.Effects = map[string]simulated.Effect{"known.msi": {Code: 5}}
	c := simulated.New(def)
	dir := t.TempDir()
	for name, c2 := range map[string]struct {
		content string
		code    int
		err     string
	}{
		"Known.MSI":   {"anything", 5, ""},
		"other.msi":   {"anything", 1603, ""},
		"broken.exe":  {simulated.Marker + " {\"code\":", 0, "unexpected EOF"},
		"nothing.exe": {simulated.Marker + ` {"changes":[{}]}`, 0, "says nothing"},
		"number.exe":  {simulated.Marker + ` {"changes":[{"registry":{"key":"k","name":"n","number":-1}}]}`, 0, "no REG_DWORD"},
		"keyless.exe": {simulated.Marker + ` {"changes":[{"registry":{"name":"n"}}]}`, 0, "without a key"},
		"version.exe": {simulated.Marker + ` {"changes":[{"file":{"path":"a","version":"1.2.3.4.5"}}]}`, 0, "four numbers"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c2.content), 0o600); err != nil {
			t.Fatal(err)
		}
		outcome, err := c.Run(context.Background(), install.Job{File: path})
		if c2.err == "" && (err != nil || outcome.Code != c2.code) || c2.err != "" && (err == nil || !strings.Contains(err.Error(), c2.err)) {
			t.Errorf("%s: %+v, %v, want %d %q", name, outcome, err, c2.code, c2.err)
		}
	}
	if _, err := c.Run(context.Background(), install.Job{File: filepath.Join(dir, "gone.exe")}); err == nil {
		t.Error("a file that is not there was run")
	}
}

func TestChangesByHand(t *testing.T) {
	c := simulated.New(machine())
	set := simulated.Change{Registry: &simulated.RegistryChange{Key: `SOFTWARE\X`, Name: "A", Text: "1"}}
	for _, change := range []simulated.Change{
		set,
		{Hotfix: "1234567"},
		{RemoveHotfix: "1234567"},
		{Product: &memory.Product{Code: "{A}"}},
		{RemoveProduct: "{A}"},
		{File: &simulated.FileChange{Path: `C:\a`, Size: 1}},
		{File: &simulated.FileChange{Path: `C:\a`, Delete: true}},
		{Registry: &simulated.RegistryChange{Key: `SOFTWARE\X`, Name: "A", Delete: true}},
	} {
		if err := c.Change(change); err != nil {
			t.Fatal(err)
		}
	}
	f := read(t, c)
	_, value, err := f.Registry.Value(rule.Native, `SOFTWARE\X`, "A")
	_, file, err2 := f.Files.Stat(-1, `C:\a`)
	_, product, err3 := f.Installer.Product("{A}")
	if value || file || product || len(f.Hotfixes.KBs) != 0 || err != nil || err2 != nil || err3 != nil {
		t.Fatalf("something stayed: %v %v %v %v", value, file, product, f.Hotfixes.KBs)
	}
	if err := c.Change(set, simulated.Change{Registry: &simulated.RegistryChange{Key: `SOFTWARE\X`, Delete: true}}); err != nil {
		t.Fatal(err)
	}
	if exists, err := read(t, c).Registry.Key(rule.Native, `SOFTWARE\X`); exists || err != nil {
		t.Fatalf("the key stayed: %v", err)
	}
}

func TestFilesThatAreNoComputers(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"cut": `{"facts":`, "wrong": `{"facts":{"registry":{"native":{"k":{"values":{"a":{"type":"REG_DWORD","data":"x"}}}}}}}`} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := simulated.Open(path); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
	if _, err := simulated.Open(filepath.Join(dir, "gone")); err == nil {
		t.Error("a file that is not there was opened")
	}
}
