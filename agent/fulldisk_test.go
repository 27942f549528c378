//go:build linux

package agent

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"thatch/agentapi"
	"thatch/ringtest"
)

func mount(t *testing.T, words ...string) {
	t.Helper()
	if out, err := exec.Command("mount", words...).CombinedOutput(); err != nil {
		t.Fatalf("mount %q: %v\n%s", words, err, out)
	}
}

// A full disk stops a download with a plain word, and nothing else; with room again it goes on.
func TestFullDisk(t *testing.T) {
	ringtest.Need(t, ringtest.FullDisk)
	s, id := orderedSite(t, "set app=2\n"+strings.Repeat("# a line that takes room\n", 100_000))
	s.stop()
	small := t.TempDir()
	mount(t, "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", small)
	t.Cleanup(func() { _ = exec.Command("umount", small).Run() })
	if out, err := exec.Command("cp", "-a", s.dir+"/.", small).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.dir = small
	s.start()
	s.round()
	s.expect(id, agentapi.Retry, "disk")
	s.ran()
	mount(t, "-o", "remount,size=50m", small)
	s.clock.advance(time.Hour)
	s.round()
	s.expect(id, agentapi.Installed, "")
	s.stop()
}
