package node

import (
	"context"
	"net/http"

	"thatch/node/bulletins/staging"
	"thatch/node/copies"
	"thatch/node/disk"
	"thatch/node/members"
	"thatch/node/settings"
)

func (n *Node) openCopies() {
	n.Copies = copies.New(copies.Config{
		Node: n.folder.ID, Reader: n.db, Writer: n.writer, Content: n.Content, Sisters: n.front.sisters,
		Copies: func(ctx context.Context) (int, error) {
			values, err := n.Settings.All(ctx)
			return settings.Copies.In(values), err
		},
		Known: n.Staging.Known, Match: n.Staging.Reconcile,
		Free: func() (int64, error) {
			space, err := disk.Of(n.cfg.Dir)
			return space.Free, err
		},
		Now: n.cfg.Now, Log: n.cfg.Log,
	})
}

// keepCopies keeps this node's payloads.
func (n *Node) keepCopies(ctx context.Context) error {
	watch := n.db.Watch(staging.Topic, members.Topic, topicSettings, "languages")
	defer watch.Close()
	return n.Copies.Run(ctx, watch.C)
}

// sendPayload gives a payload to another node of the site.
func (n *Node) sendPayload(w http.ResponseWriter, r *http.Request, sum string) error {
	return n.Copies.Send(w, r, sum)
}
