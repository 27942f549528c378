// Package overview holds the routes of /api/v1 that say how a site stands in one answer, and what calls for a person.
package overview

import (
	"context"
	"errors"
	"slices"
	"time"

	"thatch/console/api"
	"thatch/console/api/hierarchy"
	"thatch/console/api/reports"
	"thatch/node"
	"thatch/node/computers"
	"thatch/node/computers/compliance/report"
	"thatch/node/computers/delivery"
	"thatch/node/identity"
	"thatch/node/policies"
	"thatch/node/rollups"
	"thatch/node/sites/alarms"
	"thatch/node/store"
)

const (
	days       = 30 // that summaries look back
	maxExposed = 10 // vulnerabilities and alarms that are named one by one
	dateOfDay  = time.DateOnly
)

// Overview is how a site stands, apart from the sites below it, which have a line each.
type Overview struct {
	Site            string             `json:"site"`
	At              time.Time          `json:"at"`
	Delivery        delivery.Summary   `json:"delivery"` // of the last 30 days
	Computers       Computers          `json:"computers"`
	Bulletins       Bulletins          `json:"bulletins"`
	Vulnerabilities []Open             `json:"vulnerabilities"` // by severity, most severe first
	Exploited       Exposed            `json:"exploited"`
	Policies        map[string]int     `json:"policies"` // by state
	Languages       []string           `json:"languages"`
	Version         string             `json:"version"`
	Sites           []*rollups.SiteRow `json:"sites"` // this one and all below it
	Needs           []Need             `json:"needs"` // what calls for a person, most pressing first
}

// Computers counts the computers of the site that are not retired.
type Computers struct {
	Managed      int `json:"managed"`
	Reporting    int `json:"reporting"`     // within the time of the setting health.silent
	NotReporting int `json:"not_reporting"` // seen before, and no longer
	Never        int `json:"never"`         // enrolled, and never reported
	Complete     int `json:"complete"`      // see report.ComputerRow.IsComplete
	Exposed      int `json:"exposed"`       // something that is seen exploited is missing
	Failed       int `json:"failed"`        // an install failed
	Simulated    int `json:"simulated"`
}

// Bulletins counts those of the catalog.
type Bulletins struct {
	Available  int `json:"available"`
	Staged     int `json:"staged"`
	InPolicies int `json:"in_policies"`
	New        int `json:"new"`    // released in the last 30 days
	Needed     int `json:"needed"` // missing on a computer of the site
}

// Open counts what is missing of one severity.
type Open struct {
	Severity  string `json:"severity"` // Unspecified where the vendor names none
	Bulletins int    `json:"bulletins"`
	Missing   int    `json:"missing"` // pairs of an update and a computer
}

// Exposed are vulnerabilities that are seen exploited and whose updates are missing.
type Exposed struct {
	Total int              `json:"total"`
	List  []*report.CVERow `json:"list"` // the first, those of most computers first
}

// Need is something that calls for a person.
type Need struct {
	Kind    string    `json:"kind"` // exploited, alarm, alarms, staging, policy, awaiting, failed, silent, quarantine
	Subject string    `json:"subject,omitempty"`
	Text    string    `json:"text,omitempty"` // of an alarm
	Count   int       `json:"count,omitempty"`
	Since   time.Time `json:"since,omitzero"`
}

// Routes are all of them.
func Routes(n *node.Node) []api.Route {
	return []api.Route{
		{
			Method: "GET", Path: "/overview", Scope: identity.Viewer, Reach: api.Reach{Whole: true}, Summary: "How the site stands, and what calls for a person",
			Do: api.Get(func(c *api.Call) (Overview, error) {
				return read(c, n)
			}),
		},
	}
}

func read(c *api.Call, n *node.Node) (Overview, error) {
	ctx := c.Context()
	status, err := n.Status(ctx)
	if err != nil {
		return Overview{}, err
	}
	o := Overview{Site: status.Site, At: n.Now(), Languages: status.Languages, Version: status.Version}
	for _, part := range []func(ctx context.Context, n *node.Node) error{o.deliveries, o.bulletins, o.vulnerabilities, o.policies} {
		if err := part(ctx, n); err != nil {
			return Overview{}, err
		}
	}
	for _, part := range []func(c *api.Call, n *node.Node) error{o.computers, o.sites, o.needs} {
		if err := part(c, n); err != nil {
			return Overview{}, err
		}
	}
	return o, nil
}

func (o *Overview) deliveries(ctx context.Context, n *node.Node) (err error) {
	o.Delivery, err = delivery.Read(ctx, n.Reader(), o.At, days)
	return err
}

func (o *Overview) bulletins(ctx context.Context, n *node.Node) error {
	t, err := n.Bulletins.Totals(ctx, o.At.AddDate(0, 0, -days).Format(dateOfDay))
	o.Bulletins = Bulletins{Available: t.All, Staged: t.Staged, InPolicies: t.InPolicies, New: t.New}
	return err
}

// computers counts those in the caller's part.
func (o *Overview) computers(call *api.Call, n *node.Node) error {
	ctx := call.Context()
	silent, err := n.Settings.SilentSince(ctx, o.At)
	if err != nil {
		return err
	}
	c := &o.Computers
	return n.Compliance.Each(ctx, silent, func(m *computers.Member, row *report.ComputerRow) {
		if !call.SeesGroup(m.Group) {
			return
		}
		c.Managed++
		switch {
		case row.Reported.IsZero():
			c.Never++
		case row.Silent:
			c.NotReporting++
		default:
			c.Reporting++
		}
		c.Complete += one(row.IsComplete())
		c.Exposed += one(row.Exploited > 0)
		c.Failed += one(row.Failed > 0)
		c.Simulated += one(row.Simulated)
	})
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// vulnerabilities counts what is missing by severity, and names what is exploited.
func (o *Overview) vulnerabilities(ctx context.Context, n *node.Node) error {
	lines, err := reports.BySeverity(ctx, n)
	if err != nil {
		return err
	}
	for _, line := range lines {
		o.Vulnerabilities = append(o.Vulnerabilities, Open{Severity: line.Name, Bulletins: line.Open, Missing: line.Missing})
		o.Bulletins.Needed += line.Open
	}
	o.Exploited.List, o.Exploited.Total, err = n.Compliance.CVEs(ctx, store.Query{
		Filter: map[string]string{"exploited": "true", "missing": ">0"}, Sort: "missing", Descending: true, Limit: maxExposed,
	}, false)
	if o.Exploited.List == nil {
		o.Exploited.List = []*report.CVERow{}
	}
	return err
}

func (o *Overview) policies(ctx context.Context, n *node.Node) error {
	list, _, err := n.Policies.List(ctx, store.Query{})
	o.Policies = map[string]int{}
	for _, p := range list {
		o.Policies[p.State]++
	}
	return err
}

// sites are those that the caller may see.
func (o *Overview) sites(c *api.Call, n *node.Node) error {
	all, err := n.RollUps.SiteRows(c.Context(), rollups.Of{Own: true}, rollups.Within{})
	o.Sites = []*rollups.SiteRow{}
	for _, site := range all {
		sees, failed := c.SeesSite(site.ID)
		if err = errors.Join(err, failed); sees {
			o.Sites = append(o.Sites, site)
		}
	}
	return err
}

// needs gathers what calls for a person.
func (o *Overview) needs(c *api.Call, n *node.Node) error {
	ctx := c.Context()
	need := func(kind string, count int) {
		if count > 0 {
			o.Needs = append(o.Needs, Need{Kind: kind, Count: count})
		}
	}
	o.Needs = []Need{}
	need("exploited", o.Computers.Exposed)
	standing, err := n.Sites.Standing(ctx)
	if err != nil {
		return err
	}
	beyond, err := hierarchy.Beyond(c)
	if err != nil {
		return err
	}
	standing = slices.DeleteFunc(standing, func(a alarms.Alarm) bool { return beyond(a.Subject) })
	for _, alarm := range standing[:min(len(standing), maxExposed)] {
		o.Needs = append(o.Needs, Need{Kind: "alarm", Subject: alarm.Subject, Text: alarm.Text, Since: alarm.Since})
	}
	need("alarms", len(standing)-maxExposed)
	staged, err := n.Bulletins.Alarms(ctx, "")
	if err != nil {
		return err
	}
	need("staging", len(staged))
	need("policy", o.Policies[policies.StateFailed])
	need("awaiting", o.Policies[policies.StateAwaiting])
	need("failed", o.Computers.Failed)
	need("silent", o.Computers.NotReporting+o.Computers.Never)
	aside, err := n.Replicas.Quarantine(ctx)
	need("quarantine", len(aside))
	return err
}
