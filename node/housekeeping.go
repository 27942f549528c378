package node

import (
	"context"
	"time"

	"thatch/node/tasks"
)

// keepHistory is how long the audit log and the history of runs are kept.
const keepHistory = 400 * 24 * time.Hour

// keepPayloads is how long a payload stays after it was last asked for, when it is neither staged nor pinned.
const keepPayloads = 30 * 24 * time.Hour

// housekeeping renews the node's certificate well before its end and forgets what is old.
func (n *Node) housekeeping() tasks.Kind {
	return tasks.Kind{
		Name: "housekeeping", Text: "Renew the node's certificate when a third of its life is left; forget what is old",
		Tasks: []tasks.Task{{Name: "housekeeping", Schedule: "17 3 * * *", Enabled: true}},
		Do: func(ctx context.Context, job *tasks.Job) (any, error) {
			cert := n.Identity.NodeCertificate()
			if left := cert.NotAfter.Sub(n.cfg.Now()); left < cert.NotAfter.Sub(cert.NotBefore)/3 {
				if err := n.Identity.RenewNode(); err != nil {
					return nil, err
				}
				job.Log("the node has a new certificate")
			}
			before := n.cfg.Now().Add(-keepHistory)
			if err := n.Identity.Prune(ctx, before); err != nil {
				return nil, err
			}
			if err := n.Operators.Prune(ctx); err != nil {
				return nil, err
			}
			if err := n.Tasks.Prune(ctx, before); err != nil {
				return nil, err
			}
			pruned, err := n.Staging.Prune(ctx, n.Content, n.cfg.Now().Add(-keepPayloads))
			if pruned.Payloads > 0 {
				job.Log("%d payloads (%d bytes) that nobody needs were removed", pruned.Payloads, pruned.Bytes)
			}
			return nil, err
		},
	}
}
