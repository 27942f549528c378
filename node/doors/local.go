package doors

import (
	"encoding/json"
	"fmt"
	"net"
	"os"

	"thatch/node/folder"
)

// Local is the way in for whoever may read the data folder. Close it.
type Local struct {
	Listener net.Listener // nil when the door is a file
	paths    []string     // removed at the end
}

// File is the content of folder.DoorFile: where the node answers, and a secret that lasts as long as the node runs. It is
// the local door of systems without sockets in folders.
type File struct {
	Address     string `json:"address"`     // HOST:PORT of the TLS listener
	Token       string `json:"token"`       // bearer token of an administrator
	Fingerprint string `json:"fingerprint"` // of the site's authority
}

// openFile opens the local door that is a file. Path says where a name lies in the data folder.
func openFile(path func(name string) string, content func() (File, error)) (Local, error) {
	file, err := content()
	if err != nil {
		return Local{}, err
	}
	text, err := json.Marshal(file)
	if err != nil {
		return Local{}, fmt.Errorf("encode the local door: %w", err)
	}
	at := path(folder.DoorFile)
	if err := os.WriteFile(at, text, 0o600); err != nil {
		return Local{}, fmt.Errorf("open the local door: %w", err)
	}
	return Local{paths: []string{at}}, nil
}

// Close takes the door away.
func (l Local) Close() {
	for _, path := range l.paths {
		_ = os.RemoveAll(path) // left behind, it does no harm: it is good for nothing without the node
	}
}
