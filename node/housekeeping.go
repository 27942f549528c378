package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"thatch/node/bulletins/staging/past"
	"thatch/node/computers"
	"thatch/node/identity"
	"thatch/node/members"
	"thatch/node/replicas/marks"
	"thatch/node/settings"
	"thatch/node/sites"
	"thatch/node/sites/alarms"
	"thatch/node/sites/history"
	"thatch/node/sites/invites"
	"thatch/node/store"
	"thatch/node/store/sweep"
	"thatch/node/tasks"
)

// housekeeping renews the node's certificate well before its end and forgets what is old.
func (n *Node) housekeeping() tasks.Kind {
	return tasks.Kind{
		Name: "housekeeping", Text: "Renew the node's certificate when a third of its life is left; forget what is older than the settings keep.* say",
		Tasks: []tasks.Task{{Name: "housekeeping", Schedule: "17 3 * * *", Enabled: true}},
		Do: func(ctx context.Context, job *tasks.Job) (any, error) {
			if err := n.renew(ctx, job.Log); err != nil {
				return nil, err
			}
			removed, err := n.forget(ctx, func(text string) { job.Progress(tasks.Progress{Text: text}) })
			for _, table := range slices.Sorted(maps.Keys(removed)) {
				job.Log("%d rows of table %s were removed", removed[table], table)
			}
			if err != nil {
				return removed, err
			}
			freed, err := n.db.Shrink(ctx)
			if freed > 0 {
				job.Log("%d bytes of the database were given back", freed)
			}
			if err != nil {
				return removed, err
			}
			return removed, n.prunePayloads(ctx, job.Log)
		},
	}
}

// renew renews this node's certificate where a third of its life is left. One without a vote asks another for it.
func (n *Node) renew(ctx context.Context, say func(format string, args ...any)) error {
	cert := n.Identity.NodeCertificate()
	if left := cert.NotAfter.Sub(n.cfg.Now()); left >= cert.NotAfter.Sub(cert.NotBefore)/3 {
		return nil
	}
	err := n.Identity.RenewNode()
	if errors.Is(err, identity.ErrKeyless) {
		err = n.front.sisters.Renew(ctx, n.cfg.names(n.site.ID))
	}
	if err != nil {
		return err
	}
	say("the node has a new certificate")
	return nil
}

// prunePayloads removes from this node's disk what nobody needs.
func (n *Node) prunePayloads(ctx context.Context, say func(format string, args ...any)) error {
	before, err := n.ago(ctx, settings.KeepPayloadsDays)
	if err != nil {
		return err
	}
	pruned, err := n.Staging.Prune(ctx, n.Content, before)
	if pruned.Payloads > 0 {
		say("%d payloads (%d bytes) that nobody needs were removed", pruned.Payloads, pruned.Bytes)
	}
	return err
}

// ownEvery is how often a node looks after what is its own alone; the leader does so with the site's housekeeping too.
const (
	ownEvery   = time.Hour
	pruneEvery = 24 * time.Hour
)

// keepOwn looks after this node's certificate and its payloads, whoever leads.
func (n *Node) keepOwn(ctx context.Context) error {
	say := func(format string, args ...any) { n.cfg.Log.Info(fmt.Sprintf(format, args...)) }
	pruned := n.cfg.Now()
	for more := true; more; more = pause(ctx, ownEvery) {
		err := n.renew(ctx, say)
		if now := n.cfg.Now(); now.Sub(pruned) >= pruneEvery && err == nil {
			pruned, err = now, n.prunePayloads(ctx, say)
		}
		if err != nil && ctx.Err() == nil {
			n.cfg.Log.Error("the node's own housekeeping failed; it is tried again in an hour", "error", err)
		}
	}
	return nil
}

// ago is as many days before now as a setting says.
func (n *Node) ago(ctx context.Context, days settings.Setting[int]) (time.Time, error) {
	set, err := n.Settings.All(ctx)
	return n.daysAgo(days.In(set)), err
}

func (n *Node) daysAgo(days int) time.Time { return n.cfg.Now().AddDate(0, 0, -days) }

// forget removes what the site keeps no longer, a few rows at a time, and says how many of which table. Cut short, it goes on
// the next time.
func (n *Node) forget(ctx context.Context, say func(text string)) (map[string]int, error) {
	set, err := n.Settings.All(ctx)
	if err != nil {
		return nil, err
	}
	ago := func(days settings.Setting[int]) time.Time { return n.daysAgo(days.In(set)) }
	sweeper := sweep.New(n.db, n.writer)
	for _, part := range []struct {
		text string
		do   func() error
	}{
		{"audit log, tokens, certificates", func() error {
			return n.Identity.Prune(ctx, sweeper, identity.Keep{
				Audit: ago(settings.KeepAuditDays), Entries: settings.KeepAuditEntries.In(set), Tokens: ago(settings.KeepTokensDays),
			})
		}},
		{"node tokens", func() error { return sweeper.Sweep(ctx, members.Old(ago(settings.KeepTokensDays)), members.Topic) }},
		{"sessions", func() error { return n.Operators.Prune(ctx, sweeper) }},
		{"runs", func() error {
			return n.Tasks.Prune(ctx, sweeper, tasks.Keep{Since: ago(settings.KeepRunsDays), Runs: settings.KeepRuns.In(set)})
		}},
		{"links, alarms", func() error {
			return errors.Join(
				sweeper.Sweep(ctx, history.Old(ago(settings.KeepLinksDays)), sites.TopicLink),
				sweeper.Sweep(ctx, alarms.Old(ago(settings.KeepAlarmsDays)), sites.Topic),
				sweeper.Sweep(ctx, invites.Old(ago(settings.KeepTokensDays)), sites.Topic),
			)
		}},
		{"computers", func() error {
			return n.Computers.Prune(ctx, sweeper, computers.Keep{
				Attempts: ago(settings.KeepAttemptsDays), Delivery: ago(settings.KeepDeliveryDays), Retired: ago(settings.KeepRetiredDays),
			})
		}},
		{"failures of staging", func() error { return sweeper.Sweep(ctx, past.Failures()) }},
		{"payloads of removed nodes", func() error { return sweeper.Sweep(ctx, past.Holdings(), store.TopicDocuments) }},
		{"journal", func() error {
			keeper := marks.Keeper{Reader: n.db, Writer: n.writer, Now: n.cfg.Now}
			return keeper.Shorten(ctx, sweeper, marks.Keep{Since: ago(settings.KeepJournalDays), Entries: settings.KeepJournalEntries.In(set)})
		}},
		{"documents", func() error { return sweeper.Revisions(ctx) }},
	} {
		say(part.text)
		if err := part.do(); err != nil {
			return sweeper.Removed, err
		}
	}
	return sweeper.Removed, nil
}
