package reports

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"thatch/catalog"
	"thatch/console/api"
	"thatch/node"
	"thatch/node/bulletins/live"
	"thatch/node/computers/delivery"
	"thatch/node/identity"
	"thatch/node/policies"
	"thatch/node/store"
)

// PolicyDelivery is what became of a policy: where it stands now, and the attempts of the last days.
type PolicyDelivery struct {
	ID     string `json:"id"`
	Policy string `json:"policy"` // its id where it is no more
	State  string `json:"state"`  // "" it is no more
	policies.Progress
	Attempts
}

// UpdateDelivery is the attempts of the last days to install one update.
type UpdateDelivery struct {
	ID       string           `json:"id"`     // "" it is no more
	Update   string           `json:"update"` // its number where it is no more
	Bulletin string           `json:"bulletin"`
	Product  string           `json:"product"`
	Severity catalog.Severity `json:"severity"`
	Attempts
}

// Attempts are those of the last days.
type Attempts struct {
	Executed  int    `json:"executed"`
	Succeeded int    `json:"succeeded"`
	Failures  int    `json:"failures"` // the installer failed
	Remained  int    `json:"remained"` // the installer said that it had done it, and the update is missing still
	Last      string `json:"last_day"` // the latest day with an attempt, in UTC
}

func attempts(s delivery.Sum) Attempts {
	return Attempts{s.Executed, s.Succeeded, s.Failed, s.Remained, s.Last}
}

func attemptColumns[R any](of func(R) *Attempts) []store.Column[R] {
	return []store.Column[R]{
		{Name: "executed", Kind: store.Number, Value: func(r R) any { return of(r).Executed }},
		{Name: "succeeded", Kind: store.Number, Value: func(r R) any { return of(r).Succeeded }},
		{Name: "failures", Kind: store.Number, Value: func(r R) any { return of(r).Failures }},
		{Name: "remained", Kind: store.Number, Value: func(r R) any { return of(r).Remained }},
		{Name: "last_day", Kind: store.Time, Value: func(r R) any { return of(r).Last }},
	}
}

var policyColumns = append([]store.Column[*PolicyDelivery]{
	{Name: "id", Value: func(r *PolicyDelivery) any { return r.ID }},
	{Name: "policy", Value: func(r *PolicyDelivery) any { return r.Policy }, Search: true},
	{Name: "state", Value: func(r *PolicyDelivery) any { return r.State }},
	{Name: "targeted", Kind: store.Number, Value: func(r *PolicyDelivery) any { return r.Targeted }},
	{Name: "done", Kind: store.Number, Value: func(r *PolicyDelivery) any { return r.Done }},
	{Name: "waiting", Kind: store.Number, Value: func(r *PolicyDelivery) any { return r.Waiting }},
	{Name: "failed", Kind: store.Number, Value: func(r *PolicyDelivery) any { return r.Failed }},
}, attemptColumns(func(r *PolicyDelivery) *Attempts { return &r.Attempts })...)

var updateColumns = append([]store.Column[*UpdateDelivery]{
	{Name: "id", Value: func(r *UpdateDelivery) any { return r.ID }},
	{Name: "update", Value: func(r *UpdateDelivery) any { return r.Update }, Search: true},
	{Name: "bulletin", Value: func(r *UpdateDelivery) any { return r.Bulletin }, Search: true},
	{Name: "product", Value: func(r *UpdateDelivery) any { return r.Product }, Search: true},
	{Name: "severity", Value: func(r *UpdateDelivery) any { return string(r.Severity) }},
}, attemptColumns(func(r *UpdateDelivery) *Attempts { return &r.Attempts })...)

// Columns of the lists, for doors.
var (
	PolicyColumns = store.ColumnNames(policyColumns)
	UpdateColumns = store.ColumnNames(updateColumns)
)

const defaultDays = 30

func deliveryRoutes(n *node.Node) []api.Route {
	days := []api.Param{{Name: "days", Type: "integer", Text: "how many days up to now; by default 30"}}
	return []api.Route{
		{
			Method: "GET", Path: "/delivery", Scope: identity.Viewer, Query: days,
			Summary: "Attempts to install updates, day by day: executed, succeeded, failed",
			Do: api.Get(func(c *api.Call) (delivery.Summary, error) {
				days, err := daysOf(c)
				if err != nil {
					return delivery.Summary{}, err
				}
				return delivery.Read(c.Context(), n.Reader(), n.Now(), days)
			}),
		},
		{
			Method: "GET", Path: "/delivery/policies", Scope: identity.Viewer, Columns: PolicyColumns, Query: days,
			Summary: "Software Update Delivery Summary by policy: computers that it means, that are done, that failed, and the attempts",
			Do:      delivered(n, policiesDelivered, policyColumns),
		},
		{
			Method: "GET", Path: "/delivery/updates", Scope: identity.Viewer, Columns: UpdateColumns, Query: days,
			Summary: "Attempts to install by update, those that failed most often first",
			Do:      delivered(n, updatesDelivered, updateColumns),
		},
	}
}

// daysOf is how many days are asked for.
func daysOf(c *api.Call) (int, error) {
	text := c.Arg("days")
	if text == "" {
		return defaultDays, nil
	}
	days, err := strconv.Atoi(text)
	if err != nil {
		return 0, store.Invalid("days: %.40q is no number", text)
	}
	return days, nil
}

// delivered makes the action of a list of attempts.
func delivered[R any](n *node.Node, read func(ctx context.Context, n *node.Node, days int) ([]R, error), columns []store.Column[R]) api.Action {
	return api.Get(func(c *api.Call) (api.List[R], error) {
		days, err := daysOf(c)
		if err != nil {
			return api.List[R]{}, err
		}
		return api.Listing(c, func(ctx context.Context, q store.Query) ([]R, int, error) {
			all, err := read(ctx, n, days)
			if err != nil {
				return nil, 0, err
			}
			return store.Select(q, all, columns)
		})
	})
}

// policiesDelivered are the policies that there are, and those of which there were attempts, by name.
func policiesDelivered(ctx context.Context, n *node.Node, days int) (all []*PolicyDelivery, err error) {
	sums, err := delivery.ByPolicy(ctx, n.Reader(), n.Now(), days)
	if err != nil {
		return nil, err
	}
	list, _, err := n.Policies.List(ctx, store.Query{})
	if err != nil {
		return nil, err
	}
	for _, p := range list {
		all = append(all, &PolicyDelivery{ID: p.ID, Policy: p.Name, State: p.State, Progress: p.Progress, Attempts: attempts(sums[p.ID])})
		delete(sums, p.ID)
	}
	for id, s := range sums {
		all = append(all, &PolicyDelivery{Policy: id, Attempts: attempts(s)})
	}
	slices.SortFunc(all, func(a, b *PolicyDelivery) int {
		return cmp.Or(cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

func updatesDelivered(ctx context.Context, n *node.Node, days int) (all []*UpdateDelivery, err error) {
	sums, err := delivery.ByUpdate(ctx, n.Reader(), n.Now(), days)
	if err != nil {
		return nil, err
	}
	err = n.Bulletins.Catalog().Read(ctx, func(v *live.View) error {
		for text, s := range sums {
			row := &UpdateDelivery{Update: text, Attempts: attempts(s)}
			number, _ := strconv.ParseUint(text, 10, 32)
			if u := v.Update(uint32(number)); u != nil {
				row.ID, row.Update, row.Product, row.Severity = u.ID, u.Name, u.Product.Name, u.Severity
				if b := v.Bulletin(u.Bulletin); b != nil {
					row.Bulletin = b.Name
				}
			}
			all = append(all, row)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b *UpdateDelivery) int {
		return cmp.Or(cmp.Compare(b.Failures+b.Remained, a.Failures+a.Remained), cmp.Compare(a.Update, b.Update))
	})
	return all, err
}
