package links

import (
	"context"
	"encoding/json"

	"thatch/node"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication/wire"
)

// Ran is a run over a link with what came of it.
type Ran struct {
	sites.LinkRun
	Site      string         `json:"site"` // name of the neighbour
	Seconds   float64        `json:"seconds"`
	Documents int            `json:"documents"`
	Removed   int            `json:"removed"`
	Bytes     int64          `json:"bytes"`
	Refused   int            `json:"refused"`
	Repaired  int            `json:"repaired"`
	Outcome   string         `json:"verified"`               // equal, different, "" nothing was verified
	Verified  *wire.Verified `json:"verification,omitempty"` // with the digests of both sides
}

// ran reads the result of a run. One that failed early has none.
func ran(run sites.LinkRun, names map[string]string) Ran {
	r := Ran{LinkRun: run, Site: names[run.Neighbour], Seconds: run.Ended.Sub(run.Started).Seconds()}
	if r.Site == "" {
		r.Site = run.Neighbour // it left
	}
	var result wire.RunResult
	if json.Unmarshal(run.Result, &result) != nil {
		return r
	}
	r.Documents, r.Removed, r.Bytes, r.Refused = result.Documents, result.Removed, result.Bytes, result.RefusedCount()
	if r.Verified = result.Verified; r.Verified != nil {
		r.Repaired = r.Verified.Repaired
		r.Outcome = "different"
		if r.Verified.Equal {
			r.Outcome = "equal"
		}
	}
	return r
}

// runs is a page of the history of links.
func runs(n *node.Node) func(ctx context.Context, q store.Query) ([]Ran, int, error) {
	return func(ctx context.Context, q store.Query) ([]Ran, int, error) {
		list, total, err := n.Sites.Runs(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		tree, err := n.Sites.Tree(ctx)
		if err != nil {
			return nil, 0, err
		}
		children, _, err := n.Sites.Children(ctx, store.Query{})
		if err != nil {
			return nil, 0, err
		}
		names := map[string]string{}
		for _, run := range list {
			if tree.Sites[run.Neighbour].Name != "" {
				names[run.Neighbour] = tree.Name(run.Neighbour)
			}
		}
		for i := range children {
			names[children[i].ID] = children[i].Name // as it is called here
		}
		all := make([]Ran, len(list))
		for i, run := range list {
			all[i] = ran(run, names)
		}
		return all, total, nil
	}
}

// oneRun is a run by its id.
func oneRun(ctx context.Context, n *node.Node, id string) (Ran, error) {
	list, _, err := runs(n)(ctx, store.Query{Filter: map[string]string{"id": id}, Limit: 1})
	if err == nil && len(list) == 0 {
		err = store.NotFound("run over a link", id)
	}
	if err != nil {
		return Ran{}, err
	}
	return list[0], nil
}
