package e2e_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"thatch/ringtest"
)

// TestDemoEndsCompliant runs the whole demo as a person would.
func TestDemoEndsCompliant(t *testing.T) {
	ringtest.Need(t, ringtest.Processes)
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program(t, "thatch"), "demo", "--once").CombinedOutput()
	if err != nil {
		t.Fatalf("thatch demo --once: %v\n%s", err, out)
	}
	for _, want := range []string{"refused", "LONDON-SRV", "Every child equals its parent.", "Every computer is compliant."} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the demo does not tell of %q:\n%s", want, out)
		}
	}
}
