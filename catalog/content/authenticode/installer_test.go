package authenticode_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unicode/utf16"

	"github.com/sassoftware/relic/v7/lib/comdoc"

	"thatch/catalog/content/authenticode"
	"thatch/catalog/content/authenticode/authenticodetest"
)

// withStreams is the small installer package with further streams.
func withStreams(t *testing.T, names ...string) []byte {
	t.Helper()
	handle, err := os.CreateTemp("", "streams-*.msi") // not t.TempDir, whose removal fails under Wine
	if err != nil {
		t.Fatal(err)
	}
	path := handle.Name()
	t.Cleanup(func() { _ = os.Remove(path) })
	defer handle.Close()
	if _, err := handle.Write(fixture(t, "small.msi")); err != nil {
		t.Fatal(err)
	}
	file, err := comdoc.WriteFile(handle) // WritePath leaves it open, which Windows minds
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if err := file.AddFile(name, bytes.Repeat([]byte(name), 1+700*(i%2))); err != nil { // of either kind of sector
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Places in the folder's entry of a stream.
const (
	entryType  = 66
	entryLeft  = 68
	entryRight = 72
	entryChild = 76
	entryClass = 80
)

// at finds the folder's entry of a name.
func at(t *testing.T, content []byte, name string) []byte {
	t.Helper()
	var raw []byte
	for _, unit := range append(utf16.Encode([]rune(name)), 0) {
		raw = binary.LittleEndian.AppendUint16(raw, unit)
	}
	for i := 0; i+128 <= len(content); i += 128 {
		if bytes.HasPrefix(content[i:], raw) && int(content[i+64]) == len(raw) {
			return content[i : i+128]
		}
	}
	t.Fatalf("no entry %q", name)
	return nil
}

// withStorage puts a stream, which must be at an end of the folder's tree, into a storage that was a stream.
func withStorage(t *testing.T, content []byte, storage, stream string) {
	t.Helper()
	file, err := comdoc.ReadFile(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	index := -1
	for _, entry := range file.Files {
		if entry.Name() == stream && entry.LeftChild == -1 && entry.RightChild == -1 {
			index = entry.Index
		}
	}
	if index < 0 {
		t.Fatalf("%q is not at an end of the tree", stream)
	}
	for _, entry := range file.Files {
		if entry.Type != comdoc.DirStream {
			continue
		}
		for place, child := range map[int]int32{entryLeft: entry.LeftChild, entryRight: entry.RightChild} {
			if child == int32(index) {
				binary.LittleEndian.PutUint32(at(t, content, entry.Name())[place:], 1<<32-1)
			}
		}
	}
	entry := at(t, content, storage)
	entry[entryType] = byte(comdoc.DirStorage)
	binary.LittleEndian.PutUint32(entry[entryChild:], uint32(index))
	copy(entry[entryClass:], "its own class ..")
}

// leaf is one of the names whose entry is at an end of the folder's tree.
func leaf(t *testing.T, content []byte, not string) string {
	t.Helper()
	file, err := comdoc.ReadFile(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range file.Files {
		if name := entry.Name(); len(name) < 6 && name != not && name[0] == 'x' && entry.LeftChild == -1 && entry.RightChild == -1 {
			return name
		}
	}
	t.Fatal("no stream is at an end of the tree")
	return ""
}

// Names that begin alike, names that compare otherwise by bytes than by letters, and storages within storages are hashed
// in the vendor's order. What signs here, and osslsigncode beside it, are other hands than what verifies.
func TestInstallersOfManyStreams(t *testing.T) {
	names := []string{"x", "xa", "xab", "xaba", "xb", "x\u0101", "x\u0201", "x\u4840", "x\u4840a", "xz"}
	plain := withStreams(t, names...)
	nested := bytes.Clone(plain)
	inner := leaf(t, nested, "xab")
	withStorage(t, nested, "xab", inner)
	root := authenticodetest.Authority(t, "Root")
	vendor := authenticodetest.Signer(t, root, "Vendor")
	v := verifier(t, authenticode.Trust{Roots: root.PEM()})
	for what, content := range map[string][]byte{"streams": plain, "storage": nested} {
		signed := vendor.Sign(t, content)
		if err := verify(v, signed, "a.msi"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		for field, place := range map[string]int{"name": 0, "class": entryClass, "created": 100, "flags": 96} {
			if field == "class" && what == "streams" {
				continue // of a stream it means nothing
			}
			changed := bytes.Clone(signed)
			at(t, changed, "xab")[place] ^= 1
			if err := verify(v, changed, "a.msi"); !errors.Is(err, authenticode.ErrTampered) {
				t.Errorf("%s: with another %s: %v", what, field, err)
			}
		}
		changed := bytes.Clone(signed)
		changed[bytes.Index(changed, bytes.Repeat([]byte("xaba"), 3))] ^= 1
		if err := verify(v, changed, "a.msi"); !errors.Is(err, authenticode.ErrTampered) {
			t.Errorf("%s: with another content: %v", what, err)
		}
		byOsslsigncode(t, what, content)
	}
}

// byOsslsigncode has a package signed by another hand, with and without the extended digest.
func byOsslsigncode(t *testing.T, what string, content []byte) {
	t.Helper()
	for _, tool := range []string{"osslsigncode", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Logf("%s is not installed: signing by another hand was not tried", tool)
			return
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.msi"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(words ...string) {
		t.Helper()
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %v\n%s", what, words, err, out)
		}
	}
	run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2",
		"-subj", "/CN=Other hand", "-addext", "extendedKeyUsage=codeSigning")
	roots, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(t, authenticode.Trust{Roots: string(roots)})
	for i, extended := range [][]string{nil, {"-add-msi-dse"}} {
		out := fmt.Sprintf("signed-%d.msi", i)
		run(append([]string{"osslsigncode", "sign", "-h", "sha256", "-certs", "cert.pem", "-key", "key.pem", "-in", "a.msi", "-out", out}, extended...)...)
		if _, err := v.VerifyFile(filepath.Join(dir, out)); err != nil {
			t.Errorf("%s, signed by osslsigncode %v: %v", what, extended, err)
		}
	}
}
