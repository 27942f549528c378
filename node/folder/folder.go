// Package folder keeps the data folder of a node: its lock, the node's id, and the names of what lies in it.
package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"thatch/node/identity/sealed"
)

// Names in the data folder.
const (
	DatabaseFile   = "site.db"         // the site's truth
	OwnFile        = "node.db"         // what is the node's own; lost, it is made anew
	QuorumFolder   = "quorum"          // the log of batches, and snapshots
	ContentFolder  = "content"         // payloads by digest
	UploadsFolder  = "uploads"         // vendor files that operators sent, until they are imported
	ScratchFolder  = "scratch"         // what does not fit into memory; emptied at every start
	SocketFile     = "admin.sock"      // the local door (not on Windows)
	SocketPathFile = "admin.sock.path" // where the socket is, when its path would be too long
	DoorFile       = "admin.json"      // the local door where there are no sockets: address and secret
	lockName       = "node.lock"
	idName         = "node.id"
)

// ErrLocked says that another node runs on the data folder.
var ErrLocked = errors.New("another node runs on this data folder")

// Folder is a data folder that belongs to this process.
type Folder struct {
	Dir  string
	ID   string // of the node; made at the first start
	lock *os.File
}

// Make makes a data folder that is its owner's alone, unless there is one.
func Make(dir string) error {
	_, err := os.Stat(dir)
	made := errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if !made {
		return nil
	}
	if err := own(dir); err != nil {
		return fmt.Errorf("keep the data folder %s from others: %w", dir, err)
	}
	return nil
}

// Open locks a data folder, which is made where there is none. Close it. A restore into it that was cut after everything
// was there is brought to its end; one that was cut before is refused.
func Open(dir string) (*Folder, error) {
	f, err := Lock(dir)
	if err != nil {
		return nil, err
	}
	if err = f.Settle(); err == nil {
		f.ID, err = f.nodeID()
	}
	if err == nil {
		err = f.scratch()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Lock locks a data folder, which is made where there is none, and puts nothing else into it. Close it.
func Lock(dir string) (*Folder, error) {
	if err := Make(dir); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data folder: %w", err)
	}
	f := &Folder{Dir: dir, lock: lock}
	if err := f.take(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return f, nil
}

// scratch makes the scratch folder, and drops what a node that was killed left in it.
func (f *Folder) scratch() error {
	path := f.Path(ScratchFolder)
	err := os.RemoveAll(path)
	if err == nil {
		err = os.Mkdir(path, 0o700)
	}
	if err != nil {
		return fmt.Errorf("empty the scratch folder: %w", err)
	}
	return nil
}

func (f *Folder) take() error {
	taken, err := lockFile(f.lock)
	if err != nil {
		return fmt.Errorf("lock the data folder %s: %w", f.Dir, err)
	}
	if !taken {
		pid, _ := os.ReadFile(f.lock.Name())
		return fmt.Errorf("%s: %w (process %s); stop it, or give this one another --data", f.Dir, ErrLocked,
			strings.TrimSpace(string(pid)))
	}
	text := strconv.Itoa(os.Getpid()) + "\n"
	if err := errors.Join(f.lock.Truncate(0), writeAt(f.lock, text)); err != nil {
		return fmt.Errorf("write %s: %w", f.lock.Name(), err)
	}
	return nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

func (f *Folder) nodeID() (string, error) {
	path := f.Path(idName)
	text, err := os.ReadFile(path)
	if err == nil {
		if id, err := uuid.ParseBytes(text); err == nil {
			return id.String(), nil
		}
		return "", fmt.Errorf("%s does not hold a node's id", path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the node's id: %w", err)
	}
	id := uuid.NewString()
	if err := sealed.WriteSecret(path, []byte(id)); err != nil {
		return "", fmt.Errorf("keep the node's id: %w", err)
	}
	return id, nil
}

// Private makes sure that a file is its owner's alone before anything is written to it: the folder may have been made by
// somebody who lets others read it. SQLite gives the files beside a database the mode of the database.
func (f *Folder) Private(name string) error {
	file, err := os.OpenFile(f.Path(name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open %s: %w", f.Path(name), err)
	}
	if runtime.GOOS == "windows" { // there the folder's own list of who may does it
		return file.Close()
	}
	return errors.Join(file.Chmod(0o600), file.Close())
}

// Path is that of something in the folder.
func (f *Folder) Path(name string) string { return filepath.Join(f.Dir, name) }

// Close lets go of the folder.
func (f *Folder) Close() error { return f.lock.Close() }
