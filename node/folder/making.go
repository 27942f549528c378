package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"thatch/node/identity/sealed"
	"thatch/node/store/sqlite"
)

// A folder that is restored is made in a folder within it. What that one is called says whether all is there: its change of name
// is the one moment in which the site comes to be.
const (
	makingName = "restoring"
	madeName   = "restored"
)

// ErrCut says that a restore into the folder was cut before all was there.
var ErrCut = errors.New("a restore into this folder was cut")

// Begin empties the place in which the files of a folder are made. The folder must hold nothing else.
func (f *Folder) Begin() (making string, err error) {
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return "", err
	}
	other := ""
	for _, e := range entries {
		switch e.Name() {
		case lockName, makingName, "lost+found":
		case DatabaseFile, QuorumFolder, madeName:
			return "", fmt.Errorf("%s holds a site: a backup is restored into an empty folder", f.Dir)
		default:
			other = e.Name()
		}
	}
	if other != "" {
		return "", fmt.Errorf("%s is not empty (%s): a backup is restored into an empty folder", f.Dir, other)
	}
	making = f.Path(makingName)
	if err := errors.Join(os.RemoveAll(making), os.Mkdir(making, 0o700)); err != nil {
		return "", fmt.Errorf("make %s: %w", making, err)
	}
	return making, nil
}

// Name gives a folder that is being made its node's id.
func Name(making, id string) error {
	return sealed.WriteSecret(filepath.Join(making, idName), []byte(id))
}

// Commit says that all files of the folder are made, and moves them to their places. Once its first step is durable, Settle
// does the rest wherever it is cut.
func (f *Folder) Commit() error {
	making := f.Path(makingName)
	err := sqlite.SyncFolder(making)
	if err == nil {
		err = os.Rename(making, f.Path(madeName))
	}
	if err == nil {
		err = sqlite.SyncFolder(f.Dir)
	}
	if err != nil {
		return fmt.Errorf("keep what was restored: %w", err)
	}
	return f.Settle()
}

// Settle moves the files of a folder that was made to their places, where a crash came before. The error wraps ErrCut
// when it came while they were made.
func (f *Folder) Settle() error {
	if _, err := os.Stat(f.Path(makingName)); err == nil {
		return fmt.Errorf("%s: %w: run thatch restore again, or empty the folder", f.Dir, ErrCut)
	}
	made := f.Path(madeName)
	entries, err := os.ReadDir(made)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what was restored: %w", err)
	}
	// The id comes last: without it no node would start on the rest.
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return last(a.Name()) - last(b.Name()) })
	for _, e := range entries {
		if err := os.Rename(filepath.Join(made, e.Name()), f.Path(e.Name())); err != nil {
			return fmt.Errorf("put what was restored in its place: %w", err)
		}
	}
	if err := errors.Join(sqlite.SyncFolder(f.Dir), os.Remove(made)); err != nil {
		return fmt.Errorf("put what was restored in its place: %w", err)
	}
	return nil
}

func last(name string) int {
	if name == idName {
		return 1
	}
	return 0
}
