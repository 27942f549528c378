package supersedence

import (
	"fmt"
	"slices"

	"thatch/catalog/rule"
)

// previewLag is how many months after its number was given out a cumulative update may be published, as previews are;
// of other updates one month is enough.
const (
	previewLag = 2
	otherLag   = 1
)

var _ rule.Knowledge = (*View)(nil)

// Satisfied implements rule.Knowledge. A KB is satisfied for a product by being installed, or by an installed one that
//
//   - supersedes it on the same Windows, directly or over others;
//   - belongs to the same cumulative series there and is of a later month, whether or not the files between are known;
//   - is a rollup of its month or a later one, where it is a Security Only update or a cumulative one of Internet
//     Explorer; or a cumulative update of its month or later, where it is a hotpatch, and the other way round.
//
// A Monthly Rollup is satisfied, too, by the other way to the same end: all its vulnerabilities of that product are
// named by satisfied updates of other classes and the same month, and so are all Security Only updates before.
//
// A KB that is known only by being superseded counts as one of the series of its successor, dated by its number.
// Otherwise an installed KB that the catalog does not know, and whose number is not clearly too old, makes it
// unknown; except that Windows 10 and later list no cumulative update but the newest.
func (v *View) Satisfied(kb, product string, installed *rule.Hotfixes) (by string, ok bool, err error) {
	v.locked(func() {
		q := v.question(kb, product, installed)
		if by, ok = q.satisfied(kb); ok {
			return
		}
		if by, ok = q.byAlternatives(kb); ok {
			return
		}
		if doubt := q.doubt(); doubt != "" {
			err = fmt.Errorf("%w: KB%s is installed and not in the catalog; it could be a later one than KB%s", rule.ErrUnknown, doubt, kb)
		}
	})
	return by, ok, err
}

// question is one asking.
type question struct {
	view      *View
	platform  *platform
	base      string // product id of the Windows itself
	product   string
	kb        string
	installed []string
	has       map[string]bool
}

func (v *View) question(kb, product string, installed *rule.Hotfixes) *question {
	base := platformOf(product)
	q := &question{view: v, platform: v.at(base), base: base, product: product, kb: kb}
	if installed != nil {
		q.installed = installed.KBs
	}
	q.has = v.setOf(q.installed)
	return q
}

// setOf is a list as a set. One computer is asked about many KBs, so the last one is kept.
func (v *View) setOf(installed []string) map[string]bool {
	if v.has == nil || !slices.Equal(v.installed, installed) {
		v.installed, v.has = slices.Clone(installed), make(map[string]bool, len(installed))
		for _, kb := range installed {
			v.has[kb] = true
		}
	}
	return v.has
}

// products are those on which series of the asked product are looked for: itself, and Windows.
func (q *question) products() []string {
	if q.base == q.product {
		return []string{q.base}
	}
	return []string{q.product, q.base}
}

// satisfied answers for the asked KB or another of its product, without alternatives of a rollup.
func (q *question) satisfied(kb string) (string, bool) {
	if q.has[kb] {
		return kb, true
	}
	for _, next := range q.platform.successors(kb) {
		if q.has[next] {
			return next, true
		}
	}
	kind := q.kindOf(kb)
	for _, i := range q.installed {
		if q.platform.known[i] && q.holds(i, kb) || kind.inOrder() && q.danglesLater(i, kb, kind) {
			return i, true
		}
	}
	return "", false
}

// danglesLater says whether an installed KB, known only by being superseded, is of the same cumulative series as
// another and surely later: its number was given out after the month of that one.
func (q *question) danglesLater(installed, kb string, kind group) bool {
	return q.danglesIn(installed, kind) && q.view.eras.era(installed) > q.view.month(kb)
}

// danglesIn says whether a KB is known only by being superseded by one of a kind.
func (q *question) danglesIn(kb string, kind group) bool {
	if q.platform.known[kb] {
		return false
	}
	return slices.ContainsFunc(q.platform.above[kb], func(next string) bool { return q.kindOf(next) == kind })
}

// holds says whether an installed KB of the same Windows holds all of another by the order of their series.
func (q *question) holds(later, kb string) bool {
	lm, km := q.view.month(later), q.view.month(kb)
	if lm < km {
		return false
	}
	for _, product := range q.products() {
		series := q.platform.by[product]
		l, k := series[later], series[kb]
		if l == nil {
			continue
		}
		lk := q.view.kind(q.platform, l)
		if k != nil && lk.inOrder() && lk == q.view.kind(q.platform, k) && lm > km {
			return true
		}
		if q.covers(lk, kb, product) && (lk != hotpatch || lm > km) { // of the same month, all its hotpatches are wanted
			return true
		}
	}
	return false
}

// covers says whether one of a kind on a product holds those of another kind and no later month: rollups hold Security
// Only updates and Internet Explorer, cumulative updates hold hotpatches, and these stand for cumulative ones.
func (q *question) covers(kind group, kb, product string) bool {
	k := q.platform.by[q.product][kb]
	if k == nil {
		k = q.platform.by[product][kb]
	}
	if k == nil || product != k.product && !q.shares(k.product, product) {
		return false
	}
	switch q.view.kind(q.platform, k) {
	case securityOnly, explorer:
		return kind == rollup
	case hotpatch:
		return kind == cumulative
	case cumulative:
		return kind == hotpatch
	}
	return false
}

// shares says whether a component gets its updates with those of Windows: they have one in common.
func (q *question) shares(component, base string) bool {
	tied, ok := q.platform.ties[component]
	if !ok {
		for kb := range q.platform.by[component] {
			if q.platform.by[base][kb] != nil {
				tied = true
				break
			}
		}
		q.platform.ties[component] = tied
	}
	return tied
}

// byAlternatives answers for a rollup, or a cumulative update with hotpatches beside it.
func (q *question) byAlternatives(kb string) (string, bool) {
	for _, product := range q.products() {
		n := q.platform.by[product][kb]
		if n == nil {
			continue
		}
		kind := q.view.kind(q.platform, n)
		if kind != rollup && kind != cumulative || len(n.cves) == 0 {
			continue
		}
		by, ok := q.covered(n, kind)
		if ok && (kind != rollup || q.allBefore(n)) {
			return by, true
		}
		return "", false
	}
	return "", false
}

// covered says whether satisfied updates of other kinds and the same month name every vulnerability of an update, on
// the same product.
func (q *question) covered(n *update, kind group) (by string, ok bool) {
	open := make(map[string]bool, len(n.cves))
	for _, c := range n.cves {
		open[c] = true
	}
	for _, other := range q.sorted(n.product) {
		k := q.view.kind(q.platform, other)
		if k == kind || k == single || k == standalone || k == stack || q.view.month(other.kb) != q.view.month(n.kb) {
			continue
		}
		with, ok := q.satisfied(other.kb)
		if !ok {
			continue
		}
		for _, c := range other.cves {
			if open[c] {
				delete(open, c)
				by = with
			}
		}
	}
	return by, by != "" && len(open) == 0
}

// allBefore says whether every Security Only update of a rollup's product up to its month is satisfied: one month left
// out, and the rollup is still missing.
func (q *question) allBefore(n *update) bool {
	month := q.view.month(n.kb)
	for kb, other := range q.platform.by[n.product] {
		if other.group == securityOnly && q.view.month(kb) <= month {
			if _, ok := q.satisfied(kb); !ok {
				return false
			}
		}
	}
	return true
}

// sorted lists the updates of a product by KB number, so that answers do not depend on the order of maps.
func (q *question) sorted(product string) []*update {
	series := q.platform.by[product]
	all := make([]*update, 0, len(series))
	for _, n := range series {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *update) int { return number(a.kb) - number(b.kb) })
	return all
}

// doubt returns an installed KB of which it cannot be told whether it holds the asked one, of several the newest; none
// is empty.
func (q *question) doubt() string {
	month := q.view.month(q.kb)
	kind, windows := q.kindOf(q.kb), q.isWindows(q.kb)
	lag := Month(previewLag)
	if kind == single || kind == stack || kind == cumulative && !windows {
		lag = otherLag
	}
	newest := windows && q.listsCumulative()
	doubtful := ""
	for _, i := range q.installed {
		if newest && len(q.platform.above[i]) == 0 || q.classified(i) {
			continue
		}
		if q.view.eras.era(i)+lag >= month && number(i) > number(doubtful) {
			doubtful = i
		}
	}
	return doubtful
}

// kindOf is the kind of a KB on the asked product or else on its Windows.
func (q *question) kindOf(kb string) group {
	for _, product := range q.products() {
		if n := q.platform.by[product][kb]; n != nil {
			return q.view.kind(q.platform, n)
		}
	}
	return single
}

// isWindows says whether a KB is a cumulative update of Windows itself, not of a part with a series of its own, such as
// Flash Player, of which old and new ones are listed side by side.
func (q *question) isWindows(kb string) bool {
	n := q.platform.by[q.base][kb]
	return n != nil && q.view.kind(q.platform, n) == cumulative
}

// listsCumulative says whether a cumulative update of Windows itself is among the installed ones. Windows 10 and later
// list the newest alone: no other installed KB is a later one.
func (q *question) listsCumulative() bool {
	for _, i := range q.installed {
		a := q.view.graph.articles[i]
		if a == nil {
			if q.danglesIn(i, cumulative) {
				return true
			}
			continue
		}
		for product, n := range a.updates {
			if product == platformOf(product) && (n.own || q.view.kind(q.view.at(product), n) == cumulative) {
				return true
			}
		}
	}
	return false
}

// classified says whether an installed KB is known well enough to be no later one than the asked: the catalog has it,
// or knows what supersedes it, and it was not found to hold the asked one.
func (q *question) classified(kb string) bool {
	if a := q.view.graph.articles[kb]; a != nil && len(a.updates) > 0 && q.view.published(kb) {
		return true
	}
	above := q.platform.above[kb]
	if len(above) == 0 {
		return false
	}
	if slices.Contains(q.platform.predecessors(q.kb), kb) {
		return true // the asked one is later
	}
	return !q.danglesIn(kb, q.kindOf(q.kb)) // of the same series: its number tells
}

// Holds says whether KBs that are surely installed satisfy one for a product, doubts aside.
func (v *View) Holds(kb, product string, installed []string) (by string, ok bool) {
	v.locked(func() {
		q := v.question(kb, product, &rule.Hotfixes{KBs: installed})
		if by, ok = q.satisfied(kb); !ok {
			by, ok = q.byAlternatives(kb)
		}
	})
	return by, ok
}

// Later lists the KBs published by the view's day that, once installed, make a KB needless for a product: those that
// supersede it on that Windows, later ones of its series, and what covers it otherwise. A rollup makes Security Only
// updates needless only on computers that are not on that path, which installed KBs show.
func (v *View) Later(kb, product string, installed []string) []string {
	var later []string
	v.locked(func() {
		q := v.question(kb, product, &rule.Hotfixes{KBs: installed})
		secure := q.onSecurityOnly()
		mine := q.kindOf(kb)
		for _, next := range q.platform.successors(kb) {
			if q.platform.known[next] {
				later = append(later, next)
			}
		}
		for _, p := range q.products() {
			for _, n := range q.sorted(p) {
				if n.kb == kb || slices.Contains(later, n.kb) || secure && n.group == rollup && mine != rollup {
					continue
				}
				if q.holds(n.kb, kb) && (mine != cumulative || n.group != hotpatch) {
					later = append(later, n.kb)
				}
			}
		}
	})
	return later
}

// onSecurityOnly says whether the computer takes Security Only updates.
func (q *question) onSecurityOnly() bool {
	for _, i := range q.installed {
		for _, product := range q.products() {
			if n := q.platform.by[product][i]; n != nil && n.group == securityOnly {
				return true
			}
		}
	}
	return false
}

// Above lists the documents of updates that supersede one, directly or over others, as far as they are in the catalog.
func (v *View) Above(id string) []string {
	var found []string
	v.locked(func() {
		seen := map[string]bool{id: true}
		for queue := []string{id}; len(queue) > 0; queue = queue[1:] {
			for next := range v.graph.above[queue[0]] {
				if n := v.graph.updates[next]; !seen[next] && n != nil && (n.kb == "" || v.published(n.kb)) {
					seen[next] = true
					found = append(found, next)
					queue = append(queue, next)
				}
			}
		}
		slices.Sort(found)
	})
	return found
}

// Published says whether an update is known as of the view's day.
func (v *View) Published(id string) (known bool) {
	v.locked(func() {
		n := v.graph.updates[id]
		known = n == nil || n.kb == "" || v.published(n.kb)
	})
	return known
}

// Superseded says whether the catalog holds, as of the view's day, something that makes an update needless: an update
// that supersedes it, or a later one of its series on the same product or its Windows.
func (v *View) Superseded(id string) bool {
	if len(v.Above(id)) > 0 {
		return true
	}
	var n *update
	v.locked(func() { n = v.graph.updates[id] })
	if n == nil || n.kb == "" {
		return false
	}
	return slices.ContainsFunc(v.Later(n.kb, n.product, nil), func(kb string) bool { return !v.alternative(kb, n) })
}

// alternative says whether a KB is another way to the same end, which does not make an update superseded for all.
func (v *View) alternative(kb string, n *update) (is bool) {
	v.locked(func() {
		for _, product := range []string{n.product, n.platform} {
			if other := v.graph.products[product][kb]; other != nil && v.kind(v.at(n.platform), other) == v.kind(v.at(n.platform), n) {
				return
			}
		}
		is = true
	})
	return is
}
