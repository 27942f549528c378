package federation

import (
	"thatch/catalog/document"
)

// Limits of a computer's body.
const (
	maxText      = 200 // bytes of a name, a group, a product
	maxLanguages = 32
)

// Computer is the body of a document of kind computer, whose id is the site's id, a colon and the computer's id there: one
// computer of a site, where the site tells of them. It says nothing that changes with every contact.
type Computer struct {
	Name         string   `json:"name"`
	Group        string   `json:"group,omitempty"`
	Platform     string   `json:"platform,omitempty"`
	Product      string   `json:"product,omitempty"` // operating system
	Build        string   `json:"build,omitempty"`
	Languages    []string `json:"languages,omitempty"` // lower-case BCP 47, default first
	Agent        string   `json:"agent,omitempty"`     // version
	Machine      string   `json:"machine,omitempty"`   // digest as in Machines, where the site tells these
	Seen         string   `json:"seen"`                // when it was last heard of, to a day; RFC 3339, UTC
	NotReporting bool     `json:"not_reporting,omitempty"`
	Simulated    bool     `json:"simulated,omitempty"`
	Standing
}

// Standing counts the updates of one computer by how it stands to them. Those that others replace are not missing.
type Standing struct {
	Applicable int `json:"applicable"`
	Installed  int `json:"installed"`
	Missing    int `json:"missing"`
	Failed     int `json:"failed"`
	Unknown    int `json:"unknown"` // it cannot be told
}

// Validate says what is wrong with a computer's body, or nil.
func (c Computer) Validate() error {
	for what, text := range map[string]string{
		"name": c.Name, "group": c.Group, "platform": c.Platform, "product": c.Product, "build": c.Build, "agent": c.Agent,
	} {
		if !plain(text, 0, maxText) {
			return invalid("the computer %.80q: its %s has more than %d bytes or several lines", c.Name, what, maxText)
		}
	}
	switch {
	case c.Name == "":
		return invalid("a computer without a name")
	case c.Machine != "" && !isMachine(c.Machine):
		return invalid("the computer %q: the machine %.40q is no digest", c.Name, c.Machine)
	case !isTime(c.Seen):
		return invalid("the computer %q: %.60q is no time", c.Name, c.Seen)
	case min(c.Applicable, c.Installed, c.Missing, c.Failed, c.Unknown) < 0:
		return invalid("the computer %q has a count below 0", c.Name)
	case len(c.Languages) > maxLanguages:
		return invalid("the computer %q runs %d languages, at most %d are allowed", c.Name, len(c.Languages), maxLanguages)
	}
	if _, err := document.NormalLanguages(c.Languages); err != nil {
		return invalid("the computer %q: %v", c.Name, err)
	}
	return nil
}
