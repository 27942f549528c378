package reports

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"thatch/catalog"
	"thatch/console/api"
	"thatch/console/api/dated"
	"thatch/node"
	"thatch/node/bulletins/live"
	"thatch/node/computers/compliance/report"
	"thatch/node/computers/delivery"
	"thatch/node/computers/history"
	"thatch/node/identity"
	"thatch/node/past"
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

// Unknown stands for policies, and for updates, that the site did not know when attempts at them were reported.
const Unknown = "not known to this site"

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
	days := []api.Param{{Name: "days", Type: "integer", Text: "how many days up to now, or to the day that is asked for; by default 30"}, dated.Param}
	return []api.Route{
		{
			Method: "GET", Path: "/delivery", Scope: identity.Viewer, Reach: api.Reach{Whole: true}, Query: days,
			Summary: "Attempts to install updates, day by day: executed, succeeded, failed",
			Do: api.Get(func(c *api.Call) (delivery.Summary, error) {
				days, until, err := span(c, c.Arg(dated.Param.Name))
				if err != nil {
					return delivery.Summary{}, err
				}
				return delivery.Read(c.Context(), n.Reader(), until, days)
			}),
		},
		{
			Method: "GET", Path: "/delivery/policies", Scope: identity.Viewer, Reach: api.Reach{Whole: true}, Columns: PolicyColumns, Query: days,
			Summary: "Software Update Delivery Summary by policy: computers that it means, that are done, that failed, and the attempts",
			Do:      delivered(policiesDelivered, policyColumns),
		},
		{
			Method: "GET", Path: "/delivery/updates", Scope: identity.Viewer, Reach: api.Reach{Whole: true}, Columns: UpdateColumns, Query: days,
			Summary: "Attempts to install by update, those that failed most often first",
			Do:      delivered(updatesDelivered, updateColumns),
		},
	}
}

// span is how many days are asked for, and the moment up to which they are: the end of a day, "" now. Attempts are counted by
// days of UTC.
func span(c *api.Call, day string) (days int, until time.Time, err error) {
	days, until = defaultDays, c.Node.Now()
	if text := c.Arg("days"); text != "" {
		if days, err = strconv.Atoi(text); err != nil {
			return 0, until, store.Invalid("days: %.40q is no number", text)
		}
	}
	if day == "" {
		return days, until, nil
	}
	if _, err = c.Node.Past.On(c.Context(), day); err != nil {
		return 0, until, err
	}
	until, err = time.Parse(time.DateOnly, day)
	return days, until, err
}

// attempted are rows of attempts: as of the end of a day, "" now.
type attempted[R any] func(c *api.Call, ctx context.Context, day string) ([]R, *history.Day, error)

// delivered makes the action of a list of attempts.
func delivered[R any](read attempted[R], columns []store.Column[R]) api.Action {
	return dated.List(dated.Rows[R]{
		Now: func(c *api.Call, ctx context.Context, q store.Query) ([]R, int, error) {
			all, _, err := read(c, ctx, "")
			if err != nil {
				return nil, 0, err
			}
			return store.Select(q, all, columns)
		},
		Then: read, Columns: columns,
	})
}

// policiesDelivered are the policies that there were, and those of which there were attempts, by name.
func policiesDelivered(c *api.Call, ctx context.Context, day string) (all []*PolicyDelivery, on *history.Day, err error) {
	days, until, err := span(c, day)
	if err != nil {
		return nil, nil, err
	}
	sums, err := delivery.ByPolicy(ctx, c.Node.Reader(), until, days)
	if err != nil {
		return nil, nil, err
	}
	var list []*policies.PolicyRow
	if day == "" {
		list, _, err = c.Node.Policies.List(ctx, store.Query{})
	} else {
		list, on, err = history.Rows(ctx, c.Node.Past.Room, day, past.Policies)
	}
	if err != nil {
		return nil, nil, err
	}
	for _, p := range list {
		all = append(all, &PolicyDelivery{ID: p.ID, Policy: p.Name, State: p.State, Progress: p.Progress, Attempts: attempts(sums[p.ID])})
		delete(sums, p.ID)
	}
	for id, s := range sums {
		all = append(all, &PolicyDelivery{Policy: cmp.Or(id, Unknown), Attempts: attempts(s)})
	}
	slices.SortFunc(all, func(a, b *PolicyDelivery) int {
		return cmp.Or(cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.ID, b.ID))
	})
	return all, on, nil
}

// updatesDelivered names updates as the catalog has them, or had them that day.
func updatesDelivered(c *api.Call, ctx context.Context, day string) (all []*UpdateDelivery, on *history.Day, err error) {
	days, until, err := span(c, day)
	if err != nil {
		return nil, nil, err
	}
	sums, err := delivery.ByUpdate(ctx, c.Node.Reader(), until, days)
	if err != nil {
		return nil, nil, err
	}
	by := map[string]*UpdateDelivery{}
	for number, s := range sums {
		by[number] = &UpdateDelivery{Update: number, Attempts: attempts(s)}
		if number == "0" {
			by[number].Update = Unknown
		}
		all = append(all, by[number])
	}
	if day == "" {
		err = c.Node.Bulletins.Catalog().Read(ctx, func(v *live.View) error {
			for number, row := range by {
				number, _ := strconv.ParseUint(number, 10, 32)
				if u := v.Update(uint32(number)); u != nil {
					row.ID, row.Update, row.Product, row.Severity = u.ID, u.Name, u.Product.Name, u.Severity
					if b := v.Bulletin(u.Bulletin); b != nil {
						row.Bulletin = b.Name
					}
				}
			}
			return nil
		})
	} else {
		var known []*report.UpdateRow
		known, on, err = history.Rows(ctx, c.Node.Past.Room, day, history.Updates)
		for _, u := range known {
			if row := by[strconv.FormatUint(uint64(u.Number), 10)]; row != nil {
				row.ID, row.Update, row.Product, row.Severity, row.Bulletin = u.ID, u.Update, u.Product, u.Severity, u.Bulletin
			}
		}
	}
	slices.SortFunc(all, func(a, b *UpdateDelivery) int {
		return cmp.Or(cmp.Compare(b.Failures+b.Remained, a.Failures+a.Remained), cmp.Compare(a.Update, b.Update))
	})
	return all, on, err
}
