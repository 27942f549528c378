package sites

import (
	"thatch/console/page"
)

// runColumns are those of the history of links.
var runColumns = []page.Column{
	{Name: "started", Title: "Started", Kind: page.Time, Link: "/replication/runs/{id}"},
	{Name: "site", Title: "Site", Link: "/sites/{neighbour}", Unsorted: true, Unfiltered: true},
	{Name: "direction", Title: "Direction", Kind: page.State, Choices: []string{"down", "up"}, Groups: true},
	{Name: "type", Title: "Type", Kind: page.State, Choices: ruleTypes, Groups: true},
	{Name: "mode", Title: "Mode", Kind: page.State, Choices: []string{"differential", "complete", "verification"}, Groups: true},
	{Name: "state", Title: "State", Kind: page.State, Choices: []string{"done", "failed", "cancelled"}, Groups: true},
	{Name: "documents", Title: "Documents", Kind: page.Number, Unsorted: true, Unfiltered: true},
	{Name: "removed", Title: "Removed", Kind: page.Number, Unsorted: true, Unfiltered: true, Hidden: true},
	{Name: "bytes", Title: "Bytes", Kind: page.Bytes, Unsorted: true, Unfiltered: true},
	{Name: "seconds", Title: "Seconds", Kind: page.Number, Unsorted: true, Unfiltered: true},
	{Name: "verified", Title: "Verified", Kind: page.State, Unsorted: true, Unfiltered: true},
	{Name: "repaired", Title: "Repaired", Kind: page.Number, Unsorted: true, Unfiltered: true},
	{Name: "refused", Title: "Refused", Kind: page.Number, Unsorted: true, Unfiltered: true},
	{Name: "error", Title: "Reason", Unsorted: true, Unfiltered: true},
}

// ruleTypes are what rules are about.
var ruleTypes = []string{"languages", "data", "policies", "settings"}
