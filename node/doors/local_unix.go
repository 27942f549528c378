//go:build !windows

package doors

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"thatch/node/folder"
)

// maxSocketPath is what the systems we run on take as a socket's path, less the terminating zero.
const maxSocketPath = 103

// OpenLocal opens the way in for whoever may read the data folder: a Unix socket there. Where its path is too long for
// the system, the socket lies in a folder for temporary files, and a file in the data folder says where. In says where
// a name lies in the data folder.
func OpenLocal(in func(name string) string, _ func() (File, error)) (Local, error) {
	path := in(folder.SocketFile)
	d := Local{}
	if len(path) > maxSocketPath {
		short, err := os.MkdirTemp("", "thatch")
		if err != nil {
			return d, fmt.Errorf("make a folder for the local door: %w", err)
		}
		path = filepath.Join(short, folder.SocketFile)
		if err := os.WriteFile(in(folder.SocketPathFile), []byte(path), 0o600); err != nil {
			return d, fmt.Errorf("say where the local door is: %w", err)
		}
		d.paths = append(d.paths, in(folder.SocketPathFile), short)
	}
	// The folder is locked, so a socket found there is a dead node's.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d, fmt.Errorf("remove the local door of a former start: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return d, fmt.Errorf("open the local door: %w", err)
	}
	d.Listener = listener
	if err := os.Chmod(path, 0o660); err != nil {
		return d, errors.Join(fmt.Errorf("close the local door to others: %w", err), listener.Close())
	}
	return d, nil
}
