// Package supersedence knows how KB articles follow one another: which one supersedes which on a product, the month of
// each, and which are two ways to one end (Monthly Rollup and Security Only). It is built from the bodies of bulletins
// and updates, kept up to date one document at a time, and holds nothing that is not computed from them.
package supersedence

import (
	"slices"
	"strings"
	"sync"

	"thatch/catalog"
	"thatch/catalog/windows"
)

// Graph holds what bulletins and updates say. It is safe for use by several goroutines; a View taken from it sees
// later changes.
type Graph struct {
	mu       sync.RWMutex
	updates  map[string]*update            // by document id
	articles map[string]*article           // by KB number
	products map[string]map[string]*update // by product id and KB number
	platform map[string]map[string]bool    // product ids by the Windows they are on
	above    map[string]map[string]bool    // document ids of the updates that supersede one, by its id
	bulletin map[string]string             // KB number by bulletin id
	version  int                           // counts changes
}

// update is an update on one product.
type update struct {
	id, kb, product string
	platform        string
	group           group
	cves            []string // sorted
	supersedes      []string // document ids
	own             bool     // the fixed build is one of the product's own Windows
}

// article is a KB.
type article struct {
	named     []catalog.NamedBy
	exploited map[string]bool    // vulnerabilities known to be used in attacks
	updates   map[string]*update // by product id
}

// NewGraph makes an empty one.
func NewGraph() *Graph {
	return &Graph{
		updates: make(map[string]*update), articles: make(map[string]*article), products: make(map[string]map[string]*update),
		platform: make(map[string]map[string]bool), above: make(map[string]map[string]bool), bulletin: make(map[string]string),
	}
}

// AddUpdate puts an update in, in place of what the document said before.
func (g *Graph) AddUpdate(id string, u *catalog.Update) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.version++
	g.removeUpdate(id)
	n := &update{id: id, kb: u.KB, product: u.Product.ID, platform: platformOf(u.Product.ID), cves: slices.Sorted(slices.Values(u.CVEs))}
	for _, other := range u.Supersedes {
		if other != id {
			n.supersedes = append(n.supersedes, other)
		}
	}
	parsed := windows.Parse(u.Product.Name)
	n.group = groupOf(u, parsed)
	n.own = parsed.Release != nil && parsed.Release.OwnBuild(u.FixedBuild)
	g.updates[id] = n
	for _, other := range n.supersedes {
		put(g.above, other, id)
	}
	if n.product == "" {
		n.kb = "" // of a vendor who numbers articles, but no products: others may bear the same number
	}
	if n.kb == "" {
		return
	}
	a := g.article(n.kb)
	a.updates[n.product] = n
	if g.products[n.product] == nil {
		g.products[n.product] = make(map[string]*update)
	}
	g.products[n.product][n.kb] = n
	put(g.platform, n.platform, n.product)
}

// AddBulletin puts in which vendor files name a KB article; other bulletins are not needed.
func (g *Graph) AddBulletin(id string, b *catalog.Bulletin) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.version++
	g.removeBulletin(id)
	kb, ok := strings.CutPrefix(b.Name, "KB")
	if !ok || len(b.Named) == 0 {
		return
	}
	a := g.article(kb)
	a.named, a.exploited = slices.Clone(b.Named), make(map[string]bool)
	for i := range b.CVEs {
		if b.CVEs[i].Exploited {
			a.exploited[b.CVEs[i].ID] = true
		}
	}
	g.bulletin[id] = kb
}

// Remove takes a document out, update or bulletin; one that is not there is no matter.
func (g *Graph) Remove(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.version++
	g.removeUpdate(id)
	g.removeBulletin(id)
}

func (g *Graph) removeUpdate(id string) {
	n := g.updates[id]
	if n == nil {
		return
	}
	delete(g.updates, id)
	for _, other := range n.supersedes {
		drop(g.above, other, id)
	}
	if n.kb == "" {
		return
	}
	if g.products[n.product][n.kb] == n { // else a second update of that article on that product took its place
		delete(g.products[n.product], n.kb)
	}
	if len(g.products[n.product]) == 0 {
		delete(g.products, n.product)
		drop(g.platform, n.platform, n.product)
	}
	if a := g.articles[n.kb]; a != nil && a.updates[n.product] == n {
		delete(a.updates, n.product)
		g.tidy(n.kb)
	}
}

func (g *Graph) removeBulletin(id string) {
	kb, ok := g.bulletin[id]
	if !ok {
		return
	}
	delete(g.bulletin, id)
	g.articles[kb].named, g.articles[kb].exploited = nil, nil
	g.tidy(kb)
}

func (g *Graph) article(kb string) *article {
	a := g.articles[kb]
	if a == nil {
		a = &article{updates: make(map[string]*update)}
		g.articles[kb] = a
	}
	return a
}

func (g *Graph) tidy(kb string) {
	if a := g.articles[kb]; len(a.updates) == 0 && a.named == nil {
		delete(g.articles, kb)
	}
}

func put(sets map[string]map[string]bool, key, member string) {
	if sets[key] == nil {
		sets[key] = make(map[string]bool)
	}
	sets[key][member] = true
}

func drop(sets map[string]map[string]bool, key, member string) {
	delete(sets[key], member)
	if len(sets[key]) == 0 {
		delete(sets, key)
	}
}

// Counts are sizes of a catalog of KB articles.
type Counts struct {
	KBs        int `json:"kbs"`
	KBProducts int `json:"kb_products"`
	Edges      int `json:"supersedence_edges"` // distinct pairs of KBs, whatever the product, none with itself
}

// Counts counts KB articles, the updates made of them, and the edges between them, dangling ones among them.
func (g *Graph) Counts() Counts {
	g.mu.RLock()
	defer g.mu.RUnlock()
	c := Counts{}
	edges := make(map[[2]string]bool)
	for kb, a := range g.articles {
		if len(a.updates) > 0 {
			c.KBs++
		}
		c.KBProducts += len(a.updates)
		for _, n := range a.updates {
			for _, other := range n.supersedes {
				if to, _ := g.kbOf(other); to != "" && to != kb {
					edges[[2]string{kb, to}] = true
				}
			}
		}
	}
	c.Edges = len(edges)
	return c
}

// kbOf reads KB number and product of an update's id, which may dangle: "msrc/KB4487017/11498".
func (g *Graph) kbOf(id string) (kb, product string) {
	if n := g.updates[id]; n != nil {
		return n.kb, n.product
	}
	_, rest, _ := strings.Cut(id, "/KB")
	kb, product, _ = strings.Cut(rest, "/")
	if product == "" {
		return "", ""
	}
	return kb, product
}

// platformOf is the Windows that a product is on: of "10384-11498" (Flash Player on Windows 10 1803) "11498".
func platformOf(product string) string { return product[strings.LastIndexByte(product, '-')+1:] }

// Month is the month of a KB, none when no vendor file is known to name it.
func (g *Graph) Month(kb string) Month {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if a := g.articles[kb]; a != nil {
		return MonthFrom(a.named)
	}
	return 0
}

// Exploited says whether a vulnerability that an update closes is known to be used in attacks.
func (g *Graph) Exploited(id string) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	n := g.updates[id]
	if n == nil || g.articles[n.kb] == nil {
		return false
	}
	exploited := g.articles[n.kb].exploited
	return slices.ContainsFunc(n.cves, func(cve string) bool { return exploited[cve] })
}

// group says how the updates of one class on one product follow one another.
type group int

const (
	single       group = iota // by edges alone
	cumulative                // each holds all before it: the monthly update of Windows 10 and later, Flash Player
	rollup                    // Monthly Rollups, cumulative too
	securityOnly              // one month each
	explorer                  // cumulative updates of Internet Explorer
	stack                     // servicing stack updates, cumulative
	hotpatch                  // installed without a restart in place of a cumulative one
	standalone                // a security update of Windows 10 and later that may or may not be cumulative
)

// inOrder says whether a later one of the group holds what an earlier one does.
func (g group) inOrder() bool {
	return g == cumulative || g == rollup || g == explorer || g == stack || g == hotpatch
}

func groupOf(u *catalog.Update, p windows.Product) group {
	switch class := u.Class; {
	case class == "monthlyrollup", class == "previewrollup", strings.HasPrefix(class, "monthlyrollup"):
		return rollup
	case class == "securityonly":
		return securityOnly
	case strings.HasPrefix(class, "iecumulative"):
		return explorer
	case strings.HasPrefix(class, "servicingstack"):
		return stack
	case strings.Contains(class, "hotpatch"):
		return hotpatch
	case strings.Contains(class, "dynamicupdate"), class == "setupdu", class == "standalone":
		return single
	case p.Release == nil:
		return single
	case p.Component == "Adobe Flash Player":
		return cumulative
	case p.Release.Major < 10:
		return single
	case p.Component != "" || class == "update" || class == "cumulativeupdate" || class == "alternatecumulative":
		return cumulative
	}
	return standalone
}
