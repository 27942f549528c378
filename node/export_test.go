package node

import (
	"context"

	"thatch/node/bulletins/staging"
)

// OpenFileDoor opens the local door of systems without sockets in folders, wherever the test runs.
func (n *Node) OpenFileDoor(address string) (closeDoor func(), err error) {
	d, err := n.openFileDoor(address)
	return d.close, err
}

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
