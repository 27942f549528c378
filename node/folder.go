package node

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

	"thatch/node/identity"
)

// Names in the data folder.
const (
	DatabaseFile   = "site.db"         // the site's truth
	OwnFile        = "node.db"         // what is the node's own; lost, it is made anew
	QuorumFolder   = "quorum"          // the log of batches, and snapshots
	ContentDir     = "content"         // payloads by digest
	ContentFolder  = "content"         // payloads
	ScratchFolder  = "scratch"         // what does not fit into memory; emptied at every start
	SocketFile     = "admin.sock"      // the local door (not on Windows)
	SocketPathFile = "admin.sock.path" // where the socket is, when its path would be too long
	DoorFile       = "admin.json"      // the local door where there are no sockets: address and secret
	lockName       = "node.lock"
	idName         = "node.id"
)

// ErrLocked says that another node runs on the data folder.
var ErrLocked = errors.New("another node runs on this data folder")

// folder is a data folder that belongs to this process.
type folder struct {
	dir  string
	lock *os.File
	id   string // of the node; made at the first start
}

// MakeFolder makes a data folder that is its owner's alone, unless there is one.
func MakeFolder(dir string) error {
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

func openFolder(dir string) (*folder, error) {
	if err := MakeFolder(dir); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data folder: %w", err)
	}
	f := &folder{dir: dir, lock: lock}
	if err := f.take(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if f.id, err = f.nodeID(); err == nil {
		err = f.scratch()
	}
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// scratch makes the scratch folder, and drops what a node that was killed left in it.
func (f *folder) scratch() error {
	path := f.path(ScratchFolder)
	err := os.RemoveAll(path)
	if err == nil {
		err = os.Mkdir(path, 0o700)
	}
	if err != nil {
		return fmt.Errorf("empty the scratch folder: %w", err)
	}
	return nil
}

func (f *folder) take() error {
	taken, err := lockFile(f.lock)
	if err != nil {
		return fmt.Errorf("lock the data folder %s: %w", f.dir, err)
	}
	if !taken {
		pid, _ := os.ReadFile(f.lock.Name())
		return fmt.Errorf("%s: %w (process %s); stop it, or give this one another --data", f.dir, ErrLocked,
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

func (f *folder) nodeID() (string, error) {
	path := f.path(idName)
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
	if err := identity.WriteSecret(path, []byte(id)); err != nil {
		return "", fmt.Errorf("keep the node's id: %w", err)
	}
	return id, nil
}

// private makes sure that a file is its owner's alone before anything is written to it: the folder may have been made by
// somebody who lets others read it. SQLite gives the files beside a database the mode of the database.
func (f *folder) private(name string) error {
	file, err := os.OpenFile(f.path(name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open %s: %w", f.path(name), err)
	}
	if runtime.GOOS == "windows" { // there the folder's own list of who may does it
		return file.Close()
	}
	return errors.Join(file.Chmod(0o600), file.Close())
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f *folder) close() error { return f.lock.Close() }
