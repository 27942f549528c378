package facts_test

import (
	"runtime"
	"testing"

	"thatch/agent/facts"
	"thatch/agent/facts/factstest"
)

func TestConformance(t *testing.T) {
	if runtime.GOOS != "windows" && runtime.GOOS != "linux" {
		t.Skipf("skipped: facts of %s are not read", runtime.GOOS)
	}
	factstest.Conform(t, facts.Local())
}
