package evaluate

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"thatch/catalog"
	"thatch/catalog/rule"
	"thatch/catalog/supersedence"
)

// Updates iterates over the documents of a catalog's updates: id and body.
type Updates = iter.Seq2[string, *catalog.Update]

// State is the verdict on one update.
type State int

// The states of an update on a computer.
const (
	NotApplicable State = iota
	Installed
	Needed
	CannotTell
	Replaced // its own rule says that something newer is there
)

// Verdict is the state of one update and why it is so.
type Verdict struct {
	ID     string
	Update *catalog.Update
	State  State
	By     string // Installed: the KB that has it, where it is another
	Reason string // CannotTell
}

// Catalog is what computers are held against: updates, and what is known of how they follow one another. It serves any
// number of scans.
type Catalog struct {
	all     []entry
	byID    map[string]int
	revised []int // of all: those that a revision of Windows shows to be installed
	view    *supersedence.View
}

type entry struct {
	id   string
	body *catalog.Update
}

// NewCatalog makes one of updates that stay as they are.
func NewCatalog(updates Updates, view *supersedence.View) *Catalog {
	c := &Catalog{byID: make(map[string]int), view: view}
	for id, u := range updates {
		if u.KB != "" && asksRevision(u.Installed) {
			c.revised = append(c.revised, len(c.all))
		}
		c.byID[id] = len(c.all)
		c.all = append(c.all, entry{id, u})
	}
	return c
}

// Scan is one look at a computer. It is not for several goroutines at once.
type Scan struct {
	catalog   *Catalog
	evaluator *rule.Evaluator
	pinned    map[string]*catalog.Update // that the catalog may not have
	own       []ruled                    // by the catalog's order
	answers   map[string]rule.Verdict    // whether prerequisites are there
	shown     []string                   // KBs that the revision of Windows shows to be installed, once asked
	asked     bool
}

// ruled is what an update's own rules say.
type ruled struct {
	told   bool
	state  State
	reason string
}

// Scan begins a look at the computer that the facts are of.
func (c *Catalog) Scan(facts *rule.Facts) *Scan {
	return &Scan{
		catalog: c, evaluator: rule.NewEvaluator(facts, c.view), pinned: make(map[string]*catalog.Update),
		own: make([]ruled, len(c.all)), answers: make(map[string]rule.Verdict),
	}
}

// Pin makes an update known that the catalog may not have any more, as a prerequisite of others.
func (s *Scan) Pin(id string, u *catalog.Update) {
	s.pinned[id] = u
	clear(s.answers)
}

// Evaluate answers one rule.
func (s *Scan) Evaluate(r *rule.Rule) rule.Verdict { return s.evaluator.Evaluate(r) }

// Verdicts judges every update of the catalog. Those that do not apply are left out; so are withdrawn ones and mere
// detectors, and what is not published as of the view's day.
func (s *Scan) Verdicts(ctx context.Context) ([]Verdict, error) {
	var verdicts []Verdict
	for i, e := range s.catalog.all {
		if i%256 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		if e.body.Withdrawn || e.body.Detector || !s.catalog.view.Published(e.id) {
			continue
		}
		if r := s.at(i); r.state != NotApplicable {
			verdicts = append(verdicts, Verdict{ID: e.id, Update: e.body, State: r.state, Reason: r.reason})
		}
	}
	for i := range verdicts {
		s.weigh(&verdicts[i])
	}
	return slices.DeleteFunc(verdicts, func(v Verdict) bool { return v.State == NotApplicable }), nil
}

// Judge judges one update, in whatever revision: what a policy pins need not be in the catalog any more.
func (s *Scan) Judge(id string, u *catalog.Update) Verdict {
	r := s.rules(u)
	v := Verdict{ID: id, Update: u, State: r.state, Reason: r.reason}
	s.weigh(&v)
	return v
}

// Overtaken names an installed update that supersedes one, directly or over others; none is empty.
func (s *Scan) Overtaken(id string) string {
	for _, above := range s.catalog.view.Above(id) {
		if u, r := s.known(above); u != nil && !u.Withdrawn && !u.Detector && r.state == Installed {
			return above
		}
	}
	return ""
}

// There says whether an update is installed, or something newer is.
func (s *Scan) There(id string) bool {
	u, r := s.known(id)
	return u != nil && (r.state == Installed || r.state == Replaced || s.Overtaken(id) != "")
}

// known finds an update of the catalog, or a pinned one, and what its own rules say; nil for others.
func (s *Scan) known(id string) (*catalog.Update, *ruled) {
	if i, ok := s.catalog.byID[id]; ok {
		return s.catalog.all[i].body, s.at(i)
	}
	u := s.pinned[id]
	if u == nil {
		return nil, nil
	}
	r := s.rules(u)
	return u, &r
}

// weigh lowers what the update's own rules say by its prerequisites. Where rules say that it is not installed, those
// that the revision of Windows shows have the last word: one of them may hold it (see supersedence.View.Holds), as a
// hotpatch does, whose revision is lower than that of the cumulative update for which it stands.
func (s *Scan) weigh(v *Verdict) {
	s.prerequisites(v)
	if v.State != Needed && v.State != CannotTell || v.Update.KB == "" || v.Update.Applicable == nil {
		return
	}
	shown := s.byRevision()
	if len(shown) == 0 {
		return
	}
	if by, ok := s.catalog.view.Holds(v.Update.KB, v.Update.Product.ID, without(shown, v)); ok {
		v.State, v.By, v.Reason = Installed, by, ""
	}
}

// prerequisites lowers the verdict on an update that is needed: of every group one must be installed, or be one that
// applies and can be installed first.
func (s *Scan) prerequisites(v *Verdict) {
	if v.State != Needed {
		return
	}
	for _, group := range v.Update.Prerequisites {
		switch g := s.group(group); g.Answer {
		case rule.False:
			v.State, v.Reason = NotApplicable, ""
			return
		case rule.Unknown:
			v.State, v.Reason = CannotTell, g.Because
		}
	}
}

// group says whether one of a group is installed, or can be.
func (s *Scan) group(ids []string) rule.Verdict {
	result := rule.Verdict{Answer: rule.False}
	if len(ids) == 0 {
		result.Answer = rule.True
	}
	for _, id := range ids {
		switch v := s.has(id); {
		case v.Answer == rule.True:
			return v
		case v.Answer == rule.Unknown && result.Answer == rule.False:
			result = v
		}
	}
	return result
}

func (s *Scan) has(id string) rule.Verdict {
	v, ok := s.answers[id]
	if !ok {
		v = s.answer(id)
		s.answers[id] = v
	}
	return v
}

// answer says whether a prerequisite is there: itself or something newer, or could be installed first.
func (s *Scan) answer(id string) rule.Verdict {
	u, r := s.known(id)
	if u == nil || u.Installed == nil {
		return rule.Verdict{Because: "its prerequisite " + id + " is not known here"}
	}
	if u.Detector {
		return because(id, u, s.Evaluate(u.Installed))
	}
	switch r.state {
	case Installed, Needed, Replaced:
		return rule.Verdict{Answer: rule.True}
	case CannotTell:
		return because(id, u, rule.Verdict{Because: r.reason})
	}
	if s.Overtaken(id) != "" {
		return rule.Verdict{Answer: rule.True}
	}
	return rule.Verdict{Answer: rule.False}
}

func because(id string, u *catalog.Update, v rule.Verdict) rule.Verdict {
	if v.Answer == rule.Unknown {
		v.Because = "its prerequisite " + cmp.Or(u.Name, id) + ": " + v.Because
	}
	return v
}

// at is what the own rules of one of the catalog's updates say.
func (s *Scan) at(i int) *ruled {
	if !s.own[i].told {
		s.own[i] = s.rules(s.catalog.all[i].body)
	}
	return &s.own[i]
}

// rules evaluates the rules of one update. What is installed counts as that, whether or not it could still be
// installed: vendors write rules that let an update onto those computers alone that lack it.
func (s *Scan) rules(u *catalog.Update) ruled {
	tell := func(state State, reason string) ruled { return ruled{true, state, reason} }
	if u.NoRule != "" || u.Applicable == nil && u.Installed == nil {
		return tell(CannotTell, cmp.Or(u.NoRule, "the update has no rule"))
	}
	installed := rule.Verdict{Answer: rule.Unknown, Because: "the update has no rule for being installed"}
	if u.Installed != nil {
		installed = s.Evaluate(u.Installed)
	}
	if installed.Answer == rule.True {
		return tell(Installed, "")
	}
	applicable := s.Evaluate(u.Applicable)
	if applicable.Answer == rule.False {
		return tell(NotApplicable, "")
	}
	superseded := rule.Verdict{Answer: rule.False}
	if u.Superseded != nil {
		superseded = s.Evaluate(u.Superseded)
	}
	switch {
	case superseded.Answer == rule.True:
		return tell(Replaced, "")
	case superseded.Answer == rule.Unknown:
		return tell(CannotTell, superseded.Because)
	case applicable.Answer == rule.Unknown:
		return tell(CannotTell, applicable.Because)
	case installed.Answer == rule.Unknown:
		return tell(CannotTell, installed.Because)
	}
	return tell(Needed, "")
}

// byRevision lists the KBs that the revision of Windows shows to be installed, sorted. (Of hotfixes the rules
// themselves have asked that. What they found satisfied otherwise, such as a rollup by the other path, does not count
// here: it is not itself installed.)
func (s *Scan) byRevision() []string {
	if s.asked {
		return s.shown
	}
	s.asked = true
	for _, i := range s.catalog.revised {
		e := s.catalog.all[i]
		if e.body.Withdrawn || e.body.Detector || !s.catalog.view.Published(e.id) {
			continue
		}
		if s.at(i).state == Installed && s.showsRevision(e.body.Installed) {
			s.shown = append(s.shown, e.body.KB)
		}
	}
	slices.Sort(s.shown)
	s.shown = slices.Compact(s.shown)
	return s.shown
}

// showsRevision says whether a rule asks for a revision of Windows, and the computer has it.
func (s *Scan) showsRevision(r *rule.Rule) bool {
	if r.Op == rule.WindowsBuild && r.With["Revision"] != "" {
		return s.Evaluate(r).Answer == rule.True
	}
	return slices.ContainsFunc(r.Rules, s.showsRevision)
}

func asksRevision(r *rule.Rule) bool {
	if r == nil {
		return false
	}
	if r.Op == rule.WindowsBuild && r.With["Revision"] != "" {
		return true
	}
	return slices.ContainsFunc(r.Rules, asksRevision)
}

// without leaves the KB itself out: another product of it may be installed where this one is not.
func without(installed []string, v *Verdict) []string {
	i, found := slices.BinarySearch(installed, v.Update.KB)
	if !found {
		return installed
	}
	return slices.Delete(slices.Clone(installed), i, i+1)
}
