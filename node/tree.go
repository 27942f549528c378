package node

import (
	"context"

	"thatch/node/computers"
	"thatch/node/replicas"
	"thatch/node/settings"
	"thatch/node/sites"
)

func (n *Node) openSites() {
	n.Sites = sites.New(sites.Config{
		Site: n.site.ID, Version: n.cfg.Version, Authority: n.Identity.Authority(), Reader: n.db, Writer: n.writer, Signer: n.Identity,
		Now: n.cfg.Now, Log: n.cfg.Log,
		Forget: replicas.Forgotten,
	})
	n.Identity.Trust(n.Sites)
}

// StandardSchedules are the site's two schedules of replication by the names under which rules refer to them.
func (n *Node) StandardSchedules(ctx context.Context) (map[string]string, error) {
	values, err := n.Settings.All(ctx)
	return map[string]string{
		sites.StandardDifferential: settings.DifferentialSchedule.In(values),
		sites.StandardComplete:     settings.CompleteSchedule.In(values),
	}, err
}

// followSites has the site tell of itself, and judges its alarms, whenever what they follow from changed.
func (n *Node) followSites(ctx context.Context) error {
	tree := n.db.Watch(sites.Topic, sites.TopicLink, topicSite, topicLanguages)
	defer tree.Close()
	members := n.db.Watch(computers.Topic)
	defer members.Close()
	return n.Sites.Follow(ctx, tree.C, members.C)
}

// Topics of batches that change the site itself.
const (
	topicSite      = "site"
	topicLanguages = "languages"
)
