// Package folder keeps files that survive a power cut at any moment, in a folder that only its owner reads.
package folder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrLocked says that another process works in the folder.
var ErrLocked = errors.New("another agent works in this folder")

// Folder reads and writes files. A file is written beside, synced and renamed: after a power cut it is the former or
// the new one, and whole.
type Folder struct {
	Dir  string
	Step func(string) // called between the steps of a write; tests end the process there
}

func (f Folder) Path(name string) string { return filepath.Join(f.Dir, name) }

// Read decodes a JSON file; one that does not exist leaves the value as it is.
func (f Folder) Read(name string, value any) error {
	raw, err := os.ReadFile(f.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", f.Path(name), err)
	}
	if err := json.Unmarshal(raw, value); err != nil {
		return fmt.Errorf("read %s: %w", f.Path(name), err)
	}
	return nil
}

// Write makes the file hold a value, whole or not at all.
func (f Folder) Write(name string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return f.WriteBytes(name, raw)
}

func (f Folder) WriteBytes(name string, raw []byte) error {
	path := f.Path(name)
	fail := func(err error) error { return fmt.Errorf("write %s: %w", path, err) }
	f.Step("write " + name)
	draft, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fail(err)
	}
	_, err = draft.Write(raw)
	if err == nil {
		f.Step("written " + name)
		err = draft.Sync()
	}
	if err := errors.Join(err, draft.Close()); err != nil {
		return fail(err)
	}
	f.Step("synced " + name)
	if err := replaceFile(path+".new", path); err != nil {
		return fail(err)
	}
	f.Step("renamed " + name)
	return nil
}

// RemoveAll removes a folder of files, which has no folders in it. os.RemoveAll is not asked: it opens folders in a way
// that not every Windows file system has.
func (f Folder) RemoveAll(name string) error {
	entries, err := os.ReadDir(f.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("empty %s: %w", f.Path(name), err)
	}
	var failed []error
	for _, entry := range entries {
		failed = append(failed, os.Remove(filepath.Join(f.Path(name), entry.Name())))
	}
	failed = append(failed, os.Remove(f.Path(name)))
	return errors.Join(failed...)
}
