package node

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

// StopQuorum ends the node's quorum, as a full disk does.
func (n *Node) StopQuorum() error { return n.quorum.Close() }
