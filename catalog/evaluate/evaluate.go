// Package evaluate holds the facts of one computer against a catalog: which updates it misses, which it has, and of
// which that cannot be told, and why. Agents scan with it, and recorded hosts are judged by it.
package evaluate

import (
	"cmp"
	"context"
	"fmt"
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

// Evaluate scans and arranges what was found for people: what is missing, the worst first, and what cannot be told,
// gathered by product and reason. Superseded updates are left out unless all are wanted: those for which another one
// that is missing or installed makes them needless; and of those that cannot be told, the ones before another such.
func Evaluate(facts *rule.Facts, updates Updates, graph *supersedence.Graph, view *supersedence.View, all bool) Result {
	result := Result{Host: hostOf(facts), Missing: []Missing{}, Unknown: []Unknown{}}
	verdicts, _ := NewCatalog(updates, view).Scan(facts).Verdicts(context.Background()) // which does not end
	a := arrange(facts, verdicts, view)
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

// Count says how many updates are missing, and how many beside them are needless once others are installed, which are
// missing or installed themselves.
func Count(facts *rule.Facts, verdicts []Verdict, view *supersedence.View) (missing, superseded int) {
	a := arrange(facts, verdicts, view)
	for i := range verdicts {
		switch v := &verdicts[i]; {
		case v.State != Needed:
		case a.supersededBy(v) != "":
			superseded++
		default:
			missing++
		}
	}
	return missing, superseded
}

func arrange(facts *rule.Facts, verdicts []Verdict, view *supersedence.View) *arrangement {
	a := &arrangement{view: view, present: make(map[string]bool), presentIDs: make(map[string]bool), untold: make(map[string]bool)}
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
	return a
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
