// Package federation holds the bodies of the documents in which sites tell each other of themselves: who they are, the
// languages they need, whether a policy is in force, how they fare, and how far their computers are patched.
//
// Every body is JSON as catalog.Encode writes it. Decode reads what another site wrote: fields that this version does
// not know are ignored, what is known must be within its limits.
package federation

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"thatch/catalog"
	"thatch/catalog/document"
)

// Limits of the bodies.
const (
	MaxName      = 200     // bytes of a site's name
	MaxID        = 64      // bytes of a site's id
	MaxAuthority = 8 << 10 // bytes of a certificate
	MaxVersion   = 100     // bytes
	MaxText      = 1000    // bytes of an alarm's text
	MaxAlarms    = 100     // listed in one health document
	MaxNodes     = 100
	MaxUpdates   = 2000 // of one roll-up
	maxBulletin  = 512  // bytes of a document's id
)

// ErrInvalid is wrapped by every error about a body that says something impossible.
var ErrInvalid = errors.New("not valid")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Site is the body of a document of kind site, whose id is the site's id: who a site is. It is made by the site itself.
type Site struct {
	Name      string `json:"name"`
	Parent    string `json:"parent,omitempty"` // id of the site above it; "" at the top
	Authority []byte `json:"authority"`        // certificate, DER
	Version   string `json:"version"`          // of its program
}

// Validate says what is wrong with a site's own word, or nil. Whether the certificate is one is judged where it is used.
func (s Site) Validate() error {
	switch {
	case !plain(s.Name, 1, MaxName):
		return invalid("a site's name has 1 to %d bytes on one line, this is %.60q", MaxName, s.Name)
	case s.Parent != "" && !IsSiteID(s.Parent):
		return invalid("the site's parent %.80q is no id of a site", s.Parent)
	case len(s.Authority) == 0 || len(s.Authority) > MaxAuthority:
		return invalid("the authority of site %q has %d bytes, want 1 to %d", s.Name, len(s.Authority), MaxAuthority)
	case !plain(s.Version, 0, MaxVersion):
		return invalid("the version of site %q has more than %d bytes or several lines", s.Name, MaxVersion)
	}
	return nil
}

// Alert is the body of a document of kind language-alert, whose id is the site's id: which languages a site needs. Those
// of its descendants are in alerts of their own.
type Alert struct {
	Languages []string `json:"languages"` // managed ones, lower-case BCP 47, sorted
	// Computers counts the site's computers by the languages that they really run, managed or not.
	Computers map[string]int `json:"computers,omitempty"`
}

// Validate says what is wrong with a language alert, or nil.
func (a Alert) Validate() error {
	normal, err := document.NormalLanguages(a.Languages)
	if err != nil {
		return invalid("managed languages: %v", err)
	}
	if !slices.Equal(normal, a.Languages) && len(a.Languages) > 0 {
		return invalid("the managed languages %.200q are not in lower case, sorted and unique", strings.Join(a.Languages, ","))
	}
	tags := make([]string, 0, len(a.Computers))
	for tag, count := range a.Computers {
		if count < 0 {
			return invalid("%d computers run %.40q", count, tag)
		}
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	if normal, err = document.NormalLanguages(tags); err != nil {
		return invalid("languages of computers: %v", err)
	}
	if len(tags) > 0 && !slices.Equal(normal, tags) {
		return invalid("the computers' languages are not in lower case")
	}
	return nil
}

// State is the body of a document of kind policy-state, whose id is the policy's id: what the site that made the policy
// says of it beside its text.
type State struct {
	Enabled bool `json:"enabled"`
	Paused  bool `json:"paused,omitempty"`
	Local   bool `json:"local,omitempty"` // sites below may pause it and switch it off for themselves
}

// Validate is there for the sake of symmetry: every state is possible.
func (s State) Validate() error { return nil }

// Health is the body of a document of kind health, whose id is the site's id: how a site fares. It says nothing that
// changes by itself with every second, because a change of it travels to the top.
type Health struct {
	Version      string  `json:"version"`
	At           string  `json:"at"` // when it was found so, RFC 3339, UTC
	Computers    int     `json:"computers"`
	NotReporting int     `json:"not_reporting,omitempty"`
	AlarmCount   int     `json:"alarm_count,omitempty"`
	Alarms       []Alarm `json:"alarms,omitempty"` // the oldest MaxAlarms of them
	Nodes        []Node  `json:"nodes,omitempty"`
}

// Alarm is what calls for a person at a site.
type Alarm struct {
	Kind    string `json:"kind"`
	Subject string `json:"subject,omitempty"` // what it is about: a language, a site's id
	Text    string `json:"text"`
	Since   string `json:"since"` // RFC 3339, UTC
}

// Node is one server of a site.
type Node struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Leads   bool   `json:"leads,omitempty"`
}

// Validate says what is wrong with a health document's body, or nil.
func (h Health) Validate() error {
	switch {
	case !plain(h.Version, 0, MaxVersion):
		return invalid("the version has more than %d bytes or several lines", MaxVersion)
	case !isTime(h.At):
		return invalid("%.60q is no time", h.At)
	case h.Computers < 0 || h.NotReporting < 0 || h.NotReporting > h.Computers || h.AlarmCount < len(h.Alarms):
		return invalid("%d computers, %d of them not reporting, %d alarms, %d of them listed", h.Computers, h.NotReporting, h.AlarmCount, len(h.Alarms))
	case len(h.Alarms) > MaxAlarms || len(h.Nodes) > MaxNodes:
		return invalid("%d alarms and %d nodes, at most %d and %d are listed", len(h.Alarms), len(h.Nodes), MaxAlarms, MaxNodes)
	}
	for _, a := range h.Alarms {
		if !plain(a.Kind, 1, MaxID) || !plain(a.Subject, 0, maxBulletin) || len(a.Text) > MaxText || !utf8.ValidString(a.Text) || !isTime(a.Since) {
			return invalid("the alarm %.80q about %.80q since %.40q", a.Kind, a.Subject, a.Since)
		}
	}
	for _, n := range h.Nodes {
		if !plain(n.ID, 1, MaxID) || !plain(n.Version, 0, MaxVersion) {
			return invalid("the node %.80q of version %.80q", n.ID, n.Version)
		}
	}
	return nil
}

// RollUp is the body of a document of kind roll-up, whose id is RollUpID: how many computers of one site stand how with
// one bulletin and with each of its updates. Updates that others replace are left out of both. How many computers there
// are in all is in the site's health.
type RollUp struct {
	Bulletin string         `json:"bulletin"` // document id
	Counts                  // of computers by how they stand with the updates together
	Updates  []UpdateCounts `json:"updates"` // sorted by update; those of which there is nothing to tell are left out
}

// UpdateCounts are the Counts of one update.
type UpdateCounts struct {
	Update string `json:"update"` // document id
	Counts
}

// Counts are computers by how they stand. Of several updates together: applicable, missing, failed, scheduled, unknown: one
// of them is; installed: all that are applicable are.
type Counts struct {
	Applicable int `json:"applicable,omitempty"` // installed or not
	Installed  int `json:"installed,omitempty"`
	Missing    int `json:"missing,omitempty"` // applicable and not installed
	Failed     int `json:"failed,omitempty"`
	Scheduled  int `json:"scheduled,omitempty"` // ordered, not installed yet, and not failed
	Unknown    int `json:"unknown,omitempty"`   // it cannot be told
}

// Add adds other counts.
func (c *Counts) Add(other Counts) {
	c.Applicable += other.Applicable
	c.Installed += other.Installed
	c.Missing += other.Missing
	c.Failed += other.Failed
	c.Scheduled += other.Scheduled
	c.Unknown += other.Unknown
}

// Take takes other counts away.
func (c *Counts) Take(other Counts) {
	c.Applicable -= other.Applicable
	c.Installed -= other.Installed
	c.Missing -= other.Missing
	c.Failed -= other.Failed
	c.Scheduled -= other.Scheduled
	c.Unknown -= other.Unknown
}

func (c *Counts) least() int {
	return min(c.Applicable, c.Installed, c.Missing, c.Failed, c.Scheduled, c.Unknown)
}

// Validate says what is wrong with a roll-up, or nil.
func (r RollUp) Validate() error {
	if !plain(r.Bulletin, 1, maxBulletin) {
		return invalid("the bulletin %.80q", r.Bulletin)
	}
	if r.least() < 0 {
		return invalid("the roll-up of %q has a count below 0", r.Bulletin)
	}
	if len(r.Updates) > MaxUpdates {
		return invalid("the roll-up of %q has %d updates, at most %d are allowed", r.Bulletin, len(r.Updates), MaxUpdates)
	}
	for i, u := range r.Updates {
		if !plain(u.Update, 1, maxBulletin) || i > 0 && r.Updates[i-1].Update >= u.Update {
			return invalid("the roll-up of %q: update %.80q is no name, named twice or out of order", r.Bulletin, u.Update)
		}
		if u.least() < 0 {
			return invalid("the roll-up of %q: update %q has a count below 0", r.Bulletin, u.Update)
		}
	}
	return nil
}

// RollUpID is the id of the roll-up document of a site for a bulletin.
func RollUpID(site, bulletin string) string { return site + ":" + bulletin }

// SplitRollUpID is its inverse.
func SplitRollUpID(id string) (site, bulletin string, ok bool) {
	site, bulletin, ok = strings.Cut(id, ":")
	return site, bulletin, ok && IsSiteID(site) && bulletin != ""
}

// IsSiteID says whether a text can be the id of a site: 1 to MaxID bytes of a-z, 0-9 and -, so that it can be a host in
// a URI and part of other ids.
func IsSiteID(text string) bool {
	if text == "" || len(text) > MaxID {
		return false
	}
	for _, r := range text {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return true
}

// body is any of the bodies.
type body interface {
	Site | Alert | State | Health | RollUp | Machines | Moved | Computer
	Validate() error
}

// Decode reads a body that another site may have written. The error wraps ErrInvalid where its content is at fault.
func Decode[T body](raw []byte) (T, error) {
	var none T
	if len(raw) > document.MaxSize {
		return none, invalid("the body has %d bytes, at most %d are allowed", len(raw), document.MaxSize)
	}
	value, err := catalog.Decode[T](raw)
	if err != nil {
		return none, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := value.Validate(); err != nil {
		return none, err
	}
	return value, nil
}

// Encode writes a body after it was found possible.
func Encode[T body](value T) ([]byte, error) {
	if err := value.Validate(); err != nil {
		return nil, err
	}
	return catalog.Encode(value)
}

// plain says whether a text is one line of UTF-8 of least to most bytes.
func plain(text string, least, most int) bool {
	return len(text) >= least && len(text) <= most && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

func isTime(text string) bool {
	_, err := time.Parse(time.RFC3339, text)
	return err == nil && len(text) <= MaxID
}
