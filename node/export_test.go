package node

import (
	"context"

	"thatch/node/bulletins/staging"
	"thatch/node/doors"
)

// FileDoor is what the local door says on systems without sockets in folders.
func (n *Node) FileDoor() (doors.File, error) { return n.fileDoor() }

// FirstCheck has nodes begin to check what they hold as soon as they run, until it is called.
func FirstCheck() (restore func()) {
	former := firstCheck
	firstCheck = 0
	return func() { firstCheck = former }
}

// Downloads are the settings of one run of downloads.
func (n *Node) Downloads(ctx context.Context) (staging.Settings, error) { return n.downloads(ctx) }

// StopQuorum ends the node's quorum, as a full disk does.
func (n *Node) StopQuorum() error { return n.quorum.Close() }
