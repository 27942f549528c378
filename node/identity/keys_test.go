package identity_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thatch/node/identity"
	"thatch/node/identity/identitytest"
	"thatch/node/identity/sealed"
	"thatch/node/store"
)

// siteKeys opens what is sealed to a holder, as any program could that has the key: two PEM blocks.
func (f fixture) siteKeys(t *testing.T, holder string, key *sealed.Key) (blocks [2][]byte) {
	t.Helper()
	text, err := key.Open(sealed.For("thatch: the site's keys, 1", "site-1", holder), f.sealed(t, holder))
	if err != nil {
		t.Fatal(err)
	}
	for i := range blocks {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			t.Fatal("want two keys")
		}
		blocks[i] = pem.EncodeToMemory(block)
	}
	return blocks
}

func (f fixture) sealed(t *testing.T, holder string) (box []byte) {
	t.Helper()
	err := f.db.View(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT sealed FROM sealed_keys WHERE holder = ?`, holder).Scan(&box)
	})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatal(err)
	}
	return box
}

func (f fixture) path(name string) string { return filepath.Join(f.dir, name) }

func (f fixture) nodeKey(t *testing.T) *sealed.Key {
	t.Helper()
	key, err := sealed.NodeKey(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// putFiles writes the key files of earlier versions.
func (f fixture) putFiles(t *testing.T) {
	t.Helper()
	blocks := f.siteKeys(t, "node-1", f.nodeKey(t))
	for i, name := range []string{"authority.key", "signing.key"} {
		if err := os.WriteFile(f.path(name), blocks[i], 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// former makes the folder one of an earlier version, with its keys in files and nothing sealed.
func (f fixture) former(t *testing.T) {
	t.Helper()
	f.putFiles(t)
	f.write(t, identity.DropSealed("node-1"))
	if err := os.Remove(f.path(sealed.NodeKeyFile)); err != nil {
		t.Fatal(err)
	}
}

func (f fixture) reopen() (*identity.Identity, error) {
	return identity.Open(context.Background(), identitytest.Config(f.dir, f.db, f.clock.Now))
}

// same holds an identity against the one that the fixture began with.
func (f fixture) same(t *testing.T, again *identity.Identity) {
	t.Helper()
	if !bytes.Equal(again.Authority(), f.Authority()) {
		t.Error("another authority")
	}
	box, err := f.Seal("p", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Unseal("p", box); err != nil || string(got) != "secret" {
		t.Errorf("what was sealed before: %q, %v", got, err)
	}
	_, csr := identitytest.Key(t)
	if _, err := again.Issue(csr, "c1"); err != nil {
		t.Error(err)
	}
}

func (f fixture) files(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
		if info, err := e.Info(); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
			t.Errorf("%s may be read by others: %v, %v", e.Name(), info.Mode(), err)
		}
	}
	return names
}

func (f fixture) wantFiles(t *testing.T, want ...string) {
	t.Helper()
	if got := f.files(t); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
}

func TestSealedKeysShowNowhere(t *testing.T) {
	f := open(t)
	f.wantFiles(t, sealed.NodeKeyFile)
	again, err := f.reopen()
	if err != nil {
		t.Fatal(err)
	}
	f.same(t, again)

	path := filepath.Join(t.TempDir(), "copy")
	if _, err := f.db.Snapshot(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	plain, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{"PEM": []byte("PRIVATE KEY")}
	for _, block := range f.siteKeys(t, "node-1", f.nodeKey(t)) {
		decoded, _ := pem.Decode(block)
		key, err := x509.ParsePKCS8PrivateKey(decoded.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		switch key := key.(type) {
		case *ecdsa.PrivateKey:
			if secrets["authority"], err = key.Bytes(); err != nil {
				t.Fatal(err)
			}
		case ed25519.PrivateKey:
			secrets["signing"] = key.Seed()
		}
	}
	if len(secrets) != 3 {
		t.Fatalf("%d secrets", len(secrets))
	}
	for name, secret := range secrets {
		if bytes.Contains(plain, secret) {
			t.Errorf("a copy of the database shows: %s", name)
		}
	}
	if !bytes.Contains(plain, f.sealed(t, "node-1")[:200]) {
		t.Error("a copy of the database lacks what is sealed; is it read at all?")
	}
}

func TestKeyFilesMoveIn(t *testing.T) {
	t.Run("at the first start", func(t *testing.T) {
		f := open(t)
		f.former(t)
		again, err := f.reopen()
		if err != nil {
			t.Fatal(err)
		}
		f.same(t, again)
		f.wantFiles(t, sealed.NodeKeyFile)
	})
	t.Run("after a crash before it was on record", func(t *testing.T) {
		f := open(t)
		f.former(t)
		f.nodeKey(t)
		again, err := f.reopen()
		if err != nil {
			t.Fatal(err)
		}
		f.same(t, again)
		f.wantFiles(t, sealed.NodeKeyFile)
	})
	t.Run("after a crash before the files were removed", func(t *testing.T) {
		f := open(t)
		f.putFiles(t)
		if err := os.Remove(f.path("authority.key")); err != nil { // one was
			t.Fatal(err)
		}
		again, err := f.reopen()
		if err != nil {
			t.Fatal(err)
		}
		f.same(t, again)
		if _, err := f.reopen(); err != nil {
			t.Error(err)
		}
	})
	t.Run("not while nothing can be written", func(t *testing.T) {
		f := open(t)
		f.former(t)
		cfg := identitytest.Config(f.dir, f.db, f.clock.Now)
		cfg.Writer = &switched{off: true}
		if _, err := identity.Open(t.Context(), cfg); !errors.Is(err, errRefused) {
			t.Fatal(err)
		}
		f.wantFiles(t, "authority.key", sealed.NodeKeyFile, "signing.key")
		again, err := f.reopen()
		if err != nil {
			t.Fatal(err)
		}
		f.same(t, again)
	})
}

var errRefused = errors.New("refused")

func TestFormerKeyFilesThatAreNotGood(t *testing.T) {
	stranger := open(t)
	stranger.putFiles(t)
	taken := func(name string) func(f fixture) error {
		return func(f fixture) error {
			text, err := os.ReadFile(stranger.path(name))
			return errors.Join(err, os.WriteFile(f.path(name), text, 0o600))
		}
	}
	for want, do := range map[string]func(f fixture) error{
		"authority.key is missing":      func(f fixture) error { return os.Remove(f.path("authority.key")) },
		"signing.key is missing":        func(f fixture) error { return os.Remove(f.path("signing.key")) },
		"no PEM block":                  func(f fixture) error { return os.WriteFile(f.path("signing.key"), []byte("x"), 0o600) },
		"does not belong":               taken("authority.key"),
		"not the one that its document": taken("signing.key"),
		"authority.key holds a key of another kind": func(f fixture) error {
			text, err := os.ReadFile(f.path("signing.key"))
			return errors.Join(err, os.WriteFile(f.path("authority.key"), text, 0o600))
		},
	} {
		f := open(t)
		f.former(t)
		if err := do(f); err != nil {
			t.Fatal(err)
		}
		before := strings.Join(f.files(t), " ")
		_, err := f.reopen()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "put the file") {
			t.Errorf("%s: %v", want, err)
		}
		f.wantFiles(t, strings.Fields(before)...)
		if f.sealed(t, "node-1") != nil {
			t.Errorf("%s: sealed all the same", want)
		}
	}
}

func TestNodeKeyThatIsNotGood(t *testing.T) {
	stranger := open(t)
	for want, do := range map[string]func(f fixture) error{
		"is missing":   func(f fixture) error { return os.Remove(f.path(sealed.NodeKeyFile)) },
		"no PEM block": func(f fixture) error { return os.Truncate(f.path(sealed.NodeKeyFile), 10) },
		"and this is key " + sealed.Name(stranger.nodeKey(t).Public()): func(f fixture) error {
			text, err := os.ReadFile(stranger.path(sealed.NodeKeyFile))
			return errors.Join(err, os.WriteFile(f.path(sealed.NodeKeyFile), text, 0o600))
		},
	} {
		f := open(t)
		if err := do(f); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(f.path(sealed.NodeKeyFile))
		_, err := f.reopen()
		for _, part := range []string{want, f.path(sealed.NodeKeyFile), "put the file back", "join it anew", "thatch restore"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("got %v, want %q", err, part)
			}
		}
		if after, _ := os.ReadFile(f.path(sealed.NodeKeyFile)); !bytes.Equal(before, after) {
			t.Errorf("%s: the file was made anew", want)
		}
	}
}

// second is the configuration of another node of the site, and that node's key.
func (f fixture) second(t *testing.T) (identity.Config, *sealed.Key) {
	t.Helper()
	cfg := identitytest.Config(t.TempDir(), f.db, f.clock.Now)
	cfg.Node = "node-2"
	key, err := sealed.NodeKey(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, key
}

func TestSealedToAnotherNode(t *testing.T) {
	f := open(t)
	cfg, key := f.second(t)
	if _, err := identity.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "not sealed to this node (node-2)") {
		t.Fatalf("a node that nothing is sealed to opens: %v", err)
	}
	seal, err := f.SealTo("node-2", key.Public())
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, seal)
	two, err := identity.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.same(t, two)

	renamed := cfg
	renamed.Node = "node-3"
	f.write(t, store.Statement{SQL: `UPDATE sealed_keys SET holder = 'node-3' WHERE holder = 'node-2'`, Want: 1})
	if _, err := identity.Open(t.Context(), renamed); !errors.Is(err, sealed.ErrOther) {
		t.Errorf("what was sealed to one node opens as another's: %v", err)
	}
	f.write(t, identity.DropSealed("node-3"))
	if _, err := identity.Open(t.Context(), cfg); err == nil {
		t.Error("a node whose sealed keys were dropped opens")
	}

	for name, public := range map[string][]byte{"short": key.Public()[:31], "zero": make([]byte, 32), "none": nil} {
		if _, err := f.SealTo("node-2", public); err == nil {
			t.Errorf("sealed to a key that is %s", name)
		}
	}
	if _, err := f.SealTo(sealed.Recovery, key.Public()); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a node is called recovery: %v", err)
	}
}

func TestKeylessNode(t *testing.T) {
	f := open(t)
	cfg, key := f.second(t)
	cfg.Keyless = true
	two, err := identity.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if two.HoldsKeys() || !bytes.Equal(two.Authority(), f.Authority()) {
		t.Error("want the authority's certificate and no keys")
	}
	good := f.issue(t, "c1")
	if _, err := two.Peer(t.Context(), identitytest.Connected(t, good.DER, f.Authority())); err != nil {
		t.Error(err)
	}
	_, csr := identitytest.Key(t)
	_, issue := two.Issue(csr, "c2")
	_, vouch := two.Vouch("p", nil)
	_, seal := two.Seal("p", []byte("x"))
	_, sealTo := two.SealTo("node-3", key.Public())
	for name, err := range map[string]error{
		"issue": issue, "vouch": vouch, "seal": seal, "seal to": sealTo, "renew": two.RenewNode(), "change": two.ChangeNodeKey(t.Context(), nothing),
	} {
		if !errors.Is(err, identity.ErrKeyless) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := two.Reload(t.Context()); err != nil || two.HoldsKeys() {
		t.Errorf("nothing was sealed to it yet: %v", err)
	}
	given, err := f.SealTo("node-2", key.Public())
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, given)
	if err := two.Reload(t.Context()); err != nil || !two.HoldsKeys() {
		t.Fatal(err)
	}
	f.same(t, two)
}

func TestChangeNodeKey(t *testing.T) {
	f := open(t)
	former := f.nodeKey(t)
	if err := f.ChangeNodeKey(t.Context(), nothing); err != nil {
		t.Fatal(err)
	}
	f.wantFiles(t, sealed.NodeKeyFile)
	again, err := f.reopen()
	if err != nil {
		t.Fatal(err)
	}
	f.same(t, again)
	if bytes.Equal(f.nodeKey(t).Public(), former.Public()) {
		t.Error("the key is the former one")
	}
	if _, err := former.Open(sealed.For("thatch: the site's keys, 1", "site-1", "node-1"), f.sealed(t, "node-1")); err == nil {
		t.Error("the former key opens what is sealed now")
	}
}

func TestChangeNodeKeyThatWasCut(t *testing.T) {
	next := sealed.NodeKeyFile + ".next"
	for name, cut := range map[string]func(f fixture) error{
		"before it was on record": func(f fixture) error {
			failing := &switched{Writer: f.db}
			cfg := identitytest.Config(f.dir, f.db, f.clock.Now)
			cfg.Writer = failing
			id, err := identity.Open(context.Background(), cfg)
			if err != nil {
				return err
			}
			failing.off = true
			if err := id.ChangeNodeKey(context.Background(), nothing); !errors.Is(err, errRefused) {
				return err
			}
			return nil
		},
		"while the new one was written": func(f fixture) error { return os.WriteFile(f.path(next), []byte("-----BEG"), 0o600) },
		"before the new one was in place": func(f fixture) error {
			former, err := os.ReadFile(f.path(sealed.NodeKeyFile))
			if err != nil {
				return err
			}
			if err := f.ChangeNodeKey(context.Background(), nothing); err != nil {
				return err
			}
			return errors.Join(os.Rename(f.path(sealed.NodeKeyFile), f.path(next)), os.WriteFile(f.path(sealed.NodeKeyFile), former, 0o600))
		},
	} {
		f := open(t)
		if err := cut(f); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(f.path(next)); err != nil {
			t.Fatalf("%s: nothing was cut: %v", name, err)
		}
		again, err := f.reopen()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		f.same(t, again)
		f.wantFiles(t, sealed.NodeKeyFile)
	}
}

// switched refuses batches once it is off.
type switched struct {
	store.Writer
	off bool
}

func (s *switched) Write(ctx context.Context, b store.Batch) (store.Applied, error) {
	if s.off {
		return store.Applied{}, errRefused
	}
	return s.Writer.Write(ctx, b)
}

// nothing is what else is to be on record of a key.
func nothing([]byte) store.Statement { return store.Statement{SQL: `UPDATE site SET name = name`} }
