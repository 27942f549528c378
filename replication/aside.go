package replication

import (
	"context"
	"fmt"
	"slices"

	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/replication/wire"
)

// tellAside lists in the run's result what is in quarantine after it, and has people know while there is something.
func (r *run) tellAside(ctx context.Context) {
	from := replicas.Neighbour{ID: r.parent.ID, Direction: dataset.Down}
	aside, err := r.node.Replicas.QuarantineOf(ctx, from, r.params.Type)
	if err != nil {
		r.log.Error("what is in quarantine cannot be read", "type", r.params.Type, "error", err)
		return
	}
	r.result.Omit(wire.ListAside, len(aside)-maxAside)
	for _, q := range aside[:min(len(aside), maxAside)] {
		r.result.Aside = append(r.result.Aside, q.Key)
	}
	subject, now := from.ID+" "+string(r.params.Type), r.now()
	aside = slices.DeleteFunc(aside, func(q replicas.Quarantined) bool { return !q.Alarming(now) })
	if len(aside) == 0 {
		err = r.node.Sites.Clear(ctx, sites.Quarantine, subject)
	} else {
		err = r.node.Sites.Raise(ctx, sites.Alarm{
			Kind: sites.Quarantine, Subject: subject,
			Text: fmt.Sprintf("%d documents of %s from the parent %s were not accepted and are in quarantine, the first %s %q: %s (%s)",
				len(aside), r.params.Type, r.parent.Name, aside[0].Kind, aside[0].ID, aside[0].Detail, aside[0].Reason),
			Advice: "what was held before stays in force; see: thatch replication quarantine list",
		})
	}
	if err != nil {
		r.log.Error("the alarm about what is in quarantine cannot be kept", "type", r.params.Type, "error", err)
	}
}
