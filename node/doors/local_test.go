package doors

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thatch/node/folder"
)

// in says where names lie in a folder.
func in(dir string) func(string) string {
	return func(name string) string { return filepath.Join(dir, name) }
}

func TestTheFileIsTheOwnersAloneAndGoes(t *testing.T) {
	dir := t.TempDir()
	want := File{Address: "127.0.0.1:1234", Token: "secret", Fingerprint: "00"}
	d, err := openFile(in(dir), func() (File, error) { return want, nil })
	if err != nil || d.Listener != nil {
		t.Fatalf("%+v, %v", d, err)
	}
	path := filepath.Join(dir, folder.DoorFile)
	text, err := os.ReadFile(path)
	var got File
	if err != nil || json.Unmarshal(text, &got) != nil || got != want {
		t.Errorf("%s, %v", text, err)
	}
	if info, err := os.Stat(path); err != nil || os.PathSeparator == '/' && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	d.Close()
	if _, err := os.Stat(path); err == nil {
		t.Error("the door stays behind")
	}
}

func TestADoorThatCannotBeOpened(t *testing.T) {
	broken := errors.New("no token")
	if _, err := openFile(in(t.TempDir()), func() (File, error) { return File{}, broken }); !errors.Is(err, broken) {
		t.Errorf("without a token: %v", err)
	}
	nowhere := filepath.Join(t.TempDir(), "nothing")
	if _, err := OpenLocal(in(nowhere), func() (File, error) { return File{}, nil }); err == nil || !strings.Contains(err.Error(), "local door") {
		t.Errorf("without a folder: %v", err)
	}
}
