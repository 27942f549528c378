// Package scan judges updates by the facts of one computer: which are missing, which are installed, and of which that
// cannot be told.
package scan

import (
	"context"
	"fmt"
	"slices"

	"thatch/agent/facts"
	"thatch/agentapi"
	"thatch/catalog"
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

// Known is what later decisions ask of an update of the catalog.
type Known struct {
	Number   uint32
	Name     string
	Verdict  Verdict
	detector bool
}

// Scan is one look at a computer.
type Scan struct {
	Machine facts.Machine
	Facts   *rule.Facts
	// Refused are updates whose documents could not be verified, by number, with why. They cannot be told.
	Refused map[uint32]string

	evaluator  *rule.Evaluator
	knowledge  rule.Knowledge
	updates    map[string]*Known   // by document id
	successors map[string][]string // by document id: what supersedes it directly
}

// Sets are update numbers, each list sorted.
type Sets struct {
	Applicable []uint32 `json:"applicable,omitempty"`
	Installed  []uint32 `json:"installed,omitempty"`
	Unknown    []uint32 `json:"unknown,omitempty"`
}

// Update is an update of the catalog.
type Update struct {
	Number uint32
	ID     string
	Month  string // that its KB was released in, "2019-02"
	Body   catalog.Update
}

// New judges every update.
func New(ctx context.Context, machine facts.Machine, read *rule.Facts, all []Update) (*Scan, error) {
	s := &Scan{updates: map[string]*Known{}, successors: map[string][]string{}, knowledge: knowledge(all)}
	s.Look(machine, read)
	return s, s.judgeAll(ctx, all)
}

// Look puts later facts in place of the former. The updates keep their verdicts until Of gives them others.
func (s *Scan) Look(machine facts.Machine, read *rule.Facts) {
	s.Machine, s.Facts, s.evaluator = machine, read, rule.NewEvaluator(read, s.knowledge)
}

// Evaluate answers one rule.
func (s *Scan) Evaluate(r *rule.Rule) rule.Verdict { return s.evaluator.Evaluate(r) }

// Update is what is known of an update, nil when the catalog has none of that document id.
func (s *Scan) Update(id string) *Known { return s.updates[id] }

// Of judges an update that may be another revision than the catalog's, and so may be what a policy pins.
func (s *Scan) Of(id string, u *catalog.Update) Verdict {
	v := s.judge(u)
	if v.Standing == Applicable {
		return s.overtaken(id, s.prerequisites(v, u.Prerequisites))
	}
	return v
}

func (s *Scan) judgeAll(ctx context.Context, all []Update) error {
	for i := range all {
		if i%256 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		one := &all[i]
		s.updates[one.ID] = &Known{
			Number: one.Number, Name: one.Body.Name, detector: one.Body.Detector, Verdict: s.judge(&one.Body),
		}
		for _, former := range one.Body.Supersedes {
			s.successors[former] = append(s.successors[former], one.ID)
		}
	}
	for i := range all {
		one := s.updates[all[i].ID]
		if one.Verdict.Standing == Applicable {
			one.Verdict = s.prerequisites(one.Verdict, all[i].Body.Prerequisites)
		}
	}
	for id, one := range s.updates {
		one.Verdict = s.overtaken(id, one.Verdict)
	}
	return nil
}

// overtaken lowers the verdict on a missing update that something installed supersedes.
func (s *Scan) overtaken(id string, v Verdict) Verdict {
	if v.Standing != Applicable {
		return v
	}
	by := s.Successor(id, func(_ string, k *Known) bool { return k.Verdict.Standing == Installed })
	if by == "" {
		return v
	}
	return Verdict{Superseded, fmt.Sprintf("superseded by %s, which is installed", s.NameOf(by))}
}

// judge holds an update's own rules against the computer.
func (s *Scan) judge(u *catalog.Update) Verdict {
	if u.NoRule != "" {
		return Verdict{Unknown, u.NoRule}
	}
	has := s.evaluator.Evaluate(u.Installed)
	if has.Answer == rule.True {
		return Verdict{Standing: Installed}
	}
	can := s.evaluator.Evaluate(u.Applicable)
	switch can.Answer {
	case rule.False:
		return Verdict{Standing: Absent}
	case rule.Unknown:
		return Verdict{Unknown, can.Because}
	}
	if has.Answer == rule.Unknown {
		return Verdict{Unknown, has.Because}
	}
	if u.Superseded != nil {
		switch over := s.evaluator.Evaluate(u.Superseded); over.Answer {
		case rule.True:
			return Verdict{Superseded, "its own rule says that something newer is installed"}
		case rule.Unknown:
			return Verdict{Unknown, over.Because}
		}
	}
	return Verdict{Standing: Applicable}
}

// prerequisites lowers the verdict on an applicable update: of every group one update must be installed. One that is
// missing can be installed first, so the update still counts; where all are not applicable, so is the update.
func (s *Scan) prerequisites(v Verdict, groups [][]string) Verdict {
	for _, group := range groups {
		if len(group) == 0 {
			continue
		}
		switch g := s.group(group); g.Standing {
		case Absent:
			return Verdict{Standing: Absent}
		case Unknown:
			v = g
		}
	}
	return v
}

// group judges one group of prerequisites: installed when one is, applicable when one could be installed first.
func (s *Scan) group(ids []string) Verdict {
	g := Verdict{Standing: Absent}
	for _, id := range ids {
		k := s.updates[id]
		switch {
		case k != nil && (k.Verdict.Standing == Installed || k.Verdict.Standing == Superseded):
			return Verdict{Standing: Installed}
		case k != nil && k.Verdict.Standing == Applicable && !k.detector:
			g = Verdict{Standing: Applicable}
		case g.Standing == Applicable:
		case k == nil:
			g = Verdict{Unknown, fmt.Sprintf("its prerequisite %s is not known here", id)}
		case k.Verdict.Standing == Unknown:
			g = Verdict{Unknown, fmt.Sprintf("its prerequisite %s: %s", s.NameOf(id), k.Verdict.Why)}
		}
	}
	return g
}

// Lacking names the first group of prerequisites of which nothing is installed, "" when there is none.
func (s *Scan) Lacking(groups [][]string) string {
	for _, group := range groups {
		has := slices.ContainsFunc(group, func(id string) bool {
			k := s.updates[id]
			return k != nil && (k.Verdict.Standing == Installed || k.Verdict.Standing == Superseded)
		})
		if !has && len(group) > 0 {
			return s.NameOf(group[0])
		}
	}
	return ""
}

// Successor finds an update that supersedes id, directly or through others, and satisfies want. Circles end the search.
func (s *Scan) Successor(id string, want func(id string, k *Known) bool) string {
	seen := map[string]bool{id: true}
	queue := s.successors[id]
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		if seen[next] {
			continue
		}
		seen[next] = true
		if k := s.updates[next]; k != nil && want(next, k) {
			return next
		}
		queue = append(queue[:len(queue):len(queue)], s.successors[next]...)
	}
	return ""
}

// NameOf is the name of an update, or its id.
func (s *Scan) NameOf(id string) string {
	if k := s.updates[id]; k != nil && k.Name != "" {
		return k.Name
	}
	return id
}

// Report is the scan as it is reported, with why each unknown one cannot be told. Detectors are rules that others share, and nothing to report.
func (s *Scan) Report() (sets Sets, reasons map[uint32]string) {
	reasons = map[uint32]string{}
	for _, k := range s.updates {
		if k.detector {
			continue
		}
		switch k.Verdict.Standing {
		case Applicable:
			sets.Applicable = append(sets.Applicable, k.Number)
		case Installed:
			sets.Installed = append(sets.Installed, k.Number)
		case Unknown:
			sets.Unknown = append(sets.Unknown, k.Number)
			reasons[k.Number] = k.Verdict.Why
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
