package main

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"thatch/agent/simulated"
	"thatch/agentapi"
	"thatch/agentapi/agentapitest"
	"thatch/ringtest"
)

// The real program is killed at random moments of its rounds, again and again. Whatever the moment, it goes on: the
// update ends up installed, the site and the computer agree, and no run is kept from the site.
func TestKillTheProgramInALoop(t *testing.T) {
	ringtest.Need(t, ringtest.Processes)
	program := filepath.Join(t.TempDir(), "thatch-agent")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	node := agentapitest.NewNode(t, time.Now)
	node.Settings.Attempts = 1000
	file, dir := computer(t), t.TempDir()
	flags := []string{"--data", dir, "--simulated", file}
	if _, errs, code := run(t, append(flags, "enrol", "--node", node.URL(), "--token", node.Token.String())...); code != exitOK {
		t.Fatal(errs)
	}
	order(t, node, installs("2"))
	reinstalled := 0
	for range 40 {
		cmd := exec.Command(program, append(flags, "once")...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// A round takes 30 to 60 ms. Killing later than that is a round that ends by itself.
		kill := time.AfterFunc(time.Duration(rand.IntN(70))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		ended := cmd.Wait()
		kill.Stop()
		hurry(t, dir)
		if c, err := simulated.Open(file); err != nil {
			t.Fatal(err)
		} else if ended == nil && len(c.Runs()) > reinstalled {
			reinstalled = len(c.Runs())
			set(t, c, "1") // by hand, so that there is something to do again
		}
	}
	// The last kill may have met the installer: a round finds that out, and the next one tries again.
	_, _, _ = run(t, append(flags, "once")...)
	hurry(t, dir)
	if out, errs, code := run(t, append(flags, "once")...); code != exitOK {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	c, err := simulated.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	view := node.View()
	if runs := len(c.Runs()); len(view.Attempts) < runs || runs == 0 {
		t.Errorf("%d runs, the site was told of %d", runs, len(view.Attempts))
	}
	if !view.Installed[1] || view.Applicable[1] || view.States[1].Status != agentapi.Installed {
		t.Errorf("the site sees %+v", view)
	}
	t.Logf("%d runs, %d attempts told, %d reports", len(c.Runs()), len(view.Attempts), view.Reports)
}

// hurry lets what waits for its next try be tried at once. A file that a kill left damaged fails the test.
func hurry(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "orders", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var progress map[string]any
		if err := json.Unmarshal(raw, &progress); err != nil {
			t.Fatalf("%s after a kill: %v: %q", file, err, raw)
		}
		progress["next"] = time.Time{}
		if raw, err = json.Marshal(progress); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
