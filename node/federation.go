package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/computers"
	"thatch/node/identity"
	"thatch/node/past"
	"thatch/node/policies/above"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/rollups"
	"thatch/node/sites"
	"thatch/node/sites/alarms"
	"thatch/node/store"
	"thatch/node/store/local"
)

// openFederation opens what a site needs to stand in a tree of sites.
func (n *Node) openFederation(_ context.Context) error {
	n.Replicas = replicas.New(replicas.Config{Site: n.site.ID, Reader: n.db, Writer: n.writer, Now: n.cfg.Now, Log: n.cfg.Log})
	for _, kind := range []document.Kind{
		document.Bulletin, document.Update, document.Package, document.Payload, document.Severity, document.Assignment,
	} {
		n.Replicas.Register(kind, n.Bulletins)
	}
	n.RollUps = rollups.New(rollups.Config{
		Site: n.site.ID, Version: n.cfg.Version, Reader: n.db, Writer: n.writer, Signer: n.Identity, Computers: n.Computers,
		Compliance: n.Compliance, Catalog: n.Bulletins.Catalog(), Sites: n.Sites, Settings: n.Settings, Nodes: n.members, Retire: n.retireMoved, Now: n.cfg.Now, Log: n.cfg.Log,
	})
	n.Past = past.New(past.Config{
		Created: n.site.Created, Reader: n.db, Writer: n.writer, Compliance: n.Compliance, RollUps: n.RollUps, Policies: n.Policies, Settings: n.Settings,
		Now: n.cfg.Now, Log: n.cfg.Log,
	})
	for _, kind := range []document.Kind{document.Policy, document.PolicyState, document.Window} {
		n.Replicas.Register(kind, above.Hook{Now: n.cfg.Now})
	}
	n.Sender = dataset.NewSender(dataset.Config{Reader: n.db, Writer: n.writer, Now: n.cfg.Now, Barrier: n.quorum.Barrier})
	return nil
}

// members are the nodes of the site, as far as they are known here, and whether this one leads.
func (n *Node) members() (nodes []federation.Node, leading bool) {
	status := n.quorum.Status()
	for _, voter := range status.Voters {
		member := federation.Node{ID: voter.ID, Leads: voter.ID == status.Leader}
		if voter.ID == status.ID {
			member.Version = n.cfg.Version
		}
		nodes = append(nodes, member)
	}
	return nodes, n.leads()
}

func (n *Node) leads() bool {
	leading, _, _ := n.quorum.Leading()
	return leading
}

// memberIDs are the ids of the nodes of the site.
func (n *Node) memberIDs() []string {
	status := n.quorum.Status()
	ids := make([]string, 0, len(status.Voters))
	for _, voter := range status.Voters {
		ids = append(ids, voter.ID)
	}
	return ids
}

func (n *Node) retireMoved(ctx context.Context, computer, why string) error {
	const actor = "task roll-ups"
	now := n.cfg.Now()
	return n.Computers.Retire(ctx, actor, computer, 0, identity.RevokeComputer(computer, why, now), identity.AuditEntry(now, actor, "retire computer "+computer+": "+why))
}

// tellRollUps has the site tell those above how it fares.
func (n *Node) tellRollUps(ctx context.Context) error {
	watch := n.db.Watch(computers.Topic, store.TopicDocuments, alarms.Topic, topicSettings)
	defer watch.Close()
	return n.RollUps.Run(ctx, watch.C)
}

// inheritAgain is how long after a failure it is looked again whether there is something to inherit.
const inheritAgain = time.Hour

// inherit makes the site's own what former parents left of the catalog, where it has no parent: as soon as it left, and
// once when this node takes the lead.
func (n *Node) inherit(ctx context.Context) error {
	watch := n.db.Watch(sites.Topic)
	defer watch.Close()
	again := time.NewTicker(inheritAgain)
	defer again.Stop()
	for done := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-watch.C:
		case <-again.C:
		}
		heir, err := n.heir(ctx)
		done = done && heir
		if heir && !done && err == nil {
			var taken, left int
			taken, left, err = n.Replicas.Inherit(ctx, n.Identity.Sign)
			done = err == nil
			if taken+left > 0 {
				n.cfg.Log.Info("what former parents left of the catalog is this site's own", "documents", taken, "damaged", left)
			}
		}
		if err != nil && ctx.Err() == nil {
			n.cfg.Log.Error("what former parents left could not be made this site's own; it is tried again", "error", err)
		}
	}
}

// heir says whether this is a site at the top that knows keys of sites which are not below it: those were above it once.
func (n *Node) heir(ctx context.Context) (bool, error) {
	tree, err := n.Sites.Tree(ctx)
	if err != nil || tree.Parent(tree.Self) != "" {
		return false, err
	}
	keys, err := n.Identity.Keys(ctx)
	if err != nil {
		return false, err
	}
	below := tree.Below(tree.Self)
	return slices.ContainsFunc(keys, func(key document.Document) bool {
		return key.ID != tree.Self && !slices.Contains(below, key.ID)
	}), nil
}

// Own is the node's own file.
func (n *Node) Own() *local.Local { return n.own }

// Watch tells of batches of some topics, see store.DB.
func (n *Node) Watch(topics ...string) *store.Watch { return n.db.Watch(topics...) }

// followLanguages brings what came from above up to the managed languages whenever those change, and at the start: a
// change may have been cut.
func (n *Node) followLanguages(ctx context.Context, below func(context.Context) ([]string, error)) error {
	watch := n.db.Watch("languages")
	defer watch.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-watch.C:
		}
		sites, err := below(ctx)
		if err == nil {
			var removed int
			removed, err = n.Replicas.LanguagesChanged(ctx, sites)
			if removed > 0 {
				n.cfg.Log.Info("documents of languages that are not managed any more were removed", "documents", removed)
			}
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("bring documents up to the managed languages: %w", err)
		}
	}
}

// LeaderURL is where the node of the site is reached that leads: https://HOST:PORT, "" where none is known.
func (n *Node) LeaderURL(context.Context) string {
	status := n.quorum.Status()
	if status.Leader == "" {
		return ""
	}
	for _, address := range n.front.sisters.Addresses(status.Leader) {
		return "https://" + address
	}
	return ""
}

// urlsOfEach is how many addresses of each node others are told.
const urlsOfEach = 3

// URLs are where the nodes of the site are reached: https://HOST:PORT, the best of each node first.
func (n *Node) URLs(ctx context.Context) ([]string, error) {
	nodes, err := n.Members.Nodes(ctx)
	var urls []string
	for at := range urlsOfEach {
		for i := range nodes {
			if at < len(nodes[i].Addresses) {
				urls = append(urls, "https://"+nodes[i].Addresses[at])
			}
		}
	}
	return urls, err
}
