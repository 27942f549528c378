package supersedence

import (
	"slices"
	"sync"
	"time"
)

// View is a graph as of a day: KBs that were published by then, and the edges of these. It implements rule.Knowledge
// and is safe for use by several goroutines.
type View struct {
	graph *Graph
	until time.Time // zero: everything

	mu        sync.Mutex
	version   int // of the graph that the rest was made from
	eras      eras
	platforms map[string]*platform
	months    map[string]Month
	installed []string        // that were asked with last
	has       map[string]bool // the same
}

// View takes a view as of a day; the zero time knows everything.
func (g *Graph) View(asOf time.Time) *View { return &View{graph: g, until: asOf} }

// platform is what a view knows of one Windows, with all that runs on it: hotfixes are installed on a computer, not on
// a part of it, so a KB that supersedes another on one product of a Windows does so on all of them.
type platform struct {
	above map[string][]string           // KBs that supersede a KB directly
	below map[string][]string           // KBs that a KB supersedes directly, dangling ones among them
	by    map[string]map[string]*update // by product and KB, published ones
	known map[string]bool               // published KBs
	kinds map[*update]group             // answers of View.kind
	ties  map[string]bool               // answers of question.shares, by component
}

// refresh drops what was made from an older state of the graph. Both locks are held by the caller.
func (v *View) refresh() {
	if v.platforms != nil && v.version == v.graph.version {
		return
	}
	v.version = v.graph.version
	v.platforms = make(map[string]*platform)
	v.months = make(map[string]Month)
	numbers := make(map[Month][]int)
	for kb, a := range v.graph.articles {
		if m := MonthFrom(a.named); m != 0 {
			numbers[m] = append(numbers[m], number(kb))
		}
	}
	v.eras = eras(anchors).with(numbers)
}

// locked runs f with the graph held still and the view fresh.
func (v *View) locked(f func()) {
	v.graph.mu.RLock()
	defer v.graph.mu.RUnlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.refresh()
	f()
}

// at returns the index of a Windows.
func (v *View) at(name string) *platform {
	p := v.platforms[name]
	if p == nil {
		p = v.index(name)
		v.platforms[name] = p
	}
	return p
}

func (v *View) index(name string) *platform {
	p := &platform{
		above: make(map[string][]string), below: make(map[string][]string),
		by: make(map[string]map[string]*update), known: make(map[string]bool),
		kinds: make(map[*update]group), ties: make(map[string]bool),
	}
	for product := range v.graph.platform[name] {
		p.by[product] = make(map[string]*update)
		for kb, n := range v.graph.products[product] {
			if !v.published(kb) {
				continue
			}
			p.by[product][kb] = n
			p.known[kb] = true
			for _, other := range n.supersedes {
				if to, _ := v.graph.kbOf(other); to != "" && to != kb && !slices.Contains(p.below[kb], to) {
					p.below[kb] = append(p.below[kb], to)
					p.above[to] = append(p.above[to], kb)
				}
			}
		}
	}
	for _, list := range p.above {
		slices.Sort(list)
	}
	return p
}

// successors are the KBs that supersede one, directly or over others, nearest first.
func (p *platform) successors(kb string) []string { return reach(p.above, kb) }

// predecessors are the KBs that one supersedes, directly or over others.
func (p *platform) predecessors(kb string) []string { return reach(p.below, kb) }

// reach walks edges; a circle ends where it began.
func reach(edges map[string][]string, from string) []string {
	var found []string
	seen := map[string]bool{from: true}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range edges[queue[0]] {
			if !seen[next] {
				seen[next] = true
				found = append(found, next)
				queue = append(queue, next)
			}
		}
	}
	return found
}

// published says whether a KB is known as of the view's day: its month, and the month in which it was really given
// out where a revised file named it ahead of its own, had their second Tuesday by then.
func (v *View) published(kb string) bool {
	if v.until.IsZero() {
		return true
	}
	m := v.month(kb)
	return m == 0 || !m.Released().After(v.until)
}

// month is when a KB was published: the month of the file that names it most, unless only revised files name it. Such a
// one is told by standing beside another of its kind, on the same product and in the same month, that is named for
// more than twice as many vulnerabilities, and by its number, which was given out later. A KB that no file names goes
// by its number.
func (v *View) month(kb string) Month {
	if m, ok := v.months[kb]; ok {
		return m
	}
	m := v.computeMonth(kb)
	v.months[kb] = m
	return m
}

func (v *View) computeMonth(kb string) Month {
	a := v.graph.articles[kb]
	if a == nil {
		return v.eras.era(kb)
	}
	m := MonthFrom(a.named)
	era := v.eras.era(kb)
	if m == 0 {
		return era
	}
	if era <= m {
		return m
	}
	for product, n := range a.updates {
		for other, o := range v.graph.products[product] {
			if other != kb && o.group == n.group && len(o.cves) > 2*len(n.cves) && v.named(other) == m && v.eras.era(other) < era {
				return era
			}
		}
	}
	return m
}

// Dated is the month in which a KB's number was given out, as near as other numbers tell; no number has none.
func (v *View) Dated(kb string) (m Month) {
	v.locked(func() { m = v.eras.era(kb) })
	return m
}

func (v *View) named(kb string) Month {
	if a := v.graph.articles[kb]; a != nil {
		return MonthFrom(a.named)
	}
	return 0
}

// isCumulative says whether a plain security update of Windows 10 or later is one of the series in which each holds all
// before it: where its fixed build is the Windows's own, where an edge ties it to another, or where it
// is named for the most vulnerabilities of its month there; the rare others stand alone.
func (v *View) isCumulative(p *platform, n *update) bool {
	if n.own {
		return true
	}
	series := p.by[n.product]
	for _, other := range slices.Concat(p.above[n.kb], p.below[n.kb]) {
		if o := series[other]; o == nil || o.group == standalone || o.group == cumulative {
			return true
		}
	}
	month := v.month(n.kb)
	for kb, o := range series {
		if kb != n.kb && o.group == standalone && len(o.cves) > len(n.cves) && v.month(kb) == month {
			return false
		}
	}
	return true
}

// kind is the group as it counts for order.
func (v *View) kind(p *platform, n *update) group {
	if n.group != standalone {
		return n.group
	}
	k, ok := p.kinds[n]
	if !ok {
		k = standalone
		if v.isCumulative(p, n) {
			k = cumulative
		}
		p.kinds[n] = k
	}
	return k
}

func number(kb string) int {
	n := 0
	for _, c := range kb {
		if c < '0' || c > '9' || n > 1<<27 { // ten digits and more are no KB, and must fit into 32 bits
			return 0
		}
		n = n*10 + int(c-'0')
	}
	return n
}
