package scan

import (
	"slices"
	"time"

	"thatch/catalog"
	"thatch/catalog/evaluate"
	"thatch/catalog/supersedence"
)

// Update is an update of the catalog.
type Update struct {
	Number uint32
	ID     string
	Month  string // that its KB was released in, "2019-02"
	Body   catalog.Update
}

// Catalog is what a computer is held against: the updates that its site named, how they follow one another, and those
// that are ordered though the site's catalog does not have them any more.
type Catalog struct {
	all        []Update
	byID       map[string]*Update
	successors map[string][]string // by document id: what supersedes it directly
	held       *evaluate.Catalog
	graph      *supersedence.Graph
	view       *supersedence.View
	pinned     map[string]*catalog.Update
}

// NewCatalog makes a catalog of updates, which must not be changed any more. What KBs are known of, and the month of
// each, comes with them: agents hold no bulletins.
func NewCatalog(all []Update) *Catalog {
	c := &Catalog{
		all: all, byID: make(map[string]*Update, len(all)), successors: map[string][]string{}, graph: supersedence.NewGraph(),
		pinned: map[string]*catalog.Update{},
	}
	months := map[string]bool{}
	for i := range all {
		one := &all[i]
		c.byID[one.ID] = one
		for _, former := range one.Body.Supersedes {
			c.successors[former] = append(c.successors[former], one.ID)
		}
		c.graph.AddUpdate(one.ID, &one.Body)
		month, err := time.Parse("2006-01", one.Month)
		if one.Body.KB == "" || err != nil || months[one.Body.KB] {
			continue
		}
		months[one.Body.KB] = true
		c.graph.AddBulletin("month of KB"+one.Body.KB, &catalog.Bulletin{
			Name: "KB" + one.Body.KB, Named: []catalog.NamedBy{{File: month.Format("2006-Jan"), CVEs: 1}},
		})
	}
	c.view = c.graph.View(time.Time{})
	c.held = evaluate.NewCatalog(func(yield func(string, *catalog.Update) bool) {
		for i := range all {
			if !yield(all[i].ID, &all[i].Body) {
				return
			}
		}
	}, c.view)
	return c
}

// Pin makes known what is ordered and not in the catalog, in place of what was pinned before.
func (c *Catalog) Pin(ordered map[string]*catalog.Update) (changed bool) {
	for id, former := range c.pinned {
		if ordered[id] != former {
			delete(c.pinned, id)
			c.graph.Remove(id)
			changed = true
		}
	}
	for id, body := range ordered {
		if c.byID[id] == nil && c.pinned[id] == nil {
			c.pinned[id] = body
			c.graph.AddUpdate(id, body)
			changed = true
		}
	}
	return changed
}

// nameOf is the name of an update, or its id.
func (c *Catalog) nameOf(id string) string {
	if one := c.byID[id]; one != nil && one.Body.Name != "" {
		return one.Body.Name
	}
	if body := c.pinned[id]; body != nil && body.Name != "" {
		return body.Name
	}
	return id
}

// successor finds an update that supersedes id, directly or through others, and satisfies want. Circles end the search.
func (c *Catalog) successor(id string, want func(id string) bool) string {
	seen := map[string]bool{id: true}
	queue := c.successors[id]
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		if seen[next] {
			continue
		}
		seen[next] = true
		if want(next) {
			return next
		}
		queue = slices.Concat(queue, c.successors[next])
	}
	return ""
}
