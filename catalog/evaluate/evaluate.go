// Package evaluate holds the facts of one computer against a catalog: which updates it misses, which it has, and of
// which that cannot be told, and why. Agents scan with it, and recorded hosts are judged by it.
package evaluate

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"thatch/catalog"
	"thatch/catalog/rule"
	"thatch/catalog/supersedence"
)

// Host is the computer as it was recognised.
type Host struct {
	Recognised bool   `json:"recognised"`
	Name       string `json:"name,omitempty"`
	Product    string `json:"product"` // "Windows 10 Version 1803 for x64-based Systems"
	Build      string `json:"build"`   // "17134", or "17134.590" where the revision is known
	Language   string `json:"language"`
	Simulated  bool   `json:"simulated,omitempty"`
}

// Missing is an update that applies and is not installed.
type Missing struct {
	KB         string           `json:"kb"`     // "KB4487017"; empty where the vendor has none
	Update     string           `json:"update"` // document id
	Title      string           `json:"title"`
	Product    string           `json:"product"`
	Bulletin   string           `json:"bulletin"` // document id
	Severity   catalog.Severity `json:"severity"`
	CVEs       []string         `json:"cves,omitempty"`
	Exploited  bool             `json:"exploited"`
	Superseded bool             `json:"superseded"` // by another that is missing or installed
	By         string           `json:"superseded_by,omitempty"`
	Reason     string           `json:"reason"`
}

// Unknown is what cannot be told, gathered by product and reason.
type Unknown struct {
	Product string   `json:"product"`
	Reason  string   `json:"reason"`
	KBs     []string `json:"kbs,omitempty"`
	Updates []string `json:"updates"` // document ids
}

// Result is an evaluation for people and tools.
type Result struct {
	Host    Host      `json:"host"`
	AsOf    string    `json:"as_of,omitempty"` // yyyy-mm-dd
	Missing []Missing `json:"missing"`
	Unknown []Unknown `json:"unknown"`
	Notes   []string  `json:"notes,omitempty"`
	// Counts of what is not listed.
	Installed    int `json:"installed"`
	Superseded   int `json:"superseded_left_out,omitempty"` // missing, but needless once another is installed
	NoLongerAsks int `json:"superseded_unknown_left_out,omitempty"`
}

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
)

// Verdict is the state of one update and why it is so.
type Verdict struct {
	ID     string
	Update *catalog.Update
	State  State
	By     string // Installed: the KB that has it, where it is another
	Reason string // CannotTell
}

// Scan judges every update of a catalog by the facts of one computer. Updates that do not apply are left out; so are
// withdrawn ones and mere detectors, and what is not published as of the view's day.
//
// Where rules say that an update is not installed, those that the revision of Windows shows have the last word: one of
// them may hold it (see supersedence.View.Holds), as a hotpatch does, whose revision is lower than that of the
// cumulative update for which it stands.
func Scan(facts *rule.Facts, updates Updates, view *supersedence.View) []Verdict {
	c := &scan{evaluator: rule.NewEvaluator(facts, view), others: make(map[string]*catalog.Update), answers: make(map[string]rule.Verdict)}
	var verdicts []Verdict
	for id, u := range updates {
		if u.KB == "" { // a KB article is nobody's prerequisite
			c.others[id] = u
		}
		if u.Withdrawn || u.Detector || !view.Published(id) {
			continue
		}
		if v := judge(c.evaluator, id, u); v.State != NotApplicable {
			verdicts = append(verdicts, v)
		}
	}
	for i := range verdicts {
		c.prerequisites(&verdicts[i])
	}
	c.reconsider(verdicts, view)
	return slices.DeleteFunc(verdicts, func(v Verdict) bool { return v.State == NotApplicable })
}

// scan is one look at a computer.
type scan struct {
	evaluator *rule.Evaluator
	others    map[string]*catalog.Update // that may be prerequisites
	answers   map[string]rule.Verdict    // whether they are installed
}

// prerequisites lowers the verdict on an update that is needed: of every group one must be installed, or be one that
// applies and can be installed first.
func (c *scan) prerequisites(v *Verdict) {
	if v.State != Needed {
		return
	}
	for _, group := range v.Update.Prerequisites {
		switch g := c.group(group); g.Answer {
		case rule.False:
			v.State, v.Reason = NotApplicable, ""
			return
		case rule.Unknown:
			v.State, v.Reason = CannotTell, g.Because
		}
	}
}

// group says whether one of a group is installed, or can be.
func (c *scan) group(ids []string) rule.Verdict {
	result := rule.Verdict{Answer: rule.False}
	if len(ids) == 0 {
		result.Answer = rule.True
	}
	for _, id := range ids {
		switch v := c.has(id); {
		case v.Answer == rule.True:
			return v
		case v.Answer == rule.Unknown && result.Answer == rule.False:
			result = v
		}
	}
	return result
}

func (c *scan) has(id string) rule.Verdict {
	v, ok := c.answers[id]
	if !ok {
		v = c.answer(id)
		c.answers[id] = v
	}
	return v
}

func (c *scan) answer(id string) rule.Verdict {
	u := c.others[id]
	if u == nil || u.Installed == nil {
		return rule.Verdict{Because: "its prerequisite " + id + " is not known here"}
	}
	v := c.evaluator.Evaluate(u.Installed)
	if v.Answer == rule.False && !u.Detector && u.Applicable != nil {
		v = c.evaluator.Evaluate(u.Applicable) // it can be installed first
	}
	if v.Answer == rule.Unknown {
		v.Because = "its prerequisite " + cmp.Or(u.Name, id) + ": " + v.Because
	}
	return v
}

// judge evaluates the rules of one update.
func judge(e *rule.Evaluator, id string, u *catalog.Update) Verdict {
	v := Verdict{ID: id, Update: u}
	if u.Applicable == nil {
		v.State, v.Reason = CannotTell, cmp.Or(u.NoRule, "the update has no rule")
		return v
	}
	applicable := e.Evaluate(u.Applicable)
	if applicable.Answer == rule.False {
		return v
	}
	installed := rule.Verdict{Answer: rule.Unknown, Because: "the update has no rule for being installed"}
	if u.Installed != nil {
		installed = e.Evaluate(u.Installed)
	}
	superseded := rule.Verdict{Answer: rule.False}
	if u.Superseded != nil && installed.Answer != rule.True {
		superseded = e.Evaluate(u.Superseded)
	}
	switch {
	case installed.Answer == rule.True:
		v.State = Installed
	case superseded.Answer == rule.True:
		// Something newer than this update is there: it is not wanted any more.
	case superseded.Answer == rule.Unknown:
		v.State, v.Reason = CannotTell, superseded.Because
	case applicable.Answer == rule.Unknown:
		v.State, v.Reason = CannotTell, applicable.Because
	case installed.Answer == rule.Unknown:
		v.State, v.Reason = CannotTell, installed.Because
	default:
		v.State = Needed
	}
	return v
}

// reconsider asks of every update that is needed, or cannot be told, whether one that the revision of Windows shows to
// be installed holds it. (Of hotfixes the rules themselves have asked that. What they found satisfied otherwise, such as
// a rollup by the other path, does not count here: it is not itself installed.)
func (c *scan) reconsider(verdicts []Verdict, view *supersedence.View) {
	var installed []string
	for i := range verdicts {
		if u := verdicts[i].Update; verdicts[i].State == Installed && u.KB != "" && c.byRevision(u.Installed) {
			installed = append(installed, u.KB)
		}
	}
	if len(installed) == 0 {
		return
	}
	slices.Sort(installed)
	installed = slices.Compact(installed)
	for i := range verdicts {
		v := &verdicts[i]
		if v.State != Needed && v.State != CannotTell || v.Update.KB == "" || v.Update.Applicable == nil {
			continue
		}
		if by, ok := view.Holds(v.Update.KB, v.Update.Product.ID, without(installed, v)); ok {
			v.State, v.By, v.Reason = Installed, by, ""
		}
	}
}

// byRevision says whether a rule asks for a revision of Windows, and the computer has it.
func (c *scan) byRevision(r *rule.Rule) bool {
	if r == nil {
		return false
	}
	if r.Op == rule.WindowsBuild && r.With["Revision"] != "" {
		return c.evaluator.Evaluate(r).Answer == rule.True
	}
	return slices.ContainsFunc(r.Rules, c.byRevision)
}

// without leaves the KB itself out: another product of it may be installed where this one is not.
func without(installed []string, v *Verdict) []string {
	i, found := slices.BinarySearch(installed, v.Update.KB)
	if !found {
		return installed
	}
	return slices.Delete(slices.Clone(installed), i, i+1)
}

// Evaluate scans and arranges what was found for people: what is missing, the worst first, and what cannot be told,
// gathered by product and reason. Superseded updates are left out unless all are wanted: those for which another one
// that is missing or installed makes them needless; and of those that cannot be told, the ones before another such.
func Evaluate(facts *rule.Facts, updates Updates, graph *supersedence.Graph, view *supersedence.View, all bool) Result {
	result := Result{Host: hostOf(facts), Missing: []Missing{}, Unknown: []Unknown{}}
	verdicts := Scan(facts, updates, view)
	a := arrangement{view: view, present: make(map[string]bool), presentIDs: make(map[string]bool), untold: make(map[string]bool)}
	a.note(facts, verdicts)
	var unknown []Verdict
	for i := range verdicts {
		switch v := &verdicts[i]; v.State {
		case Installed:
			result.Installed++
		case Needed:
			m := a.missing(v)
			m.Exploited = graph.Exploited(v.ID)
			if m.Superseded && !all {
				result.Superseded++
				continue
			}
			result.Missing = append(result.Missing, m)
		case CannotTell:
			if !all && v.Update.Applicable != nil && (a.supersededBy(v) != "" || a.untoldAfter(v)) {
				result.NoLongerAsks++
				continue
			}
			unknown = append(unknown, *v)
		}
	}
	slices.SortFunc(result.Missing, worstFirst)
	result.Unknown = gather(unknown)
	return result
}

// arrangement knows what is missing or installed.
type arrangement struct {
	view       *supersedence.View
	present    map[string]bool // KBs missing or installed, by KB and Windows
	presentIDs map[string]bool // updates missing or installed
	untold     map[string]bool // updates that cannot be told, though there is a rule
	installed  []string        // KBs
}

func (a *arrangement) note(facts *rule.Facts, verdicts []Verdict) {
	if facts.Hotfixes != nil {
		a.installed = facts.Hotfixes.KBs
	}
	for i := range verdicts {
		v := &verdicts[i]
		if v.State == Needed || v.State == Installed {
			a.present[v.Update.KB] = true
			a.presentIDs[v.ID] = true
		}
		if v.State == CannotTell && v.Update.Applicable != nil && v.Update.KB != "" {
			a.untold[v.Update.KB+"/"+v.Update.Product.ID] = true
		}
	}
	delete(a.present, "")
}

// untoldAfter says whether a later update of the same product cannot be told either: that one says it all.
func (a *arrangement) untoldAfter(v *Verdict) bool {
	if v.Update.KB == "" {
		return false
	}
	product := v.Update.Product.ID
	windows := product[strings.LastIndexByte(product, '-')+1:]
	return slices.ContainsFunc(a.view.Later(v.Update.KB, product, a.installed), func(kb string) bool {
		return a.untold[kb+"/"+product] || a.untold[kb+"/"+windows]
	})
}

func (a *arrangement) missing(v *Verdict) Missing {
	u := v.Update
	m := Missing{Update: v.ID, Title: u.Title, Product: u.Product.Name, Bulletin: u.Bulletin, Severity: u.Severity, CVEs: u.CVEs, Reason: "it applies and is not installed"}
	if u.KB != "" {
		m.KB = "KB" + u.KB
		m.Reason = "it applies to " + u.Product.Name + ", and neither " + m.KB + " nor one that supersedes it is installed"
	}
	m.By = a.supersededBy(v)
	m.Superseded = m.By != ""
	return m
}

// supersededBy names what makes an update needless on this computer, a KB or an update; none is empty.
func (a *arrangement) supersededBy(v *Verdict) string {
	for _, id := range a.view.Above(v.ID) {
		if a.presentIDs[id] {
			if parts := strings.Split(id, "/"); len(parts) == 3 && strings.HasPrefix(parts[1], "KB") {
				return parts[1]
			}
			return id
		}
	}
	if v.Update.KB == "" {
		return ""
	}
	for _, kb := range a.view.Later(v.Update.KB, v.Update.Product.ID, a.installed) {
		if a.present[kb] {
			return "KB" + kb
		}
	}
	return ""
}

func worstFirst(a, b Missing) int {
	exploited := 0
	switch {
	case a.Exploited && !b.Exploited:
		exploited = -1
	case b.Exploited && !a.Exploited:
		exploited = 1
	}
	return cmp.Or(cmp.Compare(b.Severity.Rank(), a.Severity.Rank()), exploited,
		cmp.Compare(len(b.KB), len(a.KB)), cmp.Compare(b.KB, a.KB), cmp.Compare(a.Update, b.Update))
}

// gather lists verdicts of one product and reason together.
func gather(verdicts []Verdict) []Unknown {
	type key struct{ product, reason string }
	at := make(map[key]int)
	out := []Unknown{}
	for i := range verdicts {
		v := &verdicts[i]
		k := key{v.Update.Product.Name, v.Reason}
		n, ok := at[k]
		if !ok {
			n = len(out)
			at[k] = n
			out = append(out, Unknown{Product: k.product, Reason: k.reason})
		}
		out[n].Updates = append(out[n].Updates, v.ID)
		if v.Update.KB != "" {
			out[n].KBs = append(out[n].KBs, "KB"+v.Update.KB)
		}
	}
	for i := range out {
		slices.Sort(out[i].Updates)
		slices.Sort(out[i].KBs)
		out[i].KBs = slices.Compact(out[i].KBs)
	}
	slices.SortFunc(out, func(a, b Unknown) int {
		return cmp.Or(cmp.Compare(a.Product, b.Product), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

func hostOf(facts *rule.Facts) Host {
	h := Host{Simulated: facts.Simulated}
	sys := facts.System
	if sys == nil {
		return h
	}
	h.Recognised = sys.Product != ""
	h.Product = cmp.Or(sys.Product, sys.Name)
	if sys.Build != 0 {
		h.Build = fmt.Sprint(sys.Build)
		if sys.Revision >= 0 {
			h.Build += fmt.Sprintf(".%d", sys.Revision)
		}
	}
	if len(sys.Languages) > 0 {
		h.Language = sys.Languages[0]
	}
	return h
}
