package node

// OpenFileDoor opens the local door of systems without sockets in folders, wherever the test runs.
func (n *Node) OpenFileDoor(address string) (closeDoor func(), err error) {
	d, err := n.openFileDoor(address)
	return d.close, err
}

// StopQuorum ends the node's quorum, as a full disk does.
func (n *Node) StopQuorum() error { return n.quorum.Close() }
