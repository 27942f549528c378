package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"thatch/agent/winetest"
)

// TestNodeUnderWine runs a node as a Windows service: found through the file in its data folder, kept from a second
// node, switched off the hard way.
func TestNodeUnderWine(t *testing.T) {
	c := winetest.New(t, winetest.Options{})
	program := winetest.Build(t, "cmd/thatch")
	const dir = `C:\ProgramData\Thatch`
	if _, code, text := c.Run(program, "site", "show"); code != 5 || !strings.Contains(text, "thatch node run --data "+dir) {
		t.Errorf("without a node: %d %s", code, text)
	}
	c.Must(program, "service", "install", "--site", "Berlin", "--languages", "en,de", "--listen", "127.0.0.1:0")
	if out, _, _ := c.Run(program, "service", "install"); strings.Contains(out, "running") {
		t.Errorf("installed twice: %s", out)
	}
	c.Must(program, "service", "start")
	answers := func() map[string]any {
		t.Helper()
		text := ""
		for until := time.Now().Add(time.Minute); time.Now().Before(until); {
			out, code, errs := c.Run(program, "site", "show", "--json")
			if text = errs; code == 0 {
				var site map[string]any
				if err := json.Unmarshal([]byte(out), &site); err != nil {
					t.Fatal(err)
				}
				return site
			}
		}
		log, _ := os.ReadFile(c.Path(dir + `\node.log`))
		t.Fatalf("the node does not answer: %s\nits log: %s", text, log)
		return nil
	}
	first := answers()
	if first["site"] != "Berlin" {
		t.Errorf("%v", first)
	}
	if _, code, text := c.Run(program, "node", "run", "--listen", "127.0.0.1:0"); code != 1 || !strings.Contains(text, "another node") {
		t.Errorf("a second node: %d %s", code, text)
	}
	c.Must(program, "settings", "set", "agents.attempts", "7")
	c.Off()
	// The next program boots the computer, and that starts the service.
	if again := answers(); again["site_id"] != first["site_id"] {
		t.Errorf("after the power was cut: %v, before: %v", again, first)
	}
	if out := c.Must(program, "settings", "get", "agents.attempts"); !strings.Contains(out, "7") {
		t.Errorf("what was acknowledged is gone: %s", out)
	}
	c.Must(program, "service", "stop")
	if out := c.Must(program, "service", "status"); !strings.Contains(out, "stopped") {
		t.Errorf("after the stop: %s", out)
	}
	c.Must(program, "service", "uninstall")
}
