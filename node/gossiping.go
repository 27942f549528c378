package node

import (
	"thatch/node/gossip"
	"thatch/node/gossip/keys"
)

// openGossip has the node hear from the others of its site which of them live.
func (n *Node) openGossip() {
	sisters := n.front.sisters
	self := sisters.Self()
	g := gossip.New(gossip.Config{
		ID: self.ID, Addresses: self.Addresses, Version: self.Version, Schema: self.Schema, Port: n.front.port,
		Member: sisters.Member, Sisters: sisters.Others, Changed: sisters.Changed, Log: n.cfg.Log,
	})
	sisters.Gossips(g)
	n.Gossip = &gossip.Follower{Gossip: g, Keys: keys.New(n.site.ID, n.db, n.writer, n.cfg.Now), Members: n.Members, Watch: n.db.Watch, Dir: n.cfg.Dir}
	n.WhileLeading("keys of gossip", n.Gossip.Lead)
}
