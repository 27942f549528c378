package main

import (
	"encoding/json"
	"strings"
	"testing"

	"thatch/console/api"
	"thatch/node/policies/windows"
)

func decoded[T any](t *testing.T, text string) T {
	t.Helper()
	var value T
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return value
}

// TestOrdersOverTheCommandLine makes, shows, changes and deletes through the real program, unhappy paths among them.
func TestOrdersOverTheCommandLine(t *testing.T) {
	dir := t.TempDir()
	startNode(t, dir)
	run := func(code int, says string, args ...string) string {
		t.Helper()
		stdout, stderr, got := thatch(t, append(args, "--data", dir)...)
		if got != code || !strings.Contains(stdout+stderr, says) {
			t.Errorf("thatch %s: exit code %d, said %s%s; want %d and %q", strings.Join(args, " "), got, stdout, stderr, code, says)
		}
		return stdout
	}
	run(2, "required flag", "windows", "create", "--name", "night")
	run(2, "whole minutes", "windows", "create", "--name", "night", "--repeat", "daily", "--start", "22:00", "--for", "90s")
	run(2, "zone", "windows", "create", "--name", "night", "--repeat", "daily", "--start", "22:00", "--for", "4h", "--zone", "Mars/Olympus")
	run(0, "made: night, daily at 22:00", "windows", "create", "--name", "night", "--repeat", "daily", "--start", "22:00", "--for", "4h", "--type", "server")
	list := decoded[api.List[windows.Row]](t, run(0, "", "windows", "list", "--json"))
	if list.Total != 1 || list.Items[0].Minutes != 240 || list.Items[0].Target == nil || list.Items[0].Target.ProductTypes[0] != "server" {
		t.Errorf("windows %+v", list)
	}
	run(0, "changed: night, monday, friday at 23:00", "windows", "change", "night", "--repeat", "weekly", "--weekdays", "Monday,friday", "--start", "23:00")
	run(4, "changed it meanwhile", "windows", "change", "night", "--start", "21:00", "--version", list.Items[0].Version)
	run(0, "23:00", "windows", "show", "night")
	run(4, `there is a window called "night" already`, "windows", "create", "--name", "Night", "--repeat", "daily", "--start", "22:00", "--for", "4h")
	// A change leaves the last date as it is, and a window without a gap never closes.
	run(0, "changed: ", "windows", "change", "night", "--until", "2099-01-01")
	run(0, "changed: ", "windows", "change", "night", "--repeat", "daily", "--start", "22:00", "--for", "25h")
	endless := decoded[api.List[windows.Row]](t, run(0, "", "windows", "list", "--filter", "open=yes", "--json"))
	if endless.Total != 1 || !endless.Items[0].IsOpen || endless.Items[0].Closes != nil || endless.Items[0].Until != "2099-01-01" {
		t.Errorf("windows %+v", endless)
	}
	run(2, "does not open again", "windows", "change", "night", "--until", "2020-01-01")
	run(0, "deleted", "windows", "delete", "night")
	run(3, "not found", "windows", "delete", "night")
	run(0, "none", "windows", "list")

	run(2, "required flag", "policies", "create", "--name", "p")
	run(3, "KB1", "policies", "create", "--name", "p", "--bulletin", "KB1")
	run(2, "UPDATE=ARGUMENTS", "policies", "create", "--name", "p", "--bulletin", "KB1", "--command", "nothing")
	run(3, "not found", "policies", "pause", "February")
	run(3, "not found", "policies", "delete", "February")
	run(0, "none", "policies", "list")
	run(2, "no column", "policies", "list", "--sort", "colour")

	run(3, "not found", "computers", "show", "pc-17")
	run(3, "not found", "computers", "retire", "pc-17")
	for _, report := range []string{"bulletins", "updates", "cves", "months", "computers"} {
		if answer := decoded[api.List[map[string]any]](t, run(0, "", "compliance", report, "--all", "--json")); answer.Total != 0 || answer.Items == nil {
			t.Errorf("%s of an empty site: %+v", report, answer)
		}
	}
	if answer := decoded[api.List[map[string]any]](t, run(0, "", "computers", "list", "--with-retired", "--json")); answer.Total != 0 {
		t.Errorf("computers of an empty site: %+v", answer)
	}
	run(3, "not found", "compliance", "update", "17")
}
