// Package scan holds a computer against the updates that its site named: which are missing, which are installed, and of
// which that cannot be told.
package scan

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"thatch/agent/facts"
	"thatch/agentapi"
	"thatch/catalog"
	"thatch/catalog/evaluate"
	"thatch/catalog/rule"
)

// Standing is how an update stands on a computer.
type Standing int

// The standings.
const (
	Unknown    Standing = iota // what cannot be told is neither patched nor not applicable
	Absent                     // not applicable
	Applicable                 // missing
	Installed
	Superseded // by something that is installed
)

// Verdict is a standing with why.
type Verdict struct {
	Standing Standing
	Why      string
}

// Scan is one look at a computer.
type Scan struct {
	Machine facts.Machine
	Facts   *rule.Facts
	// Refused are updates whose documents could not be verified, by number, with why. They cannot be told.
	Refused map[uint32]string

	catalog *Catalog
	look    *evaluate.Scan
	found   []evaluate.Verdict // of the catalog, as of the facts that New was given
	read    *rule.Facts        // those facts
	stands  map[string]Verdict // of the same, by document id; Absent is left out
}

// Sets are update numbers, each list sorted.
type Sets struct {
	Applicable []uint32 `json:"applicable,omitempty"`
	Installed  []uint32 `json:"installed,omitempty"`
	Unknown    []uint32 `json:"unknown,omitempty"`
}

// New judges every update of the catalog, which must not be pinned to or scanned with meanwhile.
func New(ctx context.Context, machine facts.Machine, read *rule.Facts, c *Catalog) (*Scan, error) {
	s := &Scan{catalog: c, read: read}
	s.Look(machine, read)
	var err error
	if s.found, err = s.look.Verdicts(ctx); err != nil {
		return nil, err
	}
	s.stands = make(map[string]Verdict, len(s.found))
	for i := range s.found {
		s.stands[s.found[i].ID] = s.standing(&s.found[i])
	}
	return s, nil
}

// Look puts later facts in place of the former, for what is judged from now on. What is reported stays as it was.
func (s *Scan) Look(machine facts.Machine, read *rule.Facts) {
	s.Machine, s.Facts, s.look = machine, read, s.catalog.held.Scan(read)
	for id, body := range s.catalog.pinned {
		s.look.Pin(id, body)
	}
}

// Pin makes known what is ordered, by document id, as far as the catalog does not have it (any more).
func (s *Scan) Pin(ordered map[string]*catalog.Update) {
	if s.catalog.Pin(ordered) {
		s.Look(s.Machine, s.Facts)
	}
}

// Evaluate answers one rule.
func (s *Scan) Evaluate(r *rule.Rule) rule.Verdict { return s.look.Evaluate(r) }

// Of judges an update that may be another revision than the catalog's, and so may be what a policy pins.
func (s *Scan) Of(id string, u *catalog.Update) Verdict {
	v := s.look.Judge(id, u)
	return s.standing(&v)
}

// Has says whether an update of the catalog, or a pinned one, is installed.
func (s *Scan) Has(id string) bool {
	body := s.catalog.pinned[id]
	if one := s.catalog.byID[id]; one != nil {
		body = &one.Body
	}
	return body != nil && s.look.Judge(id, body).State == evaluate.Installed
}

// standing is a verdict as the agent acts on it: one that something installed supersedes is not wanted any more.
func (s *Scan) standing(v *evaluate.Verdict) Verdict {
	switch v.State {
	case evaluate.Installed:
		return Verdict{Standing: Installed}
	case evaluate.CannotTell:
		return Verdict{Unknown, v.Reason}
	case evaluate.Replaced:
		return Verdict{Superseded, "its own rule says that something newer is installed"}
	case evaluate.Needed:
		if by := s.look.Overtaken(v.ID); by != "" {
			return Verdict{Superseded, fmt.Sprintf("superseded by %s, which is installed", s.NameOf(by))}
		}
		return Verdict{Standing: Applicable}
	}
	return Verdict{Standing: Absent}
}

// Lacking names the first group of prerequisites of which nothing is installed, "" when there is none.
func (s *Scan) Lacking(groups [][]string) string {
	for _, group := range groups {
		if len(group) > 0 && !slices.ContainsFunc(group, s.look.There) {
			return s.NameOf(group[0])
		}
	}
	return ""
}

// Successor finds an update that supersedes id, directly or through others, and satisfies want.
func (s *Scan) Successor(id string, want func(id string) bool) string {
	return s.catalog.successor(id, want)
}

// NameOf is the name of an update, or its id.
func (s *Scan) NameOf(id string) string { return s.catalog.nameOf(id) }

// Report is the scan as it is reported, with why each unknown one cannot be told. Detectors are rules that others
// share, and withdrawn updates are wanted by nobody: neither is anything to report.
func (s *Scan) Report() (sets Sets, reasons map[uint32]string) {
	reasons = map[uint32]string{}
	for i := range s.found {
		number, v := s.catalog.byID[s.found[i].ID].Number, s.stands[s.found[i].ID]
		switch v.Standing {
		case Applicable:
			sets.Applicable = append(sets.Applicable, number)
		case Installed:
			sets.Installed = append(sets.Installed, number)
		case Unknown:
			sets.Unknown = append(sets.Unknown, number)
			reasons[number] = cmp.Or(v.Why, "its rules do not say why")
		}
	}
	for number, why := range s.Refused {
		sets.Unknown = append(sets.Unknown, number)
		reasons[number] = why
	}
	slices.Sort(sets.Applicable)
	slices.Sort(sets.Installed)
	slices.Sort(sets.Unknown)
	return sets, reasons
}

// Missing counts what is reported as applicable: updates that are missing, and those that are needless once others are
// installed, as the site counts them.
func (s *Scan) Missing() (missing, superseded int) {
	found := slices.DeleteFunc(slices.Clone(s.found), func(v evaluate.Verdict) bool {
		return v.State == evaluate.Needed && s.stands[v.ID].Standing == Superseded
	})
	return evaluate.Count(s.read, found, s.catalog.view)
}

// Languages are those of the user interface, the system's own first.
func (s *Scan) Languages() []string {
	if s.Facts.System == nil {
		return nil
	}
	return s.Facts.System.Languages
}

// Difference says what to add to and remove from one sorted list to make it the other.
func Difference(from, to []uint32) agentapi.Change {
	var change agentapi.Change
	for _, number := range to {
		if _, has := slices.BinarySearch(from, number); !has {
			change.Add = append(change.Add, number)
		}
	}
	for _, number := range from {
		if _, has := slices.BinarySearch(to, number); !has {
			change.Remove = append(change.Remove, number)
		}
	}
	return change
}
