package node

// openDoor opens the way in for whoever may read the data folder: a file, as there are no sockets in folders here.
func (n *Node) openDoor(address string) (door, error) { return n.openFileDoor(address) }
