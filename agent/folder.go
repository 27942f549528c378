package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Names in the agent's folder.
const (
	identityFile    = "identity.json"
	memoryFile      = "state.json"
	assignmentsFile = "assignments.json"
	rulesFile       = "rules.log"
	ordersFolder    = "orders"
	runFolder       = "run"
	outcomeFile     = "outcome.json"
)

// folder reads and writes the agent's files. A file is written beside, synced and renamed: after a power cut it is the
// former or the new one, and whole.
type folder struct {
	dir  string
	step func(string)
}

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

// read decodes a JSON file; one that does not exist leaves the value as it is.
func (f folder) read(name string, value any) error {
	raw, err := os.ReadFile(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", f.path(name), err)
	}
	if err := json.Unmarshal(raw, value); err != nil {
		return fmt.Errorf("read %s: %w", f.path(name), err)
	}
	return nil
}

// write makes the file hold a value, whole or not at all.
func (f folder) write(name string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return f.writeBytes(name, raw)
}

func (f folder) writeBytes(name string, raw []byte) error {
	path := f.path(name)
	fail := func(err error) error { return fmt.Errorf("write %s: %w", path, err) }
	f.step("write " + name)
	draft, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fail(err)
	}
	_, err = draft.Write(raw)
	if err == nil {
		f.step("written " + name)
		err = draft.Sync()
	}
	if err := errors.Join(err, draft.Close()); err != nil {
		return fail(err)
	}
	f.step("synced " + name)
	if err := replaceFile(path+".new", path); err != nil {
		return fail(err)
	}
	f.step("renamed " + name)
	return nil
}

// removeAll removes a folder of files, which has no folders in it. os.RemoveAll is not asked: it opens folders in a way
// that not every Windows file system has.
func (f folder) removeAll(name string) error {
	entries, err := os.ReadDir(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("empty %s: %w", f.path(name), err)
	}
	var failed []error
	for _, entry := range entries {
		failed = append(failed, os.Remove(filepath.Join(f.path(name), entry.Name())))
	}
	failed = append(failed, os.Remove(f.path(name)))
	return errors.Join(failed...)
}
