package hierarchy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"thatch/cmd/internal/cli"
	routes "thatch/console/api/hierarchy"
	"thatch/node/sites"
	"thatch/replication"
	"thatch/replication/wire"
)

// printParent shows the parent as people want to see it: how the link stands, and what the parent's rules bring.
func printParent(w io.Writer, parent routes.ParentStatus, link replication.State) error {
	var told wire.LinkResponse
	if len(parent.Link) > 0 {
		if err := json.Unmarshal(parent.Link, &told); err != nil {
			return fmt.Errorf("what the parent told of the link: %w", err)
		}
	}
	rows := [][]string{
		{"name", fmt.Sprintf("%s (%s)", parent.Name, parent.ID)},
		{"called at", strings.Join(parent.URLs, ", ")},
		{"joined", moment(parent.Joined)},
		{"link", standing(link)},
	}
	more := func(name, text string) {
		if text != "" {
			rows = append(rows, []string{name, text})
		}
	}
	more("waits", link.Waits)
	for _, kind := range link.Withheld {
		more("not sent up", fmt.Sprintf("documents of kind %s: the parent's version does not know them", kind))
	}
	more("languages there", strings.Join(told.Languages, ", "))
	more("limits", limits(told.Limits))
	more("payloads", parent.Payloads)
	for _, alarm := range told.Alarms {
		more("alarm there", alarm)
	}
	if err := cli.Table(w, []string{"THE PARENT", ""}, rows); err != nil || len(told.Rules) == 0 {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	rows = nil
	for _, rule := range told.Rules {
		rows = append(rows, ruleRow(rule))
	}
	return cli.Table(w, []string{"RULE", "TYPE", "ON", "SENDS", "WHEN", "MODE", "VERIFIES"}, rows)
}

func ruleRow(rule wire.Rule) []string {
	sends, mode := "everything", "differential"
	if !rule.TakesAll {
		sends = fmt.Sprintf("%d selected", rule.Selected)
	}
	if rule.Complete {
		mode = "complete"
	}
	when := cmp.Or(rule.Schedule, "at once")
	if rule.OfStandard != "" {
		when += " (" + rule.OfStandard + ")"
	}
	return []string{rule.Name, string(rule.Type), cli.Text(rule.Enabled), sends, when, mode, fmt.Sprintf("%d %%", rule.Verify)}
}

func standing(link replication.State) string {
	if link.Connected {
		return "connected since " + moment(link.Since) + " at " + link.Address
	}
	return "not connected: " + cmp.Or(link.Error, "no attempt was made yet")
}

func limits(l sites.Limits) string {
	var parts []string
	for _, window := range l.Windows {
		parts = append(parts, "window "+window.Name)
	}
	if l.Rate > 0 {
		parts = append(parts, fmt.Sprintf("%d bytes per second", l.Rate))
	}
	return strings.Join(parts, ", ")
}
