package home

import (
	"thatch/console/api/overview"
	"thatch/console/page"
)

// Step is a step of the recommended workflow; it ticks itself when the site has done it.
type Step struct {
	Title, Text string // in English
	To          string // page where it is done
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
			o, err := page.Get[overview.Overview](q, "/overview")
			if err != nil {
				return nil, err
			}
			return &page.View{Template: "help.html", Data: steps(o)}, nil
		},
	}
}

// steps tick themselves by what the site holds.
func steps(o overview.Overview) []Step {
	inForce := 0
	for state, n := range o.Policies {
		if state != "off" && state != "paused" {
			inForce += n
		}
	}
	return []Step{
		{"Set the managed languages", "Packages and texts of these languages are downloaded; all others stay away.", "/site", "thatch site languages set en de", len(o.Languages) > 0},
		{"Import the vendors' catalogs", "Bulletins, updates and packages come from them. A task repeats it on a schedule.", "/catalog", "thatch catalog import --source msrc", o.Bulletins.Available > 0},
		{"Enrol computers", "Make a token and run the agent's installer with it; one token can serve a thousand computers.", "/computers/add", "thatch tokens create --enrolment", o.Computers.Managed > 0},
		{"Wait for the first reports", "Each agent scans its computer and says what it needs.", "/computers", "thatch computers list", o.Computers.Managed > o.Computers.Never},
		{"See what is open", "Compliance reports say which bulletins your computers need.", "/reports", "thatch compliance bulletins", o.Computers.Managed > o.Computers.Never && o.Bulletins.Available > 0},
		{"Stage bulletins", "Their packages are downloaded and checked.", "/bulletins", "thatch bulletins stage KB5000001", o.Bulletins.Staged > 0},
		{"Set maintenance windows", "Installs and restarts happen within them.", "/windows", "thatch windows create --help", o.Delivery.Executed > 0},
		{"Make a policy", "It pins the staged packages and says which computers get them and when.", "/policies/new", "thatch policies create --help", inForce > 0},
		{"Look at the results", "The Software Update Delivery Summary counts attempts; compliance says what is left.", "/reports", "thatch delivery", o.Delivery.Succeeded > 0},
	}
}
