package policies

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"thatch/node"
	"thatch/node/policies/approval"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Event is one thing that was done with a policy.
type Event struct {
	Index  uint64    `json:"index"` // of the batch
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Did    string    `json:"did"` // create, change, enable, disable, pause, resume, revise
	Action string    `json:"action"`
	Detail string    `json:"detail,omitempty"` // what was asked for, as JSON
}

var eventColumns = []store.Column[*Event]{
	{Name: "at", Kind: store.Time, Value: func(e *Event) any { return rows.Stamp(e.At) }},
	{Name: "by", Value: func(e *Event) any { return e.By }, Search: true},
	{Name: "did", Value: func(e *Event) any { return e.Did }, Search: true},
	{Name: "action", Value: func(e *Event) any { return e.Action }, Search: true},
	{Name: "detail", Value: func(e *Event) any { return e.Detail }, Search: true},
}

// maxRenames bounds how many names of a policy are followed back.
const maxRenames = 20

// history reads what the audit log says of a policy. The log names policies as they were called, so it is followed back from
// the present name over each change of it, to where the policy was made.
func history(ctx context.Context, n *node.Node, id string, q store.Query) ([]*Event, int, error) {
	found, err := n.Policies.Show(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	events := []*Event{}
	name, before := found.Name, uint64(0)
	for range maxRenames {
		former, at, some, err := named(ctx, n, name, before)
		if err != nil {
			return nil, 0, err
		}
		events = append(events, some...)
		if former == "" {
			break
		}
		name, before = former, at
	}
	return store.Select(q, events, eventColumns)
}

// named reads what was done with the policy of a name before an index (0: any), newest first, back to where it was made or got
// that name; then former is what it was called before, and at where.
func named(ctx context.Context, n *node.Node, name string, before uint64) (former string, at uint64, events []*Event, err error) {
	entries, _, err := n.Identity.Audit(ctx, store.Query{Search: name})
	if err != nil {
		return "", 0, nil, err
	}
	for _, e := range entries {
		did, of, ok := strings.Cut(e.Action, " policy ")
		of = strings.TrimSuffix(strings.TrimSuffix(of, " for this site"), approval.AwaitsWords)
		if !ok || !slices.Contains(verbs, did) || before > 0 && e.Index >= before {
			continue
		}
		renamed := did == "change" && of != name && nameIn(e.Detail) == name
		if !strings.EqualFold(of, name) && !renamed {
			continue
		}
		events = append(events, &Event{Index: e.Index, At: e.At, By: e.Actor, Did: did, Action: e.Action, Detail: e.Detail})
		if renamed {
			return of, e.Index, events, nil
		}
		if did == "create" {
			break
		}
	}
	return "", 0, events, nil
}

var verbs = []string{"create", "change", "enable", "disable", "pause", "resume", "revise", "approve"}

// nameIn is the name that a change gave a policy.
func nameIn(detail string) string {
	var change struct {
		Name string `json:"name"`
	}
	if json.Unmarshal([]byte(detail), &change) != nil {
		return ""
	}
	return strings.TrimSpace(change.Name)
}
