package recovery_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thatch/node"
	"thatch/node/backup"
	"thatch/node/folder"
	"thatch/node/identity/sealed"
	"thatch/node/nodetest"
	"thatch/node/recovery"
)

func opened(dir string) error {
	n, err := node.New(context.Background(), node.Config{Dir: dir, Listen: "127.0.0.1:0", Passwords: nodetest.Cheap})
	if err != nil {
		return err
	}
	return n.Close()
}

func recovered(t *testing.T, dir string, key *sealed.Key) recovery.Result {
	t.Helper()
	r, err := recovery.Recover(t.Context(), recovery.Config{Dir: dir, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLostMajority leaves one node of three, which held all that was acknowledged.
func TestLostMajority(t *testing.T) {
	s := nodetest.NewSite(t, 3)
	survivor := s.Follower()
	lead := &site{Node: s.Leader()}
	lead.set(t, "a", "1")
	s.Equal()
	epoch, authority := lead.Site().Epoch, lead.Identity.Authority()
	for i := range 3 {
		s.Kill(i)
	}
	dir := s.Dir(survivor)
	if _, err := recovery.Recover(t.Context(), recovery.Config{Dir: filepath.Join(t.TempDir(), "none")}); err == nil || !strings.Contains(err.Error(), "holds no node") {
		t.Errorf("a folder that holds nothing: %v", err)
	}
	r := recovered(t, dir, nil)
	if r.Node != s.ID(survivor) || r.Lost != "" || r.Former == "" {
		t.Errorf("%+v", r)
	}
	n := begin(t, dir)
	if n.Site().Epoch == epoch || n.Site().Epoch != r.Epoch || n.setting(t, "a") != "1" || string(n.Identity.Authority()) != string(authority) {
		t.Errorf("%+v; want the same site in a new epoch", n.Site())
	}
	if left := text(t, n.Reader(), `SELECT group_concat(holder) FROM sealed_keys`); left != r.Node {
		t.Errorf("the site's keys are sealed to %s", left)
	}
	if out := text(t, n.Reader(), `SELECT count(*) FROM node WHERE removed = '' AND id <> ?`, r.Node); out != "0" {
		t.Errorf("%s former nodes are of the site", out)
	}
	if entry := text(t, n.Reader(), `SELECT action FROM audit WHERE action LIKE 'the site was made%'`); entry == "" {
		t.Error("the audit log says nothing")
	}
	n.set(t, "b", "1")
	if _, err := recovery.Recover(t.Context(), recovery.Config{Dir: dir}); !errors.Is(err, folder.ErrLocked) {
		t.Errorf("a node that runs: %v", err)
	}
	n.end(t)
	again := begin(t, dir)
	if again.setting(t, "b") != "1" {
		t.Error("what was written after is gone")
	}
}

func TestRecoverFromADamagedLog(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"gone":    func(dir string) error { return os.RemoveAll(filepath.Join(dir, "quorum")) },
		"garbage": func(dir string) error { return os.Truncate(filepath.Join(dir, "quorum", "log", "log.bolt"), 3000) },
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t, t.TempDir())
			s.set(t, "a", "1")
			s.end(t)
			if err := damage(s.dir); err != nil {
				t.Fatal(err)
			}
			if err := opened(s.dir); err == nil || name == "gone" && !strings.Contains(err.Error(), "thatch node recover") {
				t.Fatalf("it starts: %v", err)
			}
			r := recovered(t, s.dir, nil)
			if r.Lost == "" {
				t.Errorf("%+v; want what could not be read", r)
			}
			again := recovered(t, s.dir, nil) // as after a cut
			if again.Epoch == r.Epoch {
				t.Error("the same epoch")
			}
			back := begin(t, s.dir)
			if back.setting(t, "a") != "1" {
				t.Error("what was acknowledged is gone")
			}
			back.set(t, "b", "1")
		})
	}
}

// TestRecoverThatWasCut has the new log not come into its place.
func TestRecoverThatWasCut(t *testing.T) {
	s := begin(t, t.TempDir())
	s.set(t, "a", "1")
	s.end(t)
	recovered(t, s.dir, nil)
	if err := os.Rename(filepath.Join(s.dir, "quorum"), filepath.Join(s.dir, "quorum-anew")); err != nil {
		t.Fatal(err)
	}
	if err := opened(s.dir); err == nil || !strings.Contains(err.Error(), "thatch node recover") {
		t.Fatalf("it starts: %v", err)
	}
	recovered(t, s.dir, nil)
	if err := opened(s.dir); err != nil {
		t.Error(err)
	}
}

func TestRecoverWithTheRecoveryKey(t *testing.T) {
	s := begin(t, t.TempDir())
	key := s.recoveryKey(t)
	_, wrong, err := sealed.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	s.end(t)
	if err := os.Remove(filepath.Join(s.dir, sealed.NodeKeyFile)); err != nil {
		t.Fatal(err)
	}
	epoch := s.Site().Epoch
	if err := opened(s.dir); err == nil || !strings.Contains(err.Error(), "node.key is missing") {
		t.Fatalf("it starts: %v", err)
	}
	for want, given := range map[string]*sealed.Key{"--recovery-key": nil, "and this is key": wrong} {
		if _, err := recovery.Recover(t.Context(), recovery.Config{Dir: s.dir, Key: given}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if r := recovered(t, s.dir, key); r.Epoch == epoch {
		t.Error("the same epoch")
	}
	back := begin(t, s.dir)
	back.backUp(t, backup.Params{})
}
