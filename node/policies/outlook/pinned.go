package outlook

import (
	"strings"

	"thatch/node/policies/pinned"
	"thatch/node/store"
)

// Pinned is one update of a policy.
type Pinned struct {
	Update      string   `json:"id"`
	Name        string   `json:"update"`
	Product     string   `json:"product,omitempty"`
	Enabled     bool     `json:"enabled"`
	CommandLine string   `json:"command_line,omitempty"`
	Packages    int      `json:"packages"`
	Languages   []string `json:"languages"` // of its packages; empty: neutral
	Held        bool     `json:"held"`
	Outdated    bool     `json:"outdated"` // the catalog holds another revision, or none; Revise follows it
	Arrived     bool     `json:"arrived"`  // everything pinned of it that matters to the site is here
	Lacks       []string `json:"lacks"`    // managed languages in which a package is there and none pinned
	Missing     int      `json:"missing"`
	Failed      int      `json:"failed"`
	// Standing is how the catalog stands to what is pinned: current, newer, withdrawn, gone; Note says it to people.
	Standing pinned.Standing `json:"standing"`
	Note     string          `json:"note,omitempty"`
}

// PinnedColumns are those of the list of a policy's updates.
var PinnedColumns = []store.Column[*Pinned]{
	{Name: "id", Value: func(u *Pinned) any { return u.Update }},
	{Name: "update", Value: func(u *Pinned) any { return u.Name }, Search: true},
	{Name: "product", Value: func(u *Pinned) any { return u.Product }, Search: true},
	{Name: "enabled", Kind: store.Flag, Value: func(u *Pinned) any { return u.Enabled }},
	{Name: "languages", Value: func(u *Pinned) any { return u.Languages }},
	{Name: "packages", Kind: store.Number, Value: func(u *Pinned) any { return u.Packages }},
	{Name: "held", Kind: store.Flag, Value: func(u *Pinned) any { return u.Held }},
	{Name: "outdated", Kind: store.Flag, Value: func(u *Pinned) any { return u.Outdated }},
	{Name: "standing", Value: func(u *Pinned) any { return string(u.Standing) }},
	{Name: "missing", Kind: store.Number, Value: func(u *Pinned) any { return u.Missing }},
	{Name: "failed", Kind: store.Number, Value: func(u *Pinned) any { return u.Failed }},
	{Name: "command_line", Value: func(u *Pinned) any { return u.CommandLine }, Search: true},
	{Name: "note", Value: func(u *Pinned) any { return u.Note }, Search: true},
}

// Noted says of an update what people must know of it. Imported is when the vendor file was imported that withdrew it.
func (row *Pinned) Noted(ordered bool, imported string) {
	row.standing(ordered, imported)
	if len(row.Lacks) > 0 {
		row.add("the catalog has packages in " + strings.Join(row.Lacks, ", ") + " that are not pinned: stage the bulletin, then revise")
	}
	if !row.Arrived {
		row.add("not everything of it has arrived from above")
	}
}

// standing says to people what the catalog makes of a pinned update. Withdrawals are told with the day on which the vendor
// file that says so was imported, where that is known.
func (row *Pinned) standing(ordered bool, imported string) {
	switch row.Standing {
	case pinned.Newer:
		row.Note = "a newer revision exists: revise"
		return
	case pinned.Withdrawn:
		row.Note = "withdrawn by the vendor"
		if day, _, dated := strings.Cut(imported, "T"); dated {
			row.Note += ", as imported on " + day
		}
	case pinned.Gone:
		row.Note = "left the catalog"
	default:
		return
	}
	if ordered && row.Enabled {
		row.Note += "; still ordered"
	}
}

func (row *Pinned) add(note string) {
	if row.Note != "" {
		note = row.Note + "; " + note
	}
	row.Note = note
}
