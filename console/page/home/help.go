package home

import (
	"thatch/console/api"
	"thatch/console/page"
	"thatch/node/bulletins"
	"thatch/node/computers/compliance/report"
	"thatch/node/computers/delivery"
	"thatch/node/policies"
)

// Step is a step of the recommended workflow; it ticks itself when the site has done it.
type Step struct {
	Title, Text string // in English
	To          string // page where it is done, "" none that the operator may open
	Command     string
	Done        bool
}

func help() *page.Page {
	return &page.Page{
		Path: "/help", Title: "Help",
		Help: page.Help{
			Text:    "The way from an empty site to patched computers, and the keys of these pages.",
			Command: []string{"thatch help", "thatch COMMAND --help"},
		},
		Show: func(q *page.Request) (*page.View, error) {
			f, err := far(q)
			if err != nil {
				return nil, err
			}
			return &page.View{Template: "help.html", Data: steps(q, f)}, nil
		},
	}
}

// reached is how far the site has come.
type reached struct {
	languages, bulletins, staged, policies int
	computers                              api.List[*report.ComputerRow] // the one that reported last
	delivered                              delivery.Summary
}

// reporting says whether a computer reported.
func (f reached) reporting() bool {
	return len(f.computers.Items) > 0 && !f.computers.Items[0].Reported.IsZero()
}

// far asks for nothing but numbers, and the computer that reported last.
func far(q *page.Request) (f reached, err error) {
	for _, count := range []struct {
		into *int
		of   func() (int, error)
	}{
		{&f.languages, func() (int, error) {
			l, err := page.Get[api.Languages](q, "/site/languages")
			return len(l.Languages), err
		}},
		{&f.bulletins, total[*bulletins.Row](q, "/bulletins")},
		{&f.staged, total[*bulletins.Row](q, "/bulletins", "staged", "true")},
		{&f.policies, total[*policies.PolicyRow](q, "/policies", "enabled", "true", "paused", "false")},
	} {
		if *count.into, err = count.of(); err != nil {
			return f, err
		}
	}
	if f.computers, err = page.Get[api.List[*report.ComputerRow]](q, "/computers", "sort", "-reported", "limit", "1"); err != nil {
		return f, err
	}
	f.delivered, err = page.Get[delivery.Summary](q, "/delivery")
	return f, err
}

// total reads how many rows a list has.
func total[T any](q *page.Request, path string, filter ...string) func() (int, error) {
	return func() (int, error) {
		list, err := page.Get[api.List[T]](q, path, append(filter, "limit", "1")...)
		return list.Total, err
	}
}

// steps tick themselves by what the site holds. A page that the operator may not open is not linked.
func steps(q *page.Request, f reached) []Step {
	all := []Step{
		{"Set the managed languages", "Packages and texts of these languages are downloaded; all others stay away.", "/site", "thatch site languages set en de", f.languages > 0},
		{"Import the vendors' catalogs", "Bulletins, updates and packages come from them. A task repeats it on a schedule.", "/catalog", "thatch catalog import --source msrc", f.bulletins > 0},
		{"Enrol computers", "Make a token and run the agent's installer with it; one token can serve a thousand computers.", "/computers/add", "thatch tokens create --enrolment", f.computers.Total > 0},
		{"Wait for the first reports", "Each agent scans its computer and says what it needs.", "/computers", "thatch computers list", f.reporting()},
		{"See what is open", "Compliance reports say which bulletins your computers need.", "/reports", "thatch compliance bulletins", f.reporting() && f.bulletins > 0},
		{"Stage bulletins", "Their packages are downloaded and checked.", "/bulletins", "thatch bulletins stage KB5000001", f.staged > 0},
		{"Set maintenance windows", "Installs and restarts happen within them.", "/windows", "thatch windows create --help", f.delivered.Executed > 0},
		{"Make a policy", "It pins the staged packages and says which computers get them and when.", "/policies/new", "thatch policies create --help", f.policies > 0},
		{"Look at the results", "The Software Update Delivery Summary counts attempts; compliance says what is left.", "/reports", "thatch delivery", f.delivered.Succeeded > 0},
	}
	for i := range all {
		if !q.Opens(all[i].To) {
			all[i].To = ""
		}
	}
	return all
}
