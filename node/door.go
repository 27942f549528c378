package node

import (
	"encoding/json"
	"fmt"
	"net"
	"os"

	"thatch/node/folder"

	"thatch/node/identity"
)

// door is the way in for whoever may read the data folder.
type door struct {
	listener net.Listener // nil when the door is a file
	paths    []string     // removed at the end
}

// FileDoor is the content of folder.DoorFile: where the node answers, and a secret that lasts as long as the node runs. It is
// the local door of systems without sockets in folders.
type FileDoor struct {
	Address     string `json:"address"`     // HOST:PORT of the TLS listener
	Token       string `json:"token"`       // bearer token of an administrator
	Fingerprint string `json:"fingerprint"` // of the site's authority
}

func (n *Node) openFileDoor(address string) (door, error) {
	token, err := n.Identity.LocalToken()
	if err != nil {
		return door{}, err
	}
	text, err := json.Marshal(FileDoor{address, token, identity.Fingerprint(n.Identity.Authority())})
	if err != nil {
		return door{}, fmt.Errorf("encode the local door: %w", err)
	}
	path := n.folder.Path(folder.DoorFile)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return door{}, fmt.Errorf("open the local door: %w", err)
	}
	return door{paths: []string{path}}, nil
}

func (d door) close() {
	for _, path := range d.paths {
		_ = os.RemoveAll(path) // left behind, it does no harm: it is good for nothing without the node
	}
}
