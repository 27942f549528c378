// Package evaluation holds the route of /api/v1 that holds a recorded computer against the catalog.
package evaluation

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"thatch/catalog/evaluate"
	"thatch/catalog/rule/memory"
	"thatch/console/api"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/store"
)

// maxHost is the largest request that carries a recorded host, in bytes.
const maxHost = 6 << 20

// Evaluation asks to hold a recorded computer against the catalog.
type Evaluation struct {
	Host   json.RawMessage `json:"host"`             // facts, as catalog/rule/memory reads them
	Locale string          `json:"locale,omitempty"` // of the system, where its languages are not among the facts
	Notes  []string        `json:"notes,omitempty"`  // what was read with a doubt; passed on to the answer
	AsOf   string          `json:"as_of,omitempty"`  // yyyy-mm-dd: only what was published by that day is known
	All    bool            `json:"all,omitempty"`    // superseded updates too
}

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	return []api.Route{{
		Method: "POST", Path: "/evaluate", Scope: identity.Viewer, Limit: maxHost, Reach: api.Reach{Free: true},
		Summary: "What a recorded computer misses, and what cannot be told of it; nothing is changed",
		Do: api.Do(func(c *api.Call, in Evaluation) (evaluate.Result, error) {
			host, err := memory.Decode(in.Host)
			if err != nil {
				return evaluate.Result{}, store.Invalid("host: %v", err)
			}
			if host.System == nil {
				return evaluate.Result{}, store.Invalid("host: the facts say nothing of its operating system")
			}
			var asOf time.Time
			if in.AsOf != "" {
				if asOf, err = time.Parse(time.DateOnly, in.AsOf); err != nil {
					return evaluate.Result{}, store.Invalid("as_of %.40q is no day such as 2019-03-06", in.AsOf)
				}
			}
			result, err := n.Bulletins.Evaluate(c.Context(), host.Facts(), asOf, in.All)
			result.Host.Name = cmp.Or(result.Host.Name, host.Name)
			result.Host.Language = cmp.Or(result.Host.Language, in.Locale)
			result.Notes = slices.Concat(in.Notes, result.Notes)
			return result, err
		}),
	}}
}
