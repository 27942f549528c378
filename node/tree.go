package node

import (
	"context"
	"fmt"

	"thatch/node/bulletins/intake"
	"thatch/node/bulletins/staging"
	"thatch/node/computers"
	"thatch/node/replicas"
	"thatch/node/settings"
	"thatch/node/sites"
)

func (n *Node) openSites() {
	n.Sites = sites.New(sites.Config{
		Site: n.site.ID, Version: n.cfg.Version, Authority: n.Identity.Authority(), Reader: n.db, Writer: n.writer, Signer: n.Identity,
		Now: n.cfg.Now, Log: n.cfg.Log,
		Forget: replicas.Forgotten, ForgetKey: replicas.ForgetKey, Left: intake.Anew, Also: n.alsoAlarms,
	})
	n.Identity.Trust(n.Sites)
}

// quarantineAlarms tell of documents that were not accepted, by neighbour and type.
func (n *Node) quarantineAlarms(ctx context.Context) ([]sites.Alarm, error) {
	list, err := n.Replicas.Quarantine(ctx)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	var found []sites.Alarm
	for i := range list {
		q := &list[i]
		if !q.Alarming(n.cfg.Now()) {
			continue
		}
		subject := q.Neighbour + " " + string(q.Type)
		if counts[subject]++; counts[subject] > 1 {
			continue
		}
		found = append(found, sites.Alarm{
			Kind: sites.Quarantine, Subject: subject,
			Text:   fmt.Sprintf("documents of type %s were not accepted, first %s %s: %s (%s)", q.Type, q.Kind, q.ID, q.Reason, q.Detail),
			Advice: "thatch replication quarantine list; each is tried again when it changes, or on request",
		})
	}
	return found, nil
}

// alsoAlarms are those that follow from what other rooms hold.
func (n *Node) alsoAlarms(ctx context.Context) ([]sites.Alarm, error) {
	found, err := n.quarantineAlarms(ctx)
	if err != nil {
		return nil, err
	}
	count, first, err := staging.Mistrusted(ctx, n.db, n.site.ID)
	if err == nil && count > 0 {
		found = append(found, sites.Alarm{
			Kind: sites.Untrusted,
			Text: fmt.Sprintf("payloads of %d packages that the sites above took are refused here, because this site does not trust who signed them; the first is %s: %s",
				count, first.Package, first.Detail),
			Advice: "compare what both sites trust (thatch settings list: staging.trusted, staging.roots), set it here, and stage again: thatch packages list has them all",
		})
	}
	if err != nil {
		return nil, err
	}
	standing, err := n.Backups.Standing(ctx)
	if t := standing.Trouble; err == nil && t != nil {
		found = append(found, sites.Alarm{Kind: sites.Backup, Text: t.Text, Advice: t.Advice})
	}
	return found, err
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
	topicSettings  = "settings"
)
